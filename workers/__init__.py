"""The effects that events have: each an app with its wiring in `routes.py`."""
