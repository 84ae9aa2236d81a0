"""The continual embedded Reber grammar against a regular expression and a walk along the drawing."""

import re
import tracemalloc
from collections import Counter
from itertools import repeat

import numpy as np
import pytest
from lstmlab.tasks.continual_embedded_reber import ContinualEmbeddedReber
from scipy.stats import chisquare

CERTAIN = 1e-4
LOOP = "(?:XT*VP)*"
REBER = f"B(?:TS*X{LOOP}(?:XT*VV|S)|PT*V(?:P{LOOP}(?:XT*VV|S)|V))E"
STRING = re.compile(f"B(?:T{REBER}T|P{REBER}P)E")
EDGES = {0: "B1", 1: "T2P3", 2: "S2X4", 3: "T3V5", 4: "X3S6", 5: "P4V6", 6: "E7"}


@pytest.fixture(scope="module")
def drawn():
    task = ContinualEmbeddedReber(steps=6000)
    return task, *task.sample(np.random.default_rng(2), 20)


def read(x):
    assert (x.sum(axis=-1) == 1).all()
    return ["".join("BTPSXVE"[k] for k in row) for row in x.argmax(axis=-1)]


def strings(streams):
    """All complete strings of the streams; what is left over is shorter than any plausible string."""
    found = [string for stream in streams for string in STRING.findall(stream)]
    assert sum(map(len, found)) > 0.99 * sum(map(len, streams))
    return found


def test_streams_are_strings_of_the_grammar(drawn):
    """Nothing between two strings, and a beginning of one at the end: cut off there, the streams match throughout."""
    _, x, _, _ = drawn
    assert len(strings(read(x))) > 9_500
    for stream in read(x):
        assert re.fullmatch(
            f"(?:{STRING.pattern})+", stream[: [m.end() for m in STRING.finditer(stream)][-1]]
        )
        assert stream.startswith("B")


def walk(stream):
    """The legal next symbols after each symbol, along the drawing."""
    state, outer = "before", None
    for symbol in stream:
        if state == "before":
            state, legal = "second", "TP"
        elif state == "second":
            state, outer, legal = 0, symbol, "B"
        elif state == 7:
            state, legal = "end", "E"
        elif state == "end":
            state, legal = "before", "B"
        else:
            state = int(EDGES[state][EDGES[state].index(symbol) + 1])
            legal = outer if state == 7 else EDGES[state][::2]
        yield set(legal)


def test_targets_from_the_inputs_alone(drawn):
    _, x, y, w = drawn
    assert (w == 1).all()
    for stream, asked in zip(read(x), y, strict=True):
        for t, legal in enumerate(walk(stream)):
            assert {"BTPSXVE"[k] for k in np.flatnonzero(asked[t])} == legal, stream[: t + 1][-30:]
        for t in range(len(stream) - 1):
            assert asked[t, "BTPSXVE".index(stream[t + 1])] == 1, "what follows is legal"


def test_frequencies_of_strings(drawn):
    """Each choice is fair: a string with k of them has probability 2^-k."""
    _, x, _, _ = drawn
    choices = {"BTXSE": 3, "BTSXSE": 4, "BPVVE": 3, "BPTVVE": 4, "BTXXVVE": 5, "BPVPSE": 4}
    probability = {f"B{o}{s}{o}E": 0.5 ** (1 + k) for s, k in choices.items() for o in "TP"}
    found = strings(read(x))
    counts = Counter(s if s in probability else "other" for s in found)
    expected = {**probability, "other": 1 - sum(probability.values())}
    assert (
        chisquare([counts[s] for s in expected], [p * len(found) for p in expected.values()]).pvalue
        > CERTAIN
    )
    assert np.mean([len(s) for s in found]) == pytest.approx(12.0, abs=0.2)


