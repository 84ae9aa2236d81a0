"""Task: a question put to a net, in NumPy, with its own yardsticks."""

import abc
from collections.abc import Iterable, Iterator
from itertools import count, repeat

import numpy as np

STREAMS = ("weights", "train", "test", "probe", "sets", "chunks")
BLOCK, BLOCK_BYTES = (
    1000,
    2**26,
)  # sequences that are drawn together: so many, or fewer if they would need more memory
Sequences = tuple[np.ndarray, np.ndarray, np.ndarray]  # x [n, T, F], y [n, T, K], w [n, T]
LOSSES = ("squared", "crossentropy")


def generator(seed: int, stream: str, block: int = 0) -> np.random.Generator:
    """The random numbers of one block of one stream: reproducible alone, independent of every other stream and block.

    stream: one of STREAMS. Raises ValueError for another name or a seed that is not a non-negative integer.
    """
    if stream not in STREAMS:
        raise ValueError(f"generator: expected stream in {STREAMS}. Received: stream={stream!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"generator: expected a non-negative integer. Received: seed={seed!r}")
    return np.random.default_rng(
        np.random.SeedSequence(seed, spawn_key=(STREAMS.index(stream), block))
    )


def loss(kind: str, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
    """Mean loss over the steps with an error, each counted w times, in which `chance` and `memoryless` are stated.

    kind 'squared': mean over the outputs of (y - prediction)^2. 'crossentropy': -sum_k y_k ln prediction_k, in nats.
    y, prediction [n, T, K]; w [n, T]. Raises ValueError for another kind.
    """
    losses = Losses(kind)
    losses.add({"": prediction}, y, w)
    return losses.means()[""]


class Losses:
    """The `loss` of several predictions, by name, over blocks of sequences."""

    def __init__(self, kind: str):
        if kind not in LOSSES:
            raise ValueError(f"loss: expected one of {LOSSES}. Received: kind={kind!r}")
        self.kind, self._sums, self._weight = kind, dict[str, float](), 0.0

    def add(self, predictions: dict[str, np.ndarray], y: np.ndarray, w: np.ndarray) -> None:
        y = y.astype("float64")
        for name, prediction in predictions.items():
            if self.kind == "squared":
                each = np.mean((y - prediction) ** 2, axis=-1)
            else:
                each = -np.sum(y * np.log(np.maximum(prediction, 1e-30)), axis=-1)
            self._sums[name] = self._sums.get(name, 0.0) + float(np.sum(w * each, dtype="float64"))
        self._weight += float(np.sum(w, dtype="float64"))

    def means(self) -> dict[str, float]:
        return {name: total / self._weight for name, total in self._sums.items()}


class Task(abc.ABC):
    """What is shown, what is asked, and when it counts as solved.

    A task overrides `sample`, or, if its sequences may be too long for memory, `pieces`; each is made from the other.
    Attributes that every task sets:
    features F, outputs K; steps: T, the padded length; readouts: the most steps with an error in one sequence;
    lag: the fewest steps between an input that an answer needs and that answer;
    output_activation: the head that suits the targets; loss: 'squared' or 'crossentropy', the error that suits them;
    test_size: sequences in the test set; criterion: when it is solved, as arguments of lstmlab.criterion.criterion;
    chance: the loss (see `loss`) of the best constant output; memoryless: that of the best output that knows the present
    input alone; None where only the user's data could tell.
    published: a list of {"where": {setting: value}, "sequences": ..., "test_wrong": ..., "source": ...}.
    inputs, targets: a short name for each input and each output line, for texts and pictures; () numbers them.
    endless: True if a sequence has no end of its own, so that `steps` is a choice.
    """

    features: int
    outputs: int
    steps: int
    readouts: int
    lag: int
    output_activation: str
    loss: str = "squared"
    test_size: int
    criterion: dict
    chance: float | None
    memoryless: float | None
    published: list[dict] = []
    inputs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    endless: bool = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.sample is Task.sample and cls.pieces is Task.pieces:
            raise TypeError(
                f"{cls.__name__}: expected a method sample or pieces of its own. Received: neither"
            )

    def sample(self, rng: np.random.Generator, n: int) -> Sequences:
        """n training sequences: x [n, T, F], y [n, T, K], w [n, T], all float32; w says at which steps there is an error."""
        return next(self.pieces(rng, n, [self.steps]))

    def pieces(
        self, rng: np.random.Generator, n: int, lengths: Iterable[int]
    ) -> Iterator[Sequences]:
        """The same n sequences in consecutive pieces of the given numbers of steps: cutting changes no number.

        lengths: their sum is T, or, of an endless task, anything. A task that draws its sequences piece by piece, step after
        step, needs memory for one piece alone.
        """
        x, y, w = self.sample(rng, n)
        start = 0
        for length in lengths:
            here = slice(start, start + length)
            yield x[:, here], y[:, here], w[:, here]
            start += length

    @abc.abstractmethod
    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Which of the n sequences are right, bool [n], by the rule of the task's paper. Steps with w = 0 do not count."""

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        """The sets that the net is judged on, each as blocks of sequences: 'test', and 'training' where that set is finite.

        draw: 0, or the number of a fresh draw of the sets that the criterion may redraw; 'test' stays as it is.
        """
        return {"test": Drawn(self, seed, "test", self.test_size)}

    def probe(self, seed: int, n: int) -> Sequences:
        """The fixed batch on which diagnostics measure: n sequences of a stream of its own."""
        return self.sample(generator(seed, "probe"), n)

    def baselines(self, x: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
        """Predictions [n, T, K] of simple rules that a net has to beat on test sequences x, by name. Default: none.

        The result row has the loss of each as NAME_loss, and the report shows it beside the net's.
        """
        return {}

    def summary(self, correct: np.ndarray, losses: dict[str, float]) -> dict[str, float]:
        """More columns for the result row. Default: none.

        correct: which test sequences are right, bool [test_size] in order. losses: the mean `loss` on the test set of the net,
        'test', and of each of the `baselines`, by name.
        """
        return {}

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """bool [n, T]: the steps that pictures mark, because the answer hangs on them. Default: none."""
        return np.zeros(w.shape, bool)

    def sequence(self, seed: int, stream: str = "train", position: int = 0) -> Sequences:
        """The sequence at that position of a stream, alone: x [1, T, F], y [1, T, K], w [1, T].

        stream: 'train', 'chunks' (see `chunks`), 'probe', or the name of a set, such as 'test'. position:
        counted from 0; of 'train' and 'chunks' it is the sequence that training meets there.
        Raises ValueError for another stream or a position outside it.
        """
        if (
            isinstance(position, bool)
            or not isinstance(position, (int, np.integer))
            or position < 0
        ):
            raise ValueError(
                f"Task: expected a non-negative integer. Received: position={position!r}"
            )
        if stream == "train":
            number, position = divmod(position, self.block)
            blocks: Iterable[Sequences] = [
                self.sample(generator(seed, "train", number), self.block)
            ]
        elif stream == "chunks":
            blocks, position = (
                [next(self.pieces(generator(seed, "chunks", position), 1, [self.steps]))],
                0,
            )
        elif stream == "probe":
            blocks = [self.probe(seed, position + 1)]
        else:
            blocks = self.sets(seed).get(stream, ())
        left = position
        for x, y, w in blocks:
            if left < len(x):
                here = slice(left, left + 1)
                return x[here], y[here], w[here]
            left -= len(x)
        streams = ("train", "chunks", "probe", *self.sets(seed))
        raise ValueError(
            f"Task: expected a position inside one of the streams {streams}. Received: stream={stream!r}, position={position}"
        )

    @property
    def block(self) -> int:
        """Sequences in one block of a stream."""
        return min(BLOCK, self.fitting)

    @property
    def fitting(self) -> int:
        """Sequences that fit into the memory of one block."""
        return max(1, BLOCK_BYTES // (4 * self.steps * (self.features + self.outputs)))

    def chunks(self, seed: int, batch_size: int, chunk: int) -> Iterator[tuple]:
        """Consecutive pieces of `chunk` steps of `batch_size` sequences of the stream 'chunks', and which begin."""
        full, rest = divmod(self.steps, chunk)
        lengths = repeat(chunk) if self.endless else [chunk] * full + [rest] * (rest > 0)
        for first in count(0, batch_size):
            generators = [generator(seed, "chunks", first + row) for row in range(batch_size)]
            rows = zip(*(self.pieces(rng, 1, lengths) for rng in generators), strict=False)
            for number, together in enumerate(rows):
                piece = [np.concatenate(parts) for parts in zip(*together, strict=True)]
                missing = chunk - piece[0].shape[1]
                parts = [
                    np.pad(part, [(0, 0), (0, missing), (0, 0)][: part.ndim]) if missing else part
                    for part in piece
                ]
                yield *parts, np.full(batch_size, number == 0)


class Drawn:
    """n sequences of a task's stream, drawn anew at every pass, in blocks: a large set needs memory for one block alone.

    draw: the number of the set, each with sequences of its own.
    """

    def __init__(self, task: Task, seed: int, stream: str, n: int, draw: int = 0):
        self.task, self.seed, self.stream, self.n, self.draw = task, seed, stream, n, draw

    def __iter__(self) -> Iterator[Sequences]:
        rng = generator(self.seed, self.stream, self.draw)
        block = min(self.n, self.task.fitting)
        for start in range(0, self.n, block):
            yield self.task.sample(rng, min(block, self.n - start))


def valid_steps(w: np.ndarray) -> np.ndarray:
    """bool [n, T]: the steps up to and with the last error of each sequence; what follows is padding."""
    return np.flip(np.cumsum(np.flip(w, axis=1), axis=1), axis=1) > 0


def within(tolerance: float, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A rule for `correct`, bool [n]: |error| < tolerance at every output of every step with an error."""
    return np.all((np.abs(y - prediction) < tolerance) | (w == 0)[..., None], axis=(1, 2))


def most_active(y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A rule for `correct`, bool [n]: at every step with an error the largest output is that of the largest target."""
    return np.all((y.argmax(axis=-1) == prediction.argmax(axis=-1)) | (w == 0), axis=1)


def mark(part: np.ndarray, start: int, at: np.ndarray, value=1.0, line: int | None = None) -> None:
    """In a piece [n, length, ...] that begins at step `start`: write `value`, one for all or one each, at the steps `at` [n].

    Steps outside the piece are left out. line: the input or output line, for a piece of x or y.
    """
    rows = np.flatnonzero((at >= start) & (at < start + part.shape[1]))
    where = (rows, at[rows] - start) if line is None else (rows, at[rows] - start, line)
    part[where] = value[rows] if isinstance(value, np.ndarray) else value


def cut_off(part: np.ndarray, start: int, last: np.ndarray) -> None:
    """In a piece [n, length, ...] that begins at step `start`: zeros after the last step of each sequence, `last` [n]."""
    first = max(0, int(last.min()) + 1 - start)
    padding = np.arange(start + first, start + part.shape[1]) > last[:, None]
    part[:, first:][padding] = 0.0


def one_hot(
    codes: np.ndarray, lines: int, start: int = 0, last: np.ndarray | None = None
) -> np.ndarray:
    """float32 [n, length, lines] of a piece that begins at step `start`: 1 on the line of each code, up to the step `last` [n].

    codes: integers [n, length]; last: None for no padding.
    """
    n, length = codes.shape
    x = np.zeros(n * length * lines, "float32")
    steps = np.arange(length)
    at = (codes + lines * steps) + (lines * length) * np.arange(n)[:, None]
    x[at] = 1.0 if last is None else start + steps <= last[:, None]
    return x.reshape(n, length, lines)


def whole(
    owner: str, name: str, value, least: int = 1, most: int | None = None, why: str = ""
) -> int:
    """`value` if it is an integer in least..most; else ValueError that names the setting, and says why."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < least
        or (most is not None and value > most)
    ):
        expected = f"an integer >= {least}" if most is None else f"an integer in {least}..{most}"
        raise ValueError(
            f"{owner}: expected {expected}{why and f', {why}'}. Received: task.{name}={value!r}"
        )
    return value


def real(owner: str, name: str, value, least: float = -np.inf, most: float = np.inf) -> float:
    """`value` if it is a finite number in least..most; else ValueError that names the setting."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not least <= value <= most
        or not np.isfinite(value)
    ):
        raise ValueError(
            f"{owner}: expected a number in {least:g}..{most:g}. Received: task.{name}={value!r}"
        )
    return float(value)


def choice(owner: str, name: str, value, allowed: tuple):
    """`value` if it is one of `allowed`; else ValueError that names the setting."""
    if not any(value is one or (type(value) is type(one) and value == one) for one in allowed):
        raise ValueError(f"{owner}: expected one of {allowed}. Received: task.{name}={value!r}")
    return value
