"""The embedded Reber grammar against a regular expression and a walk written from its drawing."""

import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from lstmlab.tasks.common.reber_grammar import draw_string, embedded_automaton
from lstmlab.tasks.embedded_reber import EmbeddedReber
from scipy.stats import chisquare

N = 10_000
CERTAIN = 1e-4
# Upper path: T S* X; from there X is the lower loop and S the end. Lower path: P T* V; P leads back up, V to the end.
LOOP = "(?:XT*VP)*"
REBER = f"B(?:TS*X{LOOP}(?:XT*VV|S)|PT*V(?:P{LOOP}(?:XT*VV|S)|V))E"
EDGES = {
    0: {"B": 1}, 1: {"T": 2, "P": 3}, 2: {"S": 2, "X": 4}, 3: {"T": 3, "V": 5}, 4: {"X": 3, "S": 6}, 5: {"P": 4, "V": 6},
    6: {"E": 7},
}  # fmt: skip
EMBEDDED = re.compile(f"B(?:T{REBER}T|P{REBER}P)E")


@pytest.fixture(scope="module")
def strings():
    rng, automaton = np.random.default_rng(2), embedded_automaton()
    return [draw_string(rng, automaton) for _ in range(N)]


@pytest.fixture(scope="module")
def task():
    return EmbeddedReber(pair=0)


def test_strings_against_the_regular_expression(strings):
    assert all(EMBEDDED.fullmatch(string) for string in strings)
    assert min(map(len, strings)) == 9
    assert abs(np.mean([len(s) for s in strings]) - 12.0) < 0.15


def test_regular_expression_itself():
    """Strings read off the drawing by eye, so that the expression cannot be as wrong as the automaton."""
    for inner in ("BTXSE", "BPVVE", "BTSSXXVVE", "BTXXTTVPXVVE", "BPTTVPXVPSE", "BPVPSE"):
        assert EMBEDDED.fullmatch(f"BT{inner}TE")
        assert EMBEDDED.fullmatch(f"BP{inner}PE")
        assert not EMBEDDED.fullmatch(f"BT{inner}PE")
    assert not any(
        EMBEDDED.fullmatch(f"BT{inner}TE") for inner in ("BTSE", "BPXE", "BTXVE", "BPVSE", "BTXSVE")
    )


def test_short_strings_have_their_probabilities(strings):
    """Each choice is fair: BTXSE takes three after the first, and so on; all that is longer in one class."""
    inner = {
        "BTXSE": 3,
        "BTSXSE": 4,
        "BPVVE": 3,
        "BPTVVE": 4,
        "BTXXVVE": 5,
        "BPVPSE": 4,
        "BTSSXSE": 5,
    }
    probability = {
        f"B{o}{s}{o}E": 0.5 ** (1 + choices) for s, choices in inner.items() for o in "TP"
    }
    counts = Counter(s if s in probability else "other" for s in strings)
    expected = {**probability, "other": 1 - sum(probability.values())}
    assert (
        chisquare([counts[s] for s in expected], [p * N for p in expected.values()]).pvalue
        > CERTAIN
    )


def test_every_choice_is_fair(strings):
    """Edges taken from each state of the drawing, counted along all strings."""
    taken = Counter()
    for string in strings:
        state = 0
        for symbol in string[2:-2]:
            taken[state, symbol] += 1
            state = EDGES[state][symbol]
        assert state == 7
    for state, edges in EDGES.items():
        counts = [taken[state, symbol] for symbol in edges]
        assert min(counts) > 1000
        assert len(edges) == 1 or chisquare(counts).pvalue > CERTAIN
    outer = Counter(string[1] for string in strings)
    assert chisquare([outer["T"], outer["P"]]).pvalue > CERTAIN


def prefixes(limit):
    """All prefixes of strings of the language up to `limit` symbols -> the symbols that may follow, by brute force."""
    follow = {"": "B", "B": "TP"}
    todo = [("B" + outer, outer, 0) for outer in "TP"]
    while todo:
        prefix, outer, state = todo.pop()
        if len(prefix) >= limit:
            continue
        if state == 7:
            follow.update({prefix: outer, prefix + outer: "E"})
            continue
        follow[prefix] = "".join(EDGES[state])
        todo += [(prefix + symbol, outer, to) for symbol, to in EDGES[state].items()]
    return follow


def test_legal_symbols_against_a_brute_force_walk(task):
    follow = prefixes(14)
    short = [s for s in task.training_strings if len(s) <= 12]
    assert len(short) > 50
    _, y, _ = task.encode(short)
    legal = task.legal(y)
    for row, string in enumerate(short):
        for t in range(1, len(string)):
            assert {"BTPSXVE"[k] for k in np.flatnonzero(legal[row, t - 1])} == set(
                follow[string[:t]]
            ), (string, t)


def test_encoding(task):
    x, y, w = task.encode(task.training_strings)
    for row, string in enumerate(task.training_strings[:50]):
        n = len(string) - 1
        assert "".join("BTPSXVE"[k] for k in x[row, :n].argmax(-1)) == string[:-1]
        assert "".join("BTPSXVE"[k] for k in y[row, :n].argmax(-1)) == string[1:]
        assert w[row].sum() == n
        assert (x[row].sum(), y[row].sum()) == (n, n)
        events = np.flatnonzero(task.events(x, w)[row])
        assert events.tolist() == [1, n - 2]
        assert string[events[0]] == string[events[1] + 1]


