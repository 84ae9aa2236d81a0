"""Signals: hold them back while something is written; end when the parent process does."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back, so that what is written together is written whole.

    Raises:
        KeyboardInterrupt: At the end, if a signal came meanwhile.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    in_main = threading.current_thread() is threading.main_thread()
    stops = (signal.SIGINT, signal.SIGTERM) if in_main else ()
    handlers = {stop: signal.getsignal(stop) for stop in stops if callable(signal.getsignal(stop))}
    for stop in handlers:
        signal.signal(stop, note)
    try:
        yield
    finally:
        for stop, handler in handlers.items():
            signal.signal(stop, handler)
    if came:
        raise KeyboardInterrupt


def stop_without(parent: int) -> None:
    """Wait until the process `parent` is gone, then interrupt this process as Ctrl-C would."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)
