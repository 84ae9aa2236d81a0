"""GatedRNN: the cell over time, a drop-in for keras.layers.LSTM that shows every gate."""

from __future__ import annotations

import inspect
import warnings
from numbers import Integral
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src import backend

from lstmlab.cells import arguments, called, engines
from lstmlab.cells.convert import LAYER_FLAGS, SHARED, drops_mask, keras_layer, kind_and_cell
from lstmlab.cells.convert import arguments as cell_arguments
from lstmlab.cells.gated import GatedCell
from lstmlab.cells.restoring import Restorable, restorable
from lstmlab.cells.switches import ARGUMENTS
from lstmlab.cells.variants import variant as named_variant
from lstmlab.cells.watching import collect, collecting, held, hold, passed
from lstmlab.cells.wrappers import check_traces
from lstmlab.checks import flag, one_of
from lstmlab.errors import refusal


class OfCell:
    """An attribute of the cell that its layer tells too; a subclass may set another."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, layer: Any, owner: Any = None) -> Any:
        return self if layer is None else getattr(layer.cell, self.name)


@keras.saving.register_keras_serializable("lstmlab")
class GatedRNN(Restorable, keras.layers.RNN):
    """Runs a GatedCell over the steps of a sequence.

    In the loop over time, the engine 'xla', the input projection W x is computed once for all
    steps, outside the loop, if x is at least as wide as the cell. Narrower inputs are concatenated
    with the hidden values for one product [x, hidden] per step, which is then faster.

    Args:
        cell: A GatedCell, or the number of units n (units=n is equivalent).
        variant: The name of the variant, which is built with that many units; 'vanilla' by default.
            Further arguments of GatedCell override those of the variant.
        return_traces: Whether to add, as the last output, {name: [B, T, ...]}: every gate,
            candidate, cell state and output at every step, as GatedCell.step names them. At masked
            steps they keep their previous values, and with go_backwards they are in the order of
            processing, like the output. TimeDistributed, and Bidirectional without return_state,
            take layers of one output: use `traces` there.
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: As in
            keras.layers.LSTM.
        engine: What computes the steps, by the same equations. 'xla': a loop over time, compiled
            by XLA where the model is compiled; it serves every cell. 'scan': all steps at once, for
            cells whose gates and candidates do not read what the cell has computed (minGRU,
            minLSTM, feedback='none'). 'native': kernels over whole sequences, in float32, on
            processors, without second derivatives; on TensorFlow not where XLA compiles the model,
            on JAX only by name. 'auto': the fastest that serves the cell and the call. After a
            call, `engine_used` and `engine_reason` say what was taken, and why.

    Call:
        inputs [B, T, F], mask [B, T] or None, initial_state: one tensor [B, size] per entry of
        cell.state_size. Returns the output [B, n] or, with return_sequences, [B, T, n], then the
        last states, then the traces.

    Raises:
        ValueError: For a mask or states of the wrong shape, for an unknown variant, when called
            with an engine that cannot compute the call, and as in GatedCell.
    """

    units: Any = OfCell("units")
    activity_regularizer: Any

    @restorable
    def __init__(
        self,
        cell: GatedCell | int | None = None,
        variant: str | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        return_traces: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        engine: str = "auto",
        **kwargs: Any,
    ):
        if cell is None:
            cell = kwargs.pop("units", None)
        elif "units" in kwargs:
            received = {"cell": cell, "units": kwargs["units"]}
            raise refusal("GatedRNN", "one of cell and units", received)
        for name, ours in _INSTEAD.items():
            if name in kwargs:
                raise refusal("GatedRNN", f"{ours} in place of {name}", {name: kwargs[name]})
        arguments.keywords("GatedRNN", kwargs, [*_FLAGS, *ARGUMENTS])

        switches = {name: kwargs.pop(name) for name in list(kwargs) if name in _SWITCHES}
        if not isinstance(cell, GatedCell):
            if isinstance(cell, bool) or not isinstance(cell, Integral):
                expected = "a GatedCell or a number of units, a positive integer"
                raise refusal("GatedRNN", expected, {"cell": cell})
            cell = named_variant(
                variant or "vanilla", units=int(cell), dtype=kwargs.get("dtype"), **switches
            )
        elif switches or variant is not None:
            given = switches if variant is None else {"variant": variant, **switches}
            shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
            expected = "arguments of the cell only with a number of units"
            raise refusal("GatedRNN", expected, f"{shown} beside a cell")

        return_traces = flag("GatedRNN", "return_traces", return_traces)
        engine = one_of("GatedRNN", "engine", engine, engines.ENGINES)
        super().__init__(
            cell,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
            zero_output_for_mask,
            **kwargs,
        )
        if not self.trainable:
            cell.trainable = False  # Keras tells it only to what is there when it is set later
        self.return_traces, self.engine = return_traces, engine

    @classmethod
    def from_keras(cls, layer: Any, **flags: Any) -> GatedRNN:
        """Make the GatedRNN that computes the same function as a Keras layer.

        Args:
            layer: A keras.layers.LSTM, GRU or SimpleRNN; its weights are copied if it is built.
                Otherwise both start from the same weights, as far as the initializers draw the same
                numbers for both.
            flags: Override those of the layer; return_traces=True shows its gates.

        Raises:
            ValueError: For any other layer.

        Warns:
            UserWarning: If the layer is known to meet a masked input beside an initial state. There
                Keras drops the mask, and GatedRNN heeds it.
        """
        kind, theirs = kind_and_cell("GatedRNN.from_keras", layer)
        if drops_mask(layer):
            warnings.warn(_OTHER_MASK.format(layer=layer.name, kind=kind), stacklevel=2)
        same = {
            name: getattr(layer, name)
            for name in (*LAYER_FLAGS, "name", "activity_regularizer")
            if hasattr(layer, name)
        }
        trainable = flags.get("trainable", theirs.trainable)
        cell = GatedCell(**cell_arguments(kind, theirs), trainable=trainable)
        of_cell = {"cell": cell, "units": cell.units, "dtype": layer.dtype_policy}
        made = cls.restored({**of_cell, **same, **flags})
        if theirs.built:
            with keras.name_scope(made.name, caller=made):  # for the paths of the weights
                made.cell.from_keras(layer)
        return made

    def to_keras(self) -> Any:
        """Make the keras.layers.LSTM, GRU or SimpleRNN that computes the same function.

        It has the same weights and flags.

        Raises:
            ValueError: If there is none, naming each difference from the nearest; for a layer that
                is not built; and with return_traces.
        """
        return keras_layer(self)

    def set_weights(self, weights: list) -> None:
        if self.built:
            arguments.weights("GatedRNN", self.weights, [np.shape(weight) for weight in weights])
        super().set_weights(weights)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras; but an activity_regularizer does not penalise the traces."""
        regularizer = self.activity_regularizer
        if regularizer is None or not self.return_traces:
            return super().__call__(*args, **kwargs)
        self.activity_regularizer = None  # Keras would apply it to the traces too
        try:
            answer = super().__call__(*args, **kwargs)
        finally:
            self.activity_regularizer = regularizer
        for output in filter(backend.is_tensor, answer[:-1]):
            loss = regularizer(output)
            batch = ops.cast(ops.shape(output)[0], loss.dtype)
            self.add_loss(ops.divide_no_nan(loss, batch))
        return answer

    def build(self, sequences_shape: tuple, initial_state_shape: Any = None) -> None:
        check_traces(self)  # here Keras adds nothing to the message
        called.inputs(self.cell, sequences_shape)
        super().build(sequences_shape, initial_state_shape)

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        if mask is None:  # beside an initial state Keras does not hand it on
            mask = backend.get_keras_mask(sequences)
        elif isinstance(mask, (list, tuple)) and len(mask) == 1 and hasattr(mask[0], "shape"):
            [mask] = mask  # as keras.layers.LSTM takes it
        check_traces(self)
        called.all_of(self.cell, sequences, initial_state, mask)
        answer = super().call(sequences, initial_state=initial_state, mask=mask, training=training)

        values = self._shown()
        if not self.return_traces:
            return answer
        return (*answer, values) if self.return_state else (answer, values)

    def _shown(self) -> dict:
        """The values of the call that just ended, if they are asked for; `traces` gets them."""
        values = {name: ops.cast(value, self.compute_dtype) for name, value in held(self).items()}
        if values:
            collect(self.name, values)
        return values

    @property
    def _traced(self) -> bool:
        """Whether the values of this call are asked for."""
        return self.return_traces or collecting()

    def looked_at(self, sequences: Any, initial_state: list, mask: Any) -> tuple:
        """`inner_loop` without dropout, for a layer in whose place this one is looked at."""
        answer = self.inner_loop(sequences, initial_state, mask)
        self._shown()
        return answer

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple:
        cell, given = self.cell, (sequences, initial_state, mask)
        chosen = engines.choose(self, *given, training)
        self.__dict__["_chosen"] = chosen  # past Keras, which wraps what is set as an attribute
        sequences, drop = cell.dropped(sequences, initial_state[0], training)
        wanted = cell.value_sizes if self._traced else {"output": self.units}
        # the last step is enough where neither sequences nor traces are returned
        every_step = self.return_sequences or self._traced
        values, states = engines.run(
            chosen.engine, self, sequences, initial_state, mask, drop, every_step, wanted
        )

        outputs = values["output"]
        # A copy, because Keras attaches the mask to the other one.
        if self._traced:
            hold(self, {**values, "output": ops.copy(outputs)})
        last = outputs[:, -1] if len(outputs.shape) == 3 else outputs
        output, states = passed(self, given, outputs if self.return_sequences else last, states)
        # as RNN.call unpacks them: last output, all outputs, states
        return (last, output, states) if self.return_sequences else (output, outputs, states)

    @property
    def supports_jit(self) -> bool:
        """Whether XLA can compile the layer, as Keras asks.

        'auto' takes the loop there. On JAX, XLA calls the kernels.
        """
        compiled = self.engine != "native" or backend.backend() == "jax"
        return self._supports_jit and compiled

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        self._supports_jit = value

    @property
    def engine_used(self) -> str | None:
        """What computed the last call: 'native', 'xla' or 'scan'; None before the first.

        In a compiled function it is decided once, when that is traced.
        """
        chosen = vars(self).get("_chosen")
        return chosen and chosen.engine

    @property
    def engine_reason(self) -> str | None:
        """Why `engine_used` was taken, in a sentence; None before the first call.

        With 'auto' it names what kept the engines that are tried before from the call.
        """
        chosen = vars(self).get("_chosen")
        return chosen and chosen.why

    def compute_output_spec(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        called.all_of(self.cell, sequences, initial_state, mask)
        return super().compute_output_spec(
            sequences, initial_state=initial_state, mask=mask, training=training
        )

    def compute_output_shape(self, sequences_shape: tuple, initial_state_shape: Any = None) -> Any:
        check_traces(self)  # a layer that was built before it was wrapped
        shape = super().compute_output_shape(sequences_shape, initial_state_shape)
        if not self.return_traces:
            return shape
        traces = {
            name: (*sequences_shape[:2], size) for name, size in self.cell.value_sizes.items()
        }
        return (*shape, traces) if self.return_state else (shape, traces)

    def compute_mask(self, inputs: Any, mask: Any) -> Any:
        masks = super().compute_mask(inputs, mask)
        if not self.return_traces:
            return masks
        return [*(masks if self.return_state else [masks]), dict.fromkeys(self.cell.value_sizes)]

    def get_config(self) -> dict:
        own = {"return_traces": self.return_traces, "engine": self.engine}
        config = {**super().get_config(), **own}
        config["cell"] = _unbuilt(config["cell"])
        return {**config, **self.own_config()}

    @classmethod
    def from_config(cls, config: dict, custom_objects: Any = None) -> GatedRNN:
        made = dict(config)
        if isinstance(saved := config.get("cell"), dict):
            deserialize = keras.saving.deserialize_keras_object
            cell = made["cell"] = deserialize(_unbuilt(saved), custom_objects=custom_objects)
            made = {"units": cell.units, **made}  # for a subclass whose __init__ names them
        return cls.restored(made)


def _unbuilt(cell: dict) -> dict:
    """The config of a cell without the shape of its inputs.

    With it the cell would build itself before the layer, and its weights would have paths without
    the layer's name.
    """
    return {name: value for name, value in cell.items() if name != "build_config"}


# Arguments of keras.layers.LSTM that say for all gates at once what each gate says here.
_INSTEAD = {
    "activation": "candidate_activation and output_activation",
    "recurrent_activation": "the activation of each gate, such as forget_gate='hard_sigmoid',",
    "use_bias": "Gate(bias=None) for each gate and candidate_bias=None",
    "bias_initializer": "Gate(bias=...) for each gate and candidate_bias",
    "unit_forget_bias": "forget_gate=Gate(bias=1.0), as it is by default,",
}
_OTHER_MASK = (
    "GatedRNN.from_keras: expected no initial_state beside a masked input, where "
    "keras.layers.{kind} drops the mask and GatedRNN heeds it; to drop it here too, pass "
    "mask=keras.ops.ones_like(x[..., 0], dtype='bool'). Received: layer={layer!r}"
)
for _name in SHARED:  # what layers of Keras tell of their cell
    if _name != "seed":
        setattr(GatedRNN, _name, OfCell(_name))
_FLAGS = [name for name in inspect.signature(GatedRNN).parameters if name != "kwargs"]
_SWITCHES = [name for name in ARGUMENTS if name != "units"]
GatedRNN.KNOWN = (*_FLAGS, *ARGUMENTS, *arguments.OF_KERAS)
GatedRNN.REPLACES = {"cell": ("units", "variant", *_SWITCHES)}
