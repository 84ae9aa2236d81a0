"""lstmlab-bench: the cost of the layer beside that of Keras, and of tasks, learners, diagnostics.

Ratios are taken of measurements in turn in one process.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lstmlab import config, files
from lstmlab.bench import diagnostics as bench_diagnostics
from lstmlab.bench import learners as bench_learners
from lstmlab.describe import build
from lstmlab.task import Task, generator, valid_steps

SHAPES = {
    "tiny": (1, 1000, 2, 4),
    "narrow": (32, 500, 2, 64),
    "pixels": (64, 784, 1, 128),
    "wide": (32, 128, 512, 512),
    "long": (1, 8000, 2, 4),
}
WHAT = {
    "keras": "vanilla against keras.layers.LSTM",
    "variants": "every variant against vanilla",
    "traces": "return_traces against none",
    "learners": "time and memory of learners against length and width",
    "presets": "a run with each preset of diagnostics",
    "measures": "time and memory of each diagnostic",
    "sampling": "steps per second of every task",
}
SECONDS = 0.4  # one measurement trains for about this long


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command, and print one table per part.

    For layers, one row per shape and layer: median milliseconds of a training step, and its ratio.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        config.use(options.config_dir)
    except ValueError as error:
        sys.exit(f"lstmlab-bench: {error}")
    if options.what == "presets":
        table = bench_diagnostics.presets(bench_diagnostics.PRESETS, options.budget, options.rounds)
        files.say(table.to_markdown(index=False, floatfmt=".3f"))
    elif options.what == "measures":
        probe = options.steps, options.batch
        table = bench_diagnostics.measures(
            options.measures, options.of_cells, *probe, options.rounds
        )
        files.say(table.to_markdown(index=False, floatfmt=".3f"))
    elif options.what == "learners":
        chosen = options.learners, options.cells, options.lengths, options.widths
        raw = bench_learners.run(*chosen, options.rounds, SECONDS, options.csv)
        files.say(bench_learners.tables(raw))
    elif options.what == "sampling":
        try:
            table = sampling(_tasks(options.tasks), options.rounds, SECONDS)
        except ValueError as error:
            sys.exit(f"lstmlab-bench: {error}")
        files.say(table.to_markdown(index=False, floatfmt=".1f"))
    else:
        _layers(options)


def _layers(options: argparse.Namespace) -> None:
    """One of BENCHMARKS at each shape."""
    # before the layers import TensorFlow, which reads it then
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in options.shapes:
        shape = SHAPES[name]
        layers = BENCHMARKS[options.what](shape[-1])
        table = measured(layers, shape, options.rounds, SECONDS)
        files.say(f"{name}: batch, steps, features, units = {shape}")
        files.say(f"{table.to_markdown(index=False, floatfmt='.2f')}\n")


def _parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="lstmlab-bench", description=__doc__)
    add = parser.add_argument
    add("what", choices=sorted(WHAT), help="; ".join(f"{k}: {v}" for k, v in WHAT.items()))
    shapes = ", ".join(f"{name} {shape}" for name, shape in SHAPES.items())
    words = f"batch, steps, features, units: {shapes}"
    add("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES), help=words)
    words = "measurements of each layer, taken in turn (default 11)"
    add("--rounds", type=_positive, default=11, help=words)
    words = "for sampling (default: all tasks that can be built without a setting)"
    add("--tasks", nargs="+", metavar="NAME", help=words)

    config.add_flag(parser)

    add = parser.add_argument_group("for learners").add_argument
    known = bench_learners.LEARNERS
    add("--learners", nargs="+", choices=known, default=list(known))
    cells = bench_learners.CELLS
    add("--cells", nargs="+", choices=cells, default=list(cells))
    lengths = list(bench_learners.LENGTHS)
    add("--lengths", nargs="+", type=_positive, default=lengths, metavar="STEPS")
    widths = list(bench_learners.WIDTHS)
    words = "must be even for lstm1997, whose blocks have two cells"
    add("--widths", nargs="+", type=_positive, default=widths, metavar="UNITS", help=words)
    add("--csv", metavar="FILE", help="every measurement, for docs/scripts/draw_learners.py")

    add = parser.add_argument_group("for presets and measures").add_argument
    budget = bench_diagnostics.BUDGET
    words = f"of a run with a preset (default {budget})"
    add("--budget", type=_positive, default=budget, metavar="SEQUENCES", help=words)
    measures = bench_diagnostics.MEASURES
    add("--measures", nargs="+", choices=measures, default=list(measures), metavar="NAME")
    of_cells = bench_diagnostics.CELLS
    add("--of-cells", nargs="+", choices=of_cells, default=["vanilla", "lstm1997"])
    add("--steps", type=_positive, default=bench_diagnostics.STEPS, help="of the probe")
    add("--batch", type=_positive, default=bench_diagnostics.BATCH, help="of the probe")
    return parser


def measured(
    layers: dict[str, Callable], shape: tuple, rounds: int, seconds: float
) -> pd.DataFrame:
    """Measure training steps in `fit` with jit_compile, against the first layer.

    A ratio is taken within each round, in which every layer has its turn for about `seconds`, in
    another order each time, and the median over the rounds is quoted.

    Args:
        layers: {name: layer}.
        shape: batch, steps, features, units.
        rounds: Turns of each layer.
        seconds: Of one turn.

    Returns:
        Columns layer, ms, ratio, quartiles of the ratio, cpu ratio: the same of processor time,
        which other programs disturb less.
    """
    import keras

    batch, steps, features, _ = shape
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, steps, features)).astype("float32")
    y = rng.normal(size=(batch, 1)).astype("float32")
    models, count = {}, 1
    for name, make in layers.items():
        inputs = keras.Input((steps, features), batch_size=batch)
        models[name] = keras.Model(inputs, keras.layers.Dense(1)(make(inputs)))
        models[name].compile("sgd", "mse", jit_compile=True)

    def fit(model: Any) -> np.ndarray:
        """Seconds and processor seconds of a training step."""
        data = np.repeat(x, count, axis=0), np.repeat(y, count, axis=0)
        start = np.array([time.perf_counter(), time.process_time()])
        model.fit(*data, batch_size=batch, shuffle=False, verbose=0)
        return (np.array([time.perf_counter(), time.process_time()]) - start) / count

    for model in models.values():
        fit(model)  # compiles
    first = next(iter(models.values()))
    # one count for all, that of the first layer: within a round each does the same work
    while fit(first)[0] * count < seconds:
        count *= 2

    taken: dict[str, list] = {name: [] for name in models}
    for _ in range(rounds):
        for name in rng.permutation(list(models)):
            taken[name].append(fit(models[name]))

    wall, cpu = (
        pd.DataFrame({name: np.array(times)[:, k] for name, times in taken.items()}) for k in (0, 1)
    )
    # within a round, so that a machine that slows down slows both sides of a ratio
    ratios, cpu_ratios = (times.div(times.iloc[:, 0], axis=0) for times in (wall, cpu))

    columns = {
        "ms": 1000 * wall.median(),
        "ratio": ratios.median(),
        "lower quartile": ratios.quantile(0.25),
    }
    columns |= {"upper quartile": ratios.quantile(0.75), "cpu ratio": cpu_ratios.median()}
    return pd.DataFrame(columns).rename_axis("layer").reset_index()


def keras_lstm(units: int) -> dict[str, Callable]:
    """vanilla against keras.layers.LSTM, with the last output and with all; and in Keras' RNN."""
    import keras

    from lstmlab.cells import GatedRNN, variant

    def all_outputs(layer: Callable) -> Callable:
        return lambda inputs: keras.layers.GlobalAveragePooling1D()(layer(inputs))

    return {
        "keras.layers.LSTM": keras.layers.LSTM(units),
        "GatedRNN vanilla": GatedRNN(units),
        "keras.layers.RNN(vanilla)": keras.layers.RNN(variant("vanilla", units)),
        "keras.layers.LSTM, all outputs": all_outputs(
            keras.layers.LSTM(units, return_sequences=True)
        ),
        "GatedRNN vanilla, all outputs": all_outputs(GatedRNN(units, return_sequences=True)),
    }


