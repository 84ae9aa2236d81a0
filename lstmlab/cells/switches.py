"""The switches of a GatedCell: its arguments, checked, and what follows from them. The equations stand in gated.py."""

import inspect
from collections.abc import Callable

import keras
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

from lstmlab.cells import arguments as checks
from lstmlab.cells.gates import RECURRENCES, Coupled, Gate, one_of, squashing, squashing_config
from lstmlab.cells.initializers import bias_config, bias_from_config, bias_initializer
from lstmlab.cells.recurrence import Recurrence

REMEMBERS = Gate("sigmoid", bias=1.0)  # the forget gate of keras.layers.LSTM: open at the start


class Switches(keras.Layer, DropoutRNNCell):
    """The arguments of GatedCell, documented there, and what follows from them.

    own: the gates with a net input of their own; nets: {net: size}, in the order of the columns of `kernel`; recurrence: who
    reads back what; state_names, state_size: the states; value_sizes: {name: size} of all that a step computes;
    is_own_output: the state is the output; one_product: all nets read the hidden values through one full matrix.
    """

    GATES = ("input_gate", "forget_gate", "refine_gate", "reset_gate", "output_gate")
    NETS = ("input_gate", "forget_gate", "refine_gate", "reset_gate", "candidate", "output_gate")
    FEEDBACK = ("cells", "all", "gates_to_gates", "none")
    NORMALISERS = (None, "gates", "state")
    WEIGHTS = ("kernel", "recurrent", "peephole", "bias")
    PLAIN: tuple[str, ...] = (
        "units",
        "block_size",
        "heads",
        "feedback",
        "candidate_recurrent",
        "reset_after",
        "normaliser",
    )
    PLAIN += ("layer_normalization", "dropout", "recurrent_dropout", "seed")

    def __init__(
        self,
        units: int,
        input_gate: Gate | Coupled | str | None = "sigmoid",
        forget_gate: Gate | Coupled | str | None = REMEMBERS,
        output_gate: Gate | Coupled | str | None = "sigmoid",
        candidate_activation: str | Callable = "tanh",
        output_activation: str | Callable = "tanh",
        candidate_bias=0.0,
        block_size: int = 1,
        feedback: str = "cells",
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        refine_gate: Gate | str | None = None,
        reset_gate: Gate | Coupled | str | None = None,
        reset_after: bool = False,
        candidate_recurrent: str = "full",
        heads: int = 1,
        normaliser: str | None = None,
        layer_normalization: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        peephole_initializer="glorot_uniform",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        peephole_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        peephole_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        checks.keywords(type(self).__name__, kwargs, ARGUMENTS)
        super().__init__(**kwargs)
        self.units = units = checks.count("units", units)
        self.block_size = checks.divisor("block_size", block_size, "units", units)
        self.blocks = units // block_size
        self.heads = checks.divisor("heads", heads, "the number of blocks", self.blocks)
        self.feedback = one_of("GatedCell", "feedback", feedback, self.FEEDBACK)
        given = (input_gate, forget_gate, refine_gate, reset_gate, output_gate)
        self.gates: dict[str, Gate | Coupled] = {}
        for name, value in zip(self.GATES, given, strict=True):
            gate = checks.gate(name, value)
            setattr(self, name, gate)
            if isinstance(gate, (Gate, Coupled)):
                self.gates[name] = gate
            if isinstance(gate, Gate):
                checks.length(f"{name}.bias", gate.bias, self.blocks, "one per block")
        self.candidate_activation = squashing(
            "GatedCell", "candidate_activation", candidate_activation
        )
        self.output_activation = squashing("GatedCell", "output_activation", output_activation)
        self.candidate_bias = candidate_bias
        bias_initializer("GatedCell", "candidate_bias", candidate_bias)
        checks.length("candidate_bias", candidate_bias, units, "one per cell")
        self.candidate_recurrent = one_of(
            "GatedCell", "candidate_recurrent", candidate_recurrent, RECURRENCES
        )
        self.kernel_initializer = checks.initializer("kernel_initializer", kernel_initializer)
        self.recurrent_initializer = checks.initializer(
            "recurrent_initializer", recurrent_initializer
        )
        self.reset_after = checks.flag("reset_after", reset_after)
        self.normaliser = one_of("GatedCell", "normaliser", normaliser, self.NORMALISERS)
        self.layer_normalization = checks.flag("layer_normalization", layer_normalization)
        self.own = {name: gate for name, gate in self.gates.items() if isinstance(gate, Gate)}
        checks.gates(self)
        self.peepholes = [name for name, gate in self.own.items() if gate.peephole]
        self.peephole_initializer = (
            peephole_initializer  # made only where it draws: each initializer made takes a seed
        )
        if self.peepholes:
            self.peephole_initializer = checks.initializer(
                "peephole_initializer", peephole_initializer
            )
        for kind, values in (
            (
                "regularizer",
                (kernel_regularizer, recurrent_regularizer, peephole_regularizer, bias_regularizer),
            ),
            (
                "constraint",
                (kernel_constraint, recurrent_constraint, peephole_constraint, bias_constraint),
            ),
        ):
            for weight, value in zip(self.WEIGHTS, values, strict=True):
                setattr(self, f"{weight}_{kind}", checks.of_keras(kind, f"{weight}_{kind}", value))
        self.dropout = checks.rate("dropout", dropout)
        self.recurrent_dropout = checks.rate("recurrent_dropout", recurrent_dropout)
        self.seed = checks.seed(seed)
        if dropout or recurrent_dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self._lay_out()

    def _lay_out(self) -> None:
        """What follows from the switches: the nets, who reads back what, the states, and the values of a step."""
        self.nets = {
            n: self.units if n == "candidate" else self.blocks
            for n in self.NETS
            if n == "candidate" or n in self.own
        }
        kinds = {name: gate.recurrent for name, gate in self.own.items()} | {
            "candidate": self.candidate_recurrent
        }
        before = self.reset_gate is not None and not self.reset_after
        self.recurrence = Recurrence(
            self.nets, kinds, self.feedback, self.units, self.heads, before
        )
        products = self.recurrence.products
        plain = self.reset_gate is None and not self.layer_normalization
        self.one_product = (
            plain
            and len(products) == 1
            and products[0].kind == "full"
            and products[0].nets == self.nets
        )
        fed_back = self.feedback in ("all", "gates_to_gates")
        self.hidden_size = self.units + (self.blocks * len(self.gates) if fed_back else 0)
        self.is_own_output = (
            self.output_gate is None
            and self.output_activation is keras.activations.linear
            and self.normaliser != "state"
            and not self.layer_normalization
        )
        looks = {gate.peephole for gate in self.own.values()}
        self._looks_at_new_state = "current" in looks
        sizes = {"hidden": self.hidden_size}
        if not self.is_own_output and (self.forget_gate != "closed" or "previous" in looks):
            sizes["cell_state"] = self.units
        normaliser = {"normaliser": self.blocks} if self.normaliser == "state" else {}
        sizes |= normaliser | ({"stabiliser": self.blocks} if normaliser else {})
        self.state_names, self.state_size, self.output_size = (
            tuple(sizes),
            list(sizes.values()),
            self.units,
        )
        self.value_sizes = {name: self.blocks for name in self.gates} | {
            "candidate": self.units,
            "cell_state": self.units,
        }
        self.value_sizes |= {**normaliser, "output": self.units}

    def get_config(self) -> dict:
        serialize, config = keras.saving.serialize_keras_object, super().get_config()
        for name in self.GATES:
            gate = getattr(self, name)
            config[name] = gate if gate is None or isinstance(gate, str) else serialize(gate)
        config["candidate_activation"] = squashing_config(self.candidate_activation)
        config["output_activation"] = squashing_config(self.output_activation)
        config["candidate_bias"] = bias_config(self.candidate_bias)
        for weight in self.WEIGHTS:
            for kind in ("initializer", "regularizer", "constraint"):
                if (weight, kind) != ("bias", "initializer"):  # initial biases stand with the gates
                    value, module = getattr(self, f"{weight}_{kind}"), getattr(keras, f"{kind}s")
                    config[f"{weight}_{kind}"] = (
                        value if isinstance(value, str) else module.serialize(value)
                    )
        return {**config, **{name: getattr(self, name) for name in self.PLAIN}}

    @classmethod
    def from_config(cls, config: dict) -> "Switches":
        read = {name: keras.saving.deserialize_keras_object for name in cls.GATES} | {
            "candidate_bias": bias_from_config
        }
        return cls(
            **{**config, **{name: of(config[name]) for name, of in read.items() if name in config}}
        )

    def _initial_bias(self, net: str):
        return self.candidate_bias if net == "candidate" else self.own[net].bias


ARGUMENTS = [name for name in inspect.signature(Switches).parameters if name != "kwargs"]
