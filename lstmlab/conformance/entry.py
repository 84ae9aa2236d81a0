"""Tells pytest of the plugin where lstmlab.conformance is asked for, and is idle elsewhere."""

from typing import Any


def pytest_load_initial_conftests(early_config: Any, parser: Any, args: list[str]) -> None:
    """Load the plugin for `pytest --pyargs lstmlab.conformance`."""
    if any(arg.startswith("lstmlab.conformance") for arg in args):
        early_config.pluginmanager.import_plugin("lstmlab.conformance.plugin")
