"""Interruptions: what a signal raises while a line is written is meant for who logs."""

from __future__ import annotations

import signal
import threading


def is_interruption(error: BaseException) -> bool:
    """Tell whether a signal's handler raised this, such as a time limit of a task or a lease."""
    if threading.current_thread() is not threading.main_thread():
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace is not None else None
    handlers = (signal.getsignal(number) for number in signal.valid_signals())
    return code is not None and any(getattr(each, "__code__", None) is code for each in handlers)
