"""Hydra's plugins of this package: sweepers over lists and for searches, a launcher for Dask.

Hydra takes plugins only from the package hydra_plugins, which would be another package to install.
"""

from typing import Any

from hydra.core.plugins import Plugins

from lstmlab.runs.cluster import Dask
from lstmlab.runs.rows import Rows
from lstmlab.runs.search import Search


def register() -> None:
    """Let Hydra take them; called once."""
    known = Plugins.is_in_toplevel_plugins_module
    ours = {f"{one.__module__}.{one.__qualname__}": one for one in (Dask, Rows, Search)}

    def is_known(name: str) -> bool:
        return name in ours or known(name)

    setattr(Plugins, "is_in_toplevel_plugins_module", staticmethod(is_known))  # noqa: B010
    plugin: Any
    for plugin in ours.values():
        Plugins.instance().register(plugin)
