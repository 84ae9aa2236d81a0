"""Initial values of weights that are one in Keras and several in a GatedCell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from numbers import Real
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("lstmlab")
class Columns(keras.initializers.Initializer):
    """Some columns of what an initializer draws for a wider weight.

    Args:
        initializer: Of the whole weight.
        parts: Into how many parts of equal width its columns are cut.
        first, count: Which of them are taken.
        rows: Rows of the whole weight, if it is one of biases that has any.
        row: Which of them is taken; None: their sum.
    """

    def __init__(
        self,
        initializer: Any,
        parts: int,
        first: int,
        count: int = 1,
        rows: int = 0,
        row: int | None = None,
    ):
        self.initializer = keras.initializers.get(initializer)
        self.parts, self.first, self.count, self.rows, self.row = parts, first, count, rows, row

    def __call__(self, shape: tuple, dtype: Any = None) -> Any:
        *leading, columns = shape
        width = columns // self.count
        whole_shape = (*([self.rows] if self.rows else []), *leading, width * self.parts)
        whole = self.initializer(whole_shape, dtype=dtype)
        if self.rows:
            whole = ops.sum(whole, axis=0) if self.row is None else whole[self.row]
        return whole[..., self.first * width : (self.first + self.count) * width]

    def get_config(self) -> dict:
        names = ("parts", "first", "count", "rows", "row")
        own = {name: getattr(self, name) for name in names}
        return {"initializer": keras.initializers.serialize(self.initializer), **own}


@keras.saving.register_keras_serializable("lstmlab")
class SideBySide(keras.initializers.Initializer):
    """One draw for all weights of a cell that read back full matrices, as Keras has one.

    Args:
        initializer: Of the weight of Keras.
    """

    def __init__(self, initializer: Any):
        self.initializer = keras.initializers.get(initializer)

    def __call__(self, shape: tuple, dtype: Any = None) -> Any:
        return self.initializer(shape, dtype=dtype)

    def get_config(self) -> dict:
        return {"initializer": keras.initializers.serialize(self.initializer)}


def of_each(initializer: Any, widths: Sequence[int]) -> list:
    """The initializers of weights with so many columns each."""
    if not isinstance(initializer, SideBySide):
        return [initializer] * max(1, len(widths))
    ends = accumulate(widths)
    return [
        Columns(initializer.initializer, sum(widths), end - width, width)
        for end, width in zip(ends, widths, strict=True)
    ]


def whole(initializer: Any) -> Any:
    """The initializer of the weight of Keras."""
    return initializer.initializer if isinstance(initializer, SideBySide) else initializer


def biases(kind: str, cell: Any) -> dict[str, Any]:
    """{name: initializer} of the biases that are as those of a Keras cell from the start on.

    Args:
        kind: 'LSTM', 'GRU' or 'SimpleRNN'.
        cell: Of Keras, with a bias.

    Returns:
        Of 'input', 'forget', 'reset', 'output', 'candidate' and 'recurrent', those in use.
    """
    drawn = cell.bias_initializer
    if kind == "SimpleRNN":
        return {"candidate": _columns(drawn, 1, 0)}
    if kind == "GRU" and cell.reset_after:  # two biases, of which the gates need the sum
        return {
            "forget": _columns(drawn, 3, 0, rows=2),
            "reset": _columns(drawn, 3, 1, rows=2),
            "candidate": _columns(drawn, 3, 2, rows=2, row=0),
            "recurrent": _columns(drawn, 3, 2, rows=2, row=1),
        }
    if kind == "GRU" or not cell.unit_forget_bias:
        names = ["forget", "reset", "candidate"]
        names = names if kind == "GRU" else ["input", "forget", "candidate", "output"]
        return {name: _columns(drawn, len(names), k) for k, name in enumerate(names)}
    return {
        "input": _columns(drawn, 1, 0),
        "forget": keras.initializers.Ones(),
        "candidate": _columns(drawn, 2, 0),
        "output": _columns(drawn, 2, 1),
    }


def _columns(initializer: Any, parts: int, first: int, **rows: Any) -> Any:
    """The same initializer where each column, and each row, has the same value anyway."""
    constant, kinds = type(initializer), keras.initializers
    if constant is kinds.Zeros:
        return initializer
    number = constant is kinds.Ones or (
        constant is kinds.Constant and isinstance(initializer.value, Real)
    )
    summed = rows and rows.get("row") is None
    return initializer if number and not summed else Columns(initializer, parts, first, **rows)
