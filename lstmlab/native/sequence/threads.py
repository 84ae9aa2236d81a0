"""Share the rows of a batch among threads, which Numba's kernels let run side by side.

Not by Numba's own threads: of its three kinds, one cannot be entered from two threads at once, one
dies with a fork, and the third need not be installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise

WORTH = 400_000  # multiplications that a thread must have to do, before it is asked


def processors() -> int:
    """How many threads of this process can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(processors(), thread_name_prefix="lstmlab")


# threads do not outlive a fork: the child makes its own
os.register_at_fork(after_in_child=_pool.cache_clear)


def shares(rows: int, work: float, most: int = 0) -> list[tuple[int, int]]:
    """Cut rows into pieces (low, high) for as many threads as are worth it.

    Args:
        work: Multiplications in all.
        most: Threads at most; 0: one for each processor.
    """
    count = min(most or processors(), max(rows, 1), max(int(work // WORTH), 1))
    ends = [rows * k // count for k in range(count + 1)]
    return list(pairwise(ends))


def each(run: Callable[[int, int, int], None], pieces: list[tuple[int, int]]) -> None:
    """Call run(number, low, high) for every piece: the first one here, the others in threads."""
    waiting: list[Future] = []
    try:
        for number, (low, high) in enumerate(pieces[1:], 1):
            waiting.append(_pool().submit(run, number, low, high))
    except RuntimeError:  # the interpreter is ending
        for number, (low, high) in enumerate(pieces[len(waiting) + 1 :], len(waiting) + 1):
            run(number, low, high)
    run(0, *pieces[0])
    for one in waiting:
        one.result()
