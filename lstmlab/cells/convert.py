"""Weights from and to the LSTM, GRU and SimpleRNN of Keras, where a GatedCell is the same."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import keras
import numpy as np
from keras.src import backend

from lstmlab.cells import drawn
from lstmlab.cells.gates import Gate, squashing_config
from lstmlab.errors import refusal

LAYERS = {"LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU, "SimpleRNN": keras.layers.SimpleRNN}
CELLS = {
    "LSTM": keras.layers.LSTMCell,
    "GRU": keras.layers.GRUCell,
    "SimpleRNN": keras.layers.SimpleRNNCell,
}
SHARED = [
    f"{w}_{kind}" for w in ("kernel", "recurrent", "bias") for kind in ("regularizer", "constraint")
]
SHARED += ["kernel_initializer", "recurrent_initializer", "dropout", "recurrent_dropout", "seed"]
LAYER_FLAGS = (
    "trainable",
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
)


class FromKeras:
    """The method `from_keras`, of the class and of a cell.

    `GatedCell.from_keras(layer)` makes a new cell that is the same function as a Keras layer or
    cell, with its weights if it is built. `cell.from_keras(layer)` fills this cell with the weights
    and returns it.

    Args:
        layer: keras.layers.LSTM, GRU or SimpleRNN, their cells, or keras.layers.RNN around one of
            these.

    Raises:
        ValueError: For another layer, and if the cell does not compute the same function as the
            layer; the message names each difference.
    """

    def __get__(self, cell: Any, owner: type) -> Any:
        return partial(_new, owner) if cell is None else partial(_fill, cell)


def kind_and_cell(caller: str, layer: Any) -> tuple[str, Any]:
    """'LSTM', 'GRU' or 'SimpleRNN', and the Keras cell in the layer."""
    cell = getattr(layer, "cell", layer)
    # Exactly these classes: one derived from them may compute something else.
    for kind, of_keras in CELLS.items():
        if type(cell) is of_keras and type(layer) in (of_keras, LAYERS[kind], keras.layers.RNN):
            return kind, cell
    expected = "a keras.layers.LSTM, GRU or SimpleRNN, or its cell"
    raise refusal(caller, expected, type(layer).__name__)


def arguments(kind: str, cell: Any) -> dict:
    """The arguments of the GatedCell that is the same function as a Keras cell."""
    bias = drawn.biases(kind, cell) if cell.use_bias else {}
    shared = {name: getattr(cell, name) for name in SHARED} | {
        "units": cell.units,
        "dtype": cell.dtype_policy,
        "candidate_activation": cell.activation,
        "candidate_bias": bias.get("candidate"),
    }

    if kind == "SimpleRNN":
        # s_t = g_t, y_t = s_t: neither gates nor a carousel
        return {
            **shared,
            "input_gate": None,
            "forget_gate": "closed",
            "output_gate": None,
            "output_activation": "linear",
        }

    def gate(name: str) -> Gate:
        return Gate(cell.recurrent_activation, bias.get(name))

    if kind == "GRU":
        if not cell.reset_after:
            shared["recurrent_initializer"] = drawn.SideBySide(cell.recurrent_initializer)
        # the update gate z of Keras multiplies the old state: here it is the forget gate
        reset = {"reset_gate": gate("reset"), "reset_after": cell.reset_after}
        gates = {"input_gate": "coupled", "forget_gate": gate("forget"), "output_gate": None}
        starts = {"recurrent_bias_initializer": bias.get("recurrent", "zeros")}
        return {**shared, **gates, **reset, **starts, "output_activation": "linear"}

    gates = {f"{name}_gate": gate(name) for name in ("input", "forget", "output")}
    return {**shared, **gates, "output_activation": cell.activation}


def weights_from_keras(kind: str, cell: Any) -> dict[str, np.ndarray]:
    """{name of our weight: its value} from a built Keras cell."""
    values = {
        weight.name: keras.ops.convert_to_numpy(weight)
        for weight in cell.weights
        if "kernel" in weight.name or weight.name == "bias"
    }

    if kind == "GRU":
        n = cell.units
        if not cell.reset_after:
            # the candidate's columns, the third, multiply q y_tm1, not y_tm1: here a weight apart
            recurrent = values["recurrent_kernel"]
            return {
                **values,
                "recurrent_kernel": recurrent[:, : 2 * n],
                "candidate_recurrent_kernel": recurrent[:, 2 * n :],
            }
        if cell.use_bias:  # Keras adds a second bias to the gates, which is one with the first
            first, second = values["bias"]
            summed = np.concatenate([first[: 2 * n] + second[: 2 * n], first[2 * n :]])
            return {**values, "bias": summed, "recurrent_bias": second[2 * n :]}
    return values


def weights_to_keras(kind: str, cell: Any) -> list[np.ndarray]:
    """The weights of the same function in the order of Keras, from a built GatedCell."""
    values = {weight.name: keras.ops.convert_to_numpy(weight) for weight in cell.weights}
    kernel, recurrent, bias = values["kernel"], values["recurrent_kernel"], values.get("bias")
    if kind == "GRU" and not cell.reset_after:
        recurrent = np.concatenate([recurrent, values["candidate_recurrent_kernel"]], axis=1)
    if kind == "GRU" and cell.reset_after and bias is not None:
        # of the gates' two biases only the sum counts: all of it goes into the first
        second = np.zeros_like(bias)
        second[2 * cell.units :] = values["recurrent_bias"]
        bias = np.stack([bias, second])
    return [kernel, recurrent] if bias is None else [kernel, recurrent, bias]


def drops_mask(layer: Any) -> bool:
    """Whether a Keras layer is known to meet a masked input beside an initial state.

    Keras hands the mask of an input on by itself only to a layer that is called with nothing else.
    """
    for node in layer._inbound_nodes:
        given = inspect.signature(layer.call).bind(*node.arguments.args, **node.arguments.kwargs)
        sequences, state, mask = map(given.arguments.get, ("sequences", "initial_state", "mask"))
        if state is not None and mask is None and backend.get_keras_mask(sequences) is not None:
            return True
    return False


def keras_layer(layer: Any) -> Any:
    """The Keras layer that is the same function as a GatedRNN: `GatedRNN.to_keras`."""
    cell = layer.cell
    if not cell.built:
        expected = "a built layer, whose weights can be carried over"
        raise refusal("GatedRNN.to_keras", expected, {"built": False})
    if layer.return_traces:
        expected = "return_traces=False, because Keras layers show no gates"
        raise refusal("GatedRNN.to_keras", expected, {"return_traces": True})

    for one in (layer, cell):
        _computes_itself(one)

    templates = {kind: _template(kind, cell) for kind in CELLS}
    # each template is turned into a cell of ours, so that both are described by the same switches
    differences = {
        kind: _differences(cell, type(cell).restored(arguments(kind, t)))
        for kind, t in templates.items()
    }
    kind = min(differences, key=lambda kind: len(differences[kind]))
    if differences[kind]:
        nearest = _call(kind, templates[kind])
        expected = f"a function that Keras has, for the nearest, {nearest}: "
        expected += _expected(differences[kind])
        raise refusal("GatedRNN.to_keras", expected, _received(differences[kind]))

    config = {
        name: value
        for name, value in templates[kind].get_config().items()
        if name not in ("name", "trainable", "dtype")
    }
    flags = {name: getattr(layer, name) for name in LAYER_FLAGS} | {
        "name": layer.name,
        "dtype": layer.dtype_policy,
    }

    made = LAYERS[kind].from_config(
        {**config, **flags, "activity_regularizer": layer.activity_regularizer}
    )
    made.cell.build((None, cell.kernel.shape[0]))
    made.cell.built = True
    made.cell.set_weights(weights_to_keras(kind, cell))
    if made.cell.trainable != cell.trainable:  # frozen without its layer
        made.cell.trainable = cell.trainable
    return made


def _computes_itself(one: Any) -> None:
    """Refuse an object whose class computes something else than the class of ours below it."""
    mro = type(one).__mro__
    ours = next(base for base in mro if base.__module__.startswith("lstmlab.cells."))
    for method in ("call", "inner_loop", "step", "net", "sums", "project"):
        if getattr(type(one), method, None) is not getattr(ours, method, None):
            expected = f"the {method} of {ours.__name__}, because Keras has no other"
            raise refusal("GatedRNN.to_keras", expected, f"{type(one).__name__}.{method}")


def _new(owner: Any, layer: Any) -> Any:
    kind, theirs = kind_and_cell(f"{owner.__name__}.from_keras", layer)
    cell = owner.restored({**arguments(kind, theirs), "trainable": theirs.trainable})
    return take(cell, kind, theirs) if theirs.built else cell


def _fill(cell: Any, layer: Any) -> Any:
    kind, theirs = kind_and_cell("GatedCell.from_keras", layer)
    if not theirs.built:
        raise refusal("GatedCell.from_keras", "a built layer, which has weights", {"built": False})

    differences = _differences(cell, type(cell).restored(arguments(kind, theirs)))
    if differences:
        expected = f"the function of keras.layers.{kind}, which this cell is not: "
        expected += _expected(differences)
        raise refusal("GatedCell.from_keras", expected, _received(differences))
    if cell.built and cell.kernel.shape != theirs.kernel.shape:
        expected = f"{cell.kernel.shape[0]} input features, as this cell was built"
        raise refusal("GatedCell.from_keras", expected, f"{theirs.kernel.shape[0]}")
    return take(cell, kind, theirs)


def take(cell: Any, kind: str, theirs: Any) -> Any:
    """The cell, with the present weights of the built Keras cell."""
    if not cell.built:
        cell.build((None, theirs.kernel.shape[0]))
        cell.built = True
    values = weights_from_keras(kind, theirs)
    for weight in cell.weights:
        if weight.name in values:
            weight.assign(values[weight.name])
    return cell


def _template(kind: str, cell: Any) -> Any:
    """The Keras cell of this kind that is nearest to ours."""
    # Keras has one activation for all gates: that of our first one, the others show as differences
    own = next(iter(cell.own.values()), Gate())
    given = {name: getattr(cell, name) for name in SHARED}
    given["recurrent_initializer"] = drawn.whole(cell.recurrent_initializer)
    given |= {"activation": cell.candidate_activation, "use_bias": cell.candidate_bias is not None}
    if kind != "SimpleRNN":
        given["recurrent_activation"] = own.activation
    if kind == "GRU":
        given["reset_after"] = cell.reset_after
    return CELLS[kind](cell.units, **given)


def _call(kind: str, template: Any) -> str:
    names = ("activation", "recurrent_activation", "use_bias", "reset_after")
    said = {name: getattr(template, name) for name in names if hasattr(template, name)}
    shown = (
        f"{name}={value!r}" if isinstance(value, bool) else f"{name}={_name(value)}"
        for name, value in said.items()
    )
    return f"keras.layers.{kind}({', '.join(shown)})"


def _differences(cell: Any, other: Any) -> dict[str, tuple]:
    """{switch: (here, there)} where two cells are different functions."""
    here, there = _function(cell), _function(other)
    return {
        name: (here[name], there[name])
        for name in here
        if name in there and here[name] != there[name]
    }


def _function(cell: Any) -> dict[str, str]:
    """The switches that make a cell the function that it is, for people to read."""
    shown: dict[str, str] = {}
    for name in cell.GATES:
        gate = getattr(cell, name)
        if isinstance(gate, Gate):
            # what a bias starts from is no part of the function, only whether there is one
            parts = {"activation": _name(gate.activation), "bias": _has(gate.bias)}
            parts |= {"peephole": repr(gate.peephole), "recurrent": repr(gate.recurrent)}
            shown |= {name: "a Gate", **{f"{name}.{part}": value for part, value in parts.items()}}
        else:
            shown[name] = repr(gate)

    shown |= {
        name: _name(getattr(cell, name)) for name in ("candidate_activation", "output_activation")
    }
    shown["candidate_bias"] = _has(cell.candidate_bias)

    plain = (
        "units",
        "block_size",
        "feedback",
        "candidate_recurrent",
        "reset_after",
        "normaliser",
        "layer_normalization",
    )
    return shown | {
        name: repr(getattr(cell, name)) for name in (*plain, "dropout", "recurrent_dropout")
    }


def _name(activation: Any) -> str:
    return str(squashing_config(activation))


def _has(bias: Any) -> str:
    return "no bias" if bias is None else "a bias"


def _expected(differences: dict) -> str:
    return "; ".join(f"{name}: {there}" for name, (_, there) in differences.items())


def _received(differences: dict) -> str:
    return "; ".join(f"{name}: {here}" for name, (here, _) in differences.items())
