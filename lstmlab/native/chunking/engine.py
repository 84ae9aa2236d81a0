"""The door to the kernels of chunkers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lstmlab.native.chunking.parts import (
    BAD,
    BEST,
    ERROR,
    SEQUENCES,
    TOP,
    LevelSettings,
    PairSettings,
    Parts,
)
from lstmlab.native.compiled import compiled
from lstmlab.native.engine import Inputs, whole

SOURCE = """
import numpy as np
from numba import njit
from lstmlab.native.chunking.{rule} import begin, end, step
from lstmlab.native.chunking.steps import run, see
from lstmlab.native.simd import flush_subnormals, restore


@njit(nogil=True, cache=True, error_model='numpy', _nrt=False)
def kernel(
    networks, how, growth, theta, velocity, x, codes, steps, place, target, weight, begins, rates,
    through, unexpected, prediction, stop,
):
    control, done = flush_subnormals(), 0
    for n in range(len(place)):
        if stop[0]:
            break
        x_n, codes_n, asked, slot, error = x[n], codes[n], place[n], np.intp(0), np.float32(0)
        if begins[n]:
            begin(networks, x_n, codes_n)
        for t in range(steps):
            if asked[slot] == steps and not through:
                break
            see(networks[0], x_n, codes_n, t)
            if asked[slot] == t:
                error += step(
                    networks, how, growth, target[n], slot, weight[n, slot], rates[n],
                    theta, velocity, prediction[n], unexpected,
                )
                slot += 1
            else:
                run(networks[0])
        end(growth, how, error)
        done += 1
    restore(control)
    return done
"""


class ChunkerPlan(NamedTuple):
    """What the kernel of a chunker is to do.

    rule: 'pair' or 'levels', see chunking. settings: Its settings. horizon: Steps that an error
    goes back. kinds: Of the activations of cells and outputs, see KINDS. symbols: Whether inputs
    are symbols.
    """

    rule: str
    settings: PairSettings | LevelSettings
    horizon: int
    kinds: tuple[int, int]
    symbols: bool


class ChunkerEngine(Inputs):
    """A kernel and the memory of one trial: arrays are as for an Engine, with a single lane.

    Args:
        model: A Recurrent with the learner of the plan.
        plan: See ChunkerPlan.
        steps, readouts: See Engine.

    Attributes:
        weights: The number of weights; `put` and `take` give those of the trial flat, in the order
            of the model's trainable weights.

    Raises:
        ValueError: For steps or readouts that are none.
    """

    lanes = 1

    def __init__(self, model: Any, plan: ChunkerPlan, steps: int, readouts: int):
        super().__init__()
        whole("steps", steps, 1)
        whole("readouts", readouts, 1)
        self.plan, self.steps, self.readouts = plan, int(steps), int(readouts)
        self.features, self.outputs = int(model.features), int(model.head.outputs)
        self.weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
        self.theta = np.zeros(self.weights, "float32")
        self.velocity = np.zeros(self.weights if plan.settings.momentum else 0, "float32")
        into = self.velocity if len(self.velocity) else self.theta
        self.networks = networks(model, plan, Parts(model, self.theta, into, plan.kinds))
        levels = len(self.networks) if plan.rule == "levels" else 1
        self.unexpected, self.sequences = np.zeros(levels, "int64"), 0
        self.growth = np.zeros(5, "float32")
        self.stop = np.zeros(1, np.int32)
        self.kernel = compiled(SOURCE.format(rule=plan.rule))

    def put(self, lane: int, weights: np.ndarray) -> None:
        """Begin a trial with these weights."""
        if np.shape(weights) != (self.weights,) or lane != 0:
            raise ValueError(
                f"native: put: expected lane 0 and weights {(self.weights,)}. "
                f"Received: lane={lane}, weights {np.shape(weights)}"
            )
        self.theta[:], self.velocity[:] = weights, 0
        self.unexpected[:], self.sequences = 0, 0
        self.growth[:] = 0
        self.growth[BEST], self.growth[TOP] = np.inf, 1

    def take(self, lane: int) -> np.ndarray:
        """The weights of the trial."""
        return self.theta.copy()

    def state(self, lane: int) -> dict:
        """Entries of the learner's state; its window begins anew."""
        window = {"unexpected": self.unexpected.astype("float32"), "sequences": self.sequences}
        self.unexpected[:], self.sequences = 0, 0
        if self.plan.rule == "pair":
            return {"window": window}
        now = self.growth
        growth: dict[str, float] = {"sequences": int(now[SEQUENCES]), "bad": int(now[BAD])}
        growth |= {"error": float(now[ERROR]), "best": float(now[BEST])}
        return {"window": window, "top": int(now[TOP]), "growth": growth}

    def run(
        self,
        x: np.ndarray,
        codes: np.ndarray,
        place: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray,
        begins: np.ndarray,
        rates: np.ndarray,
        numbers: np.ndarray,
        every: int = 1,
        batch: int = 1,
        through: bool = False,
        phase: int = 0,
        whole_sequences: bool = False,
    ) -> tuple[int, np.ndarray]:
        """Learn N sequences as Engine.run; weights change after every step that has an error.

        Raises:
            ValueError: As Engine.run.
        """
        given = x, codes, place, target, weight, begins, rates
        prediction, held = self._checked(1, self.plan.symbols, *given)
        n = len(place[0])
        if held:
            shown, codes = held[0], np.zeros((1, n, 0), "int16")
        else:
            shown = np.zeros((n, 0, self.features), "float32")
        done = self.kernel(
            self.networks, self.plan.settings, self.growth, self.theta, self.velocity, shown,
            codes[0], self.steps, place[0], target[0], weight[0], begins[0], rates[:, 0],
            bool(through), self.unexpected, prediction[0], self.stop,
        )  # fmt: skip
        self.sequences += done
        return done, prediction


def networks(model: Any, plan: ChunkerPlan, parts: Parts) -> tuple:
    """What the functions of the rule take as networks."""
    first = parts.network(model.cell, model.head, plan.horizon)
    if plan.rule == "levels":
        upper = list(model.part("upper_levels"))
        pairs = zip(upper[::2], upper[1::2], strict=True)
        return first, *(parts.network(*pair, plan.horizon) for pair in pairs)
    cell, head = model.part("chunker_cell"), model.part("chunker_head")
    lines = parts.readout(model.part("distilled"), model.cell.units)
    return first, parts.network(cell, head, plan.horizon), lines
