"""Native: many trials at once, in the lanes of the processor's vectors and on its cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import keras
import numpy as np

from lstmlab.errors import refusal
from lstmlab.heads import Head
from lstmlab.learners.base import Learner
from lstmlab.model import Recurrent
from lstmlab.native.compiled import missing
from lstmlab.native.engine import LANES, Engine
from lstmlab.task import Task, generator
from lstmlab.trainers.feed import FEW, Feed, Part, symbols_of
from lstmlab.trainers.keras_fit import KerasFit
from lstmlab.trainers.memory import kept
from lstmlab.trainers.served import Unserved, plan


class Trial(Protocol):
    """A trial, as a trainer of many sees it.

    seed: of its data. begin: its initial weights, flat, in the order of the model's trainable
    weights. after_window: takes its weights after a window, with targets, predictions
    [window, readouts, K] and error weights [window, readouts] of its sequences; says whether to
    stop. failed: takes what went wrong with this trial alone.
    """

    seed: int

    def begin(self) -> np.ndarray: ...

    def after_window(
        self, weights: np.ndarray, y: np.ndarray, prediction: np.ndarray, w: np.ndarray
    ) -> bool: ...

    def failed(self, error: Exception) -> None: ...


class _SideBySide(KerasFit):
    """What trainers share that take many trials at once, if `side_by_side`."""

    def run(
        self,
        model: Recurrent,
        task: Task,
        seed: int,
        after_window: Callable[[], bool],
        threads: int = 1,
    ) -> None:
        if self.side_by_side:
            self.run_many(model, task, [_Only(model, seed, after_window)], threads)
        else:
            super().run(model, task, seed, after_window, threads)

    def run_many(
        self, model: Recurrent, task: Task, trials: Iterable[Trial], threads: int = 1
    ) -> None:
        """Train trials until each is stopped or has used up its budget.

        Args:
            model: What all have in common; its weights are left alone.
            task: Likewise.
            trials: Begun in order, as lanes become free.
            threads: How many cores to use.
        """
        with kept():
            _Field(self, model, task, list(trials), threads).run()


class Native(_SideBySide):
    """Trains small networks hundreds of times faster than Keras: many trials, or one.

    A kernel is made from the cell's own switches, the learner and the optimizer. The same seed
    gives the same initial weights, the same sequences and, but for rounding, the same changes as
    KerasFit.

    Args:
        window, budget, batch_size, training_set, chunk: See KerasFit.

    Raises:
        ValueError: As KerasFit; in `prepare`, what kernels do not serve.
    """

    side_by_side = True

    def __init__(
        self,
        window: int = 1000,
        budget: int = 300_000,
        batch_size: int = 1,
        training_set: int | None = None,
        chunk: int | None = None,
    ):
        super().__init__(window, budget, batch_size, 1, True, training_set, chunk)

    def prepare(
        self, task: Task, cell: Any, head: Head, learner: Learner, optimizer: Any
    ) -> Recurrent:
        model = super().prepare(task, cell, head, learner, optimizer)
        try:
            check_served(self, model)
        except Unserved as reason:
            expected = "what kernels serve, or trainer=keras_fit"
            raise refusal("Native", expected, str(reason)) from None
        return model


class Auto(_SideBySide):
    """Native where kernels serve cell, head, learner and optimizer; else KerasFit.

    Args:
        window, budget, batch_size, training_set, chunk: See KerasFit.
        steps_per_execution, jit_compile: See KerasFit; for Keras only.

    Attributes:
        side_by_side: Whether it is native, known after `prepare`.
        note: Which of the two, and why.

    Raises:
        ValueError: As KerasFit.
    """

    def prepare(
        self, task: Task, cell: Any, head: Head, learner: Learner, optimizer: Any
    ) -> Recurrent:
        model = super().prepare(task, cell, head, learner, optimizer)
        try:
            check_served(self, model)
        except Unserved as reason:
            self.side_by_side = False
            self.note = f"trainer=auto: keras_fit, since no kernel serves {reason}"
        else:
            self.side_by_side = True
            self.note = "trainer=auto: native"
        return model


def check_served(trainer: KerasFit, model: Recurrent) -> None:
    """Raise Unserved for what kernels do not serve."""
    if missing():
        raise Unserved(f"this Python: {missing()}")
    _, how = plan(model.cell, model.head, model.learner, model.optimizer, False)
    if trainer.batch_size > 1 and (how["every"] or trainer.chunk is not None):
        raise Unserved(f"trainer.batch_size={trainer.batch_size} with changes within a batch")
    _rates(model.optimizer, 0, 1)
    if how["every"] and _schedule(model.optimizer) is not None:
        raise Unserved("optimizer.learning_rate, a schedule, with learner.update_every")


class _Only:
    """The one trial of `run`, which is the model itself."""

    def __init__(self, model: Recurrent, seed: int, after_window: Callable[[], bool]):
        self.model, self.seed, self.after = model, seed, after_window

    def begin(self) -> np.ndarray:
        return flat(self.model)

    def after_window(
        self, weights: np.ndarray, y: np.ndarray, prediction: np.ndarray, w: np.ndarray
    ) -> bool:
        stand(self.model, weights)
        if self.model.log is not None:
            self.model.log.put(y, prediction, w)
        return self.after()

    def failed(self, error: Exception) -> None:
        raise error


def flat(model: Any) -> np.ndarray:
    """The trainable weights of a model, one after the other."""
    return np.concatenate([np.asarray(one).ravel() for one in model.trainable_variables])


def stand(model: Any, weights: np.ndarray) -> None:
    """Give a model weights as `flat` has them."""
    first = 0
    for one in model.trainable_variables:
        size = int(np.prod(one.shape))
        one.assign(weights[first : first + size].reshape(one.shape))
        first += size


# ---- rates


def _schedule(optimizer: Any) -> Any:
    rate = optimizer._learning_rate
    return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None


def _rates(optimizer: Any, first: int, count: int) -> np.ndarray:
    """The learning rates of the changes from number `first` on, counted from 0."""
    schedule = _schedule(optimizer)
    if schedule is None:
        return np.full(count, float(np.asarray(optimizer.learning_rate)))
    if type(schedule) is not keras.optimizers.schedules.ExponentialDecay:
        raise Unserved(f"optimizer.learning_rate={type(schedule).__name__}")
    power = np.arange(first, first + count) / schedule.decay_steps
    power = np.floor(power) if schedule.staircase else power
    return schedule.initial_learning_rate * schedule.decay_rate**power


# ---- many trials


def as_symbols(task: Task, seed: int) -> bool:
    """Whether a task's inputs go as symbols, by two sequences."""
    if task.features <= FEW:
        return False
    x, _, w = task.sample(generator(seed, "train"), 2)
    return symbols_of(x, w) is not None


