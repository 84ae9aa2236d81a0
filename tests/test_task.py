"""Streams of random numbers and of training sequences."""

import itertools

import numpy as np
import pytest

from lstmlab.task import STREAMS, Task, generator, valid_steps


class Numbers(Task):
    """Sequences that carry the random numbers they were made of."""

    features, outputs, steps, readouts = 2, 1, 3, 3

    def sample(self, rng, n):
        x = rng.random((n, 3, 2)).astype("float32")
        return x, x[..., :1] + 1, np.ones((n, 3), "float32")

    def correct(self, y, prediction, w):
        return np.ones(len(y), bool)


def draws(seed, stream, block=0):
    return generator(seed, stream, block).integers(2**63, size=4)


def test_same_seed_same_bits():
    for stream in STREAMS:
        assert np.array_equal(draws(5, stream, 3), draws(5, stream, 3))


def test_streams_blocks_and_seeds_are_disjoint():
    keys = list(itertools.product(range(20), STREAMS, range(20)))
    numbers = np.concatenate([draws(*key) for key in keys])
    assert len(np.unique(numbers)) == len(numbers) == 4 * len(keys)


def test_stream_is_the_blocks_in_order():
    task, block, batch = Numbers(), 6, 4
    expected = [task.sample(generator(9, "train", k), block) for k in range(3)]
    expected = [np.concatenate(parts) for parts in zip(*expected, strict=True)]
    batches = [part for part in itertools.islice(task.stream(9, batch, block).as_numpy_iterator(), 4)]
    for wanted, got in zip(expected, zip(*batches, strict=True), strict=True):
        assert np.array_equal(np.concatenate(got), wanted[: 4 * batch])
    assert not np.array_equal(expected[0][:block], expected[0][block : 2 * block]), "blocks differ"


def test_stream_has_static_shapes():
    shapes = [spec.shape.as_list() for spec in Numbers().stream(0, 4, 8).element_spec]
    assert shapes == [[4, 3, 2], [4, 3, 1], [4, 3]]


def test_test_set_and_probe_are_no_training_data():
    task = Numbers()
    task.test_size = 50
    seen = [task.sets(1)["test"][0], task.probe(1, 50)[0], task.sample(generator(1, "train"), 50)[0]]
    firsts = np.concatenate([x[:, 0, 0] for x in seen])
    assert len(np.unique(firsts)) == 150


def test_valid_steps():
    w = np.array([[0, 1, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], "float32")
    assert valid_steps(w).astype(int).tolist() == [[1, 1, 1, 1, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]]


@pytest.mark.parametrize("seed", [-1, "abc", "", None, 1.5, True])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match=r"generator: expected a non-negative integer. Received: seed="):
        generator(seed, "train")


def test_bad_stream():
    with pytest.raises(ValueError, match=r"expected stream in .*Received: stream='validation'"):
        generator(0, "validation")
