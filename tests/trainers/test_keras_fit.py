"""KerasFit: every sequence in order, window by window."""

import itertools

import keras
import numpy as np
import pytest

from lstmlab import GatedCell, Head
from lstmlab.learners import BPTT
from lstmlab.task import Task
from lstmlab.trainers import KerasFit
from lstmlab.trainers.data import stream


class TwoOfFive(Task):
    """Two steps with an error in each sequence, at places that differ.

    Targets that tell sequences apart.
    """

    features, outputs, steps, readouts = 2, 3, 5, 2

    def sample(self, rng, n):
        x, y, w = rng.random((n, 5, 2)), rng.random((n, 5, 3)), np.zeros((n, 5))
        for row in w:
            row[rng.choice(5, size=2, replace=False)] = 1
        return tuple(part.astype("float32") for part in (x, y, w))

    def correct(self, y, prediction, w):
        return np.ones(len(y), bool)


def train(trainer, stop_after=None, rate=0.1):
    """Reads of the log after each window, and the model."""
    keras.utils.set_random_seed(0)
    task = TwoOfFive()
    model = trainer.prepare(task, GatedCell(2), Head(3), BPTT(), keras.optimizers.SGD(rate))
    windows = []

    def after_window():
        windows.append(model.log.read())
        return len(windows) == stop_after

    trainer.run(model, task, 7, after_window)
    return windows, model


def in_order(batch_size, windows, window):
    batches = itertools.islice(
        stream(TwoOfFive(), 7, batch_size).as_numpy_iterator(), windows * window // batch_size
    )
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "steps"), [(1, 4), (2, 3)])
def test_every_sequence_in_order(batch_size, steps):
    windows, _ = train(
        KerasFit(
            window=12,
            budget=30,
            batch_size=batch_size,
            steps_per_execution=steps,
            jit_compile=False,
        )
    )
    assert [len(y) for y, _, _ in windows] == [12, 12, 12], (
        "a budget of 30 is rounded up to whole windows"
    )
    _, y, w = in_order(batch_size, 3, 12)
    logged = [np.concatenate(parts) for parts in zip(*windows, strict=True)]
    at = [np.flatnonzero(row) for row in w]
    assert np.array_equal(logged[0], np.stack([y[n, t] for n, t in enumerate(at)]))
    assert (logged[2] == 1).all()
    assert len(np.unique(logged[0])) == logged[0].size


@pytest.mark.slow
def test_log_holds_the_predictions_before_each_weight_change():
    """With rate 0 they are those of the model itself, at the steps with an error.

    With another rate they are not.
    """
    trainer = KerasFit(window=6, budget=6, steps_per_execution=3, jit_compile=False)
    x, _, w = in_order(1, 1, 6)
    for rate, close in ((0.0, True), (5.0, False)):
        [(_, logged, _)], model = train(trainer, rate=rate)
        answers = model.answers(x)
        expected = np.stack([answers[n, np.flatnonzero(row)] for n, row in enumerate(w)])
        assert np.allclose(logged, expected, atol=1e-6) is close


def test_stops_when_told():
    windows, _ = train(
        KerasFit(window=4, budget=400, steps_per_execution=4, jit_compile=False), stop_after=2
    )
    assert len(windows) == 2


@pytest.mark.slow
def test_compiled_or_not_makes_no_difference():
    compiled, _ = train(KerasFit(window=4, budget=8, steps_per_execution=2))
    plain, _ = train(KerasFit(window=4, budget=8, steps_per_execution=1, jit_compile=False))
    for one, other in zip(compiled, plain, strict=True):
        assert np.array_equal(one[0], other[0])
        assert np.allclose(one[1], other[1], atol=1e-5)


@pytest.mark.parametrize("name", ["window", "budget", "batch_size", "steps_per_execution"])
@pytest.mark.parametrize("value", [0, -5, 2.5, "abc", True, None])
def test_counts_must_be_positive_integers(name, value):
    with pytest.raises(
        ValueError, match=f"KerasFit: expected a positive integer. Received: trainer.{name}="
    ):
        KerasFit(**{name: value})


def test_other_bad_settings():
    with pytest.raises(
        ValueError, match=r"expected true or false. Received: trainer.jit_compile='yes'"
    ):
        KerasFit(jit_compile="yes")
    with pytest.raises(ValueError, match=r"multiple of .* = 100. Received: trainer.window=150"):
        KerasFit(window=150, batch_size=2, steps_per_execution=50)