def every_variant(units: int) -> dict[str, Callable]:
    """Every variant against vanilla."""
    from lstmlab.cells import GatedRNN, variants

    names = ["vanilla", *(name for name in variants() if name != "vanilla")]
    return {name: GatedRNN(units, name) for name in names}


def with_traces(units: int) -> dict[str, Callable]:
    """return_traces against none, only looked at, and differentiated.

    Their means join the output, so that all are made.
    """
    from keras import ops

    from lstmlab.cells import GatedRNN

    def seen(handed_on: Callable) -> Callable:
        traced = GatedRNN(units, return_traces=True)

        def layer(inputs: Any) -> Any:
            output, traces = traced(inputs)
            return output + sum(
                handed_on(ops.mean(values, axis=(1, 2))[:, None]) for values in traces.values()
            )

        return layer

    return {
        "no traces": GatedRNN(units),
        # the first layer once more: how far from 1 a ratio strays by chance
        "again": GatedRNN(units),
        "traces": seen(ops.stop_gradient),
        "traces, differentiated": seen(lambda values: values),
    }


def sampling(tasks: dict[str, Task], rounds: int, seconds: float) -> pd.DataFrame:
    """Measure how fast `sample` draws training sequences, on one core.

    Steps of padding are not counted. The median over the rounds is quoted, in which every task has
    its turn for about `seconds`, in another order each time.

    Returns:
        Columns task, steps (on average over the sequences), million steps/s, and its quartiles.
    """
    order, blocks = np.random.default_rng(0), dict.fromkeys(tasks, 0)
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    lengths: dict[str, list[float]] = {name: [] for name in tasks}

    def draw(name: str) -> tuple[float, float]:
        """Seconds of one block, and its steps."""
        task, rng = tasks[name], generator(0, "train", blocks[name])
        blocks[name] += 1
        start = time.perf_counter()
        _, _, w = task.sample(rng, task.block)
        duration = time.perf_counter() - start
        lengths[name].append(valid_steps(w).sum() / task.block)
        return duration, lengths[name][-1] * task.block

    for name in tasks:
        draw(name)  # tables, caches
    for _ in range(rounds):
        for name in order.permutation(list(tasks)):
            total, steps = draw(name)
            while total < seconds:
                total, steps = np.add((total, steps), draw(name))
            taken[name].append(steps / total / 1e6)

    speeds = pd.DataFrame(taken)
    columns = {"steps": pd.Series({name: np.mean(values) for name, values in lengths.items()})}
    columns |= {"million steps/s": speeds.median(), "lower quartile": speeds.quantile(0.25)}
    return (
        pd.DataFrame(columns | {"upper quartile": speeds.quantile(0.75)})
        .rename_axis("task")
        .reset_index()
    )


def _tasks(wanted: Sequence[str] | None) -> dict[str, Task]:
    """The tasks of those names with their defaults; without names all that need no setting."""
    if wanted is not None:
        return {name: build(name) for name in wanted}
    found = {}
    for name in config.options("task"):
        try:
            found[name] = build(name)
        except ValueError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    return found


BENCHMARKS = {"keras": keras_lstm, "variants": every_variant, "traces": with_traces}


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer. Received: {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
