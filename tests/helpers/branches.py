"""The cells that stand for all in the quick suite, as the conformance tests have them."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from lstmlab.conformance.branches import BRANCHES, one_per_branch, quick

__all__ = ["BRANCHES", "on_demand", "one_per_branch", "quick"]


def on_demand(cases: Iterable, chosen: Callable[[Any], bool] = BRANCHES.__contains__) -> list:
    """All cases, for `pytest.mark.parametrize`; those that are not chosen run on demand alone."""
    return quick(cases, chosen, [pytest.mark.slow, pytest.mark.whole_table])
