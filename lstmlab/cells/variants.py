"""Named variants of the gated cell: the files in conf/cell/ that make a GatedCell are the single list of them."""

from importlib import resources

from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from lstmlab.cells.gated import GatedCell


def variants() -> list[str]:
    """The names that `variant` knows, in alphabetical order: of the files in conf/cell/ that make a GatedCell."""
    files = (file for file in _folder().iterdir() if file.name.endswith(".yaml"))
    gated = (file.name for file in files if "\n_target_: lstmlab.GatedCell\n" in file.read_text(encoding="utf-8"))
    return sorted(name.removesuffix(".yaml") for name in gated)


def variant(name: str, /, units: int | None = None, **overrides) -> GatedCell:
    """The cell that conf/cell/<name>.yaml describes, with `units` cells and any argument of GatedCell overridden.

    Raises ValueError for an unknown name, and whatever GatedCell raises for its arguments.
    """
    if name not in variants():
        raise ValueError(f"variant: unknown name; expected one of {variants()}. Received: name={name!r}")
    config = OmegaConf.create((_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    if units is not None:
        overrides["units"] = units
    cell = get_class(config.pop("_target_"))
    return cell(**{**instantiate(config, _convert_="all"), **overrides})  # not through Hydra, which would wrap what is raised


def _folder():
    return resources.files("lstmlab.conf") / "cell"
