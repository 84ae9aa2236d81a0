"""GatedCell: one time step of a gated memory cell. Every variant is a choice of its arguments."""

from collections.abc import Callable
from itertools import accumulate

import keras
from keras import ops

from lstmlab.cells.gates import Gate, squashing, squashing_config
from lstmlab.cells.initializers import apart, bias_config, bias_from_config, bias_initializer

REMEMBERS = Gate("sigmoid", bias=1.0)  # the forget gate of keras.layers.LSTM: open at the start


def identity(value):
    """The `see` that hides nothing."""
    return value


def keep(name: str, value):
    """The `touch` that changes nothing."""
    return value


@keras.saving.register_keras_serializable("lstmlab")
class GatedCell(keras.Layer):
    """A cell for `keras.layers.RNN` whose gates are switches; n cells in m = n / block_size blocks.

        (1) net     = W x_t + R see(hidden_tm1) + b         split into net_i, net_f, net_g, net_o (absent gates have none)
        (2) i, f, o = gate.activation(net_i, net_f, net_o)  one value per block, shared by its cells; an absent gate is 1
        (3) g_t     = candidate_activation(net_g)
        (4) s_t     = f_t s_tm1 + i_t g_t                   the carousel: `see` never filters this path
        (5) y_t     = o_t output_activation(s_t)
        (6) hidden  = y_t, followed by the gates in the order input, forget, output if feedback is 'all'

    Columns of `kernel` [F, nets], `recurrent_kernel` [hidden, nets] and `bias` stand in the order input gate, forget gate,
    candidate, output gate, as in `keras.layers.LSTMCell`; the defaults compute the same function with the same weights.

    units: cells n, a positive integer. block_size: cells per block; divides units (1997: a block shares its two gates).
    input_gate, forget_gate, output_gate: a Gate, the name of an activation, or None: no such gate, the constant 1.
    candidate_activation, output_activation: g and h; a Keras activation name, 'g1997', 'h1997' or a callable.
    candidate_bias: initial bias of the candidates: a number, one per cell, an initializer, or None for no bias weight.
    feedback: what the nets read back: 'cells' (y_tm1), 'all' (y_tm1 and all gates of the step before, 1997), or 'none'.
    kernel_initializer, recurrent_initializer: as Keras layers name them.

    States: [hidden [B, n or n + gates], cell_state [B, n]]; the first begins with the output y.
    Raises ValueError at construction for every argument outside these ranges.
    Source: Hochreiter & Schmidhuber 1997, eqs. 3-9; forget gate: Gers, Schmidhuber & Cummins 2000.
    """

    GATES = ("input_gate", "forget_gate", "output_gate")
    NETS = ("input_gate", "forget_gate", "candidate", "output_gate")
    FEEDBACK = ("cells", "all", "none")

    def __init__(
        self,
        units: int,
        input_gate: Gate | str | None = "sigmoid",
        forget_gate: Gate | str | None = REMEMBERS,
        output_gate: Gate | str | None = "sigmoid",
        candidate_activation: str | Callable = "tanh",
        output_activation: str | Callable = "tanh",
        candidate_bias=0.0,
        block_size: int = 1,
        feedback: str = "cells",
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.units, self.block_size = _count("units", units), _count("block_size", block_size)
        if units % block_size:
            raise ValueError(
                f"GatedCell: block_size must divide units={units}; expected one of "
                f"{[d for d in range(1, units + 1) if units % d == 0]}. Received: block_size={block_size}"
            )
        if feedback not in self.FEEDBACK:
            raise ValueError(f"GatedCell: expected feedback in {self.FEEDBACK}. Received: feedback={feedback!r}")
        self.feedback = feedback
        self.blocks = units // block_size
        self.gates = {}
        for name, gate in zip(self.GATES, (input_gate, forget_gate, output_gate), strict=True):
            gate = _gate(name, gate)
            setattr(self, name, gate)
            if gate is not None:
                self.gates[name] = gate
                self._check_length(f"{name}.bias", gate.bias, self.blocks, "one per block")
        self.candidate_activation = squashing("GatedCell", "candidate_activation", candidate_activation)
        self.output_activation = squashing("GatedCell", "output_activation", output_activation)
        self.candidate_bias = candidate_bias
        bias_initializer("GatedCell", "candidate_bias", candidate_bias)
        self._check_length("candidate_bias", candidate_bias, units, "one per cell")
        self.kernel_initializer = _initializer("kernel_initializer", kernel_initializer)
        self.recurrent_initializer = _initializer("recurrent_initializer", recurrent_initializer)
        self.nets = {n: units if n == "candidate" else self.blocks for n in self.NETS if n == "candidate" or n in self.gates}
        self.hidden_size = units + (self.blocks * len(self.gates) if feedback == "all" else 0)
        self.state_size, self.output_size = [self.hidden_size, units], units

    def build(self, input_shape) -> None:
        width = sum(self.nets.values())
        biased = {name: size for name, size in self.nets.items() if self._bias(name) is not None}
        initial, initial_recurrent, *initial_biases = apart(
            [
                self.kernel_initializer,
                self.recurrent_initializer,
                *(bias_initializer("GatedCell", f"{name}.bias", self._bias(name)) for name in biased),
            ]
        )
        self.kernel = self.add_weight(shape=(input_shape[-1], width), initializer=initial, name="kernel")
        self.recurrent_kernel = None
        if self.feedback != "none":
            shape = (self.hidden_size, width)
            self.recurrent_kernel = self.add_weight(shape=shape, initializer=initial_recurrent, name="recurrent_kernel")

        def initial_bias(_, dtype=None):
            sizes = biased.values()
            return ops.concatenate([draw((size,), dtype=dtype) for draw, size in zip(initial_biases, sizes, strict=True)])

        self.bias = None
        if biased:
            self.bias = self.add_weight(shape=(sum(biased.values()),), initializer=initial_bias, name="bias")
        self._biased = biased

    def call(self, inputs, states, training=False):
        values, states = self.step(inputs, states)
        return values["output"], states

    def step(self, inputs, states, see: Callable = identity, touch: Callable = keep):
        """One step: inputs [B, F], states [hidden, cell_state] -> values by name, new states.

        see: filters what the nets read back, and nothing else; see=stop_gradient is the truncation of 1997.
        touch: (name, value) -> value, applied to each named value as it arises: taps for derivatives, clamps, probes.
        values: every gate present [B, m], candidate, cell_state and output [B, n].
        """
        hidden_tm1, s_tm1 = states
        net = _split(self._net(inputs, see(hidden_tm1)), self.nets)
        values = {name: touch(name, gate.activation(net[name])) for name, gate in self.gates.items()}
        g = values["candidate"] = touch("candidate", self.candidate_activation(net["candidate"]))
        s_t = self._gated("forget_gate", values, s_tm1) + self._gated("input_gate", values, g)
        s_t = values["cell_state"] = touch("cell_state", s_t)
        y_t = values["output"] = touch("output", self._gated("output_gate", values, self.output_activation(s_t)))
        hidden = y_t
        if self.feedback == "all" and self.gates:
            hidden = ops.concatenate([y_t, *(values[name] for name in self.gates)], axis=-1)
        return values, [hidden, s_t]

    def get_initial_state(self, batch_size=None):
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def get_config(self) -> dict:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "units": self.units,
            **{name: None if getattr(self, name) is None else serialize(getattr(self, name)) for name in self.GATES},
            "candidate_activation": squashing_config(self.candidate_activation),
            "output_activation": squashing_config(self.output_activation),
            "candidate_bias": bias_config(self.candidate_bias),
            "block_size": self.block_size,
            "feedback": self.feedback,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
        }

    @classmethod
    def from_config(cls, config: dict) -> "GatedCell":
        gates = {name: keras.saving.deserialize_keras_object(config[name]) for name in cls.GATES}
        return cls(**{**config, **gates, "candidate_bias": bias_from_config(config["candidate_bias"])})

    def _net(self, inputs, hidden):
        dtype = self.compute_dtype  # learners call `step` past __call__, which would cast for mixed precision
        net = ops.matmul(ops.cast(inputs, dtype), ops.cast(self.kernel, dtype))
        if self.recurrent_kernel is not None:
            net = net + ops.matmul(hidden, ops.cast(self.recurrent_kernel, dtype))
        if self.bias is None:
            return net
        bias = ops.cast(self.bias, dtype)
        if len(self._biased) == len(self.nets):
            return net + bias
        pieces = _split(bias, self._biased)
        return net + ops.concatenate([pieces.get(name, ops.zeros((size,), dtype)) for name, size in self.nets.items()])

    def _gated(self, name: str, values: dict, value):
        if name not in self.gates:
            return value
        gate = values[name]
        if self.block_size == 1:
            return gate * value
        blocks = ops.reshape(value, (-1, self.blocks, self.block_size))  # a repeat here would break XLA's gradient
        return ops.reshape(gate[:, :, None] * blocks, (-1, self.units))

    def _bias(self, net: str):
        return self.candidate_bias if net == "candidate" else self.gates[net].bias

    def _check_length(self, argument: str, bias, length: int, meaning: str) -> None:
        if isinstance(bias, (list, tuple)) and len(bias) != length:
            raise ValueError(f"GatedCell: expected {length} numbers, {meaning}. Received: {argument}={list(bias)}")


def _split(value, sizes: dict[str, int]) -> dict:
    ends = list(accumulate(sizes.values()))[:-1]
    parts = ops.split(value, ends, axis=-1) if ends else [value]
    return dict(zip(sizes, parts, strict=True))


def _count(argument: str, value) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"GatedCell: expected a positive integer. Received: {argument}={value!r}")
    return value


def _gate(argument: str, gate) -> Gate | None:
    if gate is None or isinstance(gate, Gate):
        return gate
    if isinstance(gate, str):
        squashing("GatedCell", argument, gate)
        return Gate(gate)
    raise ValueError(
        "GatedCell: expected a Gate, the name of an activation, or None (no gate: the constant 1). "
        f"Received: {argument}={gate!r}"
    )


def _initializer(argument: str, value) -> keras.initializers.Initializer:
    try:
        return keras.initializers.get(value)
    except ValueError:
        raise ValueError(f"GatedCell: expected a Keras initializer or its name. Received: {argument}={value!r}") from None
