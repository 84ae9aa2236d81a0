"""The cells that stand for all in the quick suite, as the conformance tests have them."""

from lstmlab.conformance.branches import BRANCHES, one_per_branch, quick

__all__ = ["BRANCHES", "one_per_branch", "quick"]
