"""The Reber grammar and the embedded one as automata: their strings, tables and exact
yardsticks."""

from typing import Any

import numpy as np
from numpy.random import Generator

SYMBOLS = "BTPSXVE"
# State -> its equally likely edges, as (symbol, next state); the next state None ends the string.
# Strings begin in the first state.
Automaton = dict[Any, tuple[tuple[str, Any], ...]]
REBER: Automaton = {
    0: (("B", 1),),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", None),),
}


def embedded_automaton() -> Automaton:
    """The embedded grammar: B, then T or P, then a Reber string, then that T or P again, then E."""
    edges: Automaton = {
        "start": (("B", "choice"),),
        "choice": (("T", ("T", 0)), ("P", ("P", 0))),
        "end": (("E", None),),
    }
    for outer in "TP":
        for state, inner in REBER.items():
            edges[outer, state] = tuple(
                (symbol, (outer, "close" if to is None else to)) for symbol, to in inner
            )
        edges[outer, "close"] = ((outer, "end"),)
    return edges


def grammar_yardsticks(edges: Automaton) -> tuple[float, float]:
    """Squared errors of next-symbol prediction over all strings of a grammar.

    Returns:
        That of the best constant answer, and that of the best answer to the present symbol.
    """
    number = {state: k for k, state in enumerate(edges)}
    move, pairs = np.zeros((len(edges), len(edges))), np.zeros((len(SYMBOLS), len(SYMBOLS)))
    for state, options in edges.items():
        for _, to in options:
            if to is not None:
                move[number[to], number[state]] += 1 / len(options)

    # Visits of each state per string: v = e_0 + M v.
    visits = np.linalg.solve(np.eye(len(edges)) - move, np.eye(len(edges))[0])
    for state, options in edges.items():
        for symbol, to in options:
            for following, _ in edges.get(to, ()):
                share = visits[number[state]] / len(options) / len(edges[to])
                pairs[SYMBOLS.index(symbol), SYMBOLS.index(following)] += share
    pairs /= pairs.sum()

    constant = np.sum(pairs.sum(axis=0) ** 2)
    known = np.sum(pairs**2 / np.maximum(pairs.sum(axis=1), 1e-9)[:, None])
    return float(1 - constant) / len(SYMBOLS), float(1 - known) / len(SYMBOLS)


def draw_string(rng: Generator, edges: Automaton) -> str:
    """One string of the automaton, its edges taken with equal probability."""
    state, string = next(iter(edges)), ""
    while state is not None:
        symbol, state = edges[state][rng.integers(len(edges[state]))]
        string += symbol
    return string


def draw_sets(
    rng: Generator, edges: Automaton, n: int, distinct: bool
) -> tuple[list[str], list[str]]:
    """n training strings, then n test strings none of which is among the training strings."""
    training: list[str] = []
    while len(training) < n:
        string = draw_string(rng, edges)
        if not (distinct and string in training):
            training.append(string)

    known = set(training)
    test: list[str] = []
    while len(test) < n:
        string = draw_string(rng, edges)
        if string not in known and not (distinct and string in test):
            test.append(string)
    return training, test


def transition_tables(edges: Automaton) -> tuple[np.ndarray, np.ndarray]:
    """The automaton as arrays: legal bool [states, 7], and next state int [states, 7].

    The last state is one more than the automaton has: an illegal symbol leads there, and nothing is
    legal in it.
    """
    number = {state: k for k, state in enumerate(edges)}
    dead = len(edges)
    legal, following = np.zeros((dead + 1, 7), bool), np.full((dead + 1, 7), dead)
    for state, options in edges.items():
        for symbol, to in options:
            legal[number[state], SYMBOLS.index(symbol)] = True
            following[number[state], SYMBOLS.index(symbol)] = dead if to is None else number[to]
    return legal, following
