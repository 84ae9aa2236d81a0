"""The arguments of a GatedCell, checked, and what follows from them. The equations: gated.py."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

from lstmlab import checks
from lstmlab.cells import arguments
from lstmlab.cells.gates import (
    GATES,
    NETS,
    RECURRENCES,
    Coupled,
    Gate,
    squashing,
    squashing_config,
)
from lstmlab.cells.initializers import (
    bias_config,
    bias_from_config,
    bias_initializer,
    initializer,
    length,
)
from lstmlab.cells.recurrence import Recurrence
from lstmlab.cells.restoring import Restorable, restorable

HERE = "GatedCell"  # who complains
REMEMBERS = Gate("sigmoid", bias=1.0)  # the forget gate of keras.layers.LSTM: open at the start


class Switches(Restorable, keras.Layer, DropoutRNNCell):
    """The arguments of GatedCell, documented there, and what follows from them.

    Attributes:
        gates: {name: Gate or Coupled} of the gates that the cell has.
        own: Those of them with a pre-activation of their own.
        nets: {name: size} of the pre-activations, in the order of the columns of `kernel`.
        recurrence: Which weights lead from what is read back to which pre-activations.
        state_names, state_size: The states.
        value_sizes: {name: size} of all that a step computes.
        is_own_output: Whether the state is the output.
        one_product: Whether all pre-activations read the hidden values through one full matrix.
    """

    GATES = tuple(GATES)
    NETS = tuple(entry.name for entry in NETS)
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
        "layer_normalization",
        "dropout",
        "recurrent_dropout",
        "seed",
    )

    @restorable
    def __init__(
        self,
        units: int,
        input_gate: Gate | Coupled | str | None = "sigmoid",
        forget_gate: Gate | Coupled | str | None = REMEMBERS,
        output_gate: Gate | Coupled | str | None = "sigmoid",
        candidate_activation: str | Callable = "tanh",
        output_activation: str | Callable = "tanh",
        candidate_bias: Any = 0.0,
        block_size: int = 1,
        feedback: str = "cells",
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
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
        peephole_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        peephole_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        peephole_constraint: Any = None,
        bias_constraint: Any = None,
        recurrent_bias_initializer: Any = "zeros",
        **kwargs: Any,
    ):
        given = locals()  # each argument under its name, as it came
        arguments.keywords(type(self).__name__, kwargs, ARGUMENTS)
        super().__init__(**kwargs)

        self.units = units = checks.integer(HERE, "units", units)
        self.block_size = arguments.divisor("block_size", block_size, "units", units)
        self.blocks = units // block_size
        self.heads = arguments.divisor("heads", heads, "the number of blocks", self.blocks)
        self.feedback = checks.one_of(HERE, "feedback", feedback, self.FEEDBACK)

        self.gates: dict[str, Gate | Coupled] = {}
        for name in self.GATES:
            gate = arguments.gate(name, given[name])
            setattr(self, name, gate)
            if isinstance(gate, (Gate, Coupled)):
                self.gates[name] = gate
            if isinstance(gate, Gate):
                length(HERE, f"{name}.bias", gate.bias, self.blocks, "one per block")

        for name in ("candidate_activation", "output_activation"):
            setattr(self, name, squashing(HERE, name, given[name]))
        self.candidate_bias = candidate_bias
        bias_initializer(HERE, "candidate_bias", candidate_bias)
        length(HERE, "candidate_bias", candidate_bias, units, "one per cell")
        self.candidate_recurrent = checks.one_of(
            HERE, "candidate_recurrent", candidate_recurrent, RECURRENCES
        )

        for name in ("kernel_initializer", "recurrent_initializer", "recurrent_bias_initializer"):
            setattr(self, name, initializer(HERE, name, given[name]))

        self.reset_after = checks.flag(HERE, "reset_after", reset_after)
        self.normaliser = checks.one_of(HERE, "normaliser", normaliser, self.NORMALISERS)
        self.layer_normalization = checks.flag(HERE, "layer_normalization", layer_normalization)
        self.own = {name: gate for name, gate in self.gates.items() if isinstance(gate, Gate)}
        arguments.gates(self)

        self.peepholes = [name for name, gate in self.own.items() if gate.peephole]
        # Made only where it draws: each initializer that is made takes a seed.
        self.peephole_initializer = peephole_initializer
        if self.peepholes:
            self.peephole_initializer = initializer(
                HERE, "peephole_initializer", peephole_initializer
            )
        for kind in ("regularizer", "constraint"):
            for weight in self.WEIGHTS:
                name = f"{weight}_{kind}"
                setattr(self, name, arguments.of_keras(kind, name, given[name]))

        self.dropout = checks.number(HERE, "dropout", dropout, least=0, below=1)
        self.recurrent_dropout = checks.number(
            HERE, "recurrent_dropout", recurrent_dropout, least=0, below=1
        )
        self.seed = checks.seed(HERE, "seed", seed)
        if dropout or recurrent_dropout:
            # the name by which DropoutRNNCell finds it
            self.seed_generator = keras.random.SeedGenerator(seed)
        self._lay_out()

    def _lay_out(self) -> None:
        """Derive the pre-activations, who reads back what, the states, and the values of a step."""
        self.nets = {
            name: self.units if name == "candidate" else self.blocks
            for name in self.NETS
            if name == "candidate" or name in self.own
        }
        kinds = {name: gate.recurrent for name, gate in self.own.items()}
        kinds["candidate"] = self.candidate_recurrent
        before = self.reset_gate is not None and not self.reset_after
        self.recurrence = Recurrence(
            self.nets, kinds, self.feedback, self.units, self.heads, before
        )

        products = self.recurrence.products
        self.one_product = (
            self.reset_gate is None
            and not self.layer_normalization
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
        self._looks_at_new_state = any(gate.peephole == "current" for gate in self.own.values())

        sizes = {"hidden": self.hidden_size}
        if not self.is_own_output and (self.forget_gate != "closed"):
            sizes["cell_state"] = self.units
        normaliser = {"normaliser": self.blocks} if self.normaliser == "state" else {}
        sizes |= normaliser | ({"stabiliser": self.blocks} if normaliser else {})
        self.state_names, self.state_size = tuple(sizes), list(sizes.values())
        self.output_size = self.units

        per_cell = {"candidate": self.units, "cell_state": self.units}
        self.value_sizes = dict.fromkeys(self.gates, self.blocks) | per_cell | normaliser
        self.value_sizes["output"] = self.units

    def get_config(self) -> dict:
        serialize, config = keras.saving.serialize_keras_object, super().get_config()
        for name in self.GATES:
            gate = getattr(self, name)
            config[name] = gate if gate is None or isinstance(gate, str) else serialize(gate)
        for name in ("candidate_activation", "output_activation"):
            config[name] = squashing_config(getattr(self, name))
        config["candidate_bias"] = bias_config(self.candidate_bias)
        for weight in self.WEIGHTS:
            for kind in ("initializer", "regularizer", "constraint"):
                if (weight, kind) != ("bias", "initializer"):  # initial biases belong to the gates
                    value, module = getattr(self, f"{weight}_{kind}"), getattr(keras, f"{kind}s")
                    config[f"{weight}_{kind}"] = (
                        # a string: a peephole initializer that was never made
                        value if isinstance(value, str) else module.serialize(value)
                    )
        of_bias = keras.initializers.serialize(self.recurrent_bias_initializer)
        config["recurrent_bias_initializer"] = of_bias
        plain = {name: getattr(self, name) for name in self.PLAIN}
        return {**config, **plain, **self.own_config()}

    @classmethod
    def from_config(cls, config: dict) -> Switches:
        read: dict[str, Callable] = dict.fromkeys(
            cls.GATES, keras.saving.deserialize_keras_object
        ) | {"candidate_bias": bias_from_config}
        made = {name: make(config[name]) for name, make in read.items() if name in config}
        return cls.restored({**config, **made})

    def _initial_bias(self, net: str) -> Any:
        return self.candidate_bias if net == "candidate" else self.own[net].bias


ARGUMENTS = [name for name in inspect.signature(Switches).parameters if name != "kwargs"]
Switches.KNOWN = (*ARGUMENTS, *arguments.OF_KERAS)
