"""Measures on a fixed probe batch, one module each: gates, memory, error_flow and so on.

A module holds one Diagnostic; its name is that of the module, of the csv file and of the option in
conf/diagnostic/. All of them are found here by themselves: `kinds()`. May be imported: the classes,
the functions that measure once (bound, error_flow, gate_timeline, intervene, jacobians, memory),
Diagnostic, Chart and Probe, and from lstmlab.recording GateTensorBoard and read. `common` holds
what measures share. docs/diagnostics.md says how to add one.
"""

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from lstmlab.diagnostics.base import Chart, Diagnostic, Probe

_ELSEWHERE = {"GateTensorBoard": "lstmlab.recording.callback", "read": "lstmlab.recording.reading"}


def kinds() -> dict[str, type[Diagnostic]]:
    """{name: class} of every diagnostic in this folder, sorted by name."""
    return {kind.name: kind for module in _modules() for kind in _classes(module)}


def _modules() -> list[ModuleType]:
    """The modules of measures: all of this folder but `base`, and no folders within it."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if not found.ispkg]
    return [importlib.import_module(f"{__name__}.{name}") for name in names if name != "base"]


def _classes(module: ModuleType) -> list[type[Diagnostic]]:
    """The diagnostics that a module defines, not those it imports."""
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    own = [kind for kind in classes if kind.__module__ == module.__name__]
    return [kind for kind in own if issubclass(kind, Diagnostic)]


def _offered() -> dict[str, Any]:
    """What the modules define for users: each its diagnostic, and what its __all__ names."""
    offered: dict[str, Any] = {}
    for module in _modules():
        offered |= {kind.__name__: kind for kind in _classes(module)}
        offered |= {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    return offered


# A function takes the place of the module that it is named after: lstmlab.diagnostics.bound(...)
globals().update(_offered())

__all__ = [
    "Chart",
    "Diagnostic",
    "Probe",
    "kinds",
    *sorted(_offered()),
    *sorted(_ELSEWHERE),
]


def __getattr__(name: str) -> Any:
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(_ELSEWHERE[name]), name)
    raise AttributeError(
        f"module 'lstmlab.diagnostics' has no attribute {name!r}; it has {', '.join(__all__)}"
    )
