"""Initial values for gated cells.

Biases per block, for a lag, over all time scales, or opposite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from numbers import Real
from typing import Any

import keras
import numpy as np
from keras import ops

from lstmlab.checks import number
from lstmlab.errors import refusal


@keras.saving.register_keras_serializable("lstmlab")
class Staggered(keras.initializers.Initializer):
    """Biases first, first + step, first + 2 step, ..., one per block, with some noise.

    The columns "igb" and "ogb" of Table 10: -3, -6 is Staggered(-3, -3); "random" is
    Staggered(0, 0, 0.1). Blocks that are harder and harder to open are taken into use one by one:
    the remedy against state drift (input gates) and abuse of cells (output gates).

    Args:
        first: Bias of the first block.
        step: Added from each block to the next.
        spread: Each bias is moved by a draw from [-spread, spread].
        seed: Seed of the draws, as in Keras initializers.

    Raises:
        ValueError: For what is not a number, and for a negative spread.

    References:
        Hochreiter & Schmidhuber 1997, section 4 and Table 10.
    """

    def __init__(
        self, first: float = 0.0, step: float = 0.0, spread: float = 0.0, seed: Any = None
    ):
        self.first = number("Staggered", "first", first)
        self.step = number("Staggered", "step", step)
        self.spread = number("Staggered", "spread", spread, least=0)
        # its config says the seed as it was given: None stays None, and a clone draws anew
        self._noise = keras.initializers.RandomUniform(-self.spread, self.spread, seed=seed)

    def __call__(self, shape: tuple, dtype: Any = None) -> Any:
        dtype = dtype or keras.config.floatx()
        biases = self.first + self.step * np.arange(shape[-1])
        return ops.convert_to_tensor(biases, dtype=dtype) + self._noise(shape, dtype)

    def get_config(self) -> dict:
        return {
            "first": self.first,
            "step": self.step,
            "spread": self.spread,
            "seed": self._noise.get_config()["seed"],
        }


@keras.saving.register_keras_serializable("lstmlab")
class PerBlock(keras.initializers.Initializer):
    """The biases listed, one per block.

    Raises:
        ValueError: Where the list does not match the blocks.
    """

    def __init__(self, values: Sequence[float]):
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise refusal("PerBlock", "a list of numbers", {"values": values})
        self.values = [number("PerBlock", "values", value) for value in values]

    def __call__(self, shape: tuple, dtype: Any = None) -> Any:
        if shape[-1] != len(self.values):
            expected = f"{shape[-1]} numbers, one per block"
            raise refusal("PerBlock", expected, {"values": self.values})
        return ops.convert_to_tensor(self.values, dtype=dtype or keras.config.floatx())

    def get_config(self) -> dict:
        return {"values": self.values}


@keras.saving.register_keras_serializable("lstmlab")
class Chrono(keras.initializers.Initializer):
    """Forget gate biases for dependencies of up to `lag` steps: log u, u uniform in [1, lag - 1].

    A cell whose forget gate has the bias b keeps its state for about 1 / sigmoid(-b) = 1 + e^b
    steps. The input gate takes Opposite('forget_gate').

    Args:
        lag: In steps, at least 2.
        seed: Seed of the draws, as in Keras initializers.

    Raises:
        ValueError: For a lag below 2.

    References:
        Tallec & Ollivier 2018, eq. 16 (their T_max is `lag`).
    """

    def __init__(self, lag: float, seed: Any = None):
        self.lag = number("Chrono", "lag", lag, least=2, why="in steps")
        self._uniform = keras.initializers.RandomUniform(1.0, self.lag - 1.0, seed=seed)

    def __call__(self, shape: tuple, dtype: Any = None) -> Any:
        return ops.log(self._uniform(shape, dtype or keras.config.floatx()))

    def get_config(self) -> dict:
        return {"lag": self.lag, "seed": self._uniform.get_config()["seed"]}


@keras.saving.register_keras_serializable("lstmlab")
class UniformGate(keras.initializers.Initializer):
    """Biases that spread the gate's initial values evenly: log(u / (1 - u)).

    u is uniform in [1/m, 1 - 1/m], m the number of biases drawn.

    Args:
        seed: Seed of the draws, as in Keras initializers.

    References:
        Gu et al. 2020 (uniform gate initialisation).
    """

    def __init__(self, seed: Any = None):
        # kept only for its seed: the bounds are not known before the shape is
        self._seed = keras.initializers.RandomUniform(seed=seed)

    def __call__(self, shape: tuple, dtype: Any = None) -> Any:
        # at least 2: for a single bias u is 1/2, as there is no interval from 1 to 0
        dtype, edge = dtype or keras.config.floatx(), 1.0 / max(shape[-1], 2)
        u = keras.initializers.RandomUniform(edge, 1.0 - edge, seed=self._seed.seed)(shape, dtype)
        return ops.log(u / (1.0 - u))

    def get_config(self) -> dict:
        return {"seed": self._seed.get_config()["seed"]}


@keras.saving.register_keras_serializable("lstmlab")
class Opposite(keras.initializers.Initializer):
    """Minus the initial bias of another gate of the same cell, the very numbers drawn there.

    The cell fills it in, and refuses a gate that is absent, has no bias, or takes its own bias from
    another gate.

    Args:
        of: The name of that gate, 'forget_gate', ...

    References:
        Tallec & Ollivier 2018, eq. 16 (b_i = -b_f); Gu et al. 2020 (b_r = -b_f).
    """

    def __init__(self, of: str):
        if not isinstance(of, str):
            raise refusal("Opposite", "the name of a gate, such as 'forget_gate'", {"of": of})
        self.of = of

    def __call__(self, shape: tuple, dtype: Any = None) -> Any:
        raise refusal("Opposite", "to be the bias of a gate of a GatedCell", {"of": self.of})

    def get_config(self) -> dict:
        return {"of": self.of}


def bias_initializer(owner: str, argument: str, bias: Any) -> keras.initializers.Initializer | None:
    """The initializer that `bias` stands for.

    Args:
        owner: The class that complains.
        argument: The name of its argument.
        bias: A number, a list (one per block), an initializer or its name; None: no bias.

    Raises:
        ValueError: For anything else.
    """
    if bias is None or isinstance(bias, keras.initializers.Initializer):
        return bias
    bias = _listed(bias)
    if _is_finite(bias):
        return keras.initializers.Constant(float(bias))
    listed = isinstance(bias, Sequence) and not isinstance(bias, str)
    if listed and bias and all(map(_is_finite, bias)):
        return PerBlock(bias)
    if isinstance(bias, str):
        try:
            return keras.initializers.get(bias)
        except ValueError:
            pass

    raise refusal(
        owner,
        "a number, a list of numbers (one per block), a Keras initializer or its name, "
        "or None (no bias weight)",
        {argument: bias},
    )


def length(owner: str, argument: str, bias: Any, number: int, meaning: str) -> None:
    """Refuse a list of biases that has not `number` entries."""
    bias = bias.values if isinstance(bias, PerBlock) else _listed(bias)
    if isinstance(bias, Sequence) and not isinstance(bias, str) and len(bias) != number:
        raise refusal(owner, f"{number} numbers, {meaning}", {argument: list(bias)})


def _listed(bias: Any) -> Any:
    """An array as the list of its numbers."""
    return bias.tolist() if isinstance(bias, np.ndarray) else bias


def initializer(owner: str, argument: str, value: Any) -> Any:
    """The Keras initializer that `value` is or names.

    Raises:
        ValueError: For anything else.
    """
    try:
        found = keras.initializers.get(value)
    except ValueError:
        found = None
    if found is None or is_another("initializer", found):
        raise refusal(owner, "a Keras initializer or its name", {argument: value})
    return found


KINDS = {"initializer": "Initializer", "regularizer": "Regularizer", "constraint": "Constraint"}


def is_another(kind: str, value: Any) -> bool:
    """Whether it is a Keras object of another kind, which Keras would take for a function."""
    others = [getattr(getattr(keras, f"{k}s"), name) for k, name in KINDS.items() if k != kind]
    return isinstance(value, tuple(others))


def biases_together(initial: dict, sizes: dict[str, int]) -> Callable:
    """One initializer for the biases of several gates, one after the other.

    Opposite takes the numbers drawn for its `of`.
    """

    def draw(_: Any, dtype: Any = None) -> Any:
        # first all that are drawn: an Opposite may stand before the gate that it follows
        drawn = {
            name: initial[name]((size,), dtype=dtype)
            for name, size in sizes.items()
            if not isinstance(initial[name], Opposite)
        }
        return ops.concatenate(
            [drawn[name] if name in drawn else -drawn[initial[name].of] for name in sizes]
        )

    return draw


def bias_config(bias: Any) -> Any:
    """`bias` as JSON can hold it."""
    if isinstance(bias, keras.initializers.Initializer):
        return keras.saving.serialize_keras_object(bias)
    return bias


def bias_from_config(bias: Any) -> Any:
    """The inverse of bias_config."""
    return keras.saving.deserialize_keras_object(bias) if isinstance(bias, dict) else bias


def apart(initializers: Sequence) -> list:
    """The initializers, an unseeded one copied wherever it occurs a second time.

    A Keras initializer is stateless: one object given to two gates would draw the same numbers for
    both.
    """
    own: list = []
    for drawn in initializers:
        again = any(drawn is other for other in initializers[: len(own)])
        of_keras = isinstance(drawn, keras.initializers.Initializer)
        # 0, not None, if there is no seed in it: Zeros and the like may be shared
        unseeded = of_keras and drawn.get_config().get("seed", 0) is None
        own.append(drawn.clone() if again and unseeded else drawn)
    return own


def _is_finite(value: Any) -> bool:
    # True is a Real too, but no bias
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)
