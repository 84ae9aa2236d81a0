"""Named variants of the gated cell: the files in conf/cell/ that make a GatedCell are the single list of them."""

from lstmlab import config
from lstmlab.cells.gated import GatedCell
from lstmlab.errors import refusal


def variants() -> list[str]:
    """The names that `variant` knows, in alphabetical order: of the files in conf/cell/ that make a GatedCell."""
    target = "\n_target_: lstmlab.GatedCell\n"
    return [name for name in config.options("cell") if target in config.text("cell", name)]


def variant(name: str, /, units: int | None = None, **overrides) -> GatedCell:
    """The cell that conf/cell/<name>.yaml describes, with `units` cells and any argument of GatedCell overridden.

    Raises ValueError for an unknown name, and whatever GatedCell raises for its arguments.
    """
    if name not in variants():
        raise refusal("variant", f"one of {variants()}", {"name": name})
    settings = config.settings("cell", name)
    cell = config.found(settings.pop("_target_"))
    if units is not None:
        overrides["units"] = units
    return cell(**{**config.made(settings), **overrides})
