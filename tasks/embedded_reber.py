"""The embedded Reber grammar (experiment 1): predict every legal next symbol, the last but one from far back."""

import numpy as np
from lstmlab.tasks.reber import REBER, Reber, yardsticks


def embedded_automaton() -> dict:
    """State -> edges of the embedded grammar: B, then T or P, then a Reber string, then that T or P again, then E."""
    edges: dict = {
        "start": (("B", "choice"),),
        "choice": (("T", ("T", 0)), ("P", ("P", 0))),
        "end": (("E", None),),
    }
    for outer in "TP":
        for state, inner in REBER.items():
            edges[outer, state] = tuple(
                (s, (outer, "close") if to is None else (outer, to)) for s, to in inner
            )
        edges[outer, "close"] = ((outer, "end"),)
    return edges


class EmbeddedReber(Reber):
    """Strings of a grammar; the last symbol but one repeats the second, whatever came between.

    Shown   One symbol of BTPSXVE per step, as one of 7 lines set to 1. A string: B, then T or P, then a whole string of the
            Reber grammar, then the same T or P, then E. All choices have probability 1/2. At least 9 symbols, 12.0 on average.
    Asked   At every step the next symbol; targets are the symbol that follows in this string.
    Lag     At least 5 steps from reading the second symbol to the prediction that needs it (the paper says 9, the length of
            the shortest string); the grammar sets it.
    Right   At every step of the string the legal next symbols are the most active outputs (or the output is the target itself).
    Chance  Squared error 0.1198 for always answering the mean target of the grammar; 0.0981 for the best answer to the
            present symbol alone. Test sets, which lack the shortest strings, lie up to 3 % below.
    Solved  All strings of both sets right: 256 for training, 256 for test, no test string among the training strings.

    Decisions where the text leaves a choice:
    - the sets are tried after each window of training (trainer.window sequences);
    - diagnostics measure on test strings: the training strings are all trained on;
    - weights change once per string, by the sum of the errors of its steps;
    - strings are drawn as the grammar gives them, so short ones repeat within a set; distinct=True draws 512 different ones.

    pair: number of the pair of sets, drawn from a stream of its own, 'sets' (the paper has 3). strings: in each set, at most
    2000. distinct: see above. criterion: settings of the rule to change.
    Raises ValueError for other values. Source: Hochreiter & Schmidhuber 1997, section 5.1; Reber 1967.
    """

    lag = 5
    edges = embedded_automaton()
    chance, memoryless = yardsticks(edges)

    def events(self, x, w):
        last = (w > 0).sum(axis=1)[
            :, None
        ]  # steps with an error; at the last but one the second symbol is asked for
        t = np.arange(1, w.shape[1] + 1)
        return (t == 2) | (t == last - 1)
