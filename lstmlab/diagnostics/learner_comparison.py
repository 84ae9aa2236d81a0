"""Learner comparison: the gradients of other learners on the same net and data, beside the exact one, also against lag."""

import copy
import random
import sys
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from keras import tree

from lstmlab.diagnostics.base import Diagnostic, Probe
from lstmlab.learners.base import Learner, giving_gradients, initial_states, packed
from lstmlab.learners.bptt import BPTT
from lstmlab.unroll import unroll

ROUNDING = 1e-12  # a difference of two gradients smaller than this part of them is rounding, and counts as nothing


class LearnerComparison(Diagnostic):
    """Angle and norm of every learner's gradient beside the exact one, that of BPTT: for all errors, and against lag.

        (1) lag 0       g, of all errors of the probe
        (2) lag k > 0   g_k - g_(k/2), k = 1, 2, 4, ... up to the whole sequence: g_k is the gradient of the last error of each
                        sequence alone, where the learner begins k steps before it, from the states in which the net was there

    So (2) is what the learner makes of steps k/2+1 .. k on the way back from the error, its own step being the first; it is
    taken for the cell's weights alone, since those of the head are met at the first step. Sequences that are shorter than k
    begin at their beginning. Learners that work in pieces take pieces of one step there, so that an error goes as far back as
    it ever does, wherever the pieces begin.

    Everything is computed in float64 on a copy of the net, as differences at long lags would be lost in the rounding of
    float32; the run's weights, optimizer and random numbers remain as they are. Gradients are means over the probe.
    A learner that cannot serve the net is left out with one line, and the others go on.

    learners: by name; each an object of its own, not the run's, and one that draws with a seed of its own: without one it would
    take it from where the run's weights take theirs. every: see Diagnostic. draws: for a learner whose gradients
    are drawn at random, how many are taken; g_k and g_(k/2) are drawn apart.
    Raises ValueError for learners that are none, and for draws that is no positive integer.

    Table: learner, weight, lag, angle, norm, exact_norm, ratio, angle_spread, angle_of_mean, ratio_of_mean. weight: a weight by
    its name, 'cell' (those of the cell as one vector) or 'all' (lag 0 alone). angle: to the exact gradient in degrees; 90 if
    one of the two is zero, 0 if both are. ratio: norm / exact_norm; 1 if both are zero. For a learner that draws, angle, norm
    and ratio are means over single draws, since one weight change follows one draw; angle_spread is the standard deviation over
    the draws; angle_of_mean and ratio_of_mean are those of the mean gradient, which for unbiased draws goes to 0 and 1.
    TensorBoard: learner_angle_all/<learner> and learner_angle_cell/<learner> during training; curves of ratio and angle against
    lag for weight 'cell', one sub-run lag/<sequences> for each moment of training.
    """

    name = "learners"

    def __init__(
        self,
        learners: dict[str, Learner] | None = None,
        every: int | str = "doubling",
        draws: int = 16,
    ):
        super().__init__(every)
        if (
            not isinstance(learners, dict)
            or not learners
            or not all(isinstance(one, Learner) for one in learners.values())
        ):
            raise ValueError(
                "LearnerComparison: expected one learner or more by name, as in {elman: {_target_: lstmlab.learners.Elman}}. "
                f"Received: learners={learners!r}"
            )
        if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
            raise ValueError(
                f"LearnerComparison: expected a positive integer. Received: draws={draws!r}"
            )
        self.learners, self.draws = learners, draws

    def serves(self, model) -> bool:
        """For cells with `step`, where there is an exact gradient."""
        try:
            BPTT().check(model.cell)
        except ValueError:
            return False
        return super().serves(model)

    def measure(self, model, probe: Probe) -> pd.DataFrame:
        if self._model is not model:
            self._model, self._double = model, _Double(model, self.learners)
        self._double.follow(model)
        batches = _batches(self._double, probe)
        exact = {lag: by_lag[0] for lag, by_lag in self._double.gradients(None, batches, 1).items()}
        rows = []
        for name in list(self._double.steps):
            if name is None:
                continue
            draws = self.draws if self.learners[name].traits.stochastic else 1
            try:
                found = self._double.gradients(name, batches, draws)
            except (
                ValueError,
                NotImplementedError,
            ) as error:  # what is too large shows when the shapes are known
                self._double.leave_out(name, error)
                continue
            rows += [
                {"learner": name, **row} for row in _compared(self._double.groups, found, exact)
            ]
        return pd.DataFrame(rows, columns=["learner", *COLUMNS])

    def show(self, board, table: pd.DataFrame, sequences: int) -> None:
        for row in table[(table["lag"] == 0) & table["weight"].isin(["all", "cell"])].itertuples():
            board.scalar(f"learner_angle_{row.weight}/{row.learner}", row.angle, sequences)
        curves: dict[str, tuple] = {}
        for learner, rows in table[(table["lag"] > 0) & (table["weight"] == "cell")].groupby(
            "learner"
        ):
            curves |= {
                f"learner_{what}_against_lag/{learner}": (rows["lag"], rows[what])
                for what in ("ratio", "angle")
            }
        if curves:
            board.against_lag(curves, sequences)


