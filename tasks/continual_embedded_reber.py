"""The continual embedded Reber grammar (2000): strings without end, and nothing resets the net between them."""

import numpy as np
from lstmlab.tasks.common.continual import Continual
from lstmlab.tasks.common.yardsticks import yardsticks
from lstmlab.tasks.embedded_reber import embedded_automaton
from lstmlab.tasks.reber import SYMBOLS


class ContinualEmbeddedReber(Continual):
    """An endless stream of strings of the embedded Reber grammar: say all legal next symbols, for ever.

    Shown   One symbol of BTPSXVE per step, as one of 7 lines set to 1: strings of the embedded Reber grammar, one after
            another, from the beginning of a stream on. All choices have probability 1/2.
    Asked   At every step all legal next symbols: one or two of the 7 outputs are 1. After an E that is B.
    Lag     At least 5 steps from reading the second symbol of a string to the prediction that needs it.
    Right   Every |error| < 0.49, at every step of the stream.
    Chance  Squared error 0.1692 for always answering the mean target; 0.1076 for the best answer to the present symbol.
    Solved  10 test streams of 100,000 symbols without an error.

    Decisions where the text leaves a choice:
    - the targets are all legal next symbols: with the symbol that follows in this stream no net could keep all errors
      below 0.49 where two symbols may follow;
    - a training stream has `steps` symbols; in the paper it ends at the first error, which for a net that makes none is
      never. The published counts are of such streams.

    steps: symbols of a training stream. test_symbols: of a test stream. criterion: settings of the rule to change.
    Raises ValueError for values below 1. Source: Gers, Schmidhuber & Cummins 2000, Neural Computation 12:2451.
    """

    inputs = targets = tuple(SYMBOLS)
    output_activation = "sigmoid"
    tolerance = 0.49
    lag = 5

    def __init__(
        self, steps: int = 500, test_symbols: int = 100_000, criterion: dict | None = None
    ):
        self._edges = _edge_tables(embedded_automaton())
        self.set_codes(
            self._edges["shown"], self._edges["asked"], np.ones(len(self._edges["shown"]))
        )
        self.set_streams(steps, test_symbols, typical=12)
        self.readouts = self.steps
        self.criterion = {
            "rule": "whole_sets", "sets": ["test"], "wrong": 0, "error_below": None, "measure": "absolute",
            **(criterion or {}),
        }  # fmt: skip
        self.chance, self.memoryless = yardsticks(self.shown, self.asked, self._visits())

    def strings(self, rng, n):
        """The automaton is advanced for all strings at once; a code is the number of an edge."""
        following, first = self._edges["following"], self._edges["first"]
        codes, lengths = [np.full(n, first, "uint8")], np.ones(n, int)
        alive = np.arange(n)
        while len(alive):
            taken = following[codes[-1][alive], rng.integers(0, 2, size=len(alive))]
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
            if np.allclose(now, now @ move, rtol=0, atol=1e-15):
                return visits + left * now
            visits, now = visits + now, now @ move
        return visits

    def events(self, x, w):
        """The second symbol of each string and the step at which it is asked for; every other B and E is an outer one."""
        begins = (x[..., SYMBOLS.index("B")] > 0) & (
            np.cumsum(x[..., SYMBOLS.index("B")], axis=1) % 2 == 1
        )
        ends = (x[..., SYMBOLS.index("E")] > 0) & (
            np.cumsum(x[..., SYMBOLS.index("E")], axis=1) % 2 == 1
        )
        return np.pad(begins[:, :-1], ((0, 0), (1, 0))) | ends


def _edge_tables(automaton: dict) -> dict:
    """For each edge of the automaton: its symbol, the legal symbols after it, and the two (or twice one) edges that follow."""
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
    asked = shown[following].any(axis=1)
    return {"shown": shown, "asked": asked, "following": following, "first": leaving["start"][0]}
