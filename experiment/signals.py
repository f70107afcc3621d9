"""Ctrl-C and SIGTERM while a run is at work."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """Training was asked to stop, finished its step, and has written a checkpoint if it may."""

    def __init__(self, signum: int, epoch: int, step: int) -> None:
        name = "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name
        super().__init__(f"interrupted by {name} in epoch {epoch + 1}, before step {step + 1}")
        self.signum, self.epoch, self.step = signum, epoch, step


class StoppedAtOnce(KeyboardInterrupt):
    """The second signal: whatever is going on ends here."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


@contextmanager
def finishing_steps(interrupt: Callable[[int], None]) -> Iterator[None]:
    """While inside, the first Ctrl-C or SIGTERM calls `interrupt`, the second stops at once.

    A signal that the process was told to ignore stays ignored. Only the main thread can listen
    to signals: in another one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def listen(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise StoppedAtOnce(signum)
        asked = True
        interrupt(signum)
        with suppress(OSError):
            os.write(2, b"\nfinishing the step; once more stops at once\n")

    before = {}
    try:
        for signum in SIGNALS:
            if signal.getsignal(signum) != signal.SIG_IGN:
                before[signum] = signal.signal(signum, listen)
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
