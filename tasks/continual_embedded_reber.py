"""The continual embedded Reber grammar (2000): an endless stream of strings, without resets."""

import numpy as np
from lstmlab.tasks.common.continual import Continual
from lstmlab.tasks.common.reber_grammar import SYMBOLS, Automaton, embedded_automaton
from lstmlab.tasks.common.rules import whole_sets
from lstmlab.tasks.common.yardsticks import yardsticks
from numpy.random import Generator


class ContinualEmbeddedReber(Continual):
    """An endless stream of strings of the embedded Reber grammar: say all legal next symbols, for
    ever.

    Shown   One symbol of BTPSXVE per step, as one of 7 lines set to 1: strings of the embedded
            Reber grammar, one after another, from the beginning of a stream on. All choices have
            probability 1/2.
    Asked   At every step all legal next symbols: one or two of the 7 outputs are 1. After an E that
            is B.
    Lag     At least 5 steps from reading the second symbol of a string to the prediction that needs
            it.
    Right   Every |error| < 0.49, at every step of the stream.
    Chance  Squared error 0.1692 for always answering the mean target; 0.1076 for the best answer to
            the present symbol.
    Solved  10 test streams of 100,000 symbols without an error.

    Decisions where the text leaves a choice:
    - the targets are all legal next symbols: if the target were the symbol that follows in this
      stream, no network could keep all errors below 0.49 where two symbols may follow;
    - a training stream has `steps` symbols; in the paper it ends at the first error, which never
      comes for a network that makes none. The published counts are of such streams.

    Args:
        steps: Symbols in a training stream.
        test_symbols: Symbols in a test stream.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For values below 1.

    References:
        Gers, Schmidhuber & Cummins 2000, Neural Computation 12:2451.
    """

    inputs = targets = tuple(SYMBOLS)
    output_activation = "sigmoid"
    tolerance = 0.49
    lag = 5

    def __init__(
        self, steps: int = 500, test_symbols: int = 100_000, criterion: dict | None = None
    ):
        self._edges = _edge_tables(embedded_automaton())
        weight = np.ones(len(self._edges["shown"]))
        self.set_codes(self._edges["shown"], self._edges["asked"], weight)
        self.set_streams(steps, test_symbols, typical=12)
        self.readouts = self.steps
        self.criterion = whole_sets(criterion, sets=["test"])
        self.chance, self.memoryless = yardsticks(self.shown, self.asked, self._visits())

    def strings(self, rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """The automaton advances for all strings at once; a code is the number of an edge."""
        following, first = self._edges["following"], self._edges["first"]
        codes, lengths = [np.full(n, first, "uint8")], np.ones(n, int)
        alive = np.arange(n)
        while len(alive):
            taken = following[codes[-1][alive], rng.integers(0, 2, size=len(alive))]
            # back at the first edge the next string begins: this one is over
            alive, taken = alive[taken != first], taken[taken != first]
            lengths[alive] += 1
            codes.append(np.zeros(n, "uint8"))
            codes[-1][alive] = taken
        return np.stack(codes, axis=1), lengths

    def _visits(self) -> np.ndarray:
        """How often each edge is taken, on average, in the first `steps` steps."""
        following = self._edges["following"]
        move = np.zeros((len(following),) * 2)
        for choice in (0, 1):
            np.add.at(move, (np.arange(len(following)), following[:, choice]), 0.5)

        now = np.zeros(len(following))
        now[self._edges["first"]] = 1.0
        visits = np.zeros_like(now)
        for left in range(self.steps, 0, -1):
            # Once the shares no longer change, all steps that are left have the same.
            if np.allclose(now, now @ move, rtol=0, atol=1e-15):
                return visits + left * now
            visits, now = visits + now, now @ move
        return visits

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The second symbol of each string, and the step at which it is asked for."""
        # the first E of a string is the inner one: the symbol after it is the second one again
        begins, ends = _outer(x, "B"), _outer(x, "E")
        return np.pad(begins[:, :-1], ((0, 0), (1, 0))) | ends


def _outer(x: np.ndarray, symbol: str) -> np.ndarray:
    """The steps, bool [n, T], that show every other B or E: the outer B, the inner E."""
    line = x[..., SYMBOLS.index(symbol)]
    return (line > 0) & (np.cumsum(line, axis=1) % 2 == 1)


def _edge_tables(automaton: Automaton) -> dict:
    """Tables over the edges: the symbol, what may follow it, and the two edges that follow.

    Where only one edge follows it is there twice.
    """
    edges = [
        (state, symbol, "start" if to is None else to)
        for state, out in automaton.items()
        for symbol, to in out
    ]

    leaving = {
        state: [k for k, edge in enumerate(edges) if edge[0] == state] for state in automaton
    }
    following = np.array([[leaving[to][0], leaving[to][-1]] for _, _, to in edges])
    shown = np.array([[symbol == line for line in SYMBOLS] for _, symbol, _ in edges])
    # [edges, 2, lines] -> [edges, lines]: what either of the two that follow shows
    asked = shown[following].any(axis=1)
    return {"shown": shown, "asked": asked, "following": following, "first": leaving["start"][0]}
