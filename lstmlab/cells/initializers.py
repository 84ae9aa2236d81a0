"""Initial values that only gated cells need: biases per block, for a lag, spread over all time scales, or opposite."""

from collections.abc import Sequence
from math import isfinite
from numbers import Real

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("lstmlab")
class Staggered(keras.initializers.Initializer):
    """Biases first, first + step, first + 2 step, ..., one per block, each moved by a draw from [-spread, spread].

    The columns "igb" and "ogb" of Hochreiter & Schmidhuber 1997, Table 10: -3, -6 is Staggered(-3, -3); "random" is
    Staggered(0, 0, 0.1). Blocks that are harder and harder to open are taken into use one by one: the remedy against state
    drift (input gates) and abuse of cells (output gates; their section 4). seed: of the draws, as in Keras initializers.
    Raises ValueError for what is no number and for a negative spread.
    """

    def __init__(self, first: float = 0.0, step: float = 0.0, spread: float = 0.0, seed=None):
        numbers = {"first": first, "step": step, "spread": spread}
        self.first, self.step, self.spread = (
            number("Staggered", name, value) for name, value in numbers.items()
        )
        if self.spread < 0:
            raise ValueError(f"Staggered: expected a number >= 0. Received: spread={spread!r}")
        self._noise = keras.initializers.RandomUniform(-self.spread, self.spread, seed=seed)

    def __call__(self, shape, dtype=None):
        dtype = dtype or keras.config.floatx()
        return ops.convert_to_tensor(
            self.first + self.step * np.arange(shape[-1]), dtype=dtype
        ) + self._noise(shape, dtype)

    def get_config(self) -> dict:
        return {
            "first": self.first,
            "step": self.step,
            "spread": self.spread,
            "seed": self._noise.get_config()["seed"],
        }


@keras.saving.register_keras_serializable("lstmlab")
class PerBlock(keras.initializers.Initializer):
    """The biases listed, one per block. Raises ValueError where the list does not match the blocks."""

    def __init__(self, values: Sequence[float]):
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise ValueError(f"PerBlock: expected a list of numbers. Received: values={values!r}")
        self.values = [number("PerBlock", "values", v) for v in values]

    def __call__(self, shape, dtype=None):
        if shape[-1] != len(self.values):
            raise ValueError(
                f"PerBlock: expected {shape[-1]} numbers, one per block. Received: values={self.values}"
            )
        return ops.convert_to_tensor(self.values, dtype=dtype or keras.config.floatx())

    def get_config(self) -> dict:
        return {"values": self.values}


@keras.saving.register_keras_serializable("lstmlab")
class Chrono(keras.initializers.Initializer):
    """Forget gate biases for dependencies of up to `lag` steps: log u, u uniform in [1, lag - 1].

    A cell whose forget gate has the bias b keeps its state for about 1 / sigmoid(-b) = 1 + e^b steps. The input gate takes
    Opposite('forget_gate'). seed: of the draws, as in Keras initializers.
    Raises ValueError for a lag below 2.
    Source: Tallec & Ollivier 2018, eq. 16 (their T_max is `lag`).
    """

    def __init__(self, lag: float, seed=None):
        self.lag = number("Chrono", "lag", lag)
        if not self.lag >= 2:
            raise ValueError(f"Chrono: expected a number >= 2, in steps. Received: lag={lag!r}")
        self._uniform = keras.initializers.RandomUniform(1.0, self.lag - 1.0, seed=seed)

    def __call__(self, shape, dtype=None):
        return ops.log(self._uniform(shape, dtype or keras.config.floatx()))

    def get_config(self) -> dict:
        return {"lag": self.lag, "seed": self._uniform.get_config()["seed"]}


