"""lstmlab-bench: the cost of the layer beside that of Keras, and of tasks, learners, diagnostics.

Ratios are taken of measurements in turn in one process.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lstmlab import config, files
from lstmlab.bench import defaults
from lstmlab.bench.defaults import SHAPES, WHAT

SECONDS = 0.4  # one measurement trains for about this long
ROUNDS = 11


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
        from lstmlab.bench.diagnostics import presets

        table = presets(defaults.PRESETS, options.budget, options.rounds or ROUNDS)
        files.say(table.to_markdown(index=False, floatfmt=".3f"))
    elif options.what == "measures":
        from lstmlab.bench.diagnostics import measures

        probe = options.steps, options.batch
        table = measures(options.measures, options.of_cells, *probe, options.rounds or ROUNDS)
        files.say(table.to_markdown(index=False, floatfmt=".3f"))
    elif options.what == "learners":
        from lstmlab.bench.learners import run, tables

        lengths = options.lengths or list(defaults.LENGTHS)
        asked = options.learners, options.cells, lengths, options.widths
        files.say(tables(run(*asked, options.rounds or ROUNDS, SECONDS, options.csv)))
    elif options.what == "sampling":
        from lstmlab.bench.sampling import chosen, sampling

        try:
            table = sampling(chosen(options.tasks), options.rounds or ROUNDS, SECONDS)
        except ValueError as error:
            sys.exit(f"lstmlab-bench: {error}")
        files.say(table.to_markdown(index=False, floatfmt=".1f"))
    elif options.what == "trials":
        _trials(options)
    elif options.what == "layer":
        _layer(options)
    else:
        _layers(options)


def _trials(options: argparse.Namespace) -> None:
    """Native beside KerasFit."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from lstmlab.bench import trials, trials_shown

    lengths = options.lengths or list(trials.QUICK_SPANS if options.quick else defaults.SPANS)
    asked = trials.Asked(
        sizes=options.sizes,
        learners=options.trained_by,
        lengths=[] if options.no_lengths else lengths,
        trials=options.trials,
        rounds=options.rounds or (1 if options.quick else defaults.TRIAL_ROUNDS),
        quick=options.quick,
        keras=not options.no_keras,
    )

    def measure() -> Any:
        files.say(f"{trials_shown.machine()}\n")
        return trials.run(asked)

    _told(options, measure, trials_shown.tables, trials_shown.draw)


def _layer(options: argparse.Namespace) -> None:
    """GatedRNN by engine, beside other layers."""
    from lstmlab.bench import layer

    batch, features, units = defaults.AT_LENGTH
    lengths = [] if options.no_lengths else options.lengths or list(defaults.LAYER_LENGTHS)
    at = {f"{steps}": (batch, steps, features, units) for steps in lengths}
    shapes = {name: defaults.LAYER_SHAPES[name] for name in options.layer_shapes}
    rounds = options.rounds or defaults.LAYER_ROUNDS

    def measure() -> Any:
        asked = options.layers, shapes, at, rounds, SECONDS
        return layer.run(*asked, options.modes, options.memory, options.gpu)

    _told(options, measure, partial(layer.tables, gpu=options.gpu), layer.draw)


def _told(
    options: argparse.Namespace,
    measure: Callable[[], Any],
    tables: Callable[[Any], str],
    draw: Callable[[Any, str], None],
) -> None:
    """Measure; print the tables, and write csv and picture where they are asked for."""
    try:
        for path in (options.csv, options.picture):
            if path is not None:
                files.check(path)
        table = measure()
        if options.csv is not None:
            files.write(options.csv, table.to_csv(index=False))
        files.say(tables(table))
        if options.picture is not None:
            draw(table, options.picture)
    except (ValueError, files.WriteError) as error:
        sys.exit(f"lstmlab-bench: {error}")