def test_sets_are_disjoint(task):
    assert (len(task.training_strings), len(task.test_strings)) == (256, 256)
    assert not set(task.training_strings) & set(task.test_strings)
    assert all(EMBEDDED.fullmatch(s) for s in task.training_strings + task.test_strings)
    assert max(map(len, task.training_strings + task.test_strings)) == task.steps + 1
    distinct = EmbeddedReber(pair=1, distinct=True)
    assert len({*distinct.training_strings, *distinct.test_strings}) == 512
    assert EmbeddedReber(pair=1).training_strings != task.training_strings
    assert EmbeddedReber(pair=0).test_strings == task.test_strings


def test_samples_come_from_the_training_set(task):
    x, _, _ = task.sample(np.random.default_rng(0), 3000)
    drawn = Counter(map(bytes, x))
    known = Counter(map(bytes, task.sets(0)["training"][0][0]))
    assert set(drawn) <= set(known)
    assert len(drawn) > 0.95 * len(known)
    assert not set(drawn) & set(map(bytes, task.sets(0)["test"][0][0]))


def test_perfect_predictor_is_right_and_mean_predictor_is_not(task):
    for ((_, y, w),) in task.sets(0).values():
        legal = task.legal(y)
        perfect = legal / legal.sum(axis=-1, keepdims=True).clip(1)
        assert task.correct(y, perfect, w).all()
        assert task.correct(y, y, w).all()
        assert not task.correct(y, 0.9 * y, w).any(), "legal symbols at zero, like the illegal ones"
        assert not task.correct(y, np.broadcast_to(y[w > 0].mean(axis=0), y.shape), w).any()
        forgetful = perfect.copy()
        last = w.sum(axis=1).astype(int) - 2
        forgetful[np.arange(len(y)), last] = (
            np.array([0, 1, 1, 0, 0, 0, 0]) / 2
        )  # T and P alike where only one is legal
        assert not task.correct(y, forgetful, w).any(), "the long lag counts"
        noise = np.random.default_rng(0).random(y.shape)
        assert task.correct(y, np.where(w[..., None] > 0, perfect, noise), w).all(), (
            "padding does not count"
        )


def test_chance_by_monte_carlo(strings):
    """Mean squared distance of the next symbol from its share: of all steps, and of the steps with the same symbol."""
    pairs = np.zeros((7, 7))
    for string in strings:
        for symbol, following in pairwise(string):
            pairs["BTPSXVE".index(symbol), "BTPSXVE".index(following)] += 1

    def spread(counts):
        share = counts / counts.sum()
        return sum(share[k] * np.mean((np.eye(7)[k] - share) ** 2) for k in range(7))

    known = sum(row.sum() * spread(row) for row in pairs if row.any()) / pairs.sum()
    assert EmbeddedReber.chance == pytest.approx(spread(pairs.sum(axis=0)), rel=0.003)
    assert EmbeddedReber.memoryless == pytest.approx(known, rel=0.005)
    assert (round(EmbeddedReber.chance, 4), round(EmbeddedReber.memoryless, 4)) == (0.1198, 0.0981)


def test_yardsticks_are_near_those_of_the_sets(task):
    for ((x, y, w),) in task.sets(0).values():
        shown, asked = x[w > 0], y[w > 0].astype(float)
        assert task.chance == pytest.approx(np.mean((asked - asked.mean(axis=0)) ** 2), rel=0.03)
        error = sum(
            np.sum((asked[shown[:, k] == 1] - asked[shown[:, k] == 1].mean(axis=0)) ** 2)
            for k in range(7)
            if shown[:, k].any()
        )
        assert task.memoryless == pytest.approx(error / asked.size, rel=0.03)


def test_sets_of_another_seed_or_draw_are_the_same(task):
    """The pair alone says which strings: seed and draw do not."""
    first, second = task.sets(0), task.sets(7, draw=3)
    assert all(
        np.array_equal(a, b)
        for name in first
        for a, b in zip(first[name][0], second[name][0], strict=True)
    )


def test_lag_of_the_shortest_strings():
    """From the step at which the second symbol is shown to the step at which it is asked for again."""
    shortest = min(
        (
            string
            for string, following in prefixes(10).items()
            if following == "E" and len(string) > 7
        ),
        key=len,
    )
    assert len(shortest + "E") == 9
    assert (len(shortest) - 2) - 1 == EmbeddedReber.lag


def automaton_accepts(edges, string):
    """Whether the table takes the string from its start to its end."""
    state = "start"
    for symbol in string:
        options = dict(edges.get(state, ()))
        if symbol not in options:
            return False
        state = options[symbol]
    return state is None


def test_table_against_the_regular_expression(strings):
    """10,000 strings of the grammar, as they are and with one symbol changed, dropped or doubled: both decide alike."""
    edges, rng = embedded_automaton(), np.random.default_rng(5)
    verdicts = Counter()
    for string in strings:
        k, kind = int(rng.integers(len(string))), rng.integers(4)
        symbol = "BTPSXVE"[rng.integers(7)]
        changed = string[:k] + ["", symbol, string[k] * 2, string[k]][kind] + string[k + 1 :]
        legal = automaton_accepts(edges, changed)
        assert legal == bool(EMBEDDED.fullmatch(changed)), changed
        verdicts[legal] += 1
    assert min(verdicts.values()) > 1000


@pytest.mark.parametrize(
    ("arguments", "received"),
    [({"pair": -1}, "task.pair=-1"), ({"pair": "a"}, "task.pair='a'"), ({"strings": 0}, "task.strings=0"),
     ({"distinct": 1}, "task.distinct=1")],
)  # fmt: skip
def test_bad_settings(arguments, received):
    with pytest.raises(ValueError, match="EmbeddedReber: expected") as error:
        EmbeddedReber(**arguments)
    assert received in str(error.value)
