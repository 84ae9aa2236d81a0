"""The yardsticks of a task whose inputs and targets take finitely many values: exact losses instead
of estimates."""

import numpy as np


def yardsticks(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """The `chance` and the `memoryless` loss of a task, as squared errors.

    Args:
        x: The input in each of the m cases of input and target at a step with an error, [m, F].
        y: The target in each case, [m, K].
        weight: How often each case is met, [m].

    Returns:
        The losses of the best constant output and of the best function of the present input.
    """
    x, y, weight = (part[weight > 0].astype("float64") for part in (x, y, weight))
    share = weight / weight.sum()
    # the number of each case's input among the different ones; some NumPy give it as [m, 1]
    _, group = np.unique(x, axis=0, return_inverse=True)
    group = group.reshape(-1)
    total = np.bincount(group, share)
    # [inputs, K], the mean target at each input: the best function of it
    means = np.stack([np.bincount(group, share * line) for line in y.T], axis=1) / total[:, None]

    chance = share @ ((y - share @ y) ** 2).mean(axis=1)
    memoryless = share @ ((y - means[group]) ** 2).mean(axis=1)
    return float(chance), float(memoryless)
