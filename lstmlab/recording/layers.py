"""The recurrent layers of any Keras model, each as a network that every diagnostic can measure.

It reads the model through `capture` and changes nothing in it. It names on stderr what cannot be
measured.
"""

import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from lstmlab.cells.stock import Twins, stock_layers
from lstmlab.cells.tracing import has_gated_rnn, recurrent
from lstmlab.diagnostics.base import Probe
from lstmlab.diagnostics.common.steps import until_last_error
from lstmlab.errors import refusal
from lstmlab.learners.base import Learner
from lstmlab.learners.bptt import BPTT
from lstmlab.recording.capture import OWNER, Capture, CapturedCall, joined


def measured_layers(model: Any, probe: Any) -> dict[str, tuple[Any, Probe]]:
    """Return every recurrent layer of a model as a network with a probe of its own.

    To measure the same model again and again, keep a MeasuredLayers, whose networks stay the same
    objects.

    Args:
        model: A compiled Keras model, or a lstmlab.Recurrent.
        probe: (x, y) or (x, y, sample_weight) as model.fit takes them; a Probe for a Recurrent.

    Returns:
        {layer name: (MeasuredLayer, its probe)}; {'': (model, probe)} for a Recurrent.

    Raises:
        ValueError: As MeasuredLayers does.
    """
    return MeasuredLayers(model)(probe)