COLUMNS = (
    "weight", "lag", "angle", "norm", "exact_norm", "ratio", "angle_spread", "angle_of_mean", "ratio_of_mean",
)  # fmt: skip


def angle(u: np.ndarray, v: np.ndarray) -> float:
    """Degrees between two vectors, to full precision for small angles; 90 if one of them is zero, 0 if both are."""
    lengths = np.linalg.norm(u), np.linalg.norm(v)
    if not all(lengths):
        return 90.0 if any(lengths) else 0.0
    u, v = u / lengths[0], v / lengths[1]
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v))))


def _ratio(norm: float, exact: float) -> float:
    if exact:
        return norm / exact
    return np.inf if norm else 1.0


class _Double:
    """A copy of cell and head in float64, and each learner's compiled gradient on it; None stands for the exact one."""

    def __init__(self, model, learners: dict[str, Learner]):
        state = (
            random.getstate()
        )  # initializers without a seed draw from there; the copies' values are overwritten
        try:
            self.cell, self.head = (_in_float64(layer) for layer in (model.cell, model.head))
            of_cell = len(model.cell.trainable_variables)
            self.exact = type(model)(self.cell, self.head, BPTT(), model.features)
            self.steps: dict[str | None, tuple] = {None: (self._compiled(BPTT()),) * 2}
            self.stand_ins: dict[str, Any] = {}
            for name, learner in learners.items():
                try:
                    self.stand_ins[name] = type(model)(
                        self.cell, self.head, learner, model.features
                    )
                except ValueError as error:
                    self.leave_out(name, error)
                else:
                    finest = _in_single_steps(learner)
                    whole = self._compiled(learner)
                    self.steps[name] = whole, whole if finest is learner else self._compiled(finest)
        finally:
            random.setstate(state)
        names = model.weight_names
        self.groups = {
            **{name: slice(k, k + 1) for k, name in enumerate(names)},
            "cell": slice(0, of_cell),
            "all": slice(0, len(names)),
        }
        self.states = tf.function(self._states, jit_compile=True, autograph=False)

    def follow(self, model) -> None:
        """Take on the present weights."""
        for new, old in ((self.cell, model.cell), (self.head, model.head)):
            for variable, value in zip(new.weights, old.weights, strict=True):
                variable.assign(tf.cast(value.value, variable.dtype))

    def leave_out(self, name: str, error: Exception) -> None:
        print(
            f"diagnostic.learners.{name}: left out, {' '.join(str(error).split())}", file=sys.stderr
        )
        self.steps.pop(name, None)

    def gradients(self, name: str | None, batches: dict[int, tuple], draws: int) -> dict[int, list]:
        """{lag: [draws of the gradients, a list of arrays in the order of the weights]}, means over the batch."""
        whole, at_last = self.steps[name]
        return {
            lag: [
                [g.numpy() / len(batch[0]) for g in (at_last if lag else whole)(*batch)]
                for _ in range(draws)
            ]
            for lag, batch in batches.items()
        }

    def _compiled(self, learner: Learner):
        def gradients(x, y, w, states):
            return giving_gradients(learner).gradients(
                self.cell, self.head, x, y, w, packed(self.cell, x.shape[0], states)
            )[2]

        return tf.function(gradients, jit_compile=True, autograph=False)

    def _states(self, x):
        """The flat list of the states in which each step begins, and the last one ends: [B, T + 1, ...]."""
        zero = initial_states(self.cell, x.shape[0])

        def step(x_t, states):
            _, states = self.cell(x_t, packed(self.cell, x.shape[0], states))
            return tree.flatten(states), tree.flatten(states)

        after, _ = unroll(step, zero, x)
        return [
            tf.concat([first[:, None], later], axis=1)
            for first, later in zip(zero, after, strict=True)
        ]


