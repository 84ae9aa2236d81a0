"""The embedded Reber grammar (experiment 1): predict every legal next symbol, the last but one from
far back."""

import numpy as np
from lstmlab.tasks.common.reber_grammar import embedded_automaton, grammar_yardsticks
from lstmlab.tasks.reber import Reber


class EmbeddedReber(Reber):
    """Strings of a grammar; the last symbol but one repeats the second, whatever came between.

    Shown   One symbol of BTPSXVE per step, as one of 7 lines set to 1. A string is B, then T or P,
            then a whole string of the Reber grammar, then the same T or P, then E. All choices have
            probability 1/2. It has at least 9 symbols, 12.0 on average.
    Asked   At every step the next symbol; the target is the symbol that follows in this string.
    Lag     At least 5 steps from reading the second symbol to the prediction that needs it (the
            paper says 9, the length of the shortest string); the grammar sets it.
    Right   At every step of the string the legal next symbols are the most active outputs (or the
            output is the target itself).
    Chance  Squared error 0.1198 for always answering the mean target of the grammar; 0.0981 for the
            best answer to the current symbol. On test sets, which lack the shortest strings, both
            are up to 3 % lower.
    Solved  All strings of both sets are right: 256 for training, 256 for test, no test string among
            the training strings.

    Decisions where the text leaves a choice:
    - the sets are tested after each window of training (trainer.window sequences);
    - diagnostics measure on test strings, because all training strings are used for training;
    - weights change once per string, by the sum of the errors of its steps;
    - strings are drawn as the grammar generates them, so short ones repeat within a set;
      distinct=True draws 512 different ones.

    Args:
        pair: The number of the pair of sets, which is drawn from the stream 'sets' (the paper has 3
            pairs).
        distinct: Whether all strings are different.
        strings: Number of strings in each set, 1 to 2000.
        criterion: Settings of the criterion to change.

    Raises:
        ValueError: For any other value.

    References:
        Hochreiter & Schmidhuber 1997, section 5.1; Reber 1967.
    """

    lag = 5
    edges = embedded_automaton()
    chance, memoryless = grammar_yardsticks(edges)

    def events(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The second symbol, and the step with an error at which it is asked for: the last but
        one."""
        # padding is at the right, so their number is that of the last step with an error
        last = (w > 0).sum(axis=1)[:, None]
        t = np.arange(1, w.shape[1] + 1)
        return (t == 2) | (t == last - 1)
