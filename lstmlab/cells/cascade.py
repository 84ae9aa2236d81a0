"""CascadeCell: a network that grows unit by unit, as one Keras cell."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from lstmlab.cells import initializers
from lstmlab.checks import integer, one_of

# f, and f' as a function of the value y = f(net)
ACTIVATIONS = {
    "centred": (lambda net: 0.5 * ops.tanh(0.5 * net), lambda y: 0.25 - y * y),
    "sigmoid": (ops.sigmoid, lambda y: y * (1 - y)),
    "tanh": (ops.tanh, lambda y: 1 - y * y),
}


@keras.saving.register_keras_serializable("lstmlab")
class CascadeCell(keras.Layer):
    """Units in a cascade.

    Each unit sees the inputs, all units before it at the same step, and its own output of the step
    before.

        (1) net_j(t) = b_j + sum_f W_fj x_f(t) + sum_{i<j} c_ij y_i(t) + r_j y_j(t-1)
        (2) y_j(t) = a_j f(net_j(t))        a_j: 1 where a unit is installed, 0 at a free place

    A new cell has all its units, and any learner may train it; CascadeCorrelation takes them out
    and lets the network grow from the first place on.

    Weights: `kernel` W [F, n], `recurrent` r [n], `bias` b [n], `cascade` c [n (n-1) / 2], and
    `installed` a [n], which is not trained. Number p of `cascade` leads from unit sources[p] to
    unit targets[p]. State: [y [B, n]].

    Args:
        units: Places n.
        activation: f, 'centred' (the logistic function less 1/2, range [-0.5, 0.5]), 'sigmoid' or
            'tanh'.
        initializer: Of all weights; None: uniform in [-1, 1].

    Raises:
        ValueError: For any other value.

    References:
        Fahlman 1991; Fahlman & Lebiere 1990.
    """

    def __init__(
        self, units: int, activation: str = "centred", initializer: Any = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.units = self.output_size = integer("CascadeCell", "units", units)
        self.state_names, self.state_size = ("hidden",), [self.units]
        self.activation = one_of("CascadeCell", "activation", activation, ACTIVATIONS)
        given = keras.initializers.RandomUniform(-1, 1) if initializer is None else initializer
        self.initializer = initializers.initializer("CascadeCell", "initializer", given)
        self.sources, self.targets = np.triu_indices(self.units, 1)

    def build(self, input_shape: tuple) -> None:
        n = self.units
        initial = initializers.apart([self.initializer] * 4)

        self.kernel = self.add_weight(
            shape=(input_shape[-1], n), initializer=initial[0], name="kernel"
        )
        self.recurrent = self.add_weight(shape=(n,), initializer=initial[1], name="recurrent")
        self.bias = self.add_weight(shape=(n,), initializer=initial[2], name="bias")
        self.cascade: Any = None
        if n > 1:
            self.cascade = self.add_weight(
                shape=(n * (n - 1) // 2,), initializer=initial[3], name="cascade"
            )

        self.installed = self.add_weight(
            shape=(n,), initializer="ones", trainable=False, name="installed"
        )

    def call(self, inputs: Any, states: list) -> tuple[Any, list]:
        # net: (1), of the places still to come.
        net = ops.matmul(inputs, self.kernel) + self.bias + states[0] * self.recurrent  # (1)
        outputs, first = [], 0
        for j in range(self.units):
            y_j = self.installed[j] * self.f(net[:, :1])  # (2)
            outputs.append(y_j)
            if j < self.units - 1:
                last = first + self.units - 1 - j
                net, first = net[:, 1:] + y_j * self.cascade[first:last], last  # (1)
        y = ops.concatenate(outputs, axis=1)
        return y, [y]

    def get_initial_state(self, batch_size: int | None = None) -> list:
        return [ops.zeros((batch_size, self.units), dtype=self.compute_dtype)]

    def f(self, net: Any) -> Any:
        """The squashing function of (2)."""
        return ACTIVATIONS[self.activation][0](net)

    def slope(self, y: Any) -> Any:
        """f'(net) where y = f(net)."""
        return ACTIVATIONS[self.activation][1](y)

    def get_config(self) -> dict:
        initializer = keras.initializers.serialize(self.initializer)
        return {
            **super().get_config(),
            "units": self.units,
            "activation": self.activation,
            "initializer": initializer,
        }
