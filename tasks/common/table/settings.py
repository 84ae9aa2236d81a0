"""Settings of task=csv that must fit one another."""

from typing import Any

from lstmlab.tasks.common.table.columns import Named
from lstmlab.tasks.common.table.messages import fail


def name_of(setting: str, value: Any) -> Any:
    """The name of a column, or None; one that was read as a number or as true is none the less."""
    if value is not None and not isinstance(value, str | int | float):
        fail("the name of a column, or null", f"task.{setting}={value!r}")
    return value


def names_of(setting: str, value: Any) -> list[str]:
    """The names of one or more columns; [] for None."""
    values = value if isinstance(value, list | tuple) else [value] if value is not None else []
    if not all(isinstance(name, str | int | float) for name in values):
        expected = "the name of a column, a list of names, or null"
        fail(expected, f"task.{setting}={value!r}")
    return _different(setting, list(values))


def features_of(value: Any) -> list[str] | None:
    """The names of the columns shown, or None."""
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        fail("a list of columns, or null", f"task.features={value!r}")
    if not all(isinstance(name, str | int | float) for name in value):
        fail("a list of columns, or null", f"task.features={value!r}")
    return _different("features", list(value))


def _different(setting: str, names: list) -> list:
    if len({str(name) for name in names}) < len(names):
        fail("different columns", f"task.{setting}={names}")
    return names


def check_columns(named: Named, time_format: str | None) -> None:
    """Raises for columns that contradict the other settings."""
    if (named.target is None) != (named.wide and named.forecasts):
        expected = "a target, but for a wide table that is forecast, which has none"
        fail(expected, f"task.target={named.target!r}")
    if named.wide and named.time:
        expected = "no time column: the columns of a wide table are its steps"
        fail(expected, f"task.time={named.time}")
    if time_format is not None and not named.time:
        fail("task.time, the column whose dates it describes", f"task.time_format={time_format!r}")
    if not named.wide and not named.group and (not named.forecasts or named.part is not None):
        fail("a group column, which says what one sequence is", "task.group=None")


def check_forecasting(forecasts: bool, horizon: int, warmup: int, window: int | None) -> None:
    """Raises for settings that classification does not have."""
    if forecasts:
        return
    settings = {"horizon": (horizon, 1), "warmup": (warmup, 1), "window": (window, None)}
    for name, (value, default) in settings.items():
        if value != default:
            fail(f"task.{name} only with task.kind=forecasting", f"task.{name}={value}")
