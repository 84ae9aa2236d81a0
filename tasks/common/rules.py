"""Rules that several tasks share: when a sequence is right, and when the task is solved."""

from typing import Any

import numpy as np


def within(tolerance: float, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A rule for `Task.correct`: |error| < tolerance at every output of every step with an error.

    Args:
        tolerance: The bound, which is itself outside.
        y: Targets, [n, T, K].
        prediction: Predictions, [n, T, K].
        w: Weights of the errors, [n, T]; steps with w = 0 do not count.

    Returns:
        Which sequences are right, bool [n].
    """
    return np.all((np.abs(y - prediction) < tolerance) | (w == 0)[..., None], axis=(1, 2))


def most_active(y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A rule for `Task.correct`: the largest output is that of the largest target.

    It must be so at every step with an error. Arguments and result are those of `within`.
    """
    return np.all((y.argmax(axis=-1) == prediction.argmax(axis=-1)) | (w == 0), axis=1)


def sliding_window(
    changed: dict | None,
    sequences: int = 2000,
    wrong: int = 0,
    error_below: float | None = None,
) -> dict[str, Any]:
    """The settings of lstmlab.criterion.SlidingWindow for a task, with those that the user
    changed."""
    settings = {"sequences": sequences, "wrong": wrong, "error_below": error_below}
    return {"rule": "sliding_window", **settings, "measure": "absolute", **(changed or {})}


def whole_sets(
    changed: dict | None,
    sets: list[str] | None,
    wrong: int = 0,
    error_below: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The settings of lstmlab.criterion.WholeSets for a task, with those that the user changed."""
    settings = {"sets": sets, "wrong": wrong, "error_below": error_below, "measure": "absolute"}
    return {"rule": "whole_sets", **settings, **more, **(changed or {})}


def validation_or_budget(changed: dict | None) -> dict[str, Any]:
    """At most 5 % of the validation sequences wrong; or, for the rule 'budget', never solved.

    Only real data use it, whose yaml shows the settings of the first rule: 'budget' drops them.
    """
    settings = {"rule": "whole_sets", "sets": ["validation"], "wrong": 0.05, **(changed or {})}
    return {"rule": "budget"} if settings["rule"] == "budget" else settings
