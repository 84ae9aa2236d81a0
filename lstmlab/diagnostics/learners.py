"""Learners: the gradients of other learners on the same network and data, next to the exact one."""

import copy
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from keras import tree

from lstmlab import checks
from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.diagnostics.common.steps import last_steps
from lstmlab.diagnostics.common.vectors import angle
from lstmlab.errors import refusal
from lstmlab.learners.base import Learner, giving_gradients, initial_states, packed
from lstmlab.learners.bptt import BPTT
from lstmlab.unroll import unroll

ROUNDING = 1e-12  # a smaller part of a gradient than this is rounding, and counts as nothing
COLUMNS = (
    "weight", "lag", "angle", "norm", "exact_norm", "ratio", "angle_spread", "angle_of_mean",
    "ratio_of_mean",
)  # fmt: skip


class LearnerComparison(Diagnostic):
    """Angle and norm of every learner's gradient next to the exact one, that of BPTT.

        (1) lag 0       g, of all errors of the probe
        (2) lag k > 0   g_k - g_(k/2), k = 1, 2, 4, ... up to the whole sequence: g_k is the
                        gradient of only the last error of each sequence, where the learner begins
                        k steps before it, from the states in which the network was there

    So (2) is the part of a learner's gradient that comes from steps k/2+1 .. k on the way back from
    the error, whose own step is the first. It is taken only for the cell's weights, since those of
    the head get theirs at the first step. Sequences that are shorter than k begin at their
    beginning. Learners that work in pieces take pieces of one step there, so that an error goes as
    far back as it ever does, wherever the pieces begin.

    Everything is computed in float64 on a copy of the network, since differences at long lags would
    be lost in the rounding of float32; the run's weights, optimizer and random numbers stay as they
    are. Gradients are means over the probe. A learner that does not support the network is left out
    with one line, and the others go on.

    Table: learner, weight, lag, angle, norm, exact_norm, ratio, angle_spread, angle_of_mean,
    ratio_of_mean.

    - weight: a weight by its name, 'cell' (those of the cell as one vector) or 'all' (lag 0 only).
    - angle: to the exact gradient in degrees; 90 if one of the two is zero, 0 if both are.
    - ratio: norm / exact_norm; 1 if both are zero.
    - For a learner that draws at random, angle, norm and ratio are means over single draws, since
      one weight change follows one draw; angle_spread is the standard deviation over the draws;
      angle_of_mean and ratio_of_mean are those of the mean gradient, which for unbiased draws goes
      to 0 and 1.

    TensorBoard: learner_angle_all/<learner> and learner_angle_cell/<learner> during training;
    curves of ratio and angle against lag for weight 'cell', before and after the training.

    Args:
        learners: {name: Learner}; each an object of its own, not the run's. One that draws needs a
            seed of its own: without it, it would draw from where the run's weights come from.
        every: See Diagnostic.
        draws: How many gradients are taken from a learner that draws; g_k and g_(k/2) are drawn
            independently.

    Raises:
        ValueError: For learners that are not learners, and for `draws` that is not a positive
            integer.
    """

    name = "learners"
    every = "doubling"

    def __init__(
        self,
        learners: dict[str, Learner] | None = None,
        every: int | str | None = None,
        draws: int = 16,
    ):
        super().__init__(every)
        given = learners if isinstance(learners, dict) else {}
        if not given or not all(isinstance(one, Learner) for one in given.values()):
            in_python = "learners={'elman': lstmlab.learners.Elman()}"
            in_a_file = "learners: {elman: {_target_: lstmlab.learners.Elman}}"
            expected = f"one learner or more by name, as in {in_python}, in a file {in_a_file}"
            raise refusal("LearnerComparison", expected, {"learners": learners})
        self.learners = given
        self.draws = checks.integer("LearnerComparison", "draws", draws)

    def serves(self, model: Any) -> bool:
        """Whether the cell has `step`, and there is an exact gradient."""
        try:
            BPTT().check(model.cell)
        except ValueError:
            return False
        return super().serves(model)

    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        if self._model is not model:
            self._model, self._double = model, _Double(model, self.learners)
        double = self._double
        double.follow(model)
        batches = _batches(double, probe)
        exact = {lag: draws[0] for lag, draws in double.gradients(None, batches, 1).items()}

        rows: list[dict] = []
        for name in [name for name in double.steps if name is not None]:
            draws = self.draws if self.learners[name].traits.stochastic else 1
            try:
                found = double.gradients(name, batches, draws)
            except (ValueError, NotImplementedError) as error:
                # what is too large for a learner shows only when the shapes are known
                double.leave_out(name, error)
                continue
            rows += [{"learner": name, **row} for row in _compared(double.groups, found, exact)]
        return pd.DataFrame(rows, columns=["learner", *COLUMNS])

    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        for row in table[(table["lag"] == 0) & table["weight"].isin(["all", "cell"])].itertuples():
            board.scalar(f"learner_angle_{row.weight}/{row.learner}", row.angle, sequences)

        curves: dict[str, tuple] = {}
        against_lag = table[(table["lag"] > 0) & (table["weight"] == "cell")]
        for learner, rows in against_lag.groupby("learner"):
            for what in ("ratio", "angle"):
                curves[f"learner_{what}_against_lag/{learner}"] = rows["lag"], rows[what]
        if curves:
            board.against_lag(curves, sequences)


