"""The cells that stand for all in the quick suite: one for each way in which a step is built."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

BRANCHES = {
    "cascade", "fgr", "gru", "gru_reset_after", "indrnn", "lstm1997", "minlstm", "peephole",
    "slstm", "ur_lstm", "vanilla",
}  # fmt: skip
SLOW = (pytest.mark.slow,)


def quick(cases: Iterable, chosen: Callable[[Any], bool], rest: Sequence = SLOW) -> list:
    """All cases, for `pytest.mark.parametrize`; the others carry the marks `rest`."""
    marked = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        marks = () if chosen(case) else rest
        marked.append(pytest.param(*values, marks=marks))
    return marked


def one_per_branch(names: Iterable[str]) -> list:
    """Names of cells, or of their yaml files: those beyond BRANCHES carry the mark slow."""
    return quick(names, lambda name: name.removesuffix(".yaml") in BRANCHES)
