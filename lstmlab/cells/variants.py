"""Named variants of the gated cell: those files in conf/cell/ that make a GatedCell."""

from typing import Any

from lstmlab import config
from lstmlab.cells.gated import GatedCell
from lstmlab.errors import refusal


def variants() -> list[str]:
    """The names that `variant` knows, in alphabetical order."""
    target = "\n_target_: lstmlab.GatedCell\n"
    return [name for name in config.options("cell") if target in config.text("cell", name)]


def variant(name: str, /, units: int | None = None, **overrides: Any) -> GatedCell:
    """Make the cell that conf/cell/<name>.yaml describes.

    Args:
        name: One of `variants()`.
        units: Cells; None: as many as the file says.
        overrides: Arguments of GatedCell that replace those of the file.

    Raises:
        ValueError: For an unknown name, and as GatedCell for its arguments.
    """
    if name not in variants():
        raise refusal("variant", f"one of {variants()}", {"name": name})
    settings = config.settings("cell", name)
    cell = config.found(settings.pop("_target_"))
    if units is not None:
        overrides["units"] = units
    return cell(**{**config.made(settings), **overrides})
