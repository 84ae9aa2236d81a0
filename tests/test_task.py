"""Streams of random numbers and of training sequences."""

import itertools

import numpy as np
import pytest
from drawn import Numbers, Steps

from lstmlab.task import (
    STREAMS,
    Drawn,
    Task,
    generator,
    loss,
    valid_steps,
)


class Endless(Steps):
    endless = True


def joined(parts):
    return [
        np.concatenate(part, axis=1) for part in zip(*(part[:3] for part in parts), strict=True)
    ]


def draws(seed, stream, block=0):
    return generator(seed, stream, block).integers(2**63, size=4)


def test_same_seed_same_bits():
    for stream in STREAMS:
        assert np.array_equal(draws(5, stream, 3), draws(5, stream, 3))


def test_streams_blocks_and_seeds_are_disjoint():
    keys = list(itertools.product(range(20), STREAMS, range(20)))
    numbers = np.concatenate([draws(*key) for key in keys])
    assert len(np.unique(numbers)) == len(numbers) == 4 * len(keys)


def test_test_set_and_probe_are_no_training_data():
    task = Numbers()
    [(test, _, _)] = task.sets(1)["test"]
    seen = [test, task.probe(1, 50)[0], task.sample(generator(1, "train"), 50)[0]]
    firsts = np.concatenate([x[:, 0, 0] for x in seen])
    assert len(np.unique(firsts)) == 150


@pytest.mark.parametrize("task", [Numbers(), Steps()], ids=["sample", "pieces"])
def test_pieces_are_the_sample_cut(task):
    whole = task.sample(generator(3, "train"), 5)
    for lengths in ([task.steps], [1] * task.steps, [2, task.steps - 2]):
        parts = list(task.pieces(generator(3, "train"), 5, lengths))
        assert [part[0].shape[1] for part in parts] == lengths
        assert all(np.array_equal(a, b) for a, b in zip(joined(parts), whole, strict=True))


def test_a_task_needs_a_way_to_draw():
    with pytest.raises(TypeError, match=r"Nothing: expected a method sample or pieces of its own"):
        type("Nothing", (Task,), {})


@pytest.mark.parametrize("chunk", [1, 3, 5, 10, 16])
def test_chunks_are_the_sequences_one_after_the_other(chunk):
    task = Steps()
    per_sequence = -(-task.steps // chunk)
    got = list(itertools.islice(task.chunks(2, 4, chunk), 3 * per_sequence))
    assert {part[0].shape for part in got} == {(4, chunk, 1)}
    for k in range(3):
        mine = got[k * per_sequence : (k + 1) * per_sequence]
        assert [part[3].tolist() for part in mine] == [
            [number == 0] * 4 for number in range(per_sequence)
        ]
        alone = [task.sequence(2, "chunks", 4 * k + row) for row in range(4)]
        for one, other in zip(joined(mine), zip(*alone, strict=True), strict=True):
            assert np.array_equal(one[:, : task.steps], np.concatenate(other))
            assert not one[:, task.steps :].any()


def test_chunks_do_not_hang_on_the_batch():
    by_two, by_three = (
        list(itertools.islice(Steps().chunks(2, size, 5), 12 // size)) for size in (2, 3)
    )
    sequences = [
        np.concatenate([joined(got[k : k + 2])[0] for k in range(0, len(got), 2)])
        for got in (by_two, by_three)
    ]
    assert np.array_equal(*sequences)
    assert len(np.unique(sequences[0][:, 0])) == 6


def test_chunks_of_an_endless_task_go_on():
    got = list(itertools.islice(Endless().chunks(2, 4, 3), 9))
    assert [part[3].any() for part in got] == [True] + [False] * 8
    assert joined(got)[1][0, :, 0].tolist() == list(range(27))


@pytest.mark.parametrize("position", [0, 5, 6, 13])
def test_a_sequence_alone_is_the_one_of_the_stream(position):
    task = Numbers()
    block, place = divmod(position, task.block)
    drawn = (
        part[place : place + 1] for part in task.sample(generator(4, "train", block), task.block)
    )
    for one, other in zip(task.sequence(4, "train", position), drawn, strict=True):
        assert np.array_equal(one, other)
    [test] = task.sets(4)["test"]
    for one, other, probe in zip(
        task.sequence(4, "test", position), test, task.probe(4, position + 1), strict=True
    ):
        assert np.array_equal(one, other[position : position + 1])
        assert not np.array_equal(one, probe[position : position + 1]) or one.ndim == 2
    assert np.array_equal(
        task.sequence(4, "probe", position)[0], task.probe(4, position + 1)[0][position:]
    )


def test_a_sequence_outside_its_stream():
    for arguments in (("test", 50), ("validation", 0), ("test", -1)):
        with pytest.raises(ValueError, match=r"Task: expected .* Received: "):
            Numbers().sequence(0, *arguments)


def test_a_large_set_is_drawn_in_blocks(monkeypatch):
    task = Steps()
    whole = [len(x) for x, _, _ in Drawn(task, 0, "test", 50)]
    monkeypatch.setattr("lstmlab.task.BLOCK_BYTES", 4 * 10 * 2 * 20)
    blocks = Drawn(task, 0, "test", 50)
    assert (whole, [len(x) for x, _, _ in blocks]) == ([50], [20, 20, 10])
    first, again = (np.concatenate([x for x, _, _ in blocks]) for _ in range(2))
    assert np.array_equal(first, again)
    assert len(np.unique(first[:, 0])) == 50
    assert Task.block.fget(task) == 20


def test_loss_against_a_loop():
    rng = np.random.default_rng(0)
    y, w = np.eye(3)[rng.integers(0, 3, size=(2, 4))], rng.uniform(size=(2, 4))
    prediction = rng.dirichlet(np.ones(3), size=(2, 4))
    steps = list(np.ndindex(2, 4))
    squared = sum(w[s] * ((y[s] - prediction[s]) ** 2).sum() / 3 for s in steps) / w.sum()
    nats = sum(-w[s] * np.log(prediction[s][y[s].argmax()]) for s in steps) / w.sum()
    assert loss("squared", y, prediction, w) == pytest.approx(squared, rel=1e-12)
    assert loss("crossentropy", y, prediction, w) == pytest.approx(nats, rel=1e-12)
    with pytest.raises(ValueError, match=r"loss: expected one of .* Received: kind='hinge'"):
        loss("hinge", y, prediction, w)


def test_valid_steps():
    w = np.array([[0, 1, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]], "float32")
    assert valid_steps(w).astype(int).tolist() == [
        [1, 1, 1, 1, 0],
        [1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1],
    ]


@pytest.mark.parametrize("seed", [-1, "abc", "", None, 1.5, True])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match=r"generator: expected an integer >= 0. Received: seed="):
        generator(seed, "train")


def test_bad_stream():
    with pytest.raises(
        ValueError, match=r"generator: expected one of .*Received: stream='validation'"
    ):
        generator(0, "validation")
