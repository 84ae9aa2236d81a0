"""Batches of training: every sequence of the stream in order, whole or in pieces, and finite
sets.
"""

import itertools

import numpy as np
import pytest
from drawn import Numbers, Steps

from lstmlab.task import generator
from lstmlab.trainers.data import repeated, stream


def test_stream_is_the_blocks_in_order():
    task, block, batch = Numbers(), 6, 4
    expected = [task.sample(generator(9, "train", k), task.block) for k in range(3)]
    expected = [np.concatenate(parts) for parts in zip(*expected, strict=True)]
    batches = [part for part in itertools.islice(stream(task, 9, batch).as_numpy_iterator(), 4)]
    for wanted, got in zip(expected, zip(*batches, strict=True), strict=True):
        assert np.array_equal(np.concatenate(got), wanted[: 4 * batch])
    assert not np.array_equal(expected[0][:block], expected[0][block : 2 * block]), "blocks differ"


class Few(Numbers):
    """The same, with a training set of six sequences of its own."""

    def sets(self, seed, draw=0):
        return {**super().sets(seed, draw), "training": [self.sample(generator(seed, "sets"), 6)]}


@pytest.mark.parametrize(
    ("task", "size", "own"), [(Numbers(), 4, False), (Few(), 4, False), (Few(), 6, True)]
)
def test_a_finite_set_comes_in_turn_again_and_again(task, size, own):
    """The first sequences of the stream; or the task's own, where it has a set of that size."""
    batches = repeated(task, 9, 2, size).take(6).as_numpy_iterator()
    got = [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    drawn = (task.sequence(9, position=k) for k in range(size))
    first = [np.concatenate(p) for p in zip(*drawn, strict=True)]
    expected = task.sets(9)["training"][0] if own else first
    for wanted, part in zip(expected, got, strict=True):
        times = (12 // size, *[1] * (wanted.ndim - 1))
        assert np.array_equal(part, np.tile(wanted, times))


def test_stream_has_static_shapes():
    shapes = [spec.shape.as_list() for spec in stream(Numbers(), 0, 4).element_spec]
    assert shapes == [[4, 3, 2], [4, 3, 1], [4, 3]]


def test_stream_of_chunks():
    task = Steps()
    shapes = [
        (spec.shape.as_list(), spec.dtype.name) for spec in stream(task, 0, 4, chunk=3).element_spec
    ]
    assert shapes == [
        ([4, 3, 1], "float32"),
        ([4, 3, 1], "float32"),
        ([4, 3], "float32"),
        ([4], "bool"),
    ]
    for one, other in zip(
        next(stream(task, 0, 4, chunk=3).as_numpy_iterator()),
        next(task.chunks(0, 4, 3)),
        strict=True,
    ):
        assert np.array_equal(one, other)
    for settings, received in (
        ({"chunk": 0}, "chunk=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 1.5}, "=1.5"),
    ):
        with pytest.raises(
            ValueError, match=rf"stream: expected a positive integer.* Received: .*{received}"
        ):
            stream(task, 0, **settings)
