"""Do something as soon as a module has been imported, without importing it.

wrapt.when_imported does the same, but takes a third of the time in which `lstmlab` starts.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def when_imported(name: str, action: Callable[[], Any]) -> None:
    """Call action() when the module of that name has been imported; now, if it is there."""
    module = sys.modules.get(name)
    if module is None or getattr(getattr(module, "__spec__", None), "_initializing", False):
        sys.meta_path.insert(0, _Finder(name, action))
    else:
        action()


class _Finder(MetaPathFinder):
    """Finds one module as it would be found without this finder."""

    def __init__(self, name: str, action: Callable[[], Any]):
        self.name, self.action = name, action

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.name or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self.action)
        return spec


class _Loader(Loader):
    """Loads a module as its own loader does, and then acts."""

    def __init__(self, loader: Loader, action: Callable[[], Any]):
        self.loader, self.action = loader, action

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        # for all who ask the module for its loader, as for its files
        spec.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.action()
