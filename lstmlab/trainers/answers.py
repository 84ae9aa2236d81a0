"""The answers of a network by a kernel that learns nothing: many sequences at once.

All lanes have the same weights, and each its share of the sequences. Answers are given at the steps
with an error and nowhere else, side by side, as `marked` has targets and weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from lstmlab.native.compiled import missing
from lstmlab.native.engine import LANES, Engine
from lstmlab.native.loops import Plan
from lstmlab.native.symbols import codes_until
from lstmlab.task import Drawn, Sequences
from lstmlab.trainers.feed import FEW, Part, ends, marked
from lstmlab.trainers.served import Unserved, check_cell, readout

KEPT = 2**22  # bytes of a set that stay in memory
GATHERED = 2**24  # bytes of small blocks that are answered together
SHARED = 2**20  # products of weights from which on cores share the work
NUMBERS = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 100.0])  # see Engine.run: of learners only
Judged = tuple[
    np.ndarray, np.ndarray, np.ndarray
]  # y, prediction [n, readouts, K]; w [n, readouts]


def part_of(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> Part:
    """Sequences x [n, T, F], y [n, T, K], w [n, T] as kernels take them, if they can as symbols.

    x may be symbols already, [n, T].
    """
    most = int(np.count_nonzero(w, axis=1).max(initial=0))
    codes = None
    if x.ndim == 2:
        codes = x.astype("int16")
    elif x.shape[-1] > FEW:
        codes = codes_until(x, ends(w))
    shown = np.ascontiguousarray(x, "float32") if codes is None else codes
    return Part(shown, *marked(y, w, most), np.ones(len(w), bool))


def compact(blocks: Iterable[Sequences]) -> Iterable[Sequences]:
    """Blocks of a set, with symbols for the lines of x where its task says them."""
    return blocks.coded() if isinstance(blocks, Drawn) else blocks


class Parts:
    """A set, block by block as kernels take it; the first blocks are drawn and made only once.

    Args:
        blocks: x, y, w of each block, at every pass the same.
    """

    def __init__(self, blocks: Iterable[Sequences]):
        self._blocks = blocks
        self._first: list[Part] = []
        self._left, self._all = KEPT, False

    def __iter__(self) -> Iterator[Part]:
        known = len(self._first)
        yield from self._first
        if self._all:
            return
        for k, block in enumerate(compact(self._blocks)):
            if k < known:
                continue
            part = part_of(*block)
            if k == len(self._first):
                size = sum(array.nbytes for array in part)
                if size <= self._left:
                    self._left -= size
                    self._first.append(part)
            yield part
            known = k + 1
        self._all = known == len(self._first)


class Answers:
    """The answers of networks that differ in their weights only.

    Args:
        cell, head: Built.
        threads: How many cores to use.

    Raises:
        Unserved: What kernels do not serve.
    """

    def __init__(self, cell: Any, head: Any, threads: int = 1):
        check_cell(cell)
        self.cell, self.head, self.threads = cell, head, threads
        self._readout = readout(head)
        own = [*cell.trainable_variables, *head.trainable_variables]
        self._weights = sum(int(np.prod(weight.shape)) for weight in own)
        self._pool = ThreadPoolExecutor(threads)
        self._engines: dict[tuple[bool, int], Engine] = {}

    def judged(self, weights: np.ndarray, parts: Iterable[Part]) -> Iterator[Judged]:
        """Yield targets, predictions and error weights of each part; weights: see `native.flat`."""
        for some in _gathered(parts):
            found = self.of(weights, _joined(some))
            ends = np.cumsum([len(part.weight) for part in some])[:-1]
            for part, prediction in zip(some, np.split(found, ends), strict=True):
                yield part.target, prediction, part.weight

    def of(self, weights: np.ndarray, part: Part) -> np.ndarray:
        """The predictions [n, readouts, K] of a network with these weights, the learner's last."""
        weights = weights[: self._weights]
        n, readouts, outputs = part.target.shape
        prediction = np.zeros((n, readouts, outputs), "float32")
        if not prediction.size:
            return prediction
        work = n * part.x.shape[1] * len(weights)
        shares = max(1, min(self.threads, n // LANES)) if work > SHARED else 1
        cuts = [n * k // shares for k in range(shares + 1)]
        engines = [self._engine(part.x.ndim == 2, k) for k in range(shares)]
        # not in this thread, which Ctrl-C interrupts
        running = [
            self._pool.submit(
                _answer, engine, weights, part.cut(start, stop), prediction[start:stop]
            )
            for engine, start, stop in zip(engines, cuts, cuts[1:], strict=False)
        ]
        try:
            for future in running:
                future.result()
        except BaseException:
            for engine in engines:
                engine.stop[0] = 1
            self._engines.clear()
            raise
        return prediction

    def _engine(self, symbols: bool, number: int) -> Engine:
        key = symbols, number
        if key not in self._engines:
            plan = Plan("nothing", "none", "none", self._readout, symbols)
            self._engines[key] = Engine(self.cell, self.head, plan, 1, 0)
        return self._engines[key]


def served(trainer: Any, model: Any, threads: int = 1) -> Answers | None:
    """The answers of a trainer's model by kernels, or None where they do not serve.

    Where training is by Keras, answers are: the compiler of kernels need not be there.
    """
    if not getattr(trainer, "side_by_side", False) or missing():
        return None
    if not model.learner.answers_alone:
        return None
    try:
        return Answers(model.cell, model.head, threads)
    except Unserved:
        return None


def _answer(engine: Engine, weights: np.ndarray, part: Part, prediction: np.ndarray) -> None:
    """Write the predictions of a part, in one call of a kernel."""
    n, steps = part.x.shape[:2]
    each = -(-n // LANES)
    # all lanes take `each`: where that is too many, neighbours answer some sequences both
    first = np.minimum(np.arange(LANES) * each, n - each)
    rows = first[:, None] + np.arange(each)
    engine.fit(steps, prediction.shape[1])
    for lane in range(LANES):
        engine.put(lane, weights)
    codes, x, held = np.zeros((LANES, 0, steps), "int16"), np.zeros(LANES, np.int64), []
    if engine.plan.symbols:
        codes = part.x[rows]
    else:
        held = [part.x[start : start + each] for start in first]
        x = np.array([engine.address(one) for one in held])
    _, found = engine.run(
        x, codes, part.place[rows], np.zeros((*rows.shape, *prediction.shape[1:]), "float32"),
        part.weight[rows], np.ones(rows.shape, bool), np.zeros((each, LANES), "float32"), NUMBERS,
    )  # fmt: skip
    prediction[rows] = found


def _gathered(parts: Iterable[Part]) -> Iterator[list[Part]]:
    """Parts that can be answered by one call, until they fill the lanes."""
    some: list[Part] = []
    for part in parts:
        if some and not (_alike(some[0], part) and _size([*some, part]) <= GATHERED):
            yield some
            some = []
        some.append(part)
        if sum(len(one.x) for one in some) >= LANES:
            yield some
            some = []
    if some:
        yield some


def _alike(one: Part, other: Part) -> bool:
    return one.x.shape[1:] == other.x.shape[1:] and one.target.shape[1:] == other.target.shape[1:]


def _size(parts: list[Part]) -> int:
    return sum(array.nbytes for part in parts for array in part)


def _joined(parts: list[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    return Part(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
