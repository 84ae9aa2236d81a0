"""The total derivative of a state with respect to the one before, in symbols: diag(e_t) + N_t.

`jacobian` has partial derivatives: y_tm1 is held while s_tm1 moves. Here s_tm1 moves y_tm1 too.
"""

from __future__ import annotations

from typing import Any

from lstmlab.symbolic.jacobian import NEW_STATE, handed_on, jacobian, parts
from lstmlab.symbolic.symbols import Derivative, Factor, Term, before, key_before


def total_derivative(cell: Any) -> Derivative:
    """Derive ds_t/ds_tm1, by all paths from one state to the next.

        (1) ds_t/ds_tm1 = sum_a ∂s_t/∂a_tm1 ∂a_tm1/∂s_tm1
            a: s itself, y, and each fed-back gate that sees the new state
        (2) diag(e_t): the term of (1) whose path is (); N_t: all others

    The factors of a_tm1 have the keys key_before(...), those of s_t the keys of `symbol_values`.

    Args:
        cell: A GatedCell; it need not be built.

    Raises:
        ValueError: As `equations`.

    References:
        docs/mathematics.md, Theorem 10 (a).
    """
    step, earlier = jacobian(cell), _by_new_state(cell)
    terms = [
        Term(after.sign * first.sign, (*after.factors, *first.factors), (*first.path, *after.path))
        for part in parts(cell)
        for first in earlier.get(part, ())
        for after in step["cell_state", part].terms
    ]
    return Derivative("s_t", before("s_t"), (cell.units, cell.units), tuple(terms), sign="d")


def detours(cell: Any) -> list[str]:
    """Find the values through which a state acts on later ones past the states in between.

    Where there are some, the derivative over several steps is not the product of those of single
    steps: a path leaves s_tm2, enters y_tm1 by a gate of step t-1, say, and reaches s_t past s_tm1.

    Args:
        cell: A GatedCell; it need not be built.

    Returns:
        Those of output, fed-back gates, normaliser and stabiliser that end such a path, in the
        order of `parts`; [] where the products are exact.

    References:
        docs/mathematics.md, Theorem 10 (b).
    """
    step, others = jacobian(cell), handed_on(cell)

    def reached(sources: set[str]) -> set[str]:
        return {name for name, by in others.items() if sources & by.keys()}

    # one step after s_tm2: from s_tm2 itself, and from what step t-2 made of it
    found = reached({"cell_state"} | reached({NEW_STATE}))
    while (more := found | reached(found)) != found:
        found = more
    return [name for name in others if name in found and step["cell_state", name].terms]


def _by_new_state(cell: Any) -> dict[str, list[Term]]:
    """The terms of ∂a_tm1/∂s_tm1 for each part a."""
    found = {"cell_state": [Term(1, (), ())]}
    for name, derivative in handed_on(cell).items():
        terms = derivative.get(NEW_STATE, [])
        found[name] = [
            term._replace(factors=tuple(_earlier(factor) for factor in term.factors))
            for term in terms
        ]
    return found


def _earlier(factor: Factor) -> Factor:
    """The same factor one step before."""
    # layer normalisation of the state is the one factor whose symbol has no t
    symbol = before(factor.symbol).replace(r"\mathcal{N}'_s", r"\mathcal{N}'_{s, t-1}")
    return factor._replace(key=key_before(factor.key), symbol=symbol)
