"""Keras' own tests of recurrent layers, with GatedRNN and GatedCell in place of its classes.

As a script, with KERAS_BACKEND set: python tests/helpers/keras_own.py FILE writes {test: "passed",
"skipped" or the last lines of its traceback} as JSON. The tests are those of the installed Keras.
"""

import importlib
import importlib.util
import json
import sys
import unittest
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import keras
from keras import ops

from lstmlab.cells import GatedCell, GatedRNN, variant
from lstmlab.cells.convert import CELLS, LAYER_FLAGS, arguments

FOLDER = "keras.src.layers.rnn"
FILES = ("lstm", "gru", "simple_rnn", "rnn", "bidirectional", "stacked_rnn_cells")
FILES += ("time_distributed",)
register = keras.saving.register_keras_serializable("keras_own")


def shipped() -> bool:
    """Whether the installed Keras has its tests with it."""
    return importlib.util.find_spec(f"{FOLDER}.lstm_test") is not None


# In place of the cells and layers of Keras, with their arguments


class LikeCell(GatedCell):
    def __init__(self, units, name=None, implementation=2, **given):
        same = arguments(self.KIND, CELLS[self.KIND](units, **given))
        super().__init__(**same, name=name)


class LikeLayer(GatedRNN):
    def __init__(self, units, use_cudnn="auto", implementation=2, **given):
        flags = {name: given.pop(name) for name in LAYER_FLAGS if name in given}
        cell = self.CELL(units, **given)
        super().__init__(cell, dtype=given.get("dtype"), **flags)


@register
class LSTMCell(LikeCell):
    KIND = "LSTM"


@register
class GRUCell(LikeCell):
    KIND = "GRU"


@register
class SimpleRNNCell(LikeCell):
    KIND = "SimpleRNN"


@register
class LSTM(LikeLayer):
    CELL = LSTMCell


@register
class GRU(LikeLayer):
    CELL = GRUCell


@register
class SimpleRNN(LikeLayer):
    CELL = SimpleRNNCell


# In place of the cells that rnn_test makes


@register
class OneStateRNNCell(GatedCell):
    """W x + R y, all weights one."""

    def __init__(self, units, state_size=None, **given):
        like = variant("elman", units, candidate_activation="linear", candidate_bias=None)
        ones = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}
        gates = {name: getattr(like, name) for name in like.GATES}
        linear = {"candidate_activation": "linear", "output_activation": "linear"}
        super().__init__(units, **gates, **linear, candidate_bias=None, **ones, **given)


@register
class TwoStatesRNNCell(GatedCell):
    """An LSTM, which has two states and three weights as well, but is another function."""

    def __init__(self, units, state_size=None, **given):
        super().__init__(units, **given)


@register
class Dense(keras.layers.Layer):
    """W x, or its softmax, by a GatedRNN that runs over a single step."""

    def __init__(self, units, activation="linear", kernel_initializer="glorot_uniform", **given):
        super().__init__()
        plain = {"output_activation": "linear", "candidate_bias": None}
        start = {"kernel_initializer": kernel_initializer, "candidate_activation": activation}
        self.layer = GatedRNN(units, "elman", **plain, **start)

    def build(self, shape):
        self.layer.build((shape[0], 1, shape[-1]))

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.layer.units)

    def call(self, inputs, mask=None, training=False):
        mask = None if mask is None else ops.reshape(mask, (ops.shape(mask)[0], -1))
        answer = self.layer.call(inputs[:, None], mask=mask, training=training)
        # recurrent layers have a dtype of their own, a Dense follows the layer around it
        return ops.cast(answer, inputs.dtype)


OURS = {one.__name__: one for one in (LSTM, GRU, SimpleRNN, LSTMCell, GRUCell, SimpleRNNCell)}
OF_TESTS = {one.__name__: one for one in (OneStateRNNCell, TwoStatesRNNCell)}


def replaced(file: str) -> list[tuple[str, dict]]:
    """[(module, what is put into it)] for one file of tests."""
    found = [("keras.src.layers", OURS)]
    if file in ("rnn", "stacked_rnn_cells"):
        found.append((f"{FOLDER}.{file}_test", OF_TESTS))
    if file == "rnn":
        found.append(("keras.src.layers", {"RNN": GatedRNN}))
    if file == "time_distributed":
        found.append(("keras.src.layers", {"Dense": Dense}))
    return found


def with_our_weights(run_layer_test):
    """A test that expects as many weights as ours have.

    A GRU that resets after has `recurrent_bias` apart, and Dense a recurrent kernel.
    """

    def run(self, layer_cls, init_kwargs, *given, **expected):
        cells = init_kwargs.get("cell")
        cells = cells if isinstance(cells, list) else []
        more = sum(isinstance(cell, GRUCell) for cell in cells)
        more += layer_cls is GRU or isinstance(init_kwargs.get("layer"), Dense)
        for name in ("expected_num_trainable_weights", "expected_num_losses"):
            if expected.get(name) is not None:
                expected[name] += more
        return run_layer_test(self, layer_cls, init_kwargs, *given, **expected)

    return run


def outcome(case: unittest.TestCase) -> str:
    marks = getattr(getattr(case, case._testMethodName), "pytestmark", ())  # unittest knows none
    if any(mark.name == "skipif" and mark.args[0] for mark in marks):
        return "skipped"
    result = unittest.TestResult()
    case.run(result)
    for _, text in (*result.errors, *result.failures):
        return "\n".join(text.strip().splitlines()[-6:])
    return "skipped" if result.skipped else "passed"


def outcomes() -> dict:
    """{file::test: outcome} of all files."""
    from keras.src.testing import TestCase

    found = {}
    for file in FILES:
        module = importlib.import_module(f"{FOLDER}.{file}_test")
        with ExitStack() as stack:
            for name, there in replaced(file):
                stack.enter_context(mock.patch.multiple(name, **there))
            counted = with_our_weights(TestCase.run_layer_test)
            stack.enter_context(mock.patch.object(TestCase, "run_layer_test", counted))
            for case in unittest.defaultTestLoader.loadTestsFromModule(module):
                for one in case:
                    found[f"{file}::{one._testMethodName}"] = outcome(one)
    return found


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(outcomes(), indent=1))
