from core.events import EventSignal

ordered = EventSignal("site.ordered")
"""Arguments: run, seconds (how long the slow handler takes at first; 0: it is not called)."""
