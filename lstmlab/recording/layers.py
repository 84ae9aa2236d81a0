"""parts: the GatedRNN layers of any Keras model, each made to look like a Recurrent, so that every diagnostic works on it."""

import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from lstmlab.cells.layer import GatedRNN
from lstmlab.diagnostics.base import Probe
from lstmlab.learners.base import Learner
from lstmlab.learners.bptt import BPTT
from lstmlab.recording.capture import Call, Calls, time_distributed


def parts(model, probe) -> dict[str, tuple[Any, Probe]]:
    """{layer name: (Part, its probe)} for every GatedRNN of a compiled Keras model; {'': (model, probe)} for a Recurrent.

    probe: a Probe for a Recurrent, else (x, y) or (x, y, sample_weight) as model.fit takes them. To measure again and again,
    see Parts, which also says what is raised.
    """
    return Parts(model)(probe)


class LinearHead(keras.Layer):
    """The head of a Part: the layer's output itself, and (1) E' = sum_t w_t <y_t, output_t> with y_t = dE/d(output_t).

    E' has the derivatives of the model's error E to first order in the output; its value means nothing.
    """

    def __init__(self, outputs: int, **kwargs):
        super().__init__(**kwargs)
        self.outputs, self.built = outputs, True

    def call(self, cells, inputs=None):
        return cells

    def error(self, y, prediction, w):
        """(1) for each sequence, [B]."""
        dtype = keras.backend.result_type(prediction.dtype, "float32")
        y, prediction, w = (ops.cast(value, dtype) for value in (y, prediction, w))
        return ops.sum(w[..., None] * y * prediction, axis=(1, 2))

    def get_config(self) -> dict:
        return {**super().get_config(), "outputs": self.outputs}


class Part:
    """One GatedRNN layer as a Recurrent: cell, head, learner. linear: the head's error has a meaning in its derivatives alone.

    learner: BPTT, since Keras trains with it. Dropout is off, as in all measuring, so that it is not asked about dropout.
    """

    linear = True

    def __init__(self, cell, head: LinearHead, learner: Learner, features: int):
        if not isinstance(learner, BPTT):
            learner.check(cell)
        self.cell, self.head, self.learner, self.features = cell, head, learner, features

    @property
    def trainable_variables(self) -> list:
        return [*self.cell.trainable_variables]

    @property
    def weight_names(self) -> list[str]:
        return [weight.name for weight in self.trainable_variables]


