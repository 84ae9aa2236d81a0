"""Precise timing (2002): measure the time between spikes, produce it, or continue a periodic
function."""

from collections.abc import Iterable

import numpy as np
from lstmlab.tasks.common.continual import Continual
from lstmlab.tasks.common.rules import whole_sets
from lstmlab.tasks.common.yardsticks import yardsticks
from numpy.random import Generator

from lstmlab.checks import integer, one_of
from lstmlab.task import Drawn, Sequences

KINDS = ("measure", "single", "generate", "periodic")
WAVES = {
    "cos": lambda phase: (1 - np.cos(2 * np.pi * phase)) / 2,
    "triangle": lambda phase: 1 - np.abs(2 * phase - 1),
    "rectangle": lambda phase: (phase >= 0.5).astype(float),
}
TOLERANCES = {"measure": 0.49, "single": 0.49, "generate": 0.49, "periodic": 0.3}


class Timing(Continual):
    """Spikes are F + I steps apart: say I, or make the spikes; or continue a wave of period F.

    Shown   measure (MSD): a line that is 1 at the spikes T(n) = T(n-1) + F + I(n), else 0, with
            T(0) the step before the first and I uniform in 0 ... I_max. single (NMSD): only the
            first spike. generate (GTS): I(n) / I_max, all through interval n. periodic (PFG):
            nothing, a line that is 0.
    Asked   measure, single: I(n) / I_max at each spike, no error elsewhere. generate: at every step
            1 at the spikes, else 0. periodic: at every step the wave, cos, triangle or rectangle,
            between 0 and 1, from its beginning on.
    Lag     F steps from a spike, or the beginning, to the next; the period of a wave.
    Right   |error| < 0.49 / I_max (measure, single), 0.49 (generate), 0.3 (periodic) at every step
            with an error.
    Chance  measure, F = 10, I_max = 1: squared error 0.2500 for always answering the mean; the
            spike tells nothing more.
    Solved  All of 100 test streams are right.

    Decisions where the text leaves a choice:
    - where I is measured, there is an error only at the spikes; targets lie in 0 ... 1, with the
      tolerance divided by I_max;
    - the first interval begins with the stream, so that a single interval is the first of a stream;
    - when the spikes are to be generated, I of the interval under way is shown all through it;
    - waves begin at 0 and lie in 0 ... 1: cos is (1 - cos) / 2, triangle rises and falls, rectangle
      is 0, then 1;
    - a stream has `steps` steps, and the test is 100 streams of that length; for single it is every
      I, for periodic the only stream.

    Args:
        kind: 'measure', 'single', 'generate' or 'periodic'.
        F: The least interval, or the period, in 2..10,000.
        I_max: The most by which an interval may be longer, at least 1.
        wave: 'cos', 'triangle' or 'rectangle', for kind='periodic'.
        steps: Steps in a stream, at least F + I_max; kind='single' always has F + I_max.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        Gers, Schraudolph & Schmidhuber 2002, JMLR 3:115.
    """

    def __init__(
        self,
        kind: str = "measure",
        F: int = 10,
        I_max: int = 1,
        wave: str = "cos",
        steps: int = 300,
        criterion: dict | None = None,
    ):
        self.kind = one_of("Timing", "task.kind", kind, KINDS)
        self.F = integer("Timing", "task.F", F, least=2, most=10_000)
        self.I_max = integer("Timing", "task.I_max", I_max)
        self._wave = WAVES[one_of("Timing", "task.wave", wave, WAVES)]
        least, why = self.F + self.I_max, "which is task.F + task.I_max"
        if kind == "single":
            steps = least
        else:
            steps = integer("Timing", "task.steps", steps, least=least, why=why)

        self.endless = kind != "single"
        self.set_streams(steps, steps, typical=F)
        getattr(self, f"_{kind}")()

        self.test_size = {"single": I_max + 1, "periodic": 1}.get(kind, 100)
        self.lag, self.readouts = F, {"measure": self.steps // F, "single": 1}.get(kind, self.steps)
        self.tolerance = TOLERANCES[kind] / (I_max if kind in ("measure", "single") else 1)
        self.output_activation = "linear" if kind == "periodic" else "sigmoid"
        self.criterion = whole_sets(criterion, sets=["test"])
        weight = self.weight * self._visits()
        self.chance, self.memoryless = yardsticks(self.shown, self.asked, weight)

    def _measure(self) -> None:
        """Code 0 is silence, code 1 + I the spike after F + I steps."""
        extra = np.arange(self.I_max + 1)
        self._lengths = self.F + extra
        at_end = np.arange(self.F + self.I_max) == self._lengths[:, None] - 1
        self._strings = np.where(at_end, 1 + extra[:, None], 0)
        is_spike = np.arange(self.I_max + 2) > 0
        self.set_codes(is_spike[:, None], np.append(0, extra / self.I_max)[:, None], is_spike)

    def _single(self) -> None:
        """The same, with silence after the spike."""
        self._measure()
        self._lengths = np.full(self.I_max + 1, self.steps)

    def _generate(self) -> None:
        """Code 2 I is a step of an interval of F + I steps, code 2 I + 1 its last."""
        extra = np.arange(self.I_max + 1)
        self._lengths = self.F + extra
        at_end = np.arange(self.F + self.I_max) == self._lengths[:, None] - 1
        self._strings = 2 * extra[:, None] + at_end
        shown = np.repeat(extra / self.I_max, 2)[:, None]
        asked = np.tile([0, 1], self.I_max + 1)[:, None]
        self.set_codes(shown, asked, np.ones(2 * len(extra)))

    def _periodic(self) -> None:
        """The code is the step in the period."""
        steps = np.arange(self.F)
        self._lengths, self._strings = np.array([self.F]), steps[None]
        self.set_codes(np.zeros((self.F, 1)), self._wave(steps / self.F)[:, None], np.ones(self.F))

    def strings(self, rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        drawn = rng.integers(0, len(self._strings), size=n)
        return self._strings[drawn], self._lengths[drawn]

    def _visits(self) -> np.ndarray:
        """How often each code is met, on average, in the first `steps` steps."""
        before, shortest = self._strings.shape[1], self._lengths.min()
        # The probability that a string begins at a step: the mean, over the lengths that the string
        # before it may have, of the probability that this one began that far back.
        begins = np.zeros(before + self.steps)
        begins[before] = 1.0
        # as many steps at once as the shortest string has: none of them depends on another
        for start in range(before + shortest, len(begins), shortest):
            end = min(start + shortest, len(begins))
            back = [begins[start - length : end - length] for length in self._lengths]
            begins[start:end] = np.mean(back, axis=0)

        # begun[t]: how many strings begin in the first t steps
        begun = np.append(0.0, np.cumsum(begins[before:]))
        visits = np.zeros(len(self.shown))
        for string, length in zip(self._strings, self._lengths, strict=True):
            k = np.arange(min(length, self.steps))
            # add.at and not +=, because a code may come more than once in a string
            np.add.at(visits, string[k], begun[self.steps - k] / len(self._strings))
        return visits

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        if self.kind != "single":
            return {"test": Drawn(self, seed, "test", self.test_size)}
        codes = self._strings
        return {"test": [(self.shown[codes], self.asked[codes], self.weight[codes])]}

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return (x[..., 0] > 0) & (w > 0) & (self.kind in ("measure", "single"))
