"""Which simple answers meet a task's criterion by themselves, so that meeting it shows nothing."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from lstmlab.criterion import Budget, SlidingWindow, criterion
from lstmlab.task import Sequences, Task, generator

FITTED = 256  # sequences to which the simple answers are fitted
TRIED = 1000  # sequences, at least, over which a window slides: a short one may be met by luck
MOST = 10_000  # sequences, at most
TOGETHER = 100  # sequences that are drawn at once
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the targets, tried as constants


def meeting(task: Task, seed: int) -> list[str]:
    """Names the simple answers that meet the criterion of a task.

    They are 'chance', the best constant output; 'memoryless', the best output that depends only on
    the present input, if few different inputs are met and no constant is enough; and the task's own
    baselines. The first two are fitted to training sequences from a stream of their own.

    Args:
        task: The task.
        seed: The seed of the run.

    Returns:
        Their names in this order; [] for a criterion that is never met.
    """
    rule = criterion(**task.criterion)
    if isinstance(rule, Budget):
        return []
    simple = Simple(task, generator(seed, "baselines"))
    if isinstance(rule, SlidingWindow):
        return _meeting_in_training(task, seed, rule, simple)

    sets = task.sets(seed)
    x, y, w = task.sample(generator(seed, "baselines"), 1)
    met = []
    for name in simple.names(x, w):
        judged = _judged(task, sets, simple, name, rule.wrong)
        if criterion(**task.criterion).observe(task, y, y, w, judged):
            met.append(name)
    return _simplest(met)


def _judged(
    task: Task,
    sets: dict[str, Iterable[Sequences]],
    simple: "Simple",
    name: str,
    allowed: int | float,
) -> Callable[[list[str] | None, int], Iterator[tuple]]:
    """What WholeSets asks for, with the answers of that name; cut off once too many are wrong."""

    def evaluate(names: list[str] | None, draw: int) -> Iterator[tuple]:
        wrong = 0
        for part in names or sets:
            for x, y, w in sets[part]:
                prediction = simple.answer(name, x, w)
                yield y, prediction, w
                wrong += int((~task.correct(y, prediction, w)).sum())
                # a share is of a number that is not known before the end
                if isinstance(allowed, int) and wrong > allowed:
                    return

    return evaluate


def _meeting_in_training(task: Task, seed: int, rule: SlidingWindow, simple: "Simple") -> list[str]:
    """The same for a window that slides over training sequences."""
    # of a longer window only a part, with as large a share of wrong sequences
    length = min(rule.sequences, MOST)
    settings = {**task.criterion, "sequences": length}
    settings["wrong"] = min(rule.wrong * length // rule.sequences, length - 1)

    together, drawn = min(TOGETHER, task.fitting), max(length, TRIED)
    rules: dict[str, Any] = {}
    met: set[str] = set()
    names: list[str] = []
    for number, start in enumerate(range(0, drawn, together), 1):
        n = min(together, drawn - start)
        x, y, w = task.sample(generator(seed, "baselines", number), n)
        names = names or simple.names(x, w)
        rules = {name: rules.get(name) or criterion(**settings) for name in names}
        for name in names:
            if rules[name].observe(task, y, simple.answer(name, x, w), w):
                met.add(name)
        # one window fills all of them: too many wrong ones stay in it
        if drawn == length and all(one.recent_wrong > one.wrong for one in rules.values()):
            break
    return _simplest([name for name in names if name in met])


def _simplest(met: list[str]) -> list[str]:
    """Without 'memoryless', where a constant is enough."""
    return [name for name in met if name != "memoryless" or "chance" not in met]


class Simple:
    """Answers without a memory.

    Args:
        task: The task.
        rng: Draws the sequences to which they are fitted.
    """

    def __init__(self, task: Task, rng: np.random.Generator):
        self.task = task
        sequences = task.sample(rng, min(FITTED, task.fitting))
        x, y, w = sequences
        shown, asked = _keys(x[w > 0]), y[w > 0].astype("float64")

        places: dict[bytes, list[int]] = {}
        for place, key in enumerate(shown):
            places.setdefault(key, []).append(place)
        # an input of its own at nearly every step tells nothing of others
        few = 2 * len(places) <= len(shown)
        self._number = {key: k for k, key in enumerate(places)} if few else {}
        # a table with the answer to each input, and to one that was not met in the last row
        constant = self._best([asked], sequences)
        parts = [asked[at] for at in places.values()] if few else []
        self._tables = {"chance": constant, "memoryless": self._best([*parts, asked], sequences)}
        self._tables["memoryless"][-1] = constant[0]

    def _best(self, parts: list[np.ndarray], sequences: Sequences) -> np.ndarray:
        """The mean of the targets [m, K] of each part, or the quantile that is right most often:
        what is best depends on when an answer counts as right. [parts, K]"""
        tables = [np.array([part.mean(axis=0) for part in parts])]
        tables += [np.array([np.quantile(part, q, axis=0) for part in parts]) for q in QUANTILES]
        x, y, w = sequences
        right = [int(self.task.correct(y, self._read(t, x, w), w).sum()) for t in tables]
        return tables[int(np.argmax(right))]

    def _read(self, table: np.ndarray, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The predictions [n, T, K] of a table."""
        found, asked = np.zeros((*w.shape, self.task.outputs)), w > 0
        if len(table) == 1:
            found[:] = table[0]
        else:
            rows = [self._number.get(key, -1) for key in _keys(x[asked])]
            found[asked] = table[np.array(rows, int)]
        return found

    def names(self, x: np.ndarray, w: np.ndarray) -> list[str]:
        """The names of all answers, those of the task for inputs x and weights w among them."""
        tables = list(self._tables) if self._number else ["chance"]
        return [*tables, *self.task.baselines(x, w)]

    def answer(self, name: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The predictions [n, T, K] of one of them for inputs x [n, T, F] and weights w [n, T]."""
        if name in self._tables:
            return self._read(self._tables[name], x, w)
        return self.task.baselines(x, w)[name]


def _keys(x: np.ndarray) -> list[bytes]:
    """The bytes of each input [m, F]."""
    return [shown.tobytes() for shown in np.ascontiguousarray(x)]
