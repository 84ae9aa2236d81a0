"""Images as sequences against the images themselves; larger sets come from a faked loader."""

import gzip

import keras
import numpy as np
import pandas as pd
import pytest
from lstmlab.tasks import pixels
from lstmlab.tasks.pixels import Pixels
from scipy.stats import chisquare

from lstmlab.task import generator, loss

FILE = pd.read_csv(pixels.DIGITS, header=None, comment="#").to_numpy()
IMAGES, CLASSES = FILE[:, :64].astype("uint8"), FILE[:, 64]
NUMBER = {image.tobytes(): k for k, image in enumerate(IMAGES)}


def joined(blocks):
    return tuple(np.concatenate(part) for part in zip(*blocks, strict=True))


def numbers(task, x) -> list[int]:
    """Which digit each sequence of pixels in rows is."""
    return [
        NUMBER[np.rint(16 * image).astype("uint8").tobytes()] for image in x.reshape(len(x), 8, 8)
    ]


@pytest.fixture(scope="module")
def task():
    return Pixels()


def test_the_file_is_the_test_part_of_the_uci_repository():
    """As its description there counts the classes."""
    assert IMAGES.max() == 16
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(CLASSES).tolist() == counts
    with gzip.open(pixels.DIGITS, "rt") as file:
        assert "CC BY 4.0" in file.read(400), "whose it is"


def test_digits_and_their_classes(task):
    x, y, w = task.sample(generator(0, "train"), 2000)
    assert (x.shape, y.shape, w.shape) == ((2000, 64, 1), (2000, 64, 10), (2000, 64))
    assert {part.dtype for part in (x, y, w)} == {np.dtype("float32")}
    assert (y[:, -1].argmax(axis=1) == CLASSES[numbers(task, x)]).all()
    assert (y.sum(axis=(1, 2)) == 1).all()
    assert (w[:, -1] == 1).all()
    assert not w[:, :-1].any()
    assert (x.min(), x.max()) == (0, 1)


def test_the_parts_are_disjoint_and_whole(task):
    seen = {part: numbers(task, joined(blocks)[0]) for part, blocks in task.sets(0).items()}
    seen["train"] = sorted(set(numbers(task, task.sample(generator(0, "train"), 20_000)[0])))
    assert {part: len(found) for part, found in seen.items()} == {
        "validation": 180,
        "test": 360,
        "train": 1257,
    }
    assert sorted(k for found in seen.values() for k in found) == list(range(1797))
    assert task.test_size == 360
    assert set(numbers(task, task.probe(0, 500)[0])) <= set(seen["validation"])
    for blocks in task.sets(5).values():
        assert all(
            np.array_equal(a, b)
            for a, b in zip(joined(blocks), joined(task.sets(0)[_part(task, blocks)]), strict=True)
        )
    assert np.bincount(CLASSES[seen["test"]], minlength=10).min() > 20


def _part(task, blocks):
    return "test" if len(joined(blocks)[0]) == 360 else "validation"


def test_training_images_are_drawn_alike(task):
    x, _, _ = task.sample(generator(0, "train"), 30_000)
    counts = np.bincount(numbers(task, x), minlength=1797)
    assert chisquare(counts[task.parts["train"]]).pvalue > 1e-4
    assert np.array_equal(task.sample(generator(0, "train"), 30_000)[0], x)
    assert not np.array_equal(task.sample(generator(0, "train", 1), 50)[0], x[:50])


def test_orders(task):
    x = task.encode(np.arange(20))[0]
    assert np.array_equal(
        x.reshape(20, 8, 8), (IMAGES[:20].reshape(20, 8, 8) / 16).astype("float32")
    )
    columns = Pixels(order="columns").encode(np.arange(20))[0]
    assert np.array_equal(columns.reshape(20, 8, 8), x.reshape(20, 8, 8).swapaxes(1, 2))
    permuted, again, other = (Pixels(order="permuted", permutation=k) for k in (0, 0, 1))
    assert sorted(permuted.places) == list(range(64))
    assert np.array_equal(permuted.encode(np.arange(20))[0], x[:, permuted.places])
    assert np.array_equal(permuted.places, again.places)
    assert not np.array_equal(permuted.places, other.places)
    assert not np.array_equal(permuted.places, np.arange(64))


def test_several_pixels_per_step(task):
    rows = Pixels(per_step=8)
    assert (rows.steps, rows.features, rows.memoryless, rows.lag) == (8, 8, None, 4)
    assert np.array_equal(
        rows.encode(np.arange(9))[0].reshape(9, 64, 1), task.encode(np.arange(9))[0]
    )