class LinearHead(keras.Layer):
    """The head of a MeasuredLayer: the layer's output itself, and an error that is linear in it.

    (1) E' = sum_t w_t <y_t, output_t> with y_t = dE/d(output_t)

    E' has the derivatives of the model's error E to first order in the output. Its value has no
    meaning.
    """

    def __init__(self, outputs: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.outputs, self.built = outputs, True

    def call(self, cells: Any, inputs: Any = None) -> Any:
        return cells

    def error(self, y: Any, prediction: Any, w: Any) -> Any:
        """Return (1) for each sequence, [B]."""
        dtype = keras.backend.result_type(prediction.dtype, "float32")
        y, prediction, w = (ops.cast(value, dtype) for value in (y, prediction, w))
        return ops.sum(w[..., None] * y * prediction, axis=(1, 2))

    def get_config(self) -> dict:
        return {**super().get_config(), "outputs": self.outputs}


class MeasuredLayer:
    """One recurrent layer of a Keras model as a network of its own.

    It is measured and not trained, so that it has no `apply`. It offers what learners and
    diagnostics read of a network:

    cell: the layer's own cell, or a Started one where the layer begins in states other than zero.
    head: the LinearHead through which the error of the whole model arrives.
    learner: BPTT, since that is how Keras trains the layer.
    features: F, the number of inputs.
    trainable_variables, weight_names: the weights of the cell and their names, in the same order.
    linear: True: only the derivatives of the head's error have a meaning, not its value.
    """

    linear = True

    def __init__(self, cell: Any, head: LinearHead, learner: Learner, features: int):
        if not isinstance(learner, BPTT):  # measuring is without dropout, which BPTT would refuse
            learner.check(cell)
        if not cell.built:  # a copy that a diagnostic has made
            cell.build((None, features))
        self.cell, self.head, self.learner, self.features = cell, head, learner, features

    @property
    def trainable_variables(self) -> list:
        return [*self.cell.trainable_variables]

    @property
    def weight_names(self) -> list[str]:
        return [weight.name for weight in self.trainable_variables]


class Started:
    """A cell that begins in given states, those in which its layer began in the whole model."""

    def __init__(self, cell: Any, states: list[np.ndarray]):
        self._cell = cell
        self._states = [
            keras.Variable(state, dtype=str(state.dtype), trainable=False, name="state")
            for state in states
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell, name)

    def __call__(self, inputs: Any, states: Any, **kwargs: Any) -> Any:
        return self._cell(inputs, states, **kwargs)

    def get_initial_state(self, batch_size: int | None = None) -> list:
        """Return the states of the first `batch_size` sequences; for more, they are repeated.

        Functions compiled before follow later states, since the states are variables.
        """
        times = 1 if batch_size is None else max(1, batch_size // self._states[0].shape[0])
        return [tf.tile(state.value, [times, 1])[:batch_size] for state in self._states]

    @property
    def weights(self) -> list:
        """The weights of the cell, and behind them the states, for a copy that follows both."""
        return [*self._cell.weights, *self._states]

    @property
    def of(self) -> Any:
        """The cell itself."""
        return self._cell

    def in_dtype(self, dtype: str) -> "Started":
        """Return a copy of the cell in another precision that begins in these states."""
        copied = type(self._cell).from_config({**self._cell.get_config(), "dtype": dtype})
        return Started(copied, [state.numpy().astype(dtype) for state in self._states])

    def begin(self, states: list[np.ndarray]) -> None:
        """Begin in these states from now on."""
        for variable, state in zip(self._states, states, strict=True):
            variable.assign(state)


def _serves(kept: Any, cell: Any, from_zero: bool) -> bool:
    """Whether a cell that was kept is this one, and can begin in the states that are asked for."""
    if isinstance(kept, Started):
        return kept.of is cell
    return kept is cell and from_zero


class MeasuredLayers:
    """The recurrent layers of one model: GatedRNN, and those of Keras that a GatedRNN can be.

    Call it with a probe to measure them anew; each MeasuredLayer stays the same object.

    The model runs once on the probe, without dropout, while each GatedRNN adds a zero tap to its
    output: the derivative of model.compute_loss with respect to the tap is dE/d(output).

    - Steps that a mask leaves out are removed. Where such a step repeats the last output, its
      derivative is added to that output's.
    - With go_backwards, steps come in the order of processing.
    - A layer that is called twice has its second call under <name>_1. In a Bidirectional the layers
      are forward_<name> and backward_<name>.
    - A layer that begins in states other than zero is measured from those states.
    - The calls of a layer inside a TimeDistributed, one for each of its steps, count as one batch.
    - A layer of Keras is measured as the GatedRNN that is the same function with its weights.
    - What cannot be measured is named once, on stderr: recurrent layers of other kinds; derivatives
      that come back through final states (return_state) other than the output.

    Weights, states, seeds and metrics of the model stay as they are.

    Args:
        model: A compiled Keras model with at least one recurrent layer, or a lstmlab.Recurrent.
        owner: Who refuses a model or a probe, and names what is left out.

    Raises:
        ValueError: The model is not a Keras model, is not compiled or runs on another backend than
            TensorFlow; when called, also for a model without such a layer, for a probe that the
            model does not take, or of which nothing is left to measure.
    """

    def __init__(self, model: Any, owner: str = OWNER):
        self.model, self.owner = model, owner
        self._capture: Capture | None = None
        if not is_recurrent(model):
            _check(owner, model)
            self._capture = Capture(model, owner)
        self._layers: dict[str, MeasuredLayer] = {}
        self._said: dict[str, None] = {}

    def __call__(self, probe: Any) -> dict[str, tuple[Any, Probe]]:
        """Return {layer name: (MeasuredLayer, its probe)}; {'': (model, probe)} for a Recurrent."""
        if self._capture is None:
            return {"": (self.model, whole_probe(self.model, probe, self.owner))}

        found: dict[str, tuple[Any, Probe]] = {}
        for call in self._calls(self._capture(*checked(probe, self.owner))):
            name, again = call.layer.name, 1
            while name in found:
                name, again = f"{call.layer.name}_{again}", again + 1
            own = self._probe(name, call)
            if own is not None:
                found[name] = self._layer(name, call, own), own

        if not found:
            received = f"model={self.model.name!r}, with none left"
            raise refusal(self.owner, "a model that runs a recurrent layer", received)
        return found

    @property
    def left_out(self) -> list[str]:
        """What was named on stderr so far: layers and derivatives that are not measured."""
        if self._capture is None:
            return []
        return [*(f"{name}: {why}" for name, why in self._capture.left_out.items()), *self._said]

    def _calls(self, calls: list[CapturedCall]) -> list[CapturedCall]:
        """The calls, those of a layer inside a TimeDistributed as one batch."""
        assert self._capture is not None
        inside = self._capture.time_distributed()
        together: dict[Any, list[CapturedCall]] = {}
        for number, call in enumerate(calls):
            batch = (call.layer, call.x.shape) if call.layer in inside else number
            together.setdefault(batch, []).append(call)
        return [joined(some) for some in together.values()]

    def _layer(self, name: str, call: CapturedCall, probe: Probe) -> MeasuredLayer:
        """The MeasuredLayer of this name, beginning in the states of this call."""
        some = call.steps()[1].any(axis=1)
        states = [state[some] for state in call.states]
        from_zero = not any(map(np.any, states))

        layer = self._layers.get(name)
        # once Started, always Started: zeros are states like others, and the object stays
        if layer is None or not _serves(layer.cell, call.layer.cell, from_zero):
            cell = call.layer.cell if from_zero else Started(call.layer.cell, states)
            head = LinearHead(call.layer.units, dtype=call.layer.dtype_policy)
            layer = self._layers[name] = MeasuredLayer(cell, head, BPTT(), probe.x.shape[-1])
        if isinstance(layer.cell, Started):
            layer.cell.begin(states)
        return layer

    def _probe(self, name: str, call: CapturedCall) -> Probe | None:
        """The probe of a layer; None where no step is left."""
        x, mask = call.steps()
        if not mask.any():
            self._say(f"{name}: left out, a mask removes every step of the probe")
            return None

        y = call.to_outputs(mask)
        if not call.add_through_states(y, mask):
            self._say(
                f"{name}: errors that come back through its final states are not counted, "
                "except those through the output"
            )

        # the steps that a mask keeps, moved to the front
        rows, count = mask.any(axis=1), mask.sum(axis=1)
        longest = count.max()
        # [B, longest, 1], stretched over the features of x and y
        order = np.argsort(~mask, axis=1, kind="stable")[:, :longest, None]
        valid = np.arange(longest) < count[:, None]
        x, y = (np.take_along_axis(part, order, axis=1) * valid[..., None] for part in (x, y))

        # a sequence without any error keeps its last step as the one that counts
        w = (y != 0).any(axis=-1)
        w |= valid & ~w.any(axis=1)[:, None] & (np.arange(longest) == count[:, None] - 1)

        x, y, w, valid = (part[rows] for part in (x, y, w, valid))
        no_events = np.zeros_like(valid)  # a Keras model does not say which steps are marked
        return Probe(x, y, w.astype(y.dtype), valid, no_events)

    def _say(self, line: str) -> None:
        if line not in self._said:
            self._said[line] = None
            print(f"{self.owner}: {line}", file=sys.stderr)


def is_recurrent(model: Any) -> bool:
    """Return whether it is a lstmlab.Recurrent, or offers what one offers."""
    return all(hasattr(model, name) for name in ("cell", "head", "learner"))


def _check(owner: str, model: Any) -> None:
    """Raise ValueError for what is no Keras model on TensorFlow with a loss."""
    if not isinstance(model, keras.Model):
        raise refusal(owner, "a Keras model", {"model": model})
    backend = keras.backend.backend()
    if backend != "tensorflow":
        expected = "the TensorFlow backend of Keras, KERAS_BACKEND=tensorflow, to measure"
        raise refusal(owner, expected, {"backend": backend})
    if model.built and not (has_gated_rnn(model) or stock_layers(model)):
        recurrent(owner, model, Twins(model))
    if not model.compiled:
        received = f"model={model.name!r}, not compiled"
        raise refusal(owner, "a compiled model, with a loss", received)


def checked(probe: Any, owner: str = OWNER) -> tuple:
    """Return x, y and sample_weight (or None) of a probe for a Keras model.

    Raises:
        ValueError: The probe is not such a tuple, or x and y do not hold the same number of
            sequences, at least one.
    """
    if not isinstance(probe, (tuple, list)) or len(probe) not in (2, 3):
        asked = "a probe (x, y) or (x, y, sample_weight)"
        raise refusal(owner, asked, type(probe).__name__)
    x, y, w = (*probe, None)[:3]
    lengths = {len(part) for part in tree.flatten([x, y]) if np.ndim(part)}
    if len(lengths) != 1 or lengths == {0}:
        shapes = tree.map_structure(np.shape, [x, y])
        raise refusal(owner, "as many sequences in y as in x, at least one", f"shapes {shapes}")
    return x, y, w


def whole_probe(model: Any, probe: Any, owner: str = OWNER) -> Probe:
    """Return the Probe of a Recurrent, made from a plain tuple where it is not one yet.

    Args:
        model: A lstmlab.Recurrent.
        probe: A Probe, or x [B, T, F], y [B, T, K] and optionally w [B, T] (default: 1 everywhere).
            Steps are valid up to the last one with a weight above 0.

    Raises:
        ValueError: Other shapes, or an empty probe.
    """
    if isinstance(probe, Probe):
        return probe
    given_x, given_y, given_w = checked(probe, owner)
    x, y = (np.asarray(part, model.cell.variable_dtype) for part in (given_x, given_y))
    w = np.ones(x.shape[:2], x.dtype) if given_w is None else np.asarray(given_w, x.dtype)

    fits = x.ndim == 3 and x.shape[2] == model.features and w.shape == x.shape[:2]
    if not fits or y.ndim != 3 or y.shape[:2] != x.shape[:2]:
        asked = f"a probe x [B, T, {model.features}], y [B, T, K], w [B, T]"
        raise refusal(owner, asked, f"x={x.shape}, y={y.shape}, w={w.shape}")

    return Probe(x, y, w, until_last_error(w), w > 0)
