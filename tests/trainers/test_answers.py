"""Answers by kernels: those of the Keras model, whatever the sequences and however many."""

import numpy as np
import pytest
from branches import on_demand

from lstmlab.cells.gates import Gate
from lstmlab.cells.variants import variant
from lstmlab.config import compose
from lstmlab.heads import Head, OutputUnits
from lstmlab.learners import BPTT
from lstmlab.model import Recurrent
from lstmlab.runs import train, trials
from lstmlab.runs.build import prepare
from lstmlab.trainers import answers
from lstmlab.trainers.feed import FEW, marked
from lstmlab.trainers.native import flat, stand

pytest.importorskip("numba")

STEPS, OUTPUTS = 9, 3
MANY = FEW + 3  # inputs that go as symbols
CELLS = {
    "vanilla": ("vanilla", 4, {}),
    "blocks of 1997": ("lstm1997", 4, {"block_size": 2, "forget_gate": Gate(bias=1.0)}),
    "gru": ("gru", 3, {}),
    "peephole": ("peephole", 4, {}),
    "slstm": ("slstm", 4, {}),
}
HEADS = {
    "linear": (Head, {}),
    "sigmoid, shortcuts": (Head, {"activation": "sigmoid", "shortcuts": True}),
    "softmax": (Head, {"activation": "softmax", "loss": "crossentropy"}),
    "units": (OutputUnits, {}),
}
CASES = [
    ("vanilla", "linear", False),
    ("vanilla", "sigmoid, shortcuts", True),
    ("blocks of 1997", "sigmoid, shortcuts", False),
    ("gru", "softmax", True),
    ("peephole", "units", False),
    ("slstm", "softmax", False),
]


def network(cell, head, symbols):
    """A model with weights that differ, and are not small; its answers are of the order of 1."""
    name, units, more = CELLS[cell]
    kind, settings = HEADS[head]
    made = kind(OUTPUTS, **settings)
    model = Recurrent(variant(name, units, **more), made, BPTT(), MANY if symbols else 2)
    weights = np.random.default_rng(1).normal(size=len(flat(model)))
    stand(model, (0.5 * weights).astype("float32"))
    return model


def sequences(n, symbols, errors, seed=2):
    """x, y, w; after the last error there is padding."""
    rng = np.random.default_rng(seed)
    w = rng.choice([0.5, 1.0], (n, STEPS)).astype("float32")
    if errors == "end":
        w *= np.arange(STEPS) == rng.integers(1, STEPS, size=(n, 1))
    elif errors == "marked":
        w *= rng.random((n, STEPS)) < 0.4
    x = rng.normal(size=(n, STEPS, 2)).astype("float32")
    if symbols:
        x = np.eye(MANY, dtype="float32")[rng.integers(0, MANY, (n, STEPS))]
        last = STEPS - np.argmax(w[:, ::-1] > 0, axis=1)
        x[np.arange(STEPS) >= last[:, None]] = 0
    return x, rng.normal(size=(n, STEPS, OUTPUTS)).astype("float32"), w


def judged(model, blocks, threads=1):
    parts = [answers.part_of(*block) for block in blocks]
    by_kernel = answers.Answers(model.cell, model.head, threads)
    return list(by_kernel.judged(flat(model), parts))


def assert_as_keras(found, model, x, y, w):
    target, prediction, weight = found
    expected = model.answers(x)[w != 0]
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(prediction[weight != 0], expected, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(target[weight != 0], y[w != 0])
    np.testing.assert_array_equal(weight[weight != 0], w[w != 0])


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "head", "symbols"), CASES)
def test_answers_are_those_of_keras(cell, head, symbols):
    model = network(cell, head, symbols)
    for errors, n in (("end", 37), ("marked", 16), ("every", 5)):
        block = sequences(n, symbols, errors)
        (found,) = judged(model, [block])
        assert_as_keras(found, model, *block)


