"""Let the C library keep the memory of large arrays for the next ones of their size.

Otherwise it gives them back to the system, which hands out every page anew, cleared: for tasks that
draw block after block of sequences that takes longer than to draw them.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TRIM, MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
LARGE = 2**30  # bytes, above which arrays go back all the same
USUAL = 2**25  # what glibc's own thresholds grow to


@contextmanager
def kept() -> Iterator[None]:
    """Keep memory while this lasts; with the GNU C library only, elsewhere nothing is done."""
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(MMAP, LARGE)
    library.mallopt(TRIM, LARGE)
    try:
        yield
    finally:
        library.mallopt(MMAP, USUAL)
        library.mallopt(TRIM, 2 * USUAL)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    if not all(hasattr(library, name) for name in ("gnu_get_libc_version", "malloc_trim")):
        return None
    return library
