"""Named variants of the gated cell: the options of the group cell that make a GatedCell."""

import re
from typing import Any

from lstmlab import config
from lstmlab.cells.gated import GatedCell
from lstmlab.errors import refusal

# read as text: parsing all files would take longer than all the rest
_MAKES = re.compile(r"^_target_: *lstmlab\.(cells\.(gated\.)?)?GatedCell *(#.*)?$", re.MULTILINE)


def variants() -> list[str]:
    """The names that `variant` knows, in alphabetical order."""
    return [name for name in config.options("cell") if _MAKES.search(config.text("cell", name))]


def variant(name: str, /, units: int | None = None, **overrides: Any) -> GatedCell:
    """Make the cell that an option of the group cell describes, such as conf/cell/<name>.yaml.

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