def test_strings_of_one_stream_are_independent(drawn):
    _, x, _, _ = drawn
    outer = np.array([s[1] == "T" for s in strings(read(x))])
    pairs = 2 * outer[:-1] + outer[1:]
    assert chisquare(np.bincount(pairs[::2], minlength=4)).pvalue > CERTAIN


@pytest.mark.parametrize("n", [1, 3, 5000])
def test_cuts_change_no_number(n):
    task = ContinualEmbeddedReber(steps=300)
    cut = [
        np.concatenate(p, axis=1)
        for p in zip(*task.pieces(np.random.default_rng(0), n, [1, 99, 150, 50]), strict=True)
    ]
    assert all(
        np.array_equal(a, b)
        for a, b in zip(cut, task.sample(np.random.default_rng(0), n), strict=True)
    )


def test_memory_of_an_endless_stream_is_that_of_a_piece():
    task = ContinualEmbeddedReber()
    stream = task.pieces(np.random.default_rng(0), 4, repeat(2000))
    peaks = []
    for _ in range(2):
        tracemalloc.start()
        for _ in range(150):
            next(stream)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_test_streams():
    task = ContinualEmbeddedReber(steps=50, test_symbols=3000)
    test = task.sets(1)["test"]
    blocks = list(test)
    assert [x.shape for x, _, _ in blocks] == [(1, 3000, 7)] * 10 == [(1, 3000, 7)] * task.test_size
    assert len({x.tobytes() for x, _, _ in blocks}) == 10
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(blocks, test, strict=True))
    assert len(strings([s for x, _, _ in blocks for s in read(x)])) > 2000


def test_one_error_spoils_a_stream(drawn):
    task, x, y, w = drawn
    assert task.correct(y, np.abs(y - 0.48), w).all()
    for t, k in ((0, 0), (3000, 3), (5999, 6)):
        wrong = y.copy()
        wrong[1, t, k] = abs(wrong[1, t, k] - 0.5)
        assert task.correct(y, wrong, w).tolist() == [row != 1 for row in range(20)]
    memoryless = np.stack([y[x[..., k] > 0].mean(axis=0) for k in range(7)])
    assert not task.correct(y, memoryless[x.argmax(-1)], w).any()


def test_chance_and_memoryless_by_monte_carlo():
    for steps, n in ((3, 100_000), (20, 30_000), (500, 3000)):
        task = ContinualEmbeddedReber(steps=steps)
        x, y, _ = task.sample(np.random.default_rng(7), n)
        y = y.astype("float64")
        assert task.chance == pytest.approx(y.reshape(-1, 7).var(axis=0).mean(), abs=4e-4)
        groups = [y[x[..., k] > 0].reshape(-1, 7) for k in range(7)]
        within = sum(len(g) * g.var(axis=0).mean() for g in groups if len(g)) / x[..., 0].size
        assert task.memoryless == pytest.approx(within, abs=4e-4)
    assert ContinualEmbeddedReber(steps=20_000)._visits().sum() == pytest.approx(20_000), (
        "also once they hardly change"
    )
    task = ContinualEmbeddedReber()
    assert f"{task.chance:.4f} for always" in task.__doc__
    assert f"{task.memoryless:.4f} for the best" in task.__doc__


def test_events_are_the_second_symbols_and_where_they_are_asked_for(drawn):
    task, x, _, w = drawn
    events = task.events(x, w)
    for row, stream in enumerate(read(x)[:3]):
        expected = set()
        for match in STRING.finditer(stream):
            expected |= {match.start() + 1, match.end() - 3}  # the inner E
        last = match.end()
        assert set(np.flatnonzero(events[row, :last])) == expected


@pytest.mark.parametrize(
    "arguments", [{"steps": 0}, {"test_symbols": 0}, {"steps": 1.5}, {"test_symbols": True}]
)
def test_bad_settings(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(
        ValueError,
        match=f"ContinualEmbeddedReber: expected a positive integer. Received: task.{name}={value}",
    ):
        ContinualEmbeddedReber(**arguments)
