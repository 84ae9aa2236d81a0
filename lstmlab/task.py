"""Task: a question put to a network, in NumPy, with its own yardsticks."""

import abc
from collections.abc import Callable, Iterable, Iterator
from itertools import count, repeat

import numpy as np

from lstmlab.checks import integer, one_of
from lstmlab.errors import refusal
from lstmlab.published import entries

HOUSE = "lstmlab.tasks."  # our own tasks take their published figures from conf/published.csv
# the place of a stream is a key of its numbers: a new one goes to the end
STREAMS = ("weights", "train", "test", "probe", "sets", "chunks", "baselines")
# Sequences that are drawn together: BLOCK, or fewer if they would need more bytes than BLOCK_BYTES.
BLOCK, BLOCK_BYTES = 1000, 2**26
# The same for sequences of more than LONG steps, of which many trials need a block each.
LONG, LONG_BYTES = 2**12, 2**21
Sequences = tuple[np.ndarray, np.ndarray, np.ndarray]  # x [n, T, F], y [n, T, K], w [n, T]
LOSSES = ("squared", "crossentropy")


def generator(seed: int, stream: str, block: int = 0) -> np.random.Generator:
    """The random numbers of one block of one stream.

    They can be had without those before them, and are independent of every other stream and block.

    Args:
        seed: An integer >= 0.
        stream: One of STREAMS: what the numbers are for.
        block: The number of the block in its stream.

    Raises:
        ValueError: For another stream or seed.
    """
    one_of("generator", "stream", stream, STREAMS)
    integer("generator", "seed", seed, least=0)
    key = (STREAMS.index(stream), block)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def loss(kind: str, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
    """Mean loss over the steps with an error, the unit of `chance` and `memoryless`.

    Args:
        kind: 'squared', the mean over the outputs of (y - prediction)^2; or 'crossentropy',
            -sum_k y_k ln prediction_k, in nats.
        y: Targets, [n, T, K].
        prediction: Predictions, [n, T, K].
        w: How often each step counts, [n, T].

    Raises:
        ValueError: For another kind.
    """
    losses = Losses(kind)
    losses.add({"": prediction}, y, w)
    return losses.means()[""]


class Losses:
    """The `loss` of several predictions, by name, over blocks of sequences."""

    def __init__(self, kind: str):
        self.kind = one_of("loss", "kind", kind, LOSSES)
        self._sums: dict[str, float] = {}
        self._weight = 0.0

    def add(self, predictions: dict[str, np.ndarray], y: np.ndarray, w: np.ndarray) -> None:
        """Adds the next block: predictions by name and targets y [n, T, K], weights w [n, T]."""
        y = y.astype("float64")
        for name, prediction in predictions.items():
            if self.kind == "squared":
                each = np.mean((y - prediction) ** 2, axis=-1)
            else:
                # a probability of 0 costs 69 nats and not infinity
                each = -np.sum(y * np.log(np.maximum(prediction, 1e-30)), axis=-1)
            self._sums[name] = self._sums.get(name, 0.0) + float(np.sum(w * each, dtype="float64"))
        self._weight += float(np.sum(w, dtype="float64"))

    def means(self) -> dict[str, float]:
        """The mean loss of each prediction over all blocks so far."""
        return {name: total / self._weight for name, total in self._sums.items()}


class Task(abc.ABC):
    """A question put to a network: what is shown, what is asked, and when it counts as solved.

    A task overrides `sample`, or, if its sequences may be too long for memory, `pieces`; the other
    one is derived from it. It must also define `correct`.

    Attributes:
        features: Input lines, F.
        outputs: Output lines, K.
        steps: T, the padded length.
        readouts: The largest number of steps with an error in one sequence.
        lag: The smallest number of steps between an input that an answer needs and that answer.
        output_activation: The head that suits the targets.
        loss: 'squared' or 'crossentropy', the error that suits the targets.
        test_size: Sequences in the test set.
        criterion: When the task is solved, as arguments of lstmlab.criterion.criterion.
        chance: The loss (see `loss`) of the best constant output; None if it depends on the user's
            data.
        memoryless: The loss of the best output that depends only on the current input, or None.
        published: A list of {"where": {setting: value or list of values}, "sequences": ...,
            "test_wrong": ..., "source": ...}; our own tasks take theirs from conf/published.csv.
        inputs: A short name for each input line, for texts and pictures; () numbers them.
        targets: The same for the output lines.
        endless: Whether a sequence has no end of its own, so that `steps` is a choice.
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
        if {"sample", "pieces"} & set(cls.__dict__) and "coded" not in cls.__dict__:
            # that of the class above draws other sequences
            cls.coded = Task.coded  # type: ignore[method-assign]
        name = cls.__module__
        # not hasattr: a task made from another one does not inherit its figures
        if name.startswith(HOUSE) and "published" not in cls.__dict__:
            cls.published = entries(name.removeprefix(HOUSE))

    def sample(self, rng: np.random.Generator, n: int) -> Sequences:
        """Draws n training sequences.

        Returns:
            Inputs x [n, T, F], targets y [n, T, K] and weights w [n, T], all float32; w says at
            which steps there is an error.
        """
        return next(self.pieces(rng, n, [self.steps]))

    def pieces(
        self, rng: np.random.Generator, n: int, lengths: Iterable[int]
    ) -> Iterator[Sequences]:
        """Draws the same n sequences in consecutive pieces: cutting changes no number.

        A task that draws its sequences step after step needs memory for only one piece.

        Args:
            rng: The random numbers.
            n: How many sequences to draw.
            lengths: The steps of each piece. They add up to T; for an endless task, to any number.

        Yields:
            x, y, w as in `sample`, of the steps of one piece.
        """
        x, y, w = self.sample(rng, n)
        start = 0
        for length in lengths:
            here = slice(start, start + length)
            yield x[:, here], y[:, here], w[:, here]
            start += length

    def coded(self, rng: np.random.Generator, n: int) -> Sequences | None:
        """`sample` where the inputs are symbols, for tasks with so many that lines cost time.

        Args:
            rng, n: As of `sample`, of which it draws the same sequences.

        Returns:
            The input line that is 1 at each step, integers [n, T], 0 after the last step with an
            error; y and w as of `sample`. None, without a draw, where a task does not say.
        """
        return None

    @abc.abstractmethod
    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Says which of the n sequences are right, bool [n], by the rule of the task's paper.

        Args:
            y: Targets, [n, T, K].
            prediction: Predictions, [n, T, K].
            w: Weights of the errors, [n, T]. Steps with w = 0 do not count.
        """

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        """The sets that a network is judged on, by name, each as blocks of sequences.

        There is always 'test', and 'training' if that set is finite.

        Args:
            seed: The seed of the run.
            draw: 0, or the number of a fresh draw of the sets that the criterion may redraw; 'test'
                stays the same.
        """
        return {"test": Drawn(self, seed, "test", self.test_size)}

    def probe(self, seed: int, n: int) -> Sequences:
        """The fixed batch of n sequences on which diagnostics measure, from a stream of its own."""
        return self.sample(generator(seed, "probe"), n)

    def baselines(self, x: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
        """Predictions of simple rules that a network has to beat, by name. By default none.

        The result row has the loss of each as NAME_loss, and the report shows it next to that of
        the network. A run whose criterion one of them meets is not called solved.

        Args:
            x: Inputs of test sequences, [n, T, F].
            w: Weights of their errors, [n, T].

        Returns:
            Predictions, [n, T, K] each.
        """
        return {}

    def summary(self, correct: np.ndarray, losses: dict[str, float]) -> dict[str, float]:
        """More columns for the result row. By default none.

        Args:
            correct: Which test sequences are right, bool [test_size], in order.
            losses: The mean `loss` on the test set, by name: 'test' for the network, and each of
                the `baselines`.
        """
        return {}

    def valid(self, w: np.ndarray) -> np.ndarray:
        """The steps of each sequence that are not padding, bool [n, T]; see `valid_steps`."""
        return valid_steps(w)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The steps that pictures mark because the answer depends on them, bool [n, T].

        By default none. Takes inputs x [n, T, F] and weights w [n, T].
        """
        return np.zeros(w.shape, bool)

    def sequence(self, seed: int, stream: str = "train", position: int = 0) -> Sequences:
        """One sequence of a stream: x [1, T, F], y [1, T, K], w [1, T].

        Args:
            seed: The seed of the run.
            stream: 'train', 'chunks' (those that `chunks` cuts), 'probe', or the name of a set,
                such as 'test'.
            position: Counted from 0; in 'train' and 'chunks' it is the sequence that training meets
                there.

        Raises:
            ValueError: For another stream, or a position outside it.
        """
        integer("Task", "position", position, least=0)

        blocks: Iterable[Sequences]
        left = position
        if stream == "train":
            number, left = divmod(position, self.block)
            blocks = [self.sample(generator(seed, "train", number), self.block)]
        elif stream == "chunks":
            # each sequence has random numbers of its own, see `chunks`
            rng, left = generator(seed, "chunks", position), 0
            blocks = [next(self.pieces(rng, 1, [self.steps]))]
        elif stream == "probe":
            blocks = [self.probe(seed, position + 1)]
        else:
            blocks = self.sets(seed).get(stream, ())

        for x, y, w in blocks:
            if left < len(x):
                here = slice(left, left + 1)
                return x[here], y[here], w[here]
            left -= len(x)
        streams = ("train", "chunks", "probe", *self.sets(seed))
        expected = f"a position inside one of the streams {streams}"
        raise refusal("Task", expected, {"stream": stream, "position": position})

    @property
    def block(self) -> int:
        """Sequences in one block of a stream."""
        return min(BLOCK, self.fitting)

    @property
    def fitting(self) -> int:
        """Sequences that fit into the memory of one block."""
        memory = BLOCK_BYTES if self.steps <= LONG else LONG_BYTES
        # 4 bytes for each number of x and y, which are float32
        return max(1, memory // (4 * self.steps * (self.features + self.outputs)))

    def chunks(self, seed: int, batch_size: int, chunk: int) -> Iterator[tuple]:
        """Endless training batches cut into chunks of the given number of steps.

        Each sequence is drawn by itself, so memory does not grow with T: batch k holds sequences
        k*batch_size to (k+1)*batch_size - 1 of the stream 'chunks', not those of `sample`. The last
        chunk of a sequence is padded with steps without error; an endless task stays in its first
        sequences.

        Yields:
            x, y, w of one chunk, and begins [batch_size], true where a sequence begins with it.
        """
        full, rest = divmod(self.steps, chunk)
        lengths = repeat(chunk) if self.endless else [chunk] * full + [rest] * (rest > 0)
        # for an endless task `rows` never ends, and `first` stays 0
        for first in count(0, batch_size):
            generators = [generator(seed, "chunks", first + row) for row in range(batch_size)]
            rows = zip(*(self.pieces(rng, 1, lengths) for rng in generators), strict=False)
            for number, together in enumerate(rows):
                # [1, steps, ...] of each row -> [B, steps, ...]
                piece = [np.concatenate(parts) for parts in zip(*together, strict=True)]
                missing = chunk - piece[0].shape[1]
                parts = [
                    # w has no third axis
                    np.pad(part, [(0, 0), (0, missing), (0, 0)][: part.ndim]) if missing else part
                    for part in piece
                ]
                yield *parts, np.full(batch_size, number == 0)


class Drawn:
    """A set that is drawn anew, block by block, at every pass: it needs memory for only one block.

    Args:
        task: The task that draws the sequences.
        seed: The seed of the run.
        stream: The stream of random numbers, one of STREAMS.
        n: Sequences in the set.
        draw: The number of the set; each has sequences of its own.
    """

    def __init__(self, task: Task, seed: int, stream: str, n: int, draw: int = 0):
        self.task, self.seed, self.stream, self.n, self.draw = task, seed, stream, n, draw

    def __iter__(self) -> Iterator[Sequences]:
        return self._blocks(self.task.sample)

    def coded(self) -> Iterator[Sequences]:
        """The same blocks, with symbols for the lines of x where the task says them."""
        return self._blocks(lambda rng, n: self.task.coded(rng, n) or self.task.sample(rng, n))

    def _blocks(self, draw: Callable[[np.random.Generator, int], Sequences]) -> Iterator[Sequences]:
        rng = generator(self.seed, self.stream, self.draw)
        block = min(self.n, self.task.fitting)
        for start in range(0, self.n, block):
            yield draw(rng, min(block, self.n - start))


def valid_steps(w: np.ndarray) -> np.ndarray:
    """The steps up to and including the last error, bool [n, T]; what follows is padding."""
    # summed from the end: > 0 as long as an error is still to come
    return np.flip(np.cumsum(np.flip(w, axis=1), axis=1), axis=1) > 0
