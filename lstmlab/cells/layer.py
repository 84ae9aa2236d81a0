"""GatedRNN: the cell over time, a drop-in for keras.layers.LSTM that shows every gate."""

import inspect
from numbers import Integral

import keras
from keras import ops
from keras.src import backend

from lstmlab.cells import arguments as checks
from lstmlab.cells.convert import LAYER_FLAGS, keras_layer, kind_and_cell
from lstmlab.cells.gated import GatedCell
from lstmlab.cells.recurrence import split
from lstmlab.cells.switches import ARGUMENTS
from lstmlab.cells.tracing import collect, collecting, passed
from lstmlab.cells.variants import variant as named_variant


@keras.saving.register_keras_serializable("lstmlab")
class GatedRNN(keras.layers.RNN):
    """A GatedCell over the steps of a sequence.

    cell: a GatedCell, or the number of units n (units=n says the same) of the named `variant`, 'vanilla' by default; further
    arguments of GatedCell override that variant's.
    return_traces: True adds, as the last output, {name: [B, T, ...]}: every gate, candidate, cell state and output at every
    step, as GatedCell.step names them. At masked steps they stand still, like the output. With go_backwards they stand in the
    order of processing, like the output. Bidirectional and TimeDistributed take no layer with more outputs: use `traces` there.
    return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: as keras.layers.LSTM has them.

    Call: inputs [B, T, F], mask [B, T] or None, initial_state: one tensor [B, size] per entry of cell.state_size.
    Returns the output [B, n] or, with return_sequences, [B, T, n], then the last states, then the traces.

    The input projection W x is computed once for all steps, outside the loop, where x is at least as wide as the cell.
    Narrower inputs join the hidden values in one product [x, hidden] per step, which is faster there.

    Raises ValueError for a mask or states of the wrong shape, for an unknown variant, and whatever GatedCell raises.
    """

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
        **kwargs,
    ):
        cell = kwargs.pop("units", None) if cell is None else cell
        for name, ours in _INSTEAD.items():
            if name in kwargs:
                raise ValueError(
                    f"GatedRNN: expected {ours} in place of {name}. Received: {name}={kwargs[name]!r}"
                )
        checks.keywords("GatedRNN", kwargs, [*_FLAGS, *ARGUMENTS])
        switches = {name: kwargs.pop(name) for name in list(kwargs) if name in _SWITCHES}
        if not isinstance(cell, GatedCell):
            if isinstance(cell, bool) or not isinstance(cell, Integral):
                raise ValueError(
                    f"GatedRNN: expected a GatedCell or a number of units. Received: cell={cell!r}"
                )
            cell = named_variant(
                variant or "vanilla", units=int(cell), dtype=kwargs.get("dtype"), **switches
            )
        elif switches or variant is not None or "units" in kwargs:
            given = {"variant": variant, "units": kwargs.get("units")} | switches
            given = {
                name: value
                for name, value in given.items()
                if name in switches or value is not None
            }
            raise ValueError(
                "GatedRNN: expected arguments of the cell only with a number of units. "
                f"Received: {', '.join(f'{name}={value!r}' for name, value in given.items())} beside a cell"
            )
        if not isinstance(return_traces, bool):
            raise ValueError(
                f"GatedRNN: expected true or false. Received: return_traces={return_traces!r}"
            )
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
        self.return_traces = return_traces

    @classmethod
    def from_keras(cls, layer, **flags) -> "GatedRNN":
        """A GatedRNN that is the same function as a keras.layers.LSTM, GRU or SimpleRNN, with its weights if it is built.

        flags: override those of the layer; return_traces=True shows its gates. Raises ValueError for another layer.
        """
        kind_and_cell("GatedRNN.from_keras", layer)
        same = {
            name: getattr(layer, name)
            for name in (*LAYER_FLAGS, "name", "activity_regularizer")
            if hasattr(layer, name)
        }
        return cls(GatedCell.from_keras(layer), **{"dtype": layer.dtype_policy, **same, **flags})

    def to_keras(self):
        """The keras.layers.LSTM, GRU or SimpleRNN that is the same function, with the same weights and flags.

        Raises ValueError where none is, naming each difference to the nearest, for a layer that is not built, and with
        return_traces.
        """
        return keras_layer(self)

    @property
    def units(self) -> int:
        return self.cell.units

    def build(self, sequences_shape, initial_state_shape=None):
        self._check_inputs(sequences_shape)
        super().build(sequences_shape, initial_state_shape)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if mask is None:  # beside an initial state Keras does not hand it on
            mask = backend.get_keras_mask(sequences)
        self._check(sequences, initial_state, mask)
        self._traced = self.return_traces or collecting()
        answer = super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        values, self._values = self._values, None
        if not self._traced:
            return answer
        values = {name: ops.cast(value, self.compute_dtype) for name, value in values.items()}
        collect(self.name, values)
        if not self.return_traces:
            return answer
        return (*answer, values) if self.return_state else (answer, values)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        cell, given = self.cell, (sequences, initial_state, mask)
        sequences, drop = cell.dropped(sequences, initial_state[0], training)
        inputs, net = self._nets(sequences, drop)

        def step(x_t, states):
            if backend.backend() == "torch" and self.stateful:
                states = [
                    ops.copy(state) for state in states
                ]  # PyTorch would change them in place under its own gradient
            values, states = cell.step(x_t, list(states), net=net)
            return {name: values[name] for name in wanted}, states

        wanted = cell.value_sizes if self._traced else {"output": self.units}
        if mask is not None:
            step, inputs, initial_state = self._masked(step, inputs, initial_state, mask, wanted)
        values, states = self._over_time(step, inputs, initial_state, wanted)
        outputs = values["output"]
        self._values = (
            {**values, "output": ops.copy(outputs)} if self._traced else None
        )  # the mask clings to the other one
        last = outputs[:, -1] if len(outputs.shape) == 3 else outputs
        output, states = passed(
            self, given, outputs if self.return_sequences else last, states[: len(cell.state_size)]
        )
        return (last, output, states) if self.return_sequences else (output, outputs, states)

    def compute_output_spec(self, sequences, initial_state=None, mask=None, training=False):
        self._check(sequences, initial_state, mask)
        return super().compute_output_spec(
            sequences, initial_state=initial_state, mask=mask, training=training
        )

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        shape = super().compute_output_shape(sequences_shape, initial_state_shape)
        if not self.return_traces:
            return shape
        traces = {
            name: (*sequences_shape[:2], size) for name, size in self.cell.value_sizes.items()
        }
        return (*shape, traces) if self.return_state else (shape, traces)

    def compute_mask(self, inputs, mask):
        masks = super().compute_mask(inputs, mask)
        if not self.return_traces:
            return masks
        return [*(masks if self.return_state else [masks]), dict.fromkeys(self.cell.value_sizes)]

    def get_config(self) -> dict:
        return {**super().get_config(), "return_traces": self.return_traces}

    def _over_time(self, step, inputs, states, wanted: dict):
        """{name: value} of every step [B, T, size], or of the last step [B, size] if that is enough; and the last states."""
        every_step = self.return_sequences or self._traced
        if (
            backend.backend() == "tensorflow" and not self.unroll
        ):  # where Keras' own loop takes a time quadratic in T
            from lstmlab.unroll import unroll

            return unroll(step, list(states), inputs, every_step, self.go_backwards)

        def joined(x_t, states):
            values, states = step(x_t, states)
            return ops.concatenate(list(values.values()), axis=-1), states

        last, values, states = backend.rnn(
            joined,
            inputs,
            states,
            go_backwards=self.go_backwards,
            unroll=self.unroll,
            input_length=inputs.shape[1],
            return_all_outputs=every_step,
        )
        return split(values if every_step else last, wanted), states

    def _masked(self, step, inputs, initial_state, mask, wanted: dict):
        """The loop with a mask: a masked step changes no state and repeats what the step before gave, at first zeros.

        The mask goes along as one more input. Not by the mask of `backend.rnn`: with JAX that begins with the first state
        instead of zeros, and wants outputs as wide as it.
        """
        start = [
            ops.zeros((ops.shape(mask)[0], size), self.cell.compute_dtype)
            for size in wanted.values()
        ]

        def masked(x_t, states):
            here, states, before = (
                ops.greater(x_t[:, -1:], 0),
                states[: -len(wanted)],
                states[-len(wanted) :],
            )
            values, after = step(x_t[:, :-1], states)
            after = [ops.where(here, new, old) for new, old in zip(after, states, strict=True)]
            values = {
                name: ops.where(here, values[name], old)
                for name, old in zip(wanted, before, strict=True)
            }
            return values, [*after, *(before if self.zero_output_for_mask else values.values())]

        column = ops.cast(ops.cast(mask, "bool")[:, :, None], self.cell.compute_dtype)
        return masked, ops.concatenate([inputs, column], axis=-1), [*initial_state, *start]

    def _nets(self, sequences, drop):
        """What the loop runs over, and the cell's `net` at one step of it: W x taken ahead, or joined with R hidden."""
        cell = self.cell

        def kept(hidden):
            return hidden if drop is None else hidden * drop

        if sequences.shape[-1] >= cell.units or not cell.one_product:
            return cell.project(sequences), lambda projected, hidden: cell.sums(
                projected, kept(hidden)
            )
        weights = [
            ops.cast(weight, cell.compute_dtype) for weight in (cell.kernel, cell.recurrent_kernel)
        ]
        joined, bias = ops.concatenate(weights, axis=0), cell.whole_bias()

        def net(x_t, hidden):
            sums = ops.matmul(ops.concatenate([x_t, kept(hidden)], axis=-1), joined)
            return split(sums + bias, cell.nets), None

        return ops.cast(sequences, cell.compute_dtype), net

    def _check_inputs(self, shape) -> None:
        features = self.cell.kernel.shape[0] if self.cell.built else None
        if (
            len(shape) != 3
            or shape[1] == 0
            or shape[2] is None
            or (features and shape[2] != features)
        ):
            raise ValueError(
                f"GatedRNN: expected inputs [B, T, F], T at least 1, F {features or 'known'}. Received: shape={tuple(shape)}"
            )

    def _check(self, sequences, initial_state, mask) -> None:
        self._check_inputs(sequences.shape)
        if hasattr(sequences, "row_splits"):
            raise ValueError(
                "GatedRNN: expected a dense tensor; pad it and give a mask. Received: a ragged tensor"
            )
        batch, steps = sequences.shape[:2]
        if mask is not None:
            received = (
                f"mask.shape={tuple(mask.shape)}" if hasattr(mask, "shape") else f"mask={mask!r}"
            )
            if not hasattr(mask, "shape") or not _fits(mask.shape, (batch, steps)):
                raise ValueError(
                    f"GatedRNN: expected a mask [B, T] = {(batch, steps)}. Received: {received}"
                )
        if initial_state is not None:
            states = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
            expected = [(batch, size) for size in self.cell.state_size]
            shapes = [tuple(getattr(state, "shape", ())) for state in states]
            if len(shapes) != len(expected) or not all(map(_fits, shapes, expected)):
                named = ", ".join(
                    f"{n} [B, {size}]"
                    for n, size in zip(self.cell.state_names, self.cell.state_size, strict=True)
                )
                raise ValueError(
                    f"GatedRNN: expected initial_state=[{named}], B={batch}. Received: shapes {shapes}"
                )


def _fits(shape, expected) -> bool:
    return len(shape) == len(expected) and all(
        a is None or b is None or a == b for a, b in zip(shape, expected, strict=True)
    )


_INSTEAD = {  # arguments of keras.layers.LSTM that say for all gates at once what each gate says here
    "activation": "candidate_activation and output_activation",
    "recurrent_activation": "the activation of each gate, such as forget_gate='hard_sigmoid',",
    "use_bias": "Gate(bias=None) for each gate and candidate_bias=None",
    "bias_initializer": "Gate(bias=...) for each gate and candidate_bias",
    "unit_forget_bias": "forget_gate=Gate(bias=1.0), as it is by default,",
}
_FLAGS = [name for name in inspect.signature(GatedRNN).parameters if name != "kwargs"]
_SWITCHES = [name for name in ARGUMENTS if name != "units"]
