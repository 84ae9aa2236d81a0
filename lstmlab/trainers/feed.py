"""The sequences of one trial, in the form that kernels take them.

The same sequences as `data` gives to Keras: block after block of the stream 'train', a training
set again and again, or pieces of the stream 'chunks'. Very long sequences come in pieces too, so
that none stands in memory whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import numpy as np

from lstmlab.native.symbols import codes_until
from lstmlab.task import Sequences, Task, generator

FEW = 12  # inputs up to which columns are faster than symbols


class Part(NamedTuple):
    """n units, one after the other: sequences, or pieces of them.

    x: inputs [n, T, F], or their symbols [n, T]. place, target, weight: see `marked`. begins:
    whether each begins a sequence [n].
    """

    x: np.ndarray
    place: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    begins: np.ndarray

    def cut(self, start: int, stop: int) -> Part:
        return Part(*(part[start:stop] for part in self))


def marked(
    y: np.ndarray, w: np.ndarray, readouts: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What an error is asked of, side by side.

    Args:
        y: Targets [n, T, K].
        w: Weights of the errors [n, T].
        readouts: The largest number of steps with an error.

    Returns:
        place [n, readouts + 1], int32: the steps with an error, then T; target [n, readouts, K];
        weight [n, readouts], 0 where there is none.

    Raises:
        ValueError: A sequence with more of them.
    """
    n, steps = w.shape
    # bool first, and flat: many times faster than np.nonzero of numbers
    asked = w != 0
    many = np.count_nonzero(asked, axis=1)
    if many.max(initial=0) > readouts:
        raise ValueError(
            f"task: expected at most readouts={readouts} steps with an error in a sequence. "
            f"Received: {many.max()}"
        )
    y, w = np.ascontiguousarray(y, "float32"), np.ascontiguousarray(w, "float32")
    if readouts == steps and asked.all():
        return np.tile(np.arange(steps + 1, dtype="int32"), (n, 1)), y, w
    flat = np.flatnonzero(asked)
    first = np.cumsum(many) - many
    rows = np.repeat(np.arange(n), many)
    slots = np.arange(len(flat)) + (rows * readouts - first[rows])
    place = np.full((n, readouts + 1), steps, "int32")
    target = np.zeros((n, readouts, y.shape[-1]), "float32")
    weight = np.zeros((n, readouts), "float32")
    place.reshape(-1)[slots + rows] = flat - rows * steps
    target.reshape(n * readouts, y.shape[-1])[slots] = y.reshape(n * steps, y.shape[-1])[flat]
    weight.reshape(-1)[slots] = w.reshape(-1)[flat]
    return place, target, weight


def ends(w: np.ndarray) -> np.ndarray:
    """How many steps there are up to the last that is not 0 of each sequence [n], from w [n, T]."""
    asked = w != 0
    return (w.shape[1] - asked[:, ::-1].argmax(axis=1)) * asked.any(axis=1)


def shown_steps(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The steps with an input or an error, bool [n, T]; after the last there is only padding."""
    return (w != 0) | x.any(axis=-1)


class Feed:
    """The sequences of one trial.

    Args:
        task, seed: Of the trial.
        training_set, chunk: See Native.
        steps: Of a unit: all of a sequence, or those of its pieces.
        readouts: The largest number of steps with an error in one unit.
        symbols: Whether inputs go as symbols.
    """

    def __init__(
        self,
        task: Task,
        seed: int,
        training_set: int | None,
        chunk: int | None,
        steps: int,
        readouts: int,
        symbols: bool,
    ):
        self.task, self.seed, self.symbols = task, seed, symbols
        self.training_set, self.chunk = training_set, chunk
        self.steps, self.readouts = steps, readouts
        self._parts = self._made()
        self._rest: Part | None = None

    def take(self, units: int) -> list[Part]:
        """The parts of the next units."""
        parts, missing = [], units
        while missing:
            part = next(self._parts) if self._rest is None else self._rest
            n = len(part.x)
            parts.append(part.cut(0, missing) if n > missing else part)
            self._rest = part.cut(missing, n) if n > missing else None
            missing -= min(n, missing)
        return parts

    def _made(self) -> Iterator[Part]:
        if self.chunk is not None:
            yield from self._pieces(self.chunk)
        elif self.training_set is not None:
            part = self._set(self.training_set)
            while True:
                yield part
        elif self.steps < self.task.steps:
            yield from self._cut()
        else:
            for k in count():
                yield self._part(*self._block(k))

    def _block(self, k: int) -> Sequences:
        """A block of sequences, with symbols for the lines of x where the task says them."""
        coded = self.task.coded(self._generator(k), self.task.block) if self.symbols else None
        return coded or self.task.sample(self._generator(k), self.task.block)

    def _generator(self, k: int) -> np.random.Generator:
        return generator(self.seed, "train", k)

    def _set(self, size: int) -> Part:
        own: list[tuple] = list(self.task.sets(self.seed).get("training", ()))
        if sum(len(x) for x, _, _ in own) != size:
            own, missing = [], size
            for k in count():
                x, y, w = self.task.sample(self._generator(k), self.task.block)
                own.append((x[:missing], y[:missing], w[:missing]))
                missing -= len(own[-1][0])
                if missing <= 0:
                    break
        return self._part(*(np.concatenate(parts) for parts in zip(*own, strict=True)))

    def _pieces(self, chunk: int) -> Iterator[Part]:
        """Pieces, as many at a time as a block of whole sequences would need the memory for."""
        together = max(1, self.task.block * self.task.steps // chunk // 8)
        pieces = self.task.chunks(self.seed, 1, chunk)
        while True:
            some = [next(pieces) for _ in range(together)]
            x, y, w, begins = (np.concatenate(parts) for parts in zip(*some, strict=True))
            yield self._part(x, y, w, begins)

    def _cut(self) -> Iterator[Part]:
        """Sequence after sequence in pieces, the last of which is padded."""
        full, rest = divmod(self.task.steps, self.steps)
        lengths = [self.steps] * full + [rest] * (rest > 0)
        for k in count():
            over = False  # the sequence: nothing but padding follows
            for number, (x, y, w) in enumerate(self.task.pieces(self._generator(k), 1, lengths)):
                missing = self.steps - w.shape[1]
                if missing:
                    x, y = (np.pad(part, [(0, 0), (0, missing), (0, 0)]) for part in (x, y))
                    w = np.pad(w, [(0, 0), (0, missing)])
                if self.symbols:
                    shown = shown_steps(x, w)
                    if over and shown.any():
                        raise self._refusal()
                    over = not shown[0, -1]
                yield self._part(x, y, w, np.array([number == 0]))

    def _part(
        self, x: np.ndarray, y: np.ndarray, w: np.ndarray, begins: np.ndarray | None = None
    ) -> Part:
        if self.symbols and x.ndim == 2:
            x = x.astype("int16")
        elif self.symbols:
            # pieces go on after their last error
            codes = codes_until(x, ends(w if begins is None else shown_steps(x, w)))
            if codes is None:
                raise self._refusal()
            x = codes
        else:
            x = np.ascontiguousarray(x, "float32")
        begins = np.ones(len(x), bool) if begins is None else begins
        place, target, weight = marked(y, w, self.readouts)
        return Part(x, place, target, weight, begins)

    @staticmethod
    def _refusal() -> ValueError:
        return ValueError(
            "task: expected symbols, one input being 1 at each step, as in the first block"
        )
