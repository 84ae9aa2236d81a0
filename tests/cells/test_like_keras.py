"""GatedRNN beside the layers of Keras: every argument, property and method.

Both layers have the same weights and get the same questions. What Keras refuses, ours refuses too,
by the same error or by a ValueError.
"""

import keras
import numpy as np
import pytest
from like_keras import CASES, B, F, N, T
from oracles import randomize

from lstmlab import GatedRNN

layers = keras.layers
KINDS = {  # our variant: the layer of Keras, its arguments
    "vanilla": (layers.LSTM, {}),
    "gru_reset_after": (layers.GRU, {}),
    "gru": (layers.GRU, {"reset_after": False}),
    "elman": (layers.SimpleRNN, {}),
}
ON_DEMAND = [pytest.mark.slow, pytest.mark.whole_table]
MARKS = {"vanilla": (), "gru_reset_after": pytest.mark.slow, "gru": ON_DEMAND, "elman": ON_DEMAND}
OF_GRU = (("gru_reset_after",), "Keras has two biases per gate, where ours is their sum")
IGNORED = (("elman",), "keras.layers.SimpleRNN ignores it")
DIFFERENT = {  # where ours is not as Keras: in which kinds, and why
    "too many initial states": (("gru_reset_after", "gru"), "Keras ignores what is too much"),
    "mask in a list": (("elman",), "Keras takes it for LSTM and GRU alone"),
    "variables that are no weights": (tuple(KINDS), "Keras has a seed without dropout too"),
    "bias_regularizer": OF_GRU,
    "count_params": OF_GRU,
    **{
        f"activity_regularizer, {name}": IGNORED
        for name in ("output", "masked", "with states", "frozen", "symbolic")
    },
}


def theirs(kind: str, arguments: dict, build: bool):
    make, own = KINDS[kind]
    layer = make(N, name="a", **own, **arguments)
    if build:
        layer.build((B, T, F))
        randomize(layer, np.random.default_rng(5), scale=0.4)
    return layer


def ours(kind: str, arguments: dict, build: bool):
    """Ours, with the same weights if it is built."""
    layer = GatedRNN(N, kind, name="a", **arguments)
    if build:
        layer.build((B, T, F))
        layer.cell.from_keras(theirs(kind, arguments, build))
    return layer


def plain(value):
    """Arrays for tensors, and descriptions for what is symbolic."""
    if isinstance(value, keras.KerasTensor):
        return (value.shape, value.dtype)
    if keras.ops.is_tensor(value) or isinstance(value, keras.Variable):
        return np.asarray(keras.ops.convert_to_numpy(value), "float64")
    if isinstance(value, float):
        return np.asarray(value)
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def answer(make, case: str, kind: str):
    """What a layer says, or the error with which it refuses."""
    arguments, ask = CASES[case]
    try:
        return plain(ask(make(kind, arguments, not case.startswith("unbuilt"))))
    except Exception as error:
        return error


def same(one, other) -> bool:
    """Whether two plain answers are one; of refusals ours is the second."""
    if isinstance(one, Exception):
        return isinstance(other, (ValueError, type(one)))
    if isinstance(one, np.ndarray):
        return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=1e-5, atol=1e-6)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


ALL = [pytest.param(kind, case, marks=MARKS[kind]) for kind in KINDS for case in CASES]


@pytest.mark.parametrize(("kind", "case"), ALL)
@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`:UserWarning")
def test_as_the_layer_of_keras(kind, case, rng):
    of_keras, of_ours = answer(theirs, case, kind), answer(ours, case, kind)
    kinds, why = DIFFERENT.get(case, ((), ""))
    assert same(of_keras, of_ours) == (kind not in kinds), (of_keras, of_ours, why)