def test_right_is_the_most_active_output(task):
    _, y, w = task.sample(generator(0, "train"), 300)
    assert task.correct(y, y, w).all()
    assert not task.correct(y, 5 - 2 * y, w).any()
    wrong = np.roll(y, 1, axis=2)
    assert not task.correct(y, wrong, w).any()
    assert task.correct(y, np.where(w[..., None] > 0, y, wrong + 7), w).all(), (
        "steps without an error do not count"
    )


@pytest.mark.parametrize("order", ["rows", "permuted"])
def test_chance_and_memoryless_by_monte_carlo(order):
    task = Pixels(order=order)
    x, y, w = task.sample(generator(0, "train"), 20_000)
    last, classes = np.rint(16 * x[:, -1, 0]).astype(int), y[:, -1].argmax(axis=1)
    best = {"chance": np.broadcast_to(y[:, -1].mean(axis=0), (len(y), 10)).copy()}
    shares = {
        value: np.bincount(classes[last == value], minlength=10) / (last == value).sum()
        for value in np.unique(last)
    }
    best["memoryless"] = np.stack([shares[value] for value in last])
    for name, prediction in best.items():
        found = loss("crossentropy", y[:, -1:], prediction[:, None], w[:, -1:])
        assert getattr(task, name) == pytest.approx(found, abs=0.01)
    assert task.memoryless < task.chance < np.log(10)
    if order == "rows":
        assert f"{task.chance:.4f}" in Pixels.__doc__
        assert f"{task.memoryless:.4f}" in Pixels.__doc__


def faked(monkeypatch, name: str, shape: tuple, classes_shape: tuple):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (11_000, *shape), dtype="uint8")
    classes = rng.integers(0, 10, (11_000, *classes_shape), dtype="uint8")
    monkeypatch.setattr(
        getattr(keras.datasets, name),
        "load_data",
        lambda: ((images, classes), (images[:50] // 2, classes[:50])),
    )
    return images, classes.ravel()


@pytest.mark.parametrize(
    ("name", "shape", "classes_shape", "training"),
    [("mnist", (4, 6), (), 1000), ("cifar10", (4, 4, 3), (1,), 6000)],
)
def test_larger_sets(monkeypatch, name, shape, classes_shape, training):
    images, classes = faked(monkeypatch, name, shape, classes_shape)
    task = Pixels(data=name)
    colours = images.reshape(len(images), -1, *shape[2:3] or (1,))
    assert (task.steps, task.features) == colours.shape[1:]
    assert {part: len(chosen) for part, chosen in task.parts.items()} == {
        "train": training, "validation": 11_000 - training, "test": 50}  # fmt: skip
    assert len(set(np.concatenate(list(task.parts.values())))) == 11_050
    x, y, _ = task.encode(task.parts["train"][:40])
    assert np.allclose(x, colours[task.parts["train"][:40]] / 255)
    assert (y[:, -1].argmax(axis=1) == classes[task.parts["train"][:40]]).all()
    x, y, _ = joined(task.sets(0)["test"])
    assert np.allclose(x, (colours[:50] // 2) / 255)
    assert (y[:, -1].argmax(axis=1) == classes[:50]).all()
    assert (task.memoryless is None) == (name == "cifar10")


def test_no_network(monkeypatch):
    def unreachable():
        raise Exception(
            "URL fetch failure on https://somewhere:\nNone -- Temporary failure in name resolution"
        )

    monkeypatch.setattr(keras.datasets.mnist, "load_data", unreachable)
    with pytest.raises(
        ValueError,
        match=r"Pixels: expected images that keras.datasets can fetch \(URL.*task.data='mnist'$",
    ):
        Pixels(data="mnist")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"data": "letters"}, r"Pixels: expected one of .* Received: task.data='letters'"),
        ({"order": "spiral"}, r"Received: task.order='spiral'"),
        ({"permutation": -1}, r"integer >= 0. Received: task.permutation=-1"),
        ({"per_step": 0}, r"positive integer. Received: task.per_step=0"),
        ({"per_step": 7}, r"a divisor of 64 pixels. Received: task.per_step=7"),
        ({"per_step": True}, r"positive integer"),
    ],
)
def test_bad_settings(settings, match):
    with pytest.raises(ValueError, match=match):
        Pixels(**settings)


def test_budget_takes_no_other_settings():
    assert Pixels(criterion={"rule": "budget", "wrong": 0.05}).criterion == {"rule": "budget"}
    assert Pixels(criterion={"wrong": 0.02}).criterion == {
        "rule": "whole_sets",
        "sets": ["validation"],
        "wrong": 0.02,
    }
