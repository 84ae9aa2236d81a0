"""The flip-flop task: several switches, set and reset by pulses, to be remembered until the next one."""

import numpy as np

from lstmlab.task import Task, real, whole, within


class FlipFlop(Task):
    """Pulses +1 and -1 on several channels: say at every step what the last pulse of each channel was.

    Shown   On each of `channels` = 3 lines at each step a pulse with probability 1/`interval` = 1/20, +1 or -1 alike, else 0.
            All steps and channels are independent. T = 100 steps, always.
    Asked   At every step, on each of 3 lines, the last pulse of that channel, this step's included; 0 before its first pulse.
    Lag     1 step at least where the step itself is silent, and no end: pulses of a channel are `interval` steps apart on
            average, so one must be kept for d steps or more with probability (1 - 1/interval)^d.
    Right   |error| < 0.5 at every step and channel (`tolerance`): then the three values are told apart.
    Chance  Squared error 0.811 for always answering 0: the mean over the steps t = 1 ... T of 1 - (1 - 1/interval)^t; 0.761
            with the present input alone: the mean of (1 - 1/interval) (1 - (1 - 1/interval)^(t-1)).
    Solved  Of the last 2000 training sequences at most 20 wrong.
    Published  We know of no published numbers of sequences.

    Decisions where the text leaves a choice:
    - before the first pulse of a channel there is nothing to remember, and 0 is asked;
    - there is no rule for "solved": here 99 % right over a sliding window.

    channels, T: at least 1 and 2; interval: mean steps from pulse to pulse, in 1..10,000, it sets the lag; tolerance: largest
    |error| that is right, in 0..1. criterion: settings of the rule to change.
    Raises ValueError for other values. Source: the form of Sussillo & Barak 2013 (from memory, unverified).
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
        self.channels = self.features = self.outputs = whole("FlipFlop", "channels", channels)
        self.T = self.steps = self.readouts = whole("FlipFlop", "T", T, least=2)
        self.interval = real("FlipFlop", "interval", interval, least=1.0, most=1e4)
        self.tolerance = real("FlipFlop", "tolerance", tolerance, least=0.0, most=1.0)
        self.inputs = tuple(f"pulse {k + 1}" for k in range(channels))
        self.targets = tuple(f"last {k + 1}" for k in range(channels))
        silent = (1 - 1 / self.interval) ** np.arange(
            T + 1
        )  # probability of no pulse in so many steps
        self.chance = float(1 - silent[1:].mean())
        self.memoryless = float((silent[1] - silent[1:]).mean())
        self.criterion = {
            "rule": "sliding_window",
            "sequences": 2000,
            "wrong": 20,
            "error_below": None,
            **(criterion or {}),
        }

    def pieces(self, rng, n, lengths):
        p = np.float32(1 / self.interval)
        kept = np.zeros(
            (n, self.channels), "int32"
        )  # code of the last pulse: 0 none, else odd if it was +1
        for length in lengths:
            drawn = rng.random(
                (length, n, self.channels), dtype="float32"
            )  # step after step, so that cuts change nothing
            codes = np.arange(4, 2 * length + 4, 2, dtype="int32")[:, None, None] + (drawn < p / 2)
            codes[drawn >= p] = 0
            x = _signs(codes)
            codes[0] = np.where(codes[0] > 0, codes[0], kept)
            codes = np.maximum.accumulate(codes, axis=0)  # the latest pulse has the greatest code
            kept = np.where(codes[-1] > 0, 2 + codes[-1] % 2, 0)
            x, y = (np.ascontiguousarray(part.swapaxes(0, 1)) for part in (x, _signs(codes)))
            yield x, y, np.ones((n, length), "float32")

    def correct(self, y, prediction, w):
        return within(self.tolerance, y, prediction, w)

    def events(self, x, w):
        return (x != 0).any(axis=-1)


def _signs(codes: np.ndarray) -> np.ndarray:
    return np.where(codes > 0, 2 * (codes & 1) - 1, 0).astype("float32")
