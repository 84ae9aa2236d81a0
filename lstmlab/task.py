"""Task: a question put to a net, in NumPy, with its own yardsticks."""

import abc

import numpy as np

STREAMS = ("weights", "train", "test", "probe", "sets")


def generator(seed: int, stream: str, block: int = 0) -> np.random.Generator:
    """The random numbers of one block of one stream: reproducible alone, independent of every other stream and block.

    stream: one of STREAMS. Raises ValueError for another name or a seed that is not a non-negative integer.
    """
    if stream not in STREAMS:
        raise ValueError(f"generator: expected stream in {STREAMS}. Received: stream={stream!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"generator: expected a non-negative integer. Received: seed={seed!r}")
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(stream), block)))


class Task(abc.ABC):
    """What is shown, what is asked, and when it counts as solved.

    Attributes that every task sets:
    features F, outputs K; steps: T, the padded length; readouts: the most steps with an error in one sequence;
    output_activation: the head that suits the targets; test_size: sequences in the test set;
    criterion: when it is solved, as arguments of lstmlab.criterion.criterion;
    chance: mean absolute error of the best constant output, at the steps with an error;
    published: a list of {"where": {setting: value}, "sequences": ..., "test_wrong": ..., "source": ...}.
    """

    features: int
    outputs: int
    steps: int
    readouts: int
    output_activation: str
    test_size: int
    criterion: dict
    chance: float
    published: list[dict] = []

    @abc.abstractmethod
    def sample(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """n training sequences: x [n, T, F], y [n, T, K], w [n, T], all float32; w says at which steps there is an error."""

    @abc.abstractmethod
    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Which of the n sequences are right, bool [n], by the rule of the task's paper. Steps with w = 0 do not count."""

    def sets(self, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The sets that the net is judged on: 'test', and 'training' where that set is finite."""
        return {"test": self.sample(generator(seed, "test"), self.test_size)}

    def probe(self, seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The fixed batch on which diagnostics measure: n sequences of a stream of its own."""
        return self.sample(generator(seed, "probe"), n)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """bool [n, T]: the steps that pictures mark, because the answer hangs on them. Default: none."""
        return np.zeros(w.shape, bool)

    def stream(self, seed: int, batch_size: int = 1, block: int = 1000):
        """Endless training batches (x, y, w) as a tf.data.Dataset; block k holds sequences k*block to (k+1)*block - 1."""
        import tensorflow as tf

        def blocks():
            k = 0
            while True:
                yield self.sample(generator(seed, "train", k), block)
                k += 1

        shapes = ((block, self.steps, self.features), (block, self.steps, self.outputs), (block, self.steps))
        signature = tuple(tf.TensorSpec(shape, "float32") for shape in shapes)
        sequences = tf.data.Dataset.from_generator(blocks, output_signature=signature).unbatch()
        return sequences.batch(batch_size, drop_remainder=True).prefetch(64)


def valid_steps(w: np.ndarray) -> np.ndarray:
    """bool [n, T]: the steps up to and with the last error of each sequence; what follows is padding."""
    return np.flip(np.cumsum(np.flip(w, axis=1), axis=1), axis=1) > 0
