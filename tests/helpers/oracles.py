"""What the numeric tests measure against.

Finite differences (lstmlab.conformance), and the gated cell written a second time in NumPy.
"""

import numpy as np

from lstmlab.conformance.oracles import (
    assert_gradients,
    finite_differences,
    randomize,
    weight_differences,
)

__all__ = [
    "FUNCTIONS",
    "LETTERS",
    "NumpyCell",
    "assert_gradients",
    "finite_differences",
    "randomize",
    "relative",
    "weight_differences",
]

LETTERS = {"input_gate": "i", "forget_gate": "f", "candidate": "g", "output_gate": "o"}
FUNCTIONS = {
    "sigmoid": lambda net: 1 / (1 + np.exp(-net)),
    "tanh": np.tanh,
    "linear": lambda net: net,
    "g1997": lambda net: 4 / (1 + np.exp(-net)) - 2,
    "h1997": lambda net: 2 / (1 + np.exp(-net)) - 1,
}


class NumpyCell:
    """The step of a GatedCell from its weights and its config, columns counted by hand.

    See GatedCell for the equations.
    """

    def __init__(self, cell):
        config, n, m = cell.get_config(), cell.units, cell.units // cell.block_size
        self.n, self.m, self.size, self.feedback = n, m, cell.block_size, cell.feedback
        self.function = {
            LETTERS[k]: config[k]["config"]["activation"]
            for k in LETTERS
            if k != "candidate" and config[k]
        }
        self.function |= {"g": config["candidate_activation"], "h": config["output_activation"]}
        biased = {
            LETTERS[k]: config[k]["config"]["bias"] is not None
            for k in LETTERS
            if k != "candidate" and config[k]
        }
        biased["g"] = config["candidate_bias"] is not None
        kernel, recurrent = (
            cell.kernel.numpy(),
            None if cell.feedback == "none" else cell.recurrent_kernel.numpy(),
        )
        column = row = 0
        self.weights = {}
        for letter in "ifgo":
            if letter not in biased:
                continue
            width = n if letter == "g" else m
            columns = slice(column, column + width)
            bias = np.zeros(width)
            if biased[letter]:
                bias = cell.bias.numpy()[row : row + width]
                row += width
            self.weights[letter] = (
                kernel[:, columns],
                None if recurrent is None else recurrent[:, columns],
                bias,
            )
            column += width
        assert column == kernel.shape[1]
        assert row == (0 if cell.bias is None else cell.bias.shape[0])

    def net(self, letter, x, hidden):
        kernel, recurrent, bias = self.weights[letter]
        return x @ kernel + (0 if recurrent is None else hidden @ recurrent) + bias

    def step(self, x, hidden, s_tm1, bump=None):
        """Values {i, f, g, o, s, y} and hidden after one step; bump: {"s" or "y".

        What is added to it as it arises}.
        """
        bump = bump or {}
        at = {k: FUNCTIONS[self.function[k]](self.net(k, x, hidden)) for k in self.weights}
        wide = {k: np.repeat(at[k], self.size, axis=1) if k in at else 1.0 for k in "ifo"}
        at["s"] = wide["f"] * s_tm1 + wide["i"] * at["g"] + bump.get("s", 0.0)
        at["y"] = wide["o"] * FUNCTIONS[self.function["h"]](at["s"]) + bump.get("y", 0.0)
        back = (
            [at["y"], *(at[k] for k in "ifo" if k in at)] if self.feedback == "all" else [at["y"]]
        )
        return at, np.concatenate(back, axis=1)

    def run(self, x, bump=None, read_back=None):
        """Values at every step from the zero state, a list of T; bump: (step, {name: value}).

        read_back: hidden values that the nets see instead of those that arise: the truncation of
        1997.
        """
        width = self.n + (
            self.m * sum(k in self.weights for k in "ifo") if self.feedback == "all" else 0
        )
        hidden, s, steps, hiddens = np.zeros((len(x), width)), np.zeros((len(x), self.n)), [], []
        for t in range(x.shape[1]):
            seen = hidden if read_back is None else read_back[t]
            hiddens.append(hidden)
            at, hidden = self.step(x[:, t], seen, s, bump[1] if bump and bump[0] == t else None)
            s = at["s"]
            steps.append(at)
        return steps, hiddens


def relative(actual, expected) -> float:
    """|actual - expected| / |expected|, Euclidean norms over all elements in float64.

    The expected ones are not all zero.
    """
    actual, expected = (np.asarray(value).astype("float64") for value in (actual, expected))
    assert actual.shape == expected.shape
    assert np.linalg.norm(expected) > 1e-3
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))