class _Lane:
    """A trial in its lane."""

    def __init__(self, trial: Trial, feed: Feed):
        self.trial, self.feed = trial, feed
        self.next: list[Part] | None = None  # the window that comes
        self.windows = 0


class _Group:
    """Sixteen lanes that learn in step."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.lanes: dict[int, _Lane] = {}
        self.busy = False


class _Field:
    """All trials of one setting, in groups of lanes."""

    def __init__(self, trainer: Any, model: Recurrent, task: Task, trials: list, threads: int):
        self.trainer, self.model, self.task = trainer, model, task
        self.waiting = deque(trials)
        self.threads = threads
        steps = task.steps if trainer.chunk is None else trainer.chunk
        self.readouts = min(task.readouts, steps)
        self.symbols = self._symbols()
        planned, how = plan(model.cell, model.head, model.learner, model.optimizer, self.symbols)
        self.every, self.numbers = how["every"], np.array(how["numbers"])
        groups = min(threads, -(-len(trials) // 2)) or 1
        self.groups = [
            _Group(Engine(model.cell, model.head, planned, steps, self.readouts))
            for _ in range(groups)
        ]
        self.pending: dict[Future, tuple[str, _Group]] = {}

    def _symbols(self) -> bool:
        return bool(self.waiting) and as_symbols(self.task, self.waiting[0].seed)

    def run(self) -> None:
        self._fill()
        with ThreadPoolExecutor(self.threads) as self.pool:
            try:
                for group in self.groups:
                    self._go_on(group)
                while self.pending:
                    done, _ = wait(self.pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        kind, group = self.pending.pop(future)
                        if kind == "train":
                            group.busy = False
                            self._look(group, future.result())
                        else:
                            future.result()
                        self._go_on(group)
            except BaseException:
                for group in self.groups:
                    group.engine.stop[0] = 1
                for future in self.pending:
                    future.cancel()
                raise

    def _fill(self) -> None:
        """Put waiting trials into free lanes, evenly over the groups."""
        while self.waiting:
            group = min(self.groups, key=lambda group: len(group.lanes))
            if len(group.lanes) == LANES:
                return
            free = next(lane for lane in range(LANES) if lane not in group.lanes)
            self._begin(group, free)

    def _begin(self, group: _Group, lane: int) -> None:
        trainer, trial = self.trainer, self.waiting.popleft()
        group.engine.put(lane, trial.begin())
        feed = Feed(
            self.task, trial.seed, trainer.window, trainer.training_set, trainer.chunk,
            self.readouts, self.symbols,
        )  # fmt: skip
        group.lanes[lane] = _Lane(trial, feed)

    def _go_on(self, group: _Group) -> None:
        """Let a group learn its next window, and sample the one after it meanwhile."""
        if group.busy or not group.lanes or self._samples(group):
            return
        missing = [lane for lane in group.lanes.values() if lane.next is None]
        if not missing:
            parts = {number: lane.next for number, lane in group.lanes.items()}
            first = {number: lane.windows for number, lane in group.lanes.items()}
            group.busy = True
            self.pending[self.pool.submit(self._train, group, parts, first)] = ("train", group)
            missing = list(group.lanes.values())
            for lane in missing:
                lane.next = None
        for lane in missing:
            if lane.windows + group.busy < self._budget:
                self.pending[self.pool.submit(self._sample, lane)] = ("sample", group)

    def _samples(self, group: _Group) -> bool:
        return any(kind == "sample" and of is group for kind, of in self.pending.values())

    @property
    def _budget(self) -> int:
        return self.trainer.budget // self.trainer.window

    @staticmethod
    def _sample(lane: _Lane) -> None:
        lane.next = lane.feed.window()

    def _train(self, group: _Group, parts: dict, first: dict) -> dict:
        """Learn one window in every lane; {lane: (weights, y, prediction, w)}."""
        trainer = self.trainer
        ends = {lane: np.cumsum([len(part.x) for part in some]) for lane, some in parts.items()}
        cuts = sorted({int(end) for some in ends.values() for end in some})
        found: dict[int, list] = {lane: [] for lane in parts}
        start = 0
        for stop in cuts:
            now = {}
            for lane, some in parts.items():
                k = int(np.searchsorted(ends[lane], start, side="right"))
                before = int(ends[lane][k - 1]) if k else 0
                now[lane] = some[k].cut(start - before, stop - before)
            rates = np.ones((stop - start, LANES), "float32")
            for lane in parts:
                done = first[lane] * trainer.window + start
                rates[:, lane] = self._rates(done, stop - start)
            prediction = self._kernel(group.engine, now, rates, start)
            for lane, part in now.items():
                found[lane].append((part.target, prediction[lane], part.weight))
            start = stop
        return {
            lane: (
                group.engine.take(lane),
                *(np.concatenate(of) if len(of) > 1 else of[0] for of in zip(*some, strict=True)),
            )
            for lane, some in found.items()
        }

    def _rates(self, done: int, count: int) -> np.ndarray:
        """The learning rates of sequences, `done` being those before."""
        batch = self.trainer.batch_size
        changes = np.arange(done, done + count) // batch
        rates = _rates(self.model.optimizer, done // batch, count // batch + 2)
        return rates[changes - done // batch]

    def _kernel(
        self, engine: Engine, parts: dict[int, Part], rates: np.ndarray, phase: int
    ) -> np.ndarray:
        n = len(rates)
        place = np.full((LANES, n, self.readouts + 1), engine.steps, "int32")
        target = np.zeros((LANES, n, self.readouts, engine.layout.outputs), "float32")
        weight = np.zeros((LANES, n, self.readouts), "float32")
        begins = np.ones((LANES, n), bool)
        x = np.zeros(LANES, np.int64)
        codes = np.zeros((LANES, n if self.symbols else 0, engine.steps), "int16")
        some = next(iter(parts.values()))
        for lane in range(LANES):
            part = parts.get(lane, some)
            if self.symbols:
                codes[lane] = part.x
            else:
                x[lane] = engine.address(part.x)
            if lane in parts:
                place[lane], target[lane], weight[lane] = part.place, part.target, part.weight
                begins[lane] = part.begins
        _, prediction = engine.run(
            x, codes, place, target, weight, begins, rates, self.numbers, self.every,
            self.trainer.batch_size, self.trainer.chunk is not None, phase,
        )  # fmt: skip
        return prediction

    def _look(self, group: _Group, found: dict) -> None:
        """Let each trial look at its window; those that stop make room for others."""
        for number, (weights, y, prediction, w) in found.items():
            lane = group.lanes[number]
            lane.windows += 1
            try:
                stops = lane.trial.after_window(weights, y, prediction, w)
            except Exception as error:
                lane.trial.failed(error)
                stops = True
            if stops or lane.windows == self._budget:
                del group.lanes[number]
                if self.waiting:
                    self._begin(group, number)
