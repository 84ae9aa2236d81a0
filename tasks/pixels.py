"""Images read a few pixels at a time: handwritten digits by default, MNIST or CIFAR-10 on
request."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from lstmlab.tasks.common.rules import most_active, validation_or_budget
from numpy.random import Generator

from lstmlab.checks import integer, one_of
from lstmlab.errors import refusal
from lstmlab.task import Sequences, Task, generator

# 1797 lines of 64 pixels, row after row, and the class; its first lines say whose it is
DIGITS = Path(__file__).with_name("digits.csv.gz")
ORDERS = ("rows", "columns", "permuted")
# The seed of the one split into training and held-out images. It cannot be set, so test images stay
# test images.
SPLIT = 0
# Images for validation and for test; None: the test images come in a file of their own.
HELD_OUT: dict[str, tuple[int, int | None]] = {
    "digits": (180, 360),
    "mnist": (10_000, None),
    "cifar10": (5_000, None),
}


class Pixels(Task):
    """Say what is shown in an image that is read pixel by pixel.

    Shown   One pixel per step (or per_step pixels), a value in [0, 1], with one line for each
            colour. The pixels come row after row, column after column, or in one fixed random
            order, the same for all images.
    Asked   At the last step the class, as one of K outputs. There is no error at any other step.
    Lag     Half the steps: half of the image lies at least that far back. No single pixel decides,
            so the minimum lag is not known.
    Right   The most active output is the class.
    Chance  Crossentropy 2.3015 for always answering the frequencies of the classes among the
            training digits. Knowing the last pixel, in rows or columns: 2.1954 with the frequencies
            of the classes at each value of it (`memoryless`; None for several pixels per step or
            colours, where almost every value is unique).
    Solved  At most 5 % of the validation images are wrong.

    Decisions where the text leaves a choice:
    - digits: 1797 images of 8 x 8, the test part of a set of handwritten digits (Alpaydin & Kaynak
      1998, UCI Machine Learning Repository), 1257 for training, 180 for validation, 360 for test;
    - mnist, cifar10: fetched by keras.datasets on first use; the last 10,000 or 5,000 of their
      shuffled training images are for validation, their test images for test;
    - the split is one fixed shuffle, the same for every seed of a trial; training images are drawn
      with replacement;
    - diagnostics measure on validation images.

    Args:
        data: 'digits', 'mnist' or 'cifar10'.
        order: 'rows', 'columns' or 'permuted'.
        permutation: The seed of the permuted order.
        per_step: Pixels shown at once; it must divide their number.
        criterion: Settings of the criterion to change; with rule='budget' the others do not count.

    Raises:
        ValueError: For any other value, and if images cannot be fetched.

    References:
        Le, Jaitly & Hinton 2015, section 4.3, for MNIST pixel by pixel; Alpaydin & Kaynak 1998 for
        the digits.
    """

    output_activation, loss = "softmax", "crossentropy"
    readouts = 1

    def __init__(
        self,
        data: str = "digits",
        order: str = "rows",
        permutation: int = 0,
        per_step: int = 1,
        criterion: dict | None = None,
    ):
        one_of("Pixels", "task.data", data, HELD_OUT)
        one_of("Pixels", "task.order", order, ORDERS)
        integer("Pixels", "task.permutation", permutation, least=0)
        integer("Pixels", "task.per_step", per_step)
        images, classes, test_images, test_classes = _load(data)
        pixels = images.shape[1] * images.shape[2]
        if pixels % per_step:
            raise refusal("Pixels", f"a divisor of {pixels} pixels", {"task.per_step": per_step})

        self.order, self.places = order, np.random.default_rng(permutation).permutation(pixels)
        self.steps, self.features = pixels // per_step, per_step * images.shape[3]
        self.lag, self.outputs = self.steps // 2, int(classes.max()) + 1
        self.inputs = ("pixel",) if self.features == 1 else ()
        self.targets = tuple(str(k) for k in range(self.outputs))
        self.criterion = validation_or_budget(criterion)

        # 16 in the digits, 255 in the others
        self._white = np.float32(images.max())
        parts = _split(data, images, classes, test_images, test_classes)
        self._images, self._classes, self.parts = parts
        self.test_size = len(self.parts["test"])
        classes, last = self._classes[self.parts["train"]], self._read(self.parts["train"])[:, -1]
        self.chance = _entropy(classes, np.zeros(len(classes), int))
        self.memoryless = _entropy(classes, last[:, 0]) if self.features == 1 else None

    def sample(self, rng: Generator, n: int) -> Sequences:
        return self.encode(rng.choice(self.parts["train"], size=n))

    def probe(self, seed: int, n: int) -> Sequences:
        return self.encode(generator(seed, "probe").choice(self.parts["validation"], size=n))

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        """'validation' and 'test', the same for every seed."""
        return {name: self._in_blocks(self.parts[name]) for name in ("validation", "test")}

    def _in_blocks(self, chosen: np.ndarray) -> list[Sequences]:
        return [
            self.encode(chosen[start : start + self.block])
            for start in range(0, len(chosen), self.block)
        ]

    def encode(self, chosen: np.ndarray) -> Sequences:
        """The images with those numbers, as x, y, w."""
        x = self._read(chosen).astype("float32") / self._white
        y = np.zeros((len(chosen), self.steps, self.outputs), "float32")
        w = np.zeros((len(chosen), self.steps), "float32")
        y[np.arange(len(chosen)), -1, self._classes[chosen]] = 1.0
        w[:, -1] = 1.0
        return x, y, w

    def _read(self, chosen: np.ndarray) -> np.ndarray:
        """The pixels in their order, [n, T, F]."""
        images = self._images[chosen]
        if self.order == "columns":
            images = images.swapaxes(1, 2)
        pixels = images.reshape(len(chosen), -1, images.shape[3])
        if self.order == "permuted":
            pixels = pixels[:, self.places]
        return pixels.reshape(len(chosen), self.steps, self.features)

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        return most_active(y, prediction, w)


def _load(data: str) -> tuple:
    """Images uint8 [N, rows, columns, colours] and classes [N], twice: the second are the test
    images, or None."""
    if data == "digits":
        table = np.loadtxt(DIGITS, dtype="uint8", delimiter=",")
        return table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1].astype(int), None, None
    try:
        (images, classes), (test_images, test_classes) = _fetch(data)
    except Exception as error:  # Keras raises a bare Exception where there is no network
        cause = " ".join(str(error).split())
        expected = f"images that keras.datasets can fetch ({cause})"
        raise refusal("Pixels", expected, {"task.data": data}) from error
    return _colours(images), classes.ravel(), _colours(test_images), test_classes.ravel()


def _fetch(data: str) -> tuple:
    import keras

    return getattr(keras.datasets, data).load_data()


def _colours(images: np.ndarray) -> np.ndarray:
    return images if images.ndim == 4 else images[..., None]


def _split(
    data: str,
    images: np.ndarray,
    classes: np.ndarray,
    test_images: np.ndarray,
    test_classes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """All images and classes, and the numbers of those for training, validation and test."""
    numbers = np.random.default_rng(SPLIT).permutation(len(images))
    validation, test = HELD_OUT[data]
    if test is None:
        # the test images are put behind the others, and numbered on
        held_out = np.arange(len(images), len(images) + len(test_images))
        images = np.concatenate([images, test_images])
        classes = np.concatenate([classes, test_classes])
    else:
        numbers, held_out = numbers[:-test], numbers[-test:]
    parts = {"train": numbers[:-validation], "validation": numbers[-validation:], "test": held_out}
    return images, classes.astype("int64"), parts


def _entropy(classes: np.ndarray, given: np.ndarray) -> float:
    """Entropy in nats of the classes where `given` is known: the least loss on these images."""
    total = 0.0
    for value in np.unique(given):
        counts = np.bincount(classes[given == value])
        counts = counts[counts > 0]
        total -= float(np.sum(counts * np.log(counts / counts.sum())))
    return total / len(classes)
