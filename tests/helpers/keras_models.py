"""Keras models with GatedRNN layers, as a user might build them."""

import keras
import numpy as np
from oracles import randomize

from lstmlab import GatedRNN

layers = keras.layers
B, T, F, N = 3, 5, 3, 4


class Zeros(keras.Layer):
    """Masks steps whose inputs are all zero."""

    def compute_mask(self, x, mask=None):
        return keras.ops.any(x != 0, axis=-1)

    def call(self, x):
        return x


class Unmasked(keras.Layer):
    """Lets a mask go no further, so that outputs at masked steps have errors of their own."""

    def __init__(self):
        super().__init__(dtype="float64")
        self.supports_masking = True

    def compute_mask(self, x, mask=None):
        return None

    def call(self, x):
        return x


def compiled(model: keras.Model, rng: np.random.Generator) -> keras.Model:
    """The model with random weights, ready to be trained."""
    randomize(model, rng, scale=0.5)
    model.compile("sgd", keras.losses.MeanSquaredError(dtype="float64"))
    return model


def stacked(rng: np.random.Generator, *inner: keras.Layer, **input_settings) -> keras.Model:
    """A sequential model of these layers, in float64."""
    given = {"shape": (T, F), "dtype": "float64", **input_settings}
    return compiled(keras.Sequential([keras.Input(**given), *inner]), rng)


def two_layers(rng: np.random.Generator, dtype: str = "float64", **flags) -> keras.Model:
    """A functional model of two GatedRNN layers, one of them in both directions, masked."""
    inputs = keras.Input((None, F), dtype=dtype)
    inner = GatedRNN(N, "peephole", return_sequences=True, name="both", dtype=dtype)
    both = layers.Bidirectional(inner, dtype=dtype)
    top = GatedRNN(N, "gru", name="top", dtype=dtype, **flags)
    outputs = layers.Dense(2, dtype=dtype)(top(both(Zeros(dtype=dtype)(inputs))))
    return compiled(keras.Model(inputs, outputs), rng)
