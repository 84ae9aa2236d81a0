"""Validators: each returns the value in its final form or raises ValueError (see errors.refusal).

The arguments are the same everywhere. `owner` is the class or command that complains, `name` the
argument or setting as the user wrote it ('units', 'learner.horizon'), and `why` a few words that
follow what was expected.
"""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from lstmlab.errors import refusal


def integer(
    owner: str,
    name: str,
    value: Any,
    least: int = 1,
    most: int | None = None,
    *,
    why: str = "",
    optional: bool = False,
) -> Any:
    """An integer in least..most as an int; with `optional`, None as well."""
    if optional and value is None:
        return None
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if whole and least <= value and (most is None or value <= most):
        return int(value)
    if most is not None:
        expected = f"an integer in {least}..{most}"
    else:
        expected = "a positive integer" if least == 1 else f"an integer >= {least}"
    raise refusal(owner, expected + _null(optional) + _why(why), {name: value})


def number(
    owner: str,
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    why: str = "",
    optional: bool = False,
) -> Any:
    """A finite number as a float, within closed (least, most) or open (above, below) bounds."""
    if optional and value is None:
        return None
    real = isinstance(value, Real) and not isinstance(value, bool)
    try:
        found = float(value) if real else math.nan
    except OverflowError:  # an integer beyond the largest float
        found = math.nan
    if math.isfinite(found) and least <= value <= most and above < value < below:
        return found
    expected = f"a number{_interval(least, most, above, below)}"
    raise refusal(owner, expected + _null(optional) + _why(why), {name: value})


def flag(owner: str, name: str, value: Any) -> bool:
    """True or False."""
    if isinstance(value, bool):
        return value
    raise refusal(owner, "true or false", {name: value})


def one_of(owner: str, name: str, value: Any, allowed: Iterable) -> Any:
    """One of the allowed values. 1, 1.0 and True are three different values here."""
    allowed = tuple(allowed)
    if any(value is one or (type(value) is type(one) and value == one) for one in allowed):
        return value
    raise refusal(owner, f"one of {allowed}", {name: value})


def seed(owner: str, name: str, value: Any) -> int | None:
    """A seed of random numbers: an integer >= 0, or None to derive it from the run's seed."""
    return integer(owner, name, value, least=0, optional=True)


def _interval(least: float, most: float, above: float, below: float) -> str:
    """The bounds in words: ' > 0', ' >= 0', ' in [0, 1)', or nothing."""
    lower = f"({above:g}" if above > -math.inf else f"[{least:g}" if least > -math.inf else ""
    upper = f"{below:g})" if below < math.inf else f"{most:g}]" if most < math.inf else ""
    if lower and upper:
        return f" in {lower}, {upper}"
    if lower:
        return f" {'>' if above > -math.inf else '>='} {lower[1:]}"
    return f" {'<' if below < math.inf else '<='} {upper[:-1]}" if upper else ""


def _null(optional: bool) -> str:
    return " or null" if optional else ""


def _why(why: str) -> str:
    return f", {why}" if why else ""
