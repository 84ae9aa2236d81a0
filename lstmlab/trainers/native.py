"""Native: many trials at once, in the lanes of the processor's vectors and on its cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Protocol

import keras
import numpy as np

from lstmlab.errors import refusal
from lstmlab.heads import Head
from lstmlab.learners.base import Learner
from lstmlab.model import Recurrent
from lstmlab.native.chunking.engine import ChunkerEngine, ChunkerPlan
from lstmlab.native.compiled import missing
from lstmlab.native.engine import LANES, Engine
from lstmlab.native.loops import Plan
from lstmlab.native.symbols import codes_until
from lstmlab.task import Task, generator
from lstmlab.trainers.feed import FEW, Feed, Part, ends, shown_steps
from lstmlab.trainers.keras_fit import KerasFit
from lstmlab.trainers.memory import kept
from lstmlab.trainers.served import Unserved, plan

PIECE = 2**16  # steps of the pieces in which very long sequences go into a kernel
SHORT = 500_000  # steps of a trial that are learned in about the time of a look
PORTION = 2**23  # bytes of inputs that are drawn for a lane at a time


class Trial(Protocol):
    """A trial, as a trainer of many sees it.

    seed: of its data. begin: its initial weights, flat, in the order of the model's trainable
    weights. after_window: takes its weights after a window, with targets, predictions
    [window, readouts, K] and error weights [window, readouts] of its sequences, and with entries of
    the learner's state, which it reports on; says whether to stop. failed: takes what went wrong
    with this trial alone. kept: the learner's state after `begin`; asked for where cells are added
    later.
    """

    seed: int

    def begin(self) -> np.ndarray: ...

    def kept(self) -> dict | None: ...

    def after_window(
        self,
        weights: np.ndarray,
        y: np.ndarray,
        prediction: np.ndarray,
        w: np.ndarray,
        state: dict,
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
        steps_per_execution: See KerasFit; here the most, as far as windows are multiples.
        jit_compile: See KerasFit; for Keras only.

    Attributes:
        side_by_side: Whether it is native, known after `prepare`.
        note: Which of the two, and why.

    Raises:
        ValueError: As KerasFit.
    """

    def _at_once(self, steps: int) -> int:
        batches = self.window // self.batch_size
        return max(k for k in range(1, min(steps, batches) + 1) if batches % k == 0)

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

    def kept(self) -> dict:
        return self.model.learner_state.read()

    def after_window(
        self,
        weights: np.ndarray,
        y: np.ndarray,
        prediction: np.ndarray,
        w: np.ndarray,
        state: dict,
    ) -> bool:
        stand(self.model, weights, state)
        if self.model.log is not None:
            self.model.log.put(y, prediction, w)
        return self.after()

    def failed(self, error: Exception) -> None:
        raise error


def flat(model: Any) -> np.ndarray:
    """The trainable weights of a model, one after the other."""
    return np.concatenate([np.asarray(one).ravel() for one in model.trainable_variables])


def stand(model: Any, weights: np.ndarray, state: dict | None = None) -> None:
    """Give a model weights as `flat` has them, and entries of its learner's state."""
    first = 0
    for one in model.trainable_variables:
        size = int(np.prod(one.shape))
        one.assign(weights[first : first + size].reshape(one.shape))
        first += size
    if state:
        before = model.learner_state.read()
        model.learner_state.assign({**before, **state}, before)


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
    some = [min(task.steps, PIECE), task.steps - PIECE][: 1 + (task.steps > PIECE)]
    x, _, w = next(task.pieces(generator(seed, "train"), 2, some))
    return codes_until(x, ends(shown_steps(x, w))) is not None


