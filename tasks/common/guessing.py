"""Random weight guessing: draw all weights again and again until a network happens to classify
every training sequence."""

from collections.abc import Callable

import numpy as np
from lstmlab.tasks.latch import Latch
from lstmlab.tasks.parity import Parity
from numpy.random import Generator

from lstmlab.checks import integer, one_of
from lstmlab.errors import refusal
from lstmlab.task import generator

ARCHITECTURES = ("A1", "A2", "A2 without self-connections", "unit", "latch I")
SQUASH: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": lambda net: 0.5 + 0.5 * np.tanh(0.5 * net),
    "tanh": np.tanh,
}
RANGE = 100.0  # weights are uniform in [-RANGE, RANGE]
TOGETHER = 1024  # networks that are tried at the same time
TRIED_FIRST = 4  # sequences that most networks fail on: only those that do not are shown the others


def guess(
    task: Latch | Parity, seed: int, architecture: str = "A1", units: int = 1, most: int = 1_000_000
) -> int | None:
    """Guesses weights until a network is right for 100 training sequences, 50 of each class.

    At each step hidden units see the input and the activations of the step before; then the output
    sees the input and the hidden units of the same step. All units have the
    activation of the task's output, and all begin at 0.

    Mean trials over 15 to 40 seeds: latch variant I 9, variant II with 'unit' 147 (39 with noise of
    standard deviation 0.2), parity with A1 5,000, with A2 of 10 units 3,000, without
    self-connections 310. `lstmlab-tasks latch` and `lstmlab-tasks parity` print the published ones.
    How many units A2 had is from memory: unverified.

    Args:
        task: The task to solve.
        seed: The seed of the weights and of the training set.
        architecture: 'A1', fully connected, with a bias for each hidden unit; 'A2', sparser: each
            hidden unit sees the input, the output and itself, the output sees all other units, and
            all have biases; 'A2 without self-connections'; 'unit', one unit that sees the input,
            itself and a bias; 'latch I', one unit that sees itself, and whose first input is drawn
            for each class.
        units: Hidden units of A1 and A2.
        most: Networks to try.

    Returns:
        The number of networks drawn, with the one that is right; None if none of `most` was.

    Raises:
        ValueError: For another architecture, a task with more than one input or output, or one with
            errors before the end.

    References:
        Hochreiter & Schmidhuber, "Guessing can outperform many long time lag algorithms".
    """
    one_of("guess", "architecture", architecture, ARCHITECTURES)
    integer("guess", "units", units)
    if (task.features, task.outputs, task.readouts) != (1, 1, 1):
        expected = "a task of one input and one output at the end"
        raise refusal("guess", expected, f"task={type(task).__name__}")

    rng = generator(seed, "weights")
    x, y, last = _training_set(task, generator(seed, "sets"))
    squash = SQUASH[task.output_activation]

    for tried in range(0, most, TOGETHER):
        networks = _draw(rng, architecture, units, TOGETHER)
        left = np.arange(min(TOGETHER, most - tried))
        for some in (slice(0, TRIED_FIRST), slice(TRIED_FIRST, None)):
            chosen = {name: part[..., left] for name, part in networks.items()}
            answers = _answers(chosen, squash, x[some], last[some])
            left = left[(np.abs(answers - y[some, None]) < task.tolerance).all(axis=0)]
            if not len(left):
                break
        else:
            return tried + int(left[0]) + 1
    return None


def _training_set(
    task: Latch | Parity, rng: Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x [100, T], y [100] and the last steps [100]: 50 sequences of each class, in turn."""
    x, y, w = task.sample(rng, 400)
    answers = y[w > 0][:, 0]
    high = answers == answers.max()
    turn = np.stack([np.flatnonzero(high)[:50], np.flatnonzero(~high)[:50]], axis=1).ravel()
    return x[turn, :, 0], answers[turn], w.argmax(axis=1)[turn]


def _draw(rng: Generator, architecture: str, units: int, networks: int) -> dict[str, np.ndarray]:
    """The weights by their target. The last axis counts the networks, the one before sequences.

    hidden [3, units, 1, networks]: from the input, the output and the bias;
    recurrent [units, units, networks] or own [units, 1, networks]: from the hidden units;
    output [3, 1, networks]: from the input, the output and the bias;
    up [units, 1, networks]: from the hidden units to the output;
    first [2, 1, networks]: the first input of each class.
    """
    n = 0 if architecture in ("unit", "latch I") else units
    shapes = {"hidden": (3, n, 1), "own": (n, 1), "output": (3, 1), "up": (n, 1)}
    if architecture == "A1":
        shapes["recurrent"] = (n, n)
    weights = {
        name: rng.uniform(-RANGE, RANGE, size=(*shape, networks)).astype("float32")
        for name, shape in shapes.items()
    }

    if architecture == "A1":
        weights["own"][:] = 0.0  # they are on the diagonal of `recurrent`
        weights["output"][2] = 0.0  # the output has no bias
    elif architecture.startswith("A2"):
        weights["output"][1] = 0.0  # the output does not see itself
    if architecture.endswith("without self-connections"):
        weights["own"][:] = 0.0
    if architecture == "latch I":
        weights["first"] = weights["output"][[0, 2]]
        weights["output"] = weights["output"] * np.array([0, 1, 0], "float32")[:, None, None]
        weights["output"][0] = 1.0
    return weights


def _answers(
    weights: dict[str, np.ndarray],
    squash: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """The output of each network at the last step of each sequence, [sequences, networks]."""
    n, networks = len(weights["up"]), weights["output"].shape[-1]
    hidden = np.zeros((n, len(x), networks), "float32")
    output = np.zeros((len(x), networks), "float32")
    answers = np.zeros_like(output)
    from_input, from_output, bias = weights["output"]

    for t, shown in enumerate(x.T[: last.max() + 1, :, None]):
        if t == 0 and "first" in weights:
            shown = np.where(shown > 0, *weights["first"])
        if n:
            into = weights["hidden"][0] * shown + weights["hidden"][1] * output
            into = into + weights["hidden"][2] + weights["own"] * hidden
            if "recurrent" in weights:
                into += np.einsum("kjm,jsm->ksm", weights["recurrent"], hidden)
            hidden = squash(into)

        from_hidden = (weights["up"] * hidden).sum(axis=0)
        output = squash(from_input * shown + from_output * output + bias + from_hidden)
        answers[last == t] = output[last == t]
    return answers
