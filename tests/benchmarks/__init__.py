"""`make bench`: Signalbox against the usual way to call Celery from Django, side by side.

A *side* is one way of doing the work: a database and Redis databases of its own, a driver process
that fires, and a worker that carries out the effects. A *case* measures the sides in turns. See
docs/benchmarks.md.
"""