def units(trainer: KerasFit, task: Task, rule: str, every: int) -> tuple[int, int]:
    """How sequences go into a kernel: pieces of each, and their steps.

    A sequence that is drawn by itself goes in pieces where the error is not carried back through
    it: weights still change after the whole sequence, or every `every` steps. A chunker's do not go
    in pieces: it counts them.
    """
    if trainer.chunk is not None:
        return 1, trainer.chunk
    whole = task.block > 1 or task.steps <= PIECE or trainer.training_set is not None
    if whole or rule in ("backward", "pair", "levels"):
        return 1, task.steps
    steps = max(every, PIECE // every * every) if every else PIECE
    return -(-task.steps // steps), steps


def _engine(
    model: Recurrent, planned: Plan | ChunkerPlan, steps: int, readouts: int
) -> Engine | ChunkerEngine:
    """The engine for a plan."""
    if isinstance(planned, ChunkerPlan):
        return ChunkerEngine(model, planned, steps, readouts)
    return Engine(model.cell, model.head, planned, steps, readouts)


class _Lane:
    """A trial in its lane."""

    def __init__(self, trial: Trial, feed: Feed):
        self.trial, self.feed = trial, feed
        self.next: list[Part] | None = None  # the portion that comes
        self.windows = 0
        self.found: list[tuple] = []  # targets, predictions and weights of this window's portions


class _Group:
    """Lanes of an engine that learn in step.

    done: the units of the present window that they have learned.
    """

    def __init__(self, engine: Engine | ChunkerEngine):
        self.engine = engine
        self.lanes: dict[int, _Lane] = {}
        self.busy, self.done = False, 0


class _Field:
    """All trials of one setting, in groups of lanes.

    While one group's trials look at their window, others keep the cores at work.
    """

    def __init__(self, trainer: Any, model: Recurrent, task: Task, trials: list, threads: int):
        self.trainer, self.model, self.task = trainer, model, task
        self.waiting = deque(trials)
        self.threads = threads
        self.symbols = self._symbols()
        planned, how = plan(model.cell, model.head, model.learner, model.optimizer, self.symbols)
        self.every, self.numbers = how["every"], np.array(how["numbers"])
        self.pieces, self.steps = units(trainer, task, planned.rule, self.every)
        self.readouts = min(task.readouts, self.steps)
        self.window = trainer.window * self.pieces
        at_once = PORTION if self.pieces == 1 else PORTION // LANES
        self.portion = max(1, at_once // (4 * self.steps * task.features))
        engine = partial(_engine, model, planned, self.steps, self.readouts)
        self.groups = [_Group(engine())]
        while len(self.groups) < self._groups(len(trials), self.groups[0].engine.lanes):
            self.groups.append(_Group(engine()))
        self.pending: dict[Future, tuple[str, _Group]] = {}

    def _groups(self, trials: int, lanes: int) -> int:
        """How many groups of so many lanes: two per core, as far as lanes are full.

        A group of few lanes takes as long as a full one, but gives the other cores something to do
        while trials look at their window; that pays where a window is short.
        """
        if lanes == 1:
            return max(1, min(2 * self.threads, trials))
        full = trials // lanes
        if full >= 2 * self.threads:
            return 2 * self.threads
        if self.window * self.steps > SHORT:
            return max(1, min(self.threads, -(-trials // lanes)))
        return max(1, min(self.threads, -(-trials // 2)))

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
                            self._learned(group, future.result())
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
            if len(group.lanes) == group.engine.lanes:
                return
            free = next(lane for lane in range(group.engine.lanes) if lane not in group.lanes)
            self._begin(group, free)

    def _begin(self, group: _Group, lane: int) -> None:
        trainer, trial, engine = self.trainer, self.waiting.popleft(), group.engine
        engine.put(lane, trial.begin())
        if isinstance(engine, Engine) and engine.growth:
            engine.growth.put(lane, trial.kept())
        feed = Feed(
            self.task, trial.seed, trainer.training_set, trainer.chunk,
            self.steps, self.readouts, self.symbols,
        )  # fmt: skip
        group.lanes[lane] = _Lane(trial, feed)

    def _go_on(self, group: _Group) -> None:
        """Let a group learn its next portion, and sample the one after it meanwhile."""
        if group.busy or not group.lanes or self._samples(group):
            return
        missing = [lane for lane in group.lanes.values() if lane.next is None]
        if not missing:
            parts = {number: lane.next for number, lane in group.lanes.items()}
            first = {number: lane.windows for number, lane in group.lanes.items()}
            group.busy = True
            future = self.pool.submit(self._train, group, parts, first, group.done)
            self.pending[future] = ("train", group)
            missing = list(group.lanes.values())
            for lane in missing:
                lane.next = None
        # where the portion begins that is to be sampled, in this window or as the first of the next
        begin = group.done + (self._size(group.done) if group.busy else 0)
        for lane in missing:
            if lane.windows + begin // self.window < self._budget:
                size = self._size(begin % self.window)
                self.pending[self.pool.submit(self._sample, lane, size)] = ("sample", group)

    def _size(self, done: int) -> int:
        """Units of the portion that begins after `done` of a window."""
        return min(self.portion, self.window - done)

    def _samples(self, group: _Group) -> bool:
        return any(kind == "sample" and of is group for kind, of in self.pending.values())

    @property
    def _budget(self) -> int:
        return self.trainer.budget // self.trainer.window

    @staticmethod
    def _sample(lane: _Lane, size: int) -> None:
        lane.next = lane.feed.take(size)

    def _train(self, group: _Group, parts: dict, first: dict, done: int) -> dict:
        """Learn one portion in every lane; {lane: (y, prediction, w)}.

        Args:
            group: Of the lanes.
            parts: {lane: parts that make up the portion}.
            first: {lane: windows before}.
            done: Units of this window before.
        """
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
            rates = np.ones((stop - start, group.engine.lanes), "float32")
            for lane in parts:
                rates[:, lane] = self._rates(first[lane] * self.window + done + start, stop - start)
            prediction = self._kernel(group.engine, now, rates, done + start)
            for lane, part in now.items():
                found[lane].append((part.target, prediction[lane], part.weight))
            start = stop
        return {lane: _joined(some) for lane, some in found.items()}

    def _rates(self, done: int, count: int) -> np.ndarray:
        """The learning rates of units, `done` being those before."""
        batch = self.trainer.batch_size * self.pieces
        changes = np.arange(done, done + count) // batch
        rates = _rates(self.model.optimizer, done // batch, count // batch + 2)
        return rates[changes - done // batch]

    def _kernel(
        self, engine: Engine | ChunkerEngine, parts: dict[int, Part], rates: np.ndarray, phase: int
    ) -> np.ndarray:
        n, lanes = len(rates), engine.lanes
        place = np.full((lanes, n, self.readouts + 1), engine.steps, "int32")
        target = np.zeros((lanes, n, self.readouts, engine.outputs), "float32")
        weight = np.zeros((lanes, n, self.readouts), "float32")
        begins = np.ones((lanes, n), bool)
        x = np.zeros(lanes, np.int64)
        codes = np.zeros((lanes, n if self.symbols else 0, engine.steps), "int16")
        some = next(iter(parts.values()))
        for lane in range(lanes):
            part = parts.get(lane, some)
            if self.symbols:
                codes[lane] = part.x
            else:
                x[lane] = engine.address(part.x)
            if lane in parts:
                place[lane], target[lane], weight[lane] = part.place, part.target, part.weight
                begins[lane] = part.begins
        stream = self.trainer.chunk is not None
        _, prediction = engine.run(
            x, codes, place, target, weight, begins, rates, self.numbers, self.every,
            self.trainer.batch_size * self.pieces, stream or self.pieces > 1, phase,
            whole_sequences=not stream,
        )  # fmt: skip
        return prediction

    def _learned(self, group: _Group, found: dict) -> None:
        """Keep what a portion has shown; after a window, let each trial look at it.

        Those that stop make room for others.
        """
        group.done += self._size(group.done)
        for number, shown in found.items():
            group.lanes[number].found.append(shown)
        if group.done < self.window:
            return
        group.done = 0
        for number in found:
            lane = group.lanes[number]
            lane.windows += 1
            y, prediction, w = self._window(_joined(lane.found))
            lane.found = []
            shown = group.engine.take(number), y, prediction, w, group.engine.state(number)
            try:
                stops = lane.trial.after_window(*shown)
            except Exception as error:
                lane.trial.failed(error)
                stops = True
            if stops or lane.windows == self._budget:
                del group.lanes[number]
                if self.waiting:
                    self._begin(group, number)

    def _window(self, shown: tuple) -> tuple:
        """A window's targets, predictions and weights by sequences, where they were in pieces."""
        if self.pieces == 1:
            return shown
        y, prediction, w = (
            part.reshape(self.trainer.window, self.pieces * self.readouts, *part.shape[2:])
            for part in shown
        )
        first = np.argsort(w == 0, axis=1, kind="stable")[:, : self.task.readouts]
        y, prediction = (np.take_along_axis(part, first[..., None], 1) for part in (y, prediction))
        return y, prediction, np.take_along_axis(w, first, 1)


def _joined(some: list[tuple]) -> tuple:
    """Targets, predictions and weights of consecutive portions, joined."""
    return tuple(np.concatenate(of) if len(of) > 1 else of[0] for of in zip(*some, strict=True))
