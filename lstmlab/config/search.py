"""The folders of installed packages in Hydra's search path. Loads Hydra."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from lstmlab.config.folders import installed


class InstalledOptions(SearchPathPlugin):
    """Appends the folders of installed packages to the search path of lstmlab, and to no other."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if any(part.path == "pkg://lstmlab.conf" for part in search_path.get_path()):
            for folder in installed():
                search_path.append(folder.whose, f"file://{folder.path.resolve()}")


def search_installed() -> None:
    """Let Hydra find the options of installed packages."""
    Plugins.instance().register(InstalledOptions)
