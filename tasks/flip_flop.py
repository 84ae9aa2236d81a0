"""The flip-flop task: several switches, set and reset by pulses, to be remembered until the next
one."""

from collections.abc import Iterable, Iterator

import numpy as np
from lstmlab.tasks.common.rules import sliding_window, within
from numpy.random import Generator

from lstmlab.checks import integer, number
from lstmlab.task import Sequences, Task


class FlipFlop(Task):
    """Pulses +1 and -1 on several channels: say at every step what the last pulse of each channel
    was.

    Shown   On each of `channels` = 3 lines, at each step, a pulse with probability 1/`interval` =
            1/20, which is +1 or -1 with equal probability, else 0. All steps and channels are
            independent. The length is always T = 100 steps.
    Asked   At every step, on each of 3 lines, the last pulse of that channel, this step's included;
            0 before its first pulse.
    Lag     At least 1 step where the step itself is silent, and no upper limit: pulses of a channel
            are `interval` steps apart on average, so one must be kept for d steps or more with
            probability (1 - 1/interval)^d.
    Right   |error| < 0.5 at every step and channel (`tolerance`), which is enough
            to tell the three values apart.
    Chance  Squared error 0.811 for always answering 0: the mean over the steps t = 1 ... T of 1 -
            (1 - 1/interval)^t; 0.761 knowing only the present input: the mean of (1 - 1/interval)
            (1 - (1 - 1/interval)^(t-1)).
    Solved  At most 20 of the last 2000 training sequences are wrong.
    Published  We know of no published figures for the number of sequences.

    Decisions where the text leaves a choice:
    - before the first pulse of a channel there is nothing to remember, and the target is
      0;
    - there is no rule for "solved": here it is 99 % right over a sliding window.

    Args:
        channels: Lines with pulses, at least 1.
        T: The length, at least 2.
        interval: Mean steps from pulse to pulse, in 1..10,000. It sets the lag.
        tolerance: The bound on |error| for a right answer, in [0, 1].
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        The form of Sussillo & Barak 2013 (from memory, unverified).
    """

    output_activation = "linear"
    test_size = 2560
    lag = 1

    def __init__(
        self,
        channels: int = 3,
        T: int = 100,
        interval: float = 20.0,
        tolerance: float = 0.5,
        criterion: dict | None = None,
    ):
        owner = "FlipFlop"
        self.channels = self.features = self.outputs = integer(owner, "task.channels", channels)
        self.T = self.steps = self.readouts = integer(owner, "task.T", T, least=2)
        self.interval = number(owner, "task.interval", interval, least=1, most=1e4)
        self.tolerance = number(owner, "task.tolerance", tolerance, least=0, most=1)
        self.inputs = tuple(f"pulse {k + 1}" for k in range(channels))
        self.targets = tuple(f"last {k + 1}" for k in range(channels))

        # The probability that t steps bring no pulse, for t = 0 ... T.
        silent = (1 - 1 / self.interval) ** np.arange(T + 1)
        self.chance = float(1 - silent[1:].mean())
        self.memoryless = float((silent[1] - silent[1:]).mean())
        self.criterion = sliding_window(criterion, wrong=20)

    def pieces(self, rng: Generator, n: int, lengths: Iterable[int]) -> Iterator[Sequences]:
        p = np.float32(1 / self.interval)
        # The code of a pulse grows with its step and is odd for +1: the greatest code is the latest
        # pulse; 0 is no pulse. `kept` are the last codes of the piece before.
        kept = np.zeros((n, self.channels), "int32")
        for length in lengths:
            # Drawn step after step, so cutting a sequence into pieces changes no number.
            drawn = rng.random((length, n, self.channels), dtype="float32")
            codes = np.arange(4, 2 * length + 4, 2, dtype="int32")[:, None, None] + (drawn < p / 2)
            codes[drawn >= p] = 0
            x = _signs(codes)

            codes[0] = np.where(codes[0] > 0, codes[0], kept)
            codes = np.maximum.accumulate(codes, axis=0)
            y = _signs(codes)
            kept = np.where(codes[-1] > 0, 2 + codes[-1] % 2, 0)

            x, y = (np.ascontiguousarray(part.swapaxes(0, 1)) for part in (x, y))
            yield x, y, np.ones((n, length), "float32")

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return within(self.tolerance, y, prediction, w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return (x != 0).any(axis=-1)


def _signs(codes: np.ndarray) -> np.ndarray:
    """The pulses of these codes: 1, -1, or 0 for none."""
    return np.where(codes > 0, 2 * (codes & 1) - 1, 0).astype("float32")
