"""Whether a subclass of GatedCell computes its steps in another way: only the loop follows it."""

from __future__ import annotations

from lstmlab.cells.gated import GatedCell

# what a subclass may replace, and its steps stay the same
_AROUND = {"build", "get_config", "from_config", "load_own_variables", "get_initial_state"}
_OURS = [kind for kind in GatedCell.__mro__ if kind.__module__.startswith("lstmlab.cells")]
_OF_STEP = {
    name
    for kind in _OURS
    for name, value in vars(kind).items()
    if callable(value) and not name.startswith("__")
} - {*_AROUND, "own_config"}


def replaced(cell: GatedCell) -> str | None:
    """The first method of a step that a subclass has replaced, as 'Class.method'; None if none."""
    kinds = type(cell).__mro__
    for kind in kinds[: kinds.index(GatedCell)]:
        if own := sorted(set(vars(kind)) & _OF_STEP):
            return f"{kind.__name__}.{own[0]}"
    return None
