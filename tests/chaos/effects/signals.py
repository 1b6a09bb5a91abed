"""The one signal of the fault suite."""

from core.events import EventSignal

happened = EventSignal("chaos.happened", key="lane")
"""Arguments: run, seq, lane, trap (what marked events of this run do), marked."""