@pytest.fixture(scope="module")
def vanilla():
    return network("vanilla", "linear", False)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 31, 33, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_sequences(n, threads, vanilla, monkeypatch):
    monkeypatch.setattr(answers, "SHARED", 0)
    block = sequences(n, False, "marked")
    (found,) = judged(vanilla, [block], threads)
    assert_as_keras(found, vanilla, *block)


def test_no_sequences_and_no_errors(vanilla):
    for n, errors in ((0, "every"), (3, "none")):
        x, y, w = sequences(n, False, "every")
        w = w * (errors == "every")
        (found,) = judged(vanilla, [(x, y, w)])
        assert found[1].shape == (n, 0, OUTPUTS)


def test_an_answer_depends_on_no_other_sequence(vanilla):
    """Not on the lane, nor on the sequences before it in its lane or in its call."""
    x, y, w = sequences(40, False, "every")
    rng, by_kernel = np.random.default_rng(3), answers.Answers(vanilla.cell, vanilla.head)
    first = by_kernel.of(flat(vanilla), answers.part_of(x, y, w))
    for _ in range(3):
        order = rng.permutation(40)[: rng.integers(20, 40)]
        again = by_kernel.of(flat(vanilla), answers.part_of(x[order], y[order], w[order]))
        np.testing.assert_array_equal(again, first[order])


def test_weights_are_those_of_the_call(vanilla):
    part = answers.part_of(*sequences(20, False, "end"))
    by_kernel, weights = answers.Answers(vanilla.cell, vanilla.head), flat(vanilla)
    first = by_kernel.of(weights, part)
    assert np.abs(by_kernel.of(weights * 0.5, part) - first).max() > 0.01
    np.testing.assert_array_equal(by_kernel.of(weights, part), first)


@pytest.mark.slow
@pytest.mark.parametrize("errors", ["every", "last"])
def test_blocks_of_other_lengths_and_numbers(errors, vanilla):
    """Small blocks are answered together, and come back one by one."""
    blocks = [sequences(n, False, "every", seed=n) for n in (1, 2, 3, 4, 20, 1)]
    blocks[2:4] = [tuple(part[:, 4:] for part in block) for block in blocks[2:4]]
    if errors == "last":
        for _, _, w in blocks:
            w[:, :-1] = 0
    found = judged(vanilla, blocks)
    assert len(found) == len(blocks)
    for one, block in zip(found, blocks, strict=True):
        assert_as_keras(one, vanilla, *block)


@pytest.mark.slow
def test_inputs_that_are_no_symbols_after_all():
    """One of two blocks: it goes as columns."""
    model = network("vanilla", "sigmoid, shortcuts", True)
    blocks = [sequences(20, True, "end", seed) for seed in (4, 5)]
    blocks[1][0][0, 0] *= 0.5
    for one, block in zip(judged(model, blocks), blocks, strict=True):
        assert_as_keras(one, model, *block)


@pytest.mark.slow
def test_a_long_sequence(vanilla):
    """All of its steps count: a carousel that forgets nothing keeps what the first showed."""
    steps = 100_000
    model = Recurrent(variant("lstm1997", 2), Head(1), BPTT(), 1)
    x = np.zeros((2, steps, 1), "float32")
    x[0, 0] = 1
    w = np.zeros((2, steps), "float32")
    w[:, -1] = 1
    ((_, found, _),) = judged(model, [(x, np.zeros_like(x), w)])
    np.testing.assert_allclose(found[:, 0], model.answers(x)[:, -1], rtol=0, atol=2e-6)


# ---- sets


class Counted:
    """Blocks of 3, 3, 3 and 1 sequences; counts how many were drawn."""

    drawn = 0

    def __iter__(self):
        for k, n in enumerate((3, 3, 3, 1)):
            self.drawn += 1
            yield sequences(n, False, "every", seed=k)


def test_blocks_in_memory_are_drawn_once():
    blocks = Counted()
    parts = answers.Parts(blocks)
    sizes = [[len(part.x) for part in parts] for _ in range(3)]
    assert sizes == [[3, 3, 3, 1]] * 3
    assert blocks.drawn == 4


