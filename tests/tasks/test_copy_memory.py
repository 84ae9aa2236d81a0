"""The copy memory problem, recomputed from the inputs alone by a reader of strings."""

import math
import re

import numpy as np
import pytest
from lstmlab.tasks.copy_memory import CopyMemory
from scipy.stats import chisquare

from lstmlab.task import loss

N = 10_000
CERTAIN = 1e-4  # smallest p value that is taken for chance; the seed is fixed
FORMS = {  # settings, and what is shown: symbols, blanks, the delimiter, blanks
    "usual": ({"T": 20}, r"([1-8]{10})_{19}:_{10}"),
    "shortest": ({"T": 1}, r"([1-8]{10}):_{10}"),
    "throughout": ({"T": 20, "delimiter": "throughout"}, r"([1-8]{10})_{20}:{10}"),
    "small": ({"T": 3, "length": 2, "symbols": 3}, r"([1-3]{2})_{2}:_{2}"),
}


@pytest.fixture(scope="module", params=FORMS)
def drawn(request):
    settings, form = FORMS[request.param]
    task = CopyMemory(**settings)
    return task, form, *task.sample(np.random.default_rng(4), N)


def strings(part, names):
    assert (part.sum(axis=-1) == 1).all()
    assert (part.max(axis=-1) == 1).all()
    letters = np.array(names)[part.argmax(axis=-1)]
    return ["".join(row) for row in letters]


def test_target_from_the_inputs_alone(drawn):
    task, form, x, y, w = drawn
    assert (w == 1).all()
    for shown, asked in zip(strings(x, task.inputs), strings(y, task.targets), strict=True):
        read = re.fullmatch(form, shown)
        assert read, shown
        assert asked == "_" * (task.T + task.length) + read[1]
        assert len(asked) == task.steps == task.T + 2 * task.length


def test_every_symbol_has_its_answer_one_lag_later(drawn):
    task, _, x, y, _ = drawn
    first = x[:, : task.length, : task.symbols]
    assert np.array_equal(first, y[:, task.lag : task.lag + task.length, : task.symbols])
    assert task.lag == task.T + task.length


def test_symbols_are_uniform_and_independent(drawn):
    task, _, x, _, _ = drawn
    codes = x[:, : task.length].argmax(axis=-1)
    for place in (0, task.length - 1):
        assert chisquare(np.bincount(codes[:, place], minlength=task.symbols)).pvalue > CERTAIN
    pairs = codes[:, 0] * task.symbols + codes[:, 1]
    assert chisquare(np.bincount(pairs, minlength=task.symbols**2)).pvalue > CERTAIN


def test_chance(drawn):
    task, _, _, y, w = drawn
    shares = y.mean(axis=(0, 1), dtype="float64")
    assert task.chance == pytest.approx(
        loss("crossentropy", y, np.broadcast_to(shares, y.shape), w), rel=1e-3
    )


def test_memoryless(drawn):
    """For each input the share of the answers that go with it."""
    task, _, x, y, w = drawn
    answers = np.einsum("ntf,ntk->fk", x, y)
    prediction = x @ (answers / answers.sum(axis=1, keepdims=True))
    assert task.memoryless == pytest.approx(loss("crossentropy", y, prediction, w), rel=2e-3)


def test_the_level_of_the_papers(drawn):
    """10 ln 8 / (T + 20): blanks until the delimiter, then nothing known."""
    task, _, x, y, w = drawn
    [(name, prediction)] = task.baselines(x, w).items()
    level = task.length * math.log(task.symbols) / task.steps
    assert name == "without_symbols"
    assert loss("crossentropy", y, prediction, w) == pytest.approx(level, rel=1e-6)
    assert np.allclose(prediction.sum(axis=-1), 1)
    if task.delimiter == "throughout" or task.T == 1:
        assert task.memoryless == pytest.approx(level)
    else:
        assert level < task.memoryless < task.chance


def test_numbers_of_the_card():
    task = CopyMemory()
    assert (round(task.chance, 3), round(task.memoryless, 3)) == (0.460, 0.452)
    assert CopyMemory(delimiter="throughout").memoryless == pytest.approx(10 * math.log(8) / 120)
    assert round(10 * math.log(8) / 120, 4) == 0.1733
    assert (task.features, task.outputs, task.steps, task.lag) == (10, 9, 120, 110)


def test_right_and_wrong(drawn):
    task, _, x, y, w = drawn
    assert task.correct(y, 0.3 * y + 0.1, w).all()
    for step in (0, task.steps - 1):
        wrong = y.copy()
        wrong[:, step] = np.roll(wrong[:, step], 1, axis=-1)
        assert not task.correct(y, wrong, w).any()
        assert task.correct(y, wrong, w * (np.arange(task.steps) != step)).all(), (
            "steps without an error do not count"
        )
    assert not task.correct(y, task.baselines(x, w)["without_symbols"], w).all()


def test_events_are_symbols_and_delimiters(drawn):
    task, _, x, _, w = drawn
    shown = strings(x[:100], task.inputs)
    assert [[letter != "_" for letter in row] for row in shown] == task.events(
        x[:100], w[:100]
    ).tolist()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"T": 0}, "CopyMemory: expected a positive integer. Received: task.T=0"),
        ({"length": 0}, "CopyMemory: expected a positive integer. Received: task.length=0"),
        ({"symbols": 1}, "CopyMemory: expected an integer >= 2. Received: task.symbols=1"),
        (
            {"delimiter": "twice"},
            "CopyMemory: expected one of ('once', 'throughout'). Received: task.delimiter='twice'",
        ),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        CopyMemory(**settings)
    assert str(refused.value) == message
