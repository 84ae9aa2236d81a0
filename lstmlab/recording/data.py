"""A batch for a Keras model from arrays or from a dataset, refused where it cannot be measured."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from lstmlab.errors import refusal


def batch(owner: str, model: Any, x: Any, y: Any, w: Any, most: int | None = None) -> tuple:
    """Return (x, y, w) of at most `most` sequences, the first ones; w may be None.

    Args:
        owner: The function that complains.
        model: The compiled Keras model.
        x: Arrays, in a list or dictionary where the model takes several, or a tf.data.Dataset or
            PyDataset that gives x, y and perhaps w.
        y, w: Arrays; None beside a dataset.
        most: How many sequences are taken; None: all.

    Raises:
        ValueError: No targets, no sequences, y or w beside a dataset, an endless one without
            `most`, batches of different shapes, or numbers that are not finite.
    """
    if _is_dataset(x):
        if y is not None or w is not None:
            expected = "neither y nor w beside a dataset, which has them"
            raise refusal(owner, expected, type(x).__name__)
        x, y, w = _gathered(owner, x, most)
    if y is None and model.loss is not None:
        raise refusal(owner, "targets y beside the inputs x", {"y": None})

    parts = {"x": x, "y": y, "w": w}
    given = {name: tree.map_structure(_array, part) for name, part in parts.items()}
    given = {name: tree.map_structure(partial(_first, most), part) for name, part in given.items()}
    for name, part in given.items():
        _check_numbers(owner, name, part)
    return given["x"], given["y"], given["w"]


def check_weights(owner: str, model: Any) -> None:
    """Raise ValueError for a model with a weight that is not finite."""
    for weight in model.weights:
        value = _array(weight)
        wrong = _not_finite(value)
        if wrong:
            received = f"{weight.path} with {wrong} of {value.size} not finite"
            raise refusal(owner, "a model with finite weights", received)


def size(x: Any) -> int | None:
    """Return the number of sequences of x; None where a dataset does not say it."""
    if not _is_dataset(x):
        return len(tree.flatten(x)[0])
    return None


def _is_dataset(x: Any) -> bool:
    kinds = (tf.data.Dataset, keras.utils.PyDataset)
    return isinstance(x, kinds) or hasattr(x, "__next__")


def _gathered(owner: str, x: Any, most: int | None) -> list:
    """x, y and w of the batches of a dataset, one after the other."""
    endless = isinstance(x, tf.data.Dataset) and x.cardinality() == tf.data.INFINITE_CARDINALITY
    if most is None and endless:
        raise refusal(owner, "a dataset that ends, such as x.take(4)", "one that repeats for ever")
    batches: list[tuple] = []
    count = 0
    for one in _batches(x):
        if not isinstance(one, (tuple, list)) or len(one) not in (2, 3):
            raise refusal(owner, "a dataset of (x, y) or (x, y, w)", type(one).__name__)
        batches.append(tree.map_structure(_array, tuple(one)))
        count += len(tree.flatten(batches[-1])[0])
        if most is not None and count >= most:
            break
    if not batches:
        raise refusal(owner, "at least one sequence", "an empty dataset")
    try:
        joined = tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
    except ValueError as error:
        shapes = [tree.map_structure(np.shape, one) for one in batches[:2]]
        raise refusal(owner, "batches of one shape; pad them alike", f"shapes {shapes}") from error
    return [*joined, None][:3]


def _batches(x: Any) -> Iterator:
    if isinstance(x, keras.utils.PyDataset):
        return (x[k] for k in range(x.num_batches or 0))
    return iter(x)


def _array(value: Any) -> Any:
    """As NumPy; what is not numbers, such as texts, as it is."""
    if value is None or isinstance(value, (str, bytes, np.ndarray)):
        return None if value is None else np.asarray(value)
    return np.asarray(ops.convert_to_numpy(value))


def _first(most: int | None, value: Any) -> Any:
    return value if value is None or not np.ndim(value) else value[:most]


def _not_finite(value: Any) -> int:
    if value.dtype.kind not in "fV":  # V: bfloat16
        return 0
    return int(value.size - np.count_nonzero(np.isfinite(value.astype("float64"))))


def _check_numbers(owner: str, name: str, part: Any) -> None:
    for value in tree.flatten(part):
        if value is None:
            continue
        if not value.ndim:
            expected = f"{name} as an array, or arrays in a list or dictionary"
            raise refusal(owner, expected, "a number, or lists of numbers")
        if name != "x" and value.dtype.kind in "USO":
            raise refusal(owner, "numbers", f"{name} of dtype {value.dtype}")
        wrong = _not_finite(value)
        if wrong:
            received = f"{name} with {wrong} of {value.size} not finite"
            raise refusal(owner, "finite numbers", received)