class Started:
    """A cell that begins in states of its own instead of zero: those in which its layer began in the whole model."""

    def __init__(self, cell, states: list[np.ndarray]):
        self._cell = cell
        self._states = [tf.Variable(state, trainable=False) for state in states]

    def __getattr__(self, name: str):
        return getattr(self._cell, name)

    def __call__(self, inputs, states, **kwargs):
        return self._cell(inputs, states, **kwargs)

    def get_initial_state(self, batch_size=None) -> list:
        """The states of the first `batch_size` sequences, or of a batch that stands several times below itself.

        Functions compiled before follow later states.
        """
        times = 1 if batch_size is None else max(1, batch_size // self._states[0].shape[0])
        return [tf.tile(state, [times, 1])[:batch_size] for state in self._states]

    def begin(self, states: list[np.ndarray]) -> None:
        """Begin there from now on."""
        for variable, state in zip(self._states, states, strict=True):
            variable.assign(state)


class Parts:
    """The parts of one model: called with a probe, they are measured anew, while each Part stays the same object.

    The model runs once on the probe, without dropout, while each GatedRNN adds a zero tap to its output: the tap's derivative
    of model.compute_loss is dE/d(output). Steps that a mask leaves out are taken out; where such a step repeats the last
    output, its derivative goes to that output. With go_backwards steps stand in the order of processing. A layer that is called
    twice has its second call under <name>_1; in a Bidirectional they are forward_<name> and backward_<name>. A layer that
    begins in other states than zero is measured from them. Weights, states, seeds and metrics of the model stay as they are.
    What cannot be measured is said once, on stderr: layers inside TimeDistributed, and of what last states (return_state)
    carry on, the derivatives to other states than the output.
    Raises ValueError for what is no Keras model, is not compiled, or has no GatedRNN, and for a probe that it does not take.
    """

    def __init__(self, model):
        self.whole = all(hasattr(model, name) for name in ("cell", "head", "learner"))
        if not self.whole:
            if not isinstance(model, keras.Model):
                raise ValueError(f"parts: expected a Keras model. Received: model={model!r}")
            if not any(isinstance(layer, GatedRNN) for layer in model._flatten_layers()):
                raise ValueError(
                    f"parts: expected a model with at least one GatedRNN. Received: model={model.name!r}"
                )
            if not model.compiled:
                raise ValueError(
                    f"parts: expected a compiled model, with a loss. Received: model={model.name!r}, not compiled"
                )
        self.model = model
        self._parts: dict[str, Part] = {}
        self._said: set[str] = set()
        self._calls = None if self.whole else Calls(model)

    def __call__(self, probe) -> dict[str, tuple[Any, Probe]]:
        if self.whole:
            return {"": (self.model, whole_probe(self.model, probe))}
        found: dict[str, tuple[Any, Probe]] = {}
        for call in self._measured(probe):
            name, again = call.layer.name, 1
            while name in found:
                name, again = f"{call.layer.name}_{again}", again + 1
            probe_of_it = self._probe(name, call)
            if probe_of_it is not None:
                found[name] = self._part(name, call, probe_of_it), probe_of_it
        if not found:
            raise ValueError(
                f"parts: expected a model that runs a GatedRNN. Received: model={self.model.name!r}, with none left"
            )
        return found

    def _measured(self, probe) -> list[Call]:
        """The calls of those layers that can be measured."""
        calls, apart = self._calls(*checked(probe)), time_distributed(self.model)
        for name in dict.fromkeys(call.layer.name for call in calls if call.layer in apart):
            self._say(f"parts: {name}: left out, it stands inside a TimeDistributed")
        return [call for call in calls if call.layer not in apart]

    def _part(self, name: str, call: Call, probe: Probe) -> Part:
        """The Part of this name, which begins in the states of this call."""
        some = call.steps()[1].any(axis=1)
        states = [state[some] for state in call.states]
        part = self._parts.get(name)
        if part is None or (any(map(np.any, states)) and not isinstance(part.cell, Started)):
            cell = Started(call.layer.cell, states) if any(map(np.any, states)) else call.layer.cell
            head = LinearHead(call.layer.units, dtype=call.layer.dtype_policy)
            part = self._parts[name] = Part(cell, head, BPTT(), probe.x.shape[-1])
        if isinstance(part.cell, Started):
            part.cell.begin(states)
        return part

    def _probe(self, name: str, call: Call) -> Probe | None:
        """The part's probe; None where no step is left."""
        x, mask = call.steps()
        if not mask.any():
            self._say(f"parts: {name}: left out, a mask takes out every step of the probe")
            return None
        y = call.to_outputs(mask)
        if not call.add_through_states(y, mask):
            self._say(
                f"parts: {name}: errors that come back through its last states are not counted, but for those of the output"
            )
        rows, count = mask.any(axis=1), mask.sum(axis=1)
        order = np.argsort(~mask, axis=1, kind="stable")[:, : count.max(), None]
        valid = np.arange(count.max()) < count[:, None]
        x, y = (np.take_along_axis(part, order, axis=1) * valid[..., None] for part in (x, y))
        w = (y != 0).any(axis=-1)
        w |= valid & ~w.any(axis=1)[:, None] & (np.arange(count.max()) == count[:, None] - 1)
        x, y, w, valid = (part[rows] for part in (x, y, w, valid))
        return Probe(
            x, y, w.astype(y.dtype), valid, np.zeros_like(valid)
        )  # nobody says what an event is here

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            print(line, file=sys.stderr)


def checked(probe) -> tuple:
    """x, y and sample_weight or None of a probe for a Keras model, of at least one sequence."""
    if not isinstance(probe, (tuple, list)) or len(probe) not in (2, 3):
        raise ValueError(
            f"parts: expected a probe (x, y) or (x, y, sample_weight). Received: {type(probe).__name__}"
        )
    x, y, w = (*probe, None)[:3]
    lengths = {len(part) for part in tree.flatten([x, y]) if np.ndim(part)}
    if len(lengths) != 1 or lengths == {0}:
        shapes = tree.map_structure(np.shape, [x, y])
        raise ValueError(
            f"parts: expected as many sequences in y as in x, at least one. Received: shapes {shapes}"
        )
    return x, y, w


def whole_probe(model, probe) -> Probe:
    """A Recurrent's probe: of a bare tuple x [B, T, F], y [B, T, K] and w [B, T], by default 1, with the steps that are valid.

    Raises ValueError for other shapes and for an empty one.
    """
    if isinstance(probe, Probe):
        return probe
    given_x, given_y, given_w = checked(probe)
    x, y = (np.asarray(part, model.cell.variable_dtype) for part in (given_x, given_y))
    w = np.ones(x.shape[:2], x.dtype) if given_w is None else np.asarray(given_w, x.dtype)
    if (
        x.ndim != 3
        or x.shape[2] != model.features
        or y.ndim != 3
        or x.shape[:2] != y.shape[:2]
        or w.shape != x.shape[:2]
    ):
        raise ValueError(
            f"parts: expected a probe x [B, T, {model.features}], y [B, T, K], w [B, T]. "
            f"Received: x={x.shape}, y={y.shape}, w={w.shape}"
        )
    return Probe(x, y, w, np.flip(np.cumsum(np.flip(w, axis=1), axis=1), axis=1) > 0, w > 0)
