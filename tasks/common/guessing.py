"""Random weight guessing: draw all weights again and again until a net happens to classify every training sequence."""

import numpy as np
from lstmlab.tasks.latch import Latch
from lstmlab.tasks.parity import Parity

from lstmlab.task import choice, generator, whole

ARCHITECTURES = ("A1", "A2", "A2 without self-connections", "unit", "latch I")
SQUASH = {"sigmoid": lambda net: 0.5 + 0.5 * np.tanh(0.5 * net), "tanh": np.tanh}
RANGE = 100.0  # weights are uniform in [-RANGE, RANGE]
TOGETHER = 1024  # nets that are tried at the same time
TRIED_FIRST = 4  # sequences that most nets fail on: the others are shown to those that do not


def guess(
    task: Latch | Parity, seed: int, architecture: str = "A1", units: int = 1, most: int = 1_000_000
) -> int | None:
    """The number of nets drawn until one is right for 100 training sequences, 50 of each class; None after `most`.

    architecture: 'A1', fully connected, `units` hidden units with a bias each; 'A2', sparser: each hidden unit sees the
    input, the output and itself, the output all other units, and all are biased; 'A2 without self-connections';
    'unit', one unit that sees the input, itself and a bias; 'latch I', one unit that sees itself, and whose first input is
    drawn for each class. At each step hidden units see the input and the activations of the step before, then the output sees
    the input and the hidden units of the same step. All units have the activation of the task's output; all begin at 0.
    Trials on average over 15 to 40 seeds: latch variant I 9, variant II with 'unit' 147 (39 with noise
    of standard deviation 0.2), parity with A1 5,000, with A2 of 10 units 3,000, without
    self-connections 310; the published ones are those of `lstmlab-tasks latch` and `lstmlab-tasks
    parity`. How many units A2 had is from memory: unverified.
    Raises ValueError for another architecture or a task with more than one input or output, or errors before the end.
    Source: Hochreiter & Schmidhuber, "Guessing can outperform many long time lag algorithms".
    """
    choice("guess", "architecture", architecture, ARCHITECTURES)
    whole("guess", "units", units)
    if (task.features, task.outputs, task.readouts) != (1, 1, 1):
        raise ValueError(
            f"guess: expected a task of one input and one output at the end. Received: task={type(task).__name__}"
        )
    rng = generator(seed, "weights")
    x, y, last = _training_set(task, generator(seed, "sets"))
    squash = SQUASH[task.output_activation]
    for tried in range(0, most, TOGETHER):
        net = _draw(rng, architecture, units, TOGETHER)
        left = np.arange(min(TOGETHER, most - tried))
        for some in (slice(0, TRIED_FIRST), slice(TRIED_FIRST, None)):
            answers = _answers(
                {name: part[..., left] for name, part in net.items()}, squash, x[some], last[some]
            )
            left = left[(np.abs(answers - y[some, None]) < task.tolerance).all(axis=0)]
            if not len(left):
                break
        else:
            return tried + int(left[0]) + 1
    return None


def _training_set(task: Latch | Parity, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """x [100, T], y [100] and the last steps [100]: 50 sequences of each class, in turn."""
    x, y, w = task.sample(rng, 400)
    answers = y[w > 0][:, 0]
    high = answers == answers.max()
    turn = np.stack([np.flatnonzero(high)[:50], np.flatnonzero(~high)[:50]], axis=1).ravel()
    return x[turn, :, 0], answers[turn], w.argmax(axis=1)[turn]


def _draw(
    rng: np.random.Generator, architecture: str, units: int, nets: int
) -> dict[str, np.ndarray]:
    """The weights of so many nets, by their target; the last axis counts the nets, the one before sequences.

    hidden [3, units, 1, nets]: from the input, the output and the bias; recurrent [units, units, nets] or own [units, 1, nets];
    output [3, 1, nets]: from the input, the output and the bias; up [units, 1, nets]: from the hidden units;
    first [2, 1, nets]: the first input of each class.
    """
    n = 0 if architecture in ("unit", "latch I") else units
    shapes = {"hidden": (3, n, 1), "own": (n, 1), "output": (3, 1), "up": (n, 1)}
    if architecture == "A1":
        shapes["recurrent"] = (n, n)
    net = {
        name: rng.uniform(-RANGE, RANGE, size=(*shape, nets)).astype("float32")
        for name, shape in shapes.items()
    }
    if architecture == "A1":
        net["own"][:] = net["output"][2] = (
            0.0  # the own weights are those of `recurrent`, and the output has no bias
        )
    elif architecture.startswith("A2"):
        net["output"][1] = 0.0
    if architecture.endswith("without self-connections"):
        net["own"][:] = 0.0
    if architecture == "latch I":
        net["first"] = net["output"][[0, 2]]
        net["output"] = net["output"] * np.array([0, 1, 0], "float32")[:, None, None]
        net["output"][0] = 1.0
    return net


def _answers(net: dict[str, np.ndarray], squash, x: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The output of each net at the last step of each sequence, [sequences, nets]."""
    n, nets = len(net["up"]), net["output"].shape[-1]
    hidden, output = np.zeros((n, len(x), nets), "float32"), np.zeros((len(x), nets), "float32")
    answers = np.zeros_like(output)
    for t, inputs in enumerate(x.T[: last.max() + 1, :, None]):
        shown = np.where(inputs > 0, *net["first"]) if t == 0 and "first" in net else inputs
        if n:
            into = (
                net["hidden"][0] * shown
                + net["hidden"][1] * output
                + net["hidden"][2]
                + net["own"] * hidden
            )
            if "recurrent" in net:
                into += np.einsum("kjm,jsm->ksm", net["recurrent"], hidden)
            hidden = squash(into)
        output = squash(
            net["output"][0] * shown
            + net["output"][1] * output
            + net["output"][2]
            + (net["up"] * hidden).sum(axis=0)
        )
        answers[last == t] = output[last == t]
    return answers