@pytest.mark.parametrize("kept", [0, 1500, 10**9])
def test_passes_that_end_early(kept, monkeypatch):
    monkeypatch.setattr(answers, "KEPT", kept)
    parts = answers.Parts(Counted())
    expected = [answers.part_of(*block) for block in Counted()]
    for stop in (1, 3, 2, 4, 4):
        for _, part, known in zip(range(stop), parts, expected, strict=False):
            for one, other in zip(part, known, strict=True):
                np.testing.assert_array_equal(one, other)
    assert len(list(parts)) == 4


SMALL = {
    "adding": ("task.T=30",),
    "embedded_reber": ("task.strings=20",),
    "very_long_lag": ("task.p=12", "task.q=8"),
    "noise_free_lag": ("task.p=14",),
    "temporal_order": (),
    "copy_memory": ("task.T=20",),
    "counting_language": (),
    "continual_embedded_reber": ("task.test_symbols=300", "task.steps=300"),
    "two_sequence": ("task.T=30",),
}
SAMPLE = ("embedded_reber", "very_long_lag", "copy_memory", "continual_embedded_reber")


@pytest.mark.slow
@pytest.mark.parametrize("task", on_demand(SMALL, SAMPLE.__contains__))
def test_the_test_set_of_a_task(task):
    config, _ = compose(f"task={task}", *SMALL[task], "trainer=native", "cell=vanilla")
    built = prepare(config).built
    by_kernel = answers.served(built.trainer, built.model)
    blocks = [tuple(p[:50] for p in block) for block in built.task.sets(1)["test"]][:3]
    weights = 3 * flat(built.model)
    stand(built.model, weights)
    parts = [answers.part_of(*block) for block in blocks]
    found = list(by_kernel.judged(weights, parts))
    for (target, prediction, weight), (x, y, w) in zip(found, blocks, strict=True):
        whole = built.model.answers(x)
        np.testing.assert_allclose(prediction[weight != 0], whole[w != 0], rtol=0, atol=2e-6)
        right = built.task.correct(y, whole, w)
        _, side_by_side, _ = marked(whole, w, target.shape[1])
        np.testing.assert_array_equal(built.task.correct(target, side_by_side, weight), right)


# ---- runs

RUNS = {
    "whole sets, symbols, many trials": (
        ("experiment=hs97/2c_very_long_lag", "task.p=12", "task.q=3", "optimizer.learning_rate=1"),
        ("trainer.window=500", "trainer.budget=3000", "trials=3", "trials_shown=0"),
    ),
    "whole sets, errors at every step": (
        ("experiment=hs97/1_embedded_reber", "task.strings=30"),
        ("trainer.window=100", "trainer.budget=2000", "trials=2", "trials_shown=0"),
    ),
    "one trial, baselines of its own": (
        ("task=copy_memory", "task.T=10", "optimizer.learning_rate=0.05"),
        ("trainer.window=100", "trainer.budget=300"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_rows_are_those_with_keras(name, tmp_path, monkeypatch):
    config, choices = compose(*(s for some in RUNS[name] for s in some), "trainer=native")
    config["diagnostic"] = {}

    def rows(where):
        (tmp_path / where).mkdir()
        trials.run(config, tmp_path / where, choices, progress=False)
        folders = [tmp_path / where, *sorted((tmp_path / where / "trials").glob("*"))]
        return [train.Run(folder).read_row() for folder in folders]

    by_kernel = rows("kernel")
    monkeypatch.setattr(answers, "served", lambda *_: None)
    by_keras = rows("keras")
    assert len(by_kernel) == config["trials"]
    for one, other in zip(by_kernel, by_keras, strict=True):
        assert one.keys() == other.keys()
        for key, value in other.items():
            if key not in ("seconds", "peak_memory_mb"):
                same = value if not isinstance(value, float) else pytest.approx(value, rel=1e-4)
                assert one[key] == same, key


def test_keras_answers_where_keras_trains():
    config, _ = compose("task.T=24", "trainer=keras_fit")
    built = prepare(config).built
    assert answers.served(built.trainer, built.model) is None
