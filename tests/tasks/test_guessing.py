"""Random weight guessing against a network computed unit by unit, and the published trials."""

import math

import numpy as np
import pytest
from lstmlab.tasks.adding import Adding
from lstmlab.tasks.common import guessing
from lstmlab.tasks.common.guessing import ARCHITECTURES, guess
from lstmlab.tasks.latch import Latch
from lstmlab.tasks.parity import Parity

from lstmlab.published import results

SHORT = {"shortest": 50, "longest": 60}
TANH = {"sigmoid": lambda net: 1 / (1 + math.exp(-max(-500, min(500, net)))), "tanh": math.tanh}


def one_net(net, k, squash, inputs):
    """The output of net k after the inputs, unit by unit from the weights by their names."""
    weight = {name: part[..., k].astype(float) for name, part in net.items()}
    n = len(weight["up"])
    hidden, output = [0.0] * n, 0.0
    for t, value in enumerate(inputs):
        if t == 0 and "first" in weight:
            value = weight["first"][0 if value > 0 else 1, 0]
        nets = []
        for j in range(n):
            net_j = (
                weight["hidden"][0, j, 0] * value
                + weight["hidden"][1, j, 0] * output
                + weight["hidden"][2, j, 0]
            )
            net_j += weight["own"][j, 0] * hidden[j]
            if "recurrent" in weight:
                net_j += sum(weight["recurrent"][j, i] * hidden[i] for i in range(n))
            nets.append(net_j)
        hidden = [squash(net_j) for net_j in nets]
        net_o = (
            weight["output"][0, 0] * value
            + weight["output"][1, 0] * output
            + weight["output"][2, 0]
        )
        output = squash(net_o + sum(weight["up"][j, 0] * hidden[j] for j in range(n)))
    return output


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_answers_against_one_unit_at_a_time(architecture, activation, rng, monkeypatch):
    monkeypatch.setattr(guessing, "RANGE", 2.0)  # where no unit is saturated every weight counts
    net = guessing._draw(rng, architecture, 3, 5)
    x, last = rng.normal(size=(4, 9)).astype("float32"), np.array([8, 3, 8, 0])
    answers = guessing._answers(net, guessing.SQUASH[activation], x, last)
    for row in range(4):
        expected = [one_net(net, k, TANH[activation], x[row, : last[row] + 1]) for k in range(5)]
        assert answers[row] == pytest.approx(expected, abs=2e-4)
    assert np.ptp(answers) > 0.05


def test_connections(rng):
    """Weights that the text excludes are zero or missing; others are drawn from the whole range."""
    nets = {name: guessing._draw(rng, name, 10, 200) for name in ARCHITECTURES}
    assert not nets["A1"]["own"].any()
    assert not nets["A1"]["output"][2].any(), "the output of A1 has no bias"
    for name in ("A2", "A2 without self-connections"):
        assert "recurrent" not in nets[name]
        assert not nets[name]["output"][1].any(), "the output of A2 does not see itself"
        assert nets[name]["output"][2].all()
    assert nets["A2"]["own"].all()
    assert not nets["A2 without self-connections"]["own"].any()
    assert [nets["unit"][name].size for name in ("hidden", "own", "up", "output")] == [
        0,
        0,
        0,
        3 * 200,
    ]
    assert nets["latch I"]["output"][1].all()
    assert (nets["latch I"]["output"][[0, 2]] == np.array([1, 0])[:, None, None]).all()
    for net in nets.values():
        drawn = np.concatenate([part.ravel() for part in net.values()])
        assert -100 <= drawn.min() < -97
        assert 97 < drawn.max() <= 100


def test_training_set_has_fifty_of_each_class_in_turn():
    x, y, last = guessing._training_set(Parity(**SHORT), np.random.default_rng(0))
    assert x.shape == (100, 60)
    assert y.tolist() == [1, 0] * 50
    for row, answer, end in zip(x, y, last, strict=True):
        assert (row > 0).sum() % 2 == answer
        assert not row[end + 1 :].any()


def test_the_net_found_is_the_first_that_is_right():
    """All nets up to the one found, drawn again, shown all sequences at once."""
    task = Latch(**SHORT)
    x, y, last = guessing._training_set(task, guessing.generator(3, "sets"))
    found = guess(task, 3, "unit")
    net = guessing._draw(guessing.generator(3, "weights"), "unit", 1, guessing.TOGETHER)
    right = (np.abs(guessing._answers(net, np.tanh, x, last) - y[:, None]) < 0.1).all(axis=0)
    assert found == int(np.argmax(right)) + 1
    assert found == guess(task, 3, "unit")
    assert len({guess(task, seed, "unit") for seed in range(5)}) > 1
    assert guess(task, 3, "unit", most=found - 1) is None
    assert guess(task, 3, "unit", most=found) == found


@pytest.mark.parametrize(
    ("task", "architecture", "units", "seeds", "published"),
    [
        (Latch(**SHORT), "latch I", 1, 40, 6),
        (Parity(**SHORT), "A2 without self-connections", 10, 15, 250),
    ],
)
def test_trials_are_of_the_published_order(task, architecture, units, seeds, published):
    trials = [
        guess(task, seed, architecture, units, most=20 * published) or 20 * published
        for seed in range(seeds)
    ]
    assert published / 4 < np.mean(trials) < published * 4


@pytest.mark.slow
def test_trials_for_parity_at_its_full_length():
    trials = [guess(Parity(), seed, "A1", most=60_000) or 60_000 for seed in range(10)]
    [published] = [row["sequences"] for row in results() if "A1: one hidden unit" in row["method"]]
    assert published / 4 < np.mean(trials) < published * 4


@pytest.mark.parametrize(
    ("task", "arguments", "expected"),
    [
        (Parity(2, 3), {"architecture": "A3"}, "one of .*'A3'"),
        (Parity(2, 3), {"units": 0}, "a positive integer"),
        (Adding(), {}, "a task of one input and one output at the end. Received: task=Adding"),
    ],
)
def test_bad_arguments(task, arguments, expected):
    with pytest.raises(ValueError, match=f"guess: expected {expected}"):
        guess(task, 0, **arguments)
