"""Handing over: facts that a request gathers and a worker deals with, at no cost to the request.

    facts = Handover("request logs", task="logs.write", queue="logs")
    facts.hand_over({"path": "/", "status": 200})

The task gets `records`, a list of what was handed over, and `source`, a dict that says which
process they come from and how many records it has dropped so far (`process`, `host`, `dropped`).
Unlike events these may be lost: when a process dies, or when a buffer is full. Then the oldest are
dropped, counted and reported. With `HandoverTask` as its base the task outlives its process.
"""

from core.handover.buffer import Counts
from core.handover.handover import Handover
from core.handover.task import HandoverTask

__all__ = ["Counts", "Handover", "HandoverTask"]
