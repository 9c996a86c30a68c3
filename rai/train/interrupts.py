"""Ctrl-C while training: heard at once, heeded when nothing is half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Asked:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.now = False

    def heed(self) -> None:
        """Raise KeyboardInterrupt where somebody asked."""
        if self.now:
            raise KeyboardInterrupt

    @contextmanager
    def also(self) -> Iterator[None]:
        """Take a KeyboardInterrupt that is raised inside for a wish to stop."""
        try:
            yield
        except KeyboardInterrupt:
            self.now = True


@contextmanager
def deferred() -> Iterator[Asked]:
    """Let Ctrl-C only be noted; a second one raises KeyboardInterrupt at once.

    Signals reach the main thread alone, so elsewhere nothing changes.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield asked
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        if asked.now:
            raise KeyboardInterrupt
        asked.now = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
