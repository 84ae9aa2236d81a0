"""The columns of a wide table as steps: what they are, and which of them may be none."""

import numpy as np

SHOWN = 4  # steps at each end that a note names
FIRST = 1000  # rows by which a column is seen to count


def notes_on_steps(names: list[str], values: np.ndarray) -> list[str]:
    """Says what the steps are, and warns of those that are far off the others.

    Args:
        names: The columns.
        values: Their numbers, [rows, T].
    """
    shown = names if len(names) <= 3 * SHOWN else [*names[:SHOWN], "...", *names[-SHOWN:]]
    notes = [f"each row is a sequence of up to {len(names)} steps: {', '.join(shown)}"]
    if len(names) < 3 or len(values) < 2:
        return notes
    far, counting = _far_off(values), _counting(values[:FIRST])
    for k in np.flatnonzero(far | counting):
        why = "is far off the other columns" if far[k] else "counts the rows"
        said = f"step {k + 1}, column {names[k]!r}, {why}"
        notes.append(f"{said}: if it is no step, name the others in task.features")
    return notes


def _far_off(values: np.ndarray) -> np.ndarray:
    """Columns whose numbers all lie outside of those of the others, by more than their range."""
    least, most = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
    # an empty column is nowhere
    least, most = np.where(np.isnan(least), np.inf, least), np.where(np.isnan(most), -np.inf, most)
    low, high = _among_others(least), -_among_others(-most)
    far = (least - high > high - low) | (low - most > high - low)
    return far & np.isfinite(least)


def _among_others(values: np.ndarray) -> np.ndarray:
    """The least of all other values, at the place of each."""
    first, second = np.argsort(values, kind="stable")[:2]
    return np.where(np.arange(len(values)) == first, values[second], values[first])


def _counting(values: np.ndarray) -> np.ndarray:
    """Columns in which each row has as much more than the row before, where few others have."""
    steps = np.diff(values, axis=0)
    rounding = 1e-6 * np.abs(values).max(axis=0, initial=0)
    even = (np.abs(steps - steps[0]) <= rounding).all(axis=0) & (np.abs(steps[0]) > rounding)
    even &= len(steps) > 1
    return even & (2 * even.sum() < len(even))
