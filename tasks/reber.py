"""The Reber grammar: predict every legal next symbol; and what the tasks made of it share."""

import numpy as np

from lstmlab.task import Task, choice, generator, whole

SYMBOLS = "BTPSXVE"
# The Reber automaton: for each state its two (or one) equally likely edges, as (symbol, next state); None: the string ends.
# In every automaton here the first state is the one in which strings begin.
REBER: dict = {
    0: (("B", 1),),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", None),),
}


def yardsticks(edges: dict) -> tuple[float, float]:
    """Squared error of the best constant answer, and of the best answer to the present symbol alone, over the grammar."""
    number = {state: k for k, state in enumerate(edges)}
    move, pairs = np.zeros((len(edges), len(edges))), np.zeros((len(SYMBOLS), len(SYMBOLS)))
    for state, options in edges.items():
        for _, to in options:
            if to is not None:
                move[number[to], number[state]] += 1 / len(options)
    visits = np.linalg.solve(
        np.eye(len(edges)) - move, np.eye(len(edges))[0]
    )  # of a state, per string
    for state, options in edges.items():
        for symbol, to in options:
            for following, _ in edges.get(to, ()):
                share = visits[number[state]] / len(options) / len(edges[to])
                pairs[SYMBOLS.index(symbol), SYMBOLS.index(following)] += share
    pairs /= pairs.sum()
    constant, known = (
        np.sum(pairs.sum(axis=0) ** 2),
        np.sum(pairs**2 / np.maximum(pairs.sum(axis=1), 1e-9)[:, None]),
    )
    return float(1 - constant) / len(SYMBOLS), float(1 - known) / len(SYMBOLS)


class Reber(Task):
    """Strings of a grammar, small enough that two symbols in a row tell where one is.

    Shown   One symbol of BTPSXVE per step, as one of 7 lines set to 1. A string: B, then T or P, then on along the edges of
            the automaton to E. All choices have probability 1/2. At least 5 symbols, 8.0 on average.
    Asked   At every step the next symbol; targets are the symbol that follows in this string.
    Lag     1 step: what may follow a symbol hangs on the symbol before it too, and on nothing else.
    Right   At every step of the string the legal next symbols are the most active outputs (or the output is the target itself).
    Chance  Squared error 0.1181 for always answering the mean target of the grammar; 0.0961 for the best answer to the
            present symbol alone. Test sets, which lack the shortest strings, differ by a few percent.
    Solved  All strings of both sets right: 256 for training, 256 for test, no test string among the training strings.
    Published  No figure that we could check. Cleeremans, Servan-Schreiber & McClelland 1989 taught it to
            an Elman network, Fahlman 1991 to recurrent cascade-correlation.

    Decisions where the text leaves a choice:
    - sets, criterion and encoding are those of the embedded grammar of 1997;
    - diagnostics measure on test strings: the training strings are all trained on;
    - strings are drawn as the grammar gives them, so short ones repeat within a set; distinct=True draws 512 different ones.

    pair: number of the pair of sets, drawn from a stream of its own, 'sets'. strings: in each set, at most 2000. distinct: see
    above. criterion: settings of the rule to change.
    Raises ValueError for other values. Source: Reber 1967; Cleeremans, Servan-Schreiber & McClelland 1989.
    """

    features, outputs = 7, 7
    inputs = targets = tuple(SYMBOLS)
    output_activation = "sigmoid"
    lag = 1
    edges = REBER
    chance, memoryless = yardsticks(edges)

    def __init__(
        self,
        pair: int = 0,
        distinct: bool = False,
        strings: int = 256,
        criterion: dict | None = None,
    ):
        name = type(self).__name__
        whole(name, "pair", pair, least=0)
        self.test_size = whole(name, "strings", strings, least=1, most=2000)
        choice(name, "distinct", distinct, (True, False))
        self.criterion = {
            "rule": "whole_sets", "sets": None, "wrong": 0, "error_below": None, "measure": "absolute", **(criterion or {}),
        }  # fmt: skip
        self._legal, self._next = _tables(self.edges)
        self.training_strings, self.test_strings = draw_sets(
            generator(pair, "sets"), self.edges, strings, distinct
        )
        self.steps = self.readouts = max(map(len, self.training_strings + self.test_strings)) - 1
        self._training = self.encode(self.training_strings)

    def sample(self, rng, n):
        drawn = rng.integers(0, len(self.training_strings), size=n)
        return tuple(part[drawn] for part in self._training)

    def sets(self, seed, draw=0):
        return {"training": [self._training], "test": [self.encode(self.test_strings)]}

    def probe(self, seed, n):
        drawn = generator(seed, "probe").integers(0, len(self.test_strings), size=n)
        return tuple(part[drawn] for part in self.encode(self.test_strings))

    def correct(self, y, prediction, w):
        legal = self.legal(y)
        least_legal = np.where(legal, prediction, np.inf).min(axis=-1)
        most_illegal = np.where(legal, -np.inf, prediction).max(axis=-1)
        exact = np.all(
            prediction == y, axis=-1
        )  # where two symbols are legal, the target leaves one of them at zero
        return np.all((least_legal > most_illegal) | exact | (w == 0), axis=1)

    def legal(self, y: np.ndarray) -> np.ndarray:
        """The legal next symbols at each step, bool [n, T, 7], read off the targets: the automaton runs along them."""
        symbols = y.argmax(axis=-1)
        state = np.full(len(y), self._next[0, SYMBOLS.index("B")])  # after the first symbol, B
        legal = np.zeros(y.shape, bool)
        for t in range(y.shape[1]):
            legal[:, t] = self._legal[state]
            state = self._next[state, symbols[:, t]]
        return legal

    def encode(self, strings: list[str]):
        """x, y, w of the strings: input is each symbol but the last, target each symbol but the first; padded at the right."""
        x = np.zeros((len(strings), self.steps, 7), "float32")
        y, w = np.zeros_like(x), np.zeros(x.shape[:2], "float32")
        for row, string in enumerate(strings):
            codes, t = [SYMBOLS.index(s) for s in string], np.arange(len(string) - 1)
            x[row, t, codes[:-1]] = y[row, t, codes[1:]] = 1.0
            w[row, t] = 1.0
        return x, y, w


def draw_string(rng: np.random.Generator, edges: dict) -> str:
    """One string of the automaton, its edges taken with equal probability."""
    state, string = next(iter(edges)), ""
    while state is not None:
        symbol, state = edges[state][rng.integers(len(edges[state]))]
        string += symbol
    return string


def draw_sets(
    rng: np.random.Generator, edges: dict, n: int, distinct: bool
) -> tuple[list[str], list[str]]:
    """n training strings, then n test strings none of which is among the training strings."""
    training: list[str] = []
    test: list[str] = []
    while len(training) < n:
        string = draw_string(rng, edges)
        if not (distinct and string in training):
            training.append(string)
    known = set(training)
    while len(test) < n:
        string = draw_string(rng, edges)
        if string not in known and not (distinct and string in test):
            test.append(string)
    return training, test


def _tables(edges: dict) -> tuple[np.ndarray, np.ndarray]:
    """The automaton as arrays: legal [states, 7], next state [states, 7]; the last state stands for all that is illegal."""
    number = {state: k for k, state in enumerate(edges)}
    dead = len(edges)
    legal, following = np.zeros((dead + 1, 7), bool), np.full((dead + 1, 7), dead)
    for state, options in edges.items():
        for symbol, to in options:
            legal[number[state], SYMBOLS.index(symbol)] = True
            following[number[state], SYMBOLS.index(symbol)] = dead if to is None else number[to]
    return legal, following