def _layers(options: argparse.Namespace) -> None:
    """One of BENCHMARKS at each shape."""
    # before the layers import TensorFlow, which reads it then
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from lstmlab.bench.layers import BENCHMARKS, measured

    for name in options.shapes:
        shape = SHAPES[name]
        layers = BENCHMARKS[options.what](shape[-1])
        table = measured(layers, shape, options.rounds or ROUNDS, SECONDS)
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
    words = f"measurements of each, taken in turn (default {ROUNDS}; "
    words += f"for layer {defaults.LAYER_ROUNDS}, for trials {defaults.TRIAL_ROUNDS})"
    add("--rounds", type=_positive, help=words)
    words = "for sampling (default: all tasks that can be built without a setting)"
    add("--tasks", nargs="+", metavar="NAME", help=words)

    config.add_flag(parser)

    add = parser.add_argument_group("for learners").add_argument
    known = defaults.LEARNERS
    add("--learners", nargs="+", choices=known, default=list(known))
    cells = defaults.LEARNER_CELLS
    add("--cells", nargs="+", choices=cells, default=list(cells))
    words = f"also for layer and trials (default {_listed(defaults.LENGTHS)}; "
    words += f"for layer {_listed(defaults.LAYER_LENGTHS)}; for trials {_listed(defaults.SPANS)})"
    add("--lengths", nargs="+", type=_positive, metavar="STEPS", help=words)
    widths = list(defaults.WIDTHS)
    words = "must be even for lstm1997, whose blocks have two cells"
    add("--widths", nargs="+", type=_positive, default=widths, metavar="UNITS", help=words)
    add("--csv", metavar="FILE", help="every measurement; also for layer and trials")

    add = parser.add_argument_group("for presets and measures").add_argument
    budget = defaults.BUDGET
    words = f"of a run with a preset (default {budget})"
    add("--budget", type=_positive, default=budget, metavar="SEQUENCES", help=words)
    measures = defaults.MEASURES
    add("--measures", nargs="+", choices=measures, default=list(measures), metavar="NAME")
    of_cells = defaults.MEASURED_CELLS
    add("--of-cells", nargs="+", choices=of_cells, default=["vanilla", "lstm1997"])
    add("--steps", type=_positive, default=defaults.STEPS, help="of the probe")
    add("--batch", type=_positive, default=defaults.BATCH, help="of the probe")

    _add_layer(parser)
    _add_trials(parser)
    return parser


def _add_layer(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group(
        "for layer, with --lengths, --no-lengths, --csv and --picture"
    ).add_argument
    known = list(defaults.LAYERS)
    usual = list(defaults.LAYERS_DEFAULT)
    words = f"ratios are to the first of them in this order: {', '.join(known)} "
    words += f"(default: all without {', '.join(known[len(usual) :])})"
    add("--layers", nargs="+", choices=known, default=usual, metavar="NAME", help=words)
    shapes = ", ".join(f"{name} {shape}" for name, shape in defaults.LAYER_SHAPES.items())
    words = f"batch, steps, features, units: {shapes} "
    words += f"(default {' '.join(defaults.LAYER_DEFAULT)}); or none"
    add(
        "--layer-shapes", nargs="*", choices=defaults.LAYER_SHAPES,
        default=list(defaults.LAYER_DEFAULT), metavar="NAME", help=words,
    )  # fmt: skip
    modes = ["forward", "training"]
    add("--modes", nargs="*", choices=modes, default=modes, metavar="MODE", help=", ".join(modes))
    add("--memory", action="store_true", help="memory of training steps too")
    words = "compute on a GPU, and measure its memory; this flag has not been run on a GPU yet"
    add("--gpu", action="store_true", help=words)


def _add_trials(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("for trials").add_argument
    sizes = defaults.TRIAL_SIZES
    words = "; ".join(f"{name}: {what}" for name, (what, _) in sizes.items())
    add("--sizes", nargs="*", choices=sizes, default=list(sizes), help=f"{words}; or none")
    words = "of the sizes with Native and with KerasFit (default truncated1997)"
    known = defaults.TRIAL_LEARNERS
    add("--trained-by", nargs="+", choices=known, default=[known[0]], metavar="NAME", help=words)
    words = f"side by side (default {defaults.TRIALS})"
    add("--trials", type=_positive, default=defaults.TRIALS, help=words)
    add("--no-lengths", action="store_true", help="leave out the part over length")
    add("--no-keras", action="store_true", help="leave out KerasFit")
    add("--quick", action="store_true", help="one round, few sequences, two lengths")
    add("--picture", metavar="FILE", help="a picture of the tables, .png")


def _listed(numbers: Sequence[int]) -> str:
    return " ".join(f"{number}" for number in numbers)


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer. Received: {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