def _in_float64(layer):
    return type(layer).from_config({**layer.get_config(), "dtype": "float64"})


def _in_single_steps(learner: Learner) -> Learner:
    """The learner itself, or one that works in pieces with pieces of one step."""
    if getattr(learner, "update_every", None) in (None, 1):
        return learner
    finest = copy.copy(learner)
    finest.update_every = 1  # type: ignore[attr-defined]
    return finest


def _batches(double: _Double, probe: Probe) -> dict[int, tuple]:
    """{lag: x, y, w, states}: all of one shape, so that each learner is compiled once.

    lag k: each sequence begins k steps before its last error; after that error come steps without one, which change nothing.
    """
    x, y, w = (np.asarray(part, "float64") for part in (probe.x, probe.y, probe.w))
    states = [part.numpy() for part in double.states(tf.constant(x))]
    steps, rows = np.arange(w.shape[1]), np.arange(len(w))
    last = np.where(w > 0, steps, -1).max(axis=1)
    alone = w * (steps == last[:, None])
    begins = {0: np.zeros_like(last)} | {
        k: np.maximum(last + 1 - k, 0) for k in _lags(int(last.max()) + 1)
    }
    batches = {}
    for lag, begin in begins.items():
        at = begin[:, None] + steps
        there, at = at < len(steps), np.minimum(at, len(steps) - 1)
        parts = [part[rows[:, None], at] * there[..., None] for part in (x, y)]
        errors = (alone if lag else w)[rows[:, None], at] * there
        first = [tf.constant(part[rows, begin]) for part in states]
        batches[lag] = (*(tf.constant(part) for part in (*parts, errors)), first)
    return batches


def _lags(longest: int) -> list[int]:
    """1, 2, 4, ..., and the longest itself."""
    return [*(2**k for k in range((longest - 1).bit_length())), longest] if longest else []


def _compared(
    groups: dict[str, slice], found: dict[int, list], exact: dict[int, list]
) -> list[dict]:
    """Rows of the table for one learner; found: {lag: [draws of gradients]}, exact: {lag: gradients}."""
    rows, before = [], 0
    for lag in found:
        for name, group in groups.items():
            if lag and (
                name == "all" or group.stop > groups["cell"].stop
            ):  # the head, alone or among all
                continue
            of_exact = _slice(exact[lag], exact[before] if before else None, group)
            earlier = found[before] if before else [None] * len(found[lag])
            draws = [
                _slice(one, other, group) for one, other in zip(found[lag], earlier, strict=True)
            ]
            rows.append({"weight": name, "lag": lag, **_beside(draws, of_exact)})
        before = lag
    return rows


def _slice(gradients: list, earlier: list | None, group: slice) -> np.ndarray:
    """The group of weights as one vector, less what an earlier gradient had."""
    vector = _flat(gradients[group])
    if earlier is None:
        return vector
    difference = vector - _flat(earlier[group])
    return (
        difference
        if np.linalg.norm(difference) > ROUNDING * np.linalg.norm(vector)
        else np.zeros_like(vector)
    )


def _flat(arrays: list) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays])


def _beside(draws: list[np.ndarray], exact: np.ndarray) -> dict[str, float]:
    """What the table says of draws of a gradient and the exact one."""
    angles, norms = [angle(one, exact) for one in draws], [np.linalg.norm(one) for one in draws]
    norm, exact_norm, mean = (
        float(np.mean(norms)),
        float(np.linalg.norm(exact)),
        np.mean(draws, axis=0),
    )
    return {
        "angle": float(np.mean(angles)),
        "norm": norm,
        "exact_norm": exact_norm,
        "ratio": _ratio(norm, exact_norm),
        "angle_spread": float(np.std(angles)),
        "angle_of_mean": angle(mean, exact),
        "ratio_of_mean": _ratio(float(np.linalg.norm(mean)), exact_norm),
    }