# ---- a copy of the network, and the gradients on it


class _Double:
    """A copy of cell and head in float64, and each learner's compiled gradient on it.

    The name None stands for the exact gradient.
    """

    def __init__(self, model: Any, learners: dict[str, Learner]):
        self._type, self._features = type(model), model.features
        # initializers without a seed draw from there; the copies' values are overwritten
        state = random.getstate()
        try:
            self.cell, self.head = (_in_float64(layer) for layer in (model.cell, model.head))
            self._build_with(BPTT())
            self.steps: dict[str | None, tuple[Callable, Callable]] = {}
            self.steps[None] = (self._compiled(BPTT()),) * 2
            for name, learner in learners.items():
                self._take(name, learner)
        finally:
            random.setstate(state)

        names = model.weight_names
        self.groups = {name: slice(k, k + 1) for k, name in enumerate(names)}
        self.groups["cell"] = slice(0, len(model.cell.trainable_variables))
        self.groups["all"] = slice(0, len(names))
        self.states = tf.function(self._states, jit_compile=True, autograph=False)

    def follow(self, model: Any) -> None:
        """Take on the present weights."""
        for new, old in ((self.cell, model.cell), (self.head, model.head)):
            for variable, value in zip(new.weights, old.weights, strict=True):
                variable.assign(tf.cast(value.value, variable.dtype))

    def leave_out(self, name: str, error: Exception) -> None:
        """Say so in one line, and take the learner out."""
        line = f"diagnostic.learners.{name}: left out, {' '.join(str(error).split())}"
        print(line, file=sys.stderr)
        self.steps.pop(name, None)

    def gradients(
        self, name: str | None, batches: dict[int, tuple], draws: int
    ) -> dict[int, list[list[np.ndarray]]]:
        """{lag: a list for each draw, of gradients in the order of the weights}, batch means."""
        whole, at_last = self.steps[name]
        found = {}
        for lag, batch in batches.items():
            function, count = at_last if lag else whole, len(batch[0])
            found[lag] = [[g.numpy() / count for g in function(*batch)] for _ in range(draws)]
        return found

    def _build_with(self, learner: Learner) -> None:
        """Build cell and head if they are not yet. Raises ValueError if the learner refuses."""
        self._type(self.cell, self.head, learner, self._features)

    def _take(self, name: str, learner: Learner) -> None:
        """Keep a learner's gradients: with its own pieces, and with pieces of one step."""
        try:
            self._build_with(learner)
        except ValueError as error:
            self.leave_out(name, error)
            return
        # one compiled function serves both where a learner does not work in pieces
        finest = _in_single_steps(learner)
        whole = self._compiled(learner)
        self.steps[name] = whole, whole if finest is learner else self._compiled(finest)

    def _compiled(self, learner: Learner) -> Callable:
        def gradients(x: Any, y: Any, w: Any, states: list) -> list:
            states = packed(self.cell, x.shape[0], states)
            return giving_gradients(learner).gradients(self.cell, self.head, x, y, w, states)[2]

        return tf.function(gradients, jit_compile=True, autograph=False)

    def _states(self, x: Any) -> list:
        """The flat list of the states [B, T + 1, ...] before each step, and after the last one."""
        zero = initial_states(self.cell, x.shape[0])

        def step(x_t: Any, states: list) -> tuple:
            _, states = self.cell(x_t, packed(self.cell, x.shape[0], states))
            return tree.flatten(states), tree.flatten(states)

        after, _ = unroll(step, zero, x)
        pairs = zip(zero, after, strict=True)
        return [tf.concat([first[:, None], later], axis=1) for first, later in pairs]


