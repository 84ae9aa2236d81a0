"""The multiplication problem (experiment 5): the adding problem, with a product."""

import numpy as np
from lstmlab.tasks.adding import Adding


class Multiplication(Adding):
    """Two marked numbers, far apart in a stream of noise: say their product at the end.

    Shown   Pairs (value, marker). Values are uniform in [0, 1]. Markers are 1 at two pairs, -1 at
            the first and the last pair, and 0 elsewhere. The length is uniform in T ... T + T/10,
            both included. The first mark falls on one of the first 10 pairs, the second on one of
            the first T/2 - 1.
    Asked   At the last pair: X1 X2. There is no error at any other step.
    Lag     At least T/2 steps from the second mark to the answer.
    Right   |error| < 0.04.
    Chance  Squared error 0.0577 for always answering the mean, 0.275; the last pair tells nothing
            more.
    Solved  Fewer than 140 of the last 2000 training sequences are wrong (a second criterion of the
            paper: fewer than 13).

    Decisions where the text leaves a choice:
    - a first pair that is drawn as the first mark keeps its marker -1 and counts as X1 = 1 (its
      value is shown unchanged);
    - the second mark is drawn from the first T/2 - 1 pairs without the first pair and without the
      other mark;
    - lengths include T + T/10; inclusive=False leaves it out;
    - there is no bound on the mean error; the errors that Table 8 calls mean squared are too large
      for that, given how few sequences are wrong, and are left out here.

    Args:
        T: The shortest length, at least 24, so that each mark has more than one place. It sets the
            lag.
        inclusive: Whether the length T + T/10 occurs.
        criterion: Settings of the criterion to change; wrong=12 asks for fewer than 13.

    Raises:
        ValueError: For any other value.

    References:
        Hochreiter & Schmidhuber 1997, section 5.5.
    """

    targets = ("product",)
    output_activation = "sigmoid"
    least, neutral = 0.0, 1.0
    # The variance of X1 X2, where X1 = 1 in a tenth of the cases.
    chance = memoryless = 0.9 / 9 + 0.1 / 3 - (0.9 / 4 + 0.1 / 2) ** 2

    def __init__(self, T: int = 100, inclusive: bool = True, criterion: dict | None = None):
        super().__init__(T, inclusive, {"wrong": 139, "error_below": None, **(criterion or {})})

    def answer(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first * second
