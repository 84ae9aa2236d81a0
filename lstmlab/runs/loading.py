"""Import what is large, TensorFlow above all, without collections of garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Import in this block without garbage collections, which would find nothing.

    Later ones leave out what was loaded here, and processes that are forked share its memory.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