@keras.saving.register_keras_serializable("lstmlab")
class UniformGate(keras.initializers.Initializer):
    """Biases that spread the gate's initial values evenly: log(u / (1 - u)), u uniform in [1/m, 1 - 1/m], m the number drawn.

    seed: of the draws, as in Keras initializers. Source: Gu et al. 2020 (uniform gate initialisation).
    """

    def __init__(self, seed=None):
        self._seed = keras.initializers.RandomUniform(seed=seed)

    def __call__(self, shape, dtype=None):
        dtype, edge = dtype or keras.config.floatx(), 1.0 / max(shape[-1], 2)
        u = keras.initializers.RandomUniform(edge, 1.0 - edge, seed=self._seed.seed)(shape, dtype)
        return ops.log(u / (1.0 - u))

    def get_config(self) -> dict:
        return {"seed": self._seed.get_config()["seed"]}


@keras.saving.register_keras_serializable("lstmlab")
class Opposite(keras.initializers.Initializer):
    """Minus the initial bias of another gate of the same cell, the very numbers drawn there. of: its name, 'forget_gate', ...

    The cell fills it in, and refuses a gate that is absent, has no bias, or takes its own bias from another.
    Source: Tallec & Ollivier 2018, eq. 16 (b_i = -b_f); Gu et al. 2020 (b_r = -b_f).
    """

    def __init__(self, of: str):
        if not isinstance(of, str):
            raise ValueError(
                f"Opposite: expected the name of a gate, such as 'forget_gate'. Received: of={of!r}"
            )
        self.of = of

    def __call__(self, shape, dtype=None):
        raise ValueError(
            f"Opposite: expected to stand as the bias of a gate of a GatedCell. Received: of={self.of!r} alone"
        )

    def get_config(self) -> dict:
        return {"of": self.of}


def bias_initializer(owner: str, argument: str, bias) -> keras.initializers.Initializer | None:
    """The initializer that `bias` stands for: a number, a list (one per block), an initializer or its name; None: no bias."""
    if bias is None or isinstance(bias, keras.initializers.Initializer):
        return bias
    if isinstance(bias, np.ndarray):
        bias = bias.tolist()
    if _is_finite(bias):
        return keras.initializers.Constant(float(bias))
    if (
        isinstance(bias, Sequence)
        and not isinstance(bias, str)
        and bias
        and all(map(_is_finite, bias))
    ):
        return PerBlock(bias)
    if isinstance(bias, str):
        try:
            return keras.initializers.get(bias)
        except ValueError:
            pass
    raise ValueError(
        f"{owner}: a bias starts from a number, a list of numbers (one per block), a Keras initializer or its name, "
        f"or is None (no bias weight). Received: {argument}={bias!r}"
    )


def biases_together(initial: dict, sizes: dict[str, int]):
    """One initializer for the biases of several nets, one after the other; Opposite takes the numbers drawn for its `of`."""

    def draw(_, dtype=None):
        drawn = {
            n: initial[n]((size,), dtype=dtype)
            for n, size in sizes.items()
            if not isinstance(initial[n], Opposite)
        }
        return ops.concatenate([drawn[n] if n in drawn else -drawn[initial[n].of] for n in sizes])

    return draw


def bias_config(bias):
    """`bias` as JSON can hold it."""
    return (
        keras.saving.serialize_keras_object(bias)
        if isinstance(bias, keras.initializers.Initializer)
        else bias
    )


def bias_from_config(bias):
    """The inverse of bias_config."""
    return keras.saving.deserialize_keras_object(bias) if isinstance(bias, dict) else bias


def apart(initializers: Sequence) -> list:
    """The initializers, those without a seed copied where they stand a second time.

    A Keras initializer is stateless: one object given to two gates would draw the same numbers for both.
    """
    own: list = []
    for drawn in initializers:
        again = any(drawn is other for other in initializers[: len(own)])
        unseeded = (
            isinstance(drawn, keras.initializers.Initializer)
            and drawn.get_config().get("seed", 0) is None
        )
        own.append(drawn.clone() if again and unseeded else drawn)
    return own


def _is_finite(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)


def number(owner: str, argument: str, value) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{owner}: expected a number. Received: {argument}={value!r}")
    if not isfinite(value):
        raise ValueError(f"{owner}: expected a finite number. Received: {argument}={value!r}")
    return float(value)
