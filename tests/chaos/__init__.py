"""The fault suite: what is lost and what is doubled when processes and servers fail.

`python -m tests.chaos` (`make chaos`) starts the system's real processes on servers of its own,
lets one fault after another happen under load, and counts the effects. See docs/chaos.md.
"""