def _in_float64(layer: Any) -> Any:
    if hasattr(layer, "in_dtype"):  # a cell that begins in states of its own
        return layer.in_dtype("float64")
    return type(layer).from_config({**layer.get_config(), "dtype": "float64"})


def _in_single_steps(learner: Learner) -> Learner:
    """The learner itself, or one that works in pieces with pieces of one step."""
    if getattr(learner, "update_every", None) in (None, 1):
        return learner
    finest: Any = copy.copy(learner)
    finest.update_every = 1
    return finest


# ---- what is compared


def _batches(double: _Double, probe: Probe) -> dict[int, tuple]:
    """{lag: x, y, w, states}, all of one shape, so that each learner is compiled once.

    lag k: each sequence begins k steps before its last error; the steps that follow that error have
    none, and change nothing.
    """
    x, y, w = (np.asarray(part, "float64") for part in (probe.x, probe.y, probe.w))
    states = [part.numpy() for part in double.states(tf.constant(x))]
    steps, rows = np.arange(w.shape[1]), np.arange(len(w))
    last = last_steps(w > 0)
    last_only = w * (steps == last[:, None])
    begins = {0: np.zeros_like(last)}
    begins |= {k: np.maximum(last + 1 - k, 0) for k in _lags(int(last.max()) + 1)}

    batches = {}
    for lag, begin in begins.items():
        # shift each sequence to its beginning; what runs over its end is padded with zeros
        at = begin[:, None] + steps
        there, at = at < len(steps), np.minimum(at, len(steps) - 1)
        parts = [part[rows[:, None], at] * there[..., None] for part in (x, y)]
        errors = (last_only if lag else w)[rows[:, None], at] * there
        first = [tf.constant(part[rows, begin]) for part in states]
        batches[lag] = (*(tf.constant(part) for part in (*parts, errors)), first)
    return batches


def _lags(longest: int) -> list[int]:
    """1, 2, 4, ..., and the longest itself."""
    return [*(2**k for k in range((longest - 1).bit_length())), longest] if longest else []


def _compared(
    groups: dict[str, slice], found: dict[int, list], exact: dict[int, list]
) -> list[dict[str, Any]]:
    """Rows of the table for one learner.

    found: {lag: [draws of gradients]}, exact: {lag: gradients}.
    """
    rows: list[dict[str, Any]] = []
    before = 0
    for lag in found:
        for name, group in groups.items():
            of_head = name == "all" or group.stop > groups["cell"].stop
            if lag and of_head:  # its weights get their gradient at the step of the error
                continue
            of_exact = _slice(exact[lag], exact[before] if before else None, group)
            earlier = found[before] if before else [None] * len(found[lag])
            pairs = zip(found[lag], earlier, strict=True)
            draws = [_slice(one, other, group) for one, other in pairs]
            rows.append({"weight": name, "lag": lag, **_beside(draws, of_exact)})
        before = lag
    return rows


def _slice(gradients: list, earlier: list | None, group: slice) -> np.ndarray:
    """The group of weights as one vector, without the part that an earlier gradient had."""
    vector = _flat(gradients[group])
    if earlier is None:
        return vector
    difference = vector - _flat(earlier[group])
    rounding = np.linalg.norm(difference) <= ROUNDING * np.linalg.norm(vector)
    return np.zeros_like(vector) if rounding else difference


def _flat(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


def _beside(draws: list[np.ndarray], exact: np.ndarray) -> dict[str, float]:
    """The numbers of the table for draws of a gradient and the exact one."""
    angles = [angle(one, exact) for one in draws]
    norm = float(np.mean([np.linalg.norm(one) for one in draws]))
    exact_norm, mean = float(np.linalg.norm(exact)), np.mean(draws, axis=0)
    return {
        "angle": float(np.mean(angles)),
        "norm": norm,
        "exact_norm": exact_norm,
        "ratio": _ratio(norm, exact_norm),
        "angle_spread": float(np.std(angles)),
        "angle_of_mean": angle(mean, exact),
        "ratio_of_mean": _ratio(float(np.linalg.norm(mean)), exact_norm),
    }


def _ratio(norm: float, exact: float) -> float:
    if exact:
        return norm / exact
    return np.inf if norm else 1.0
