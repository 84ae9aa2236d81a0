"""What computes a call of GatedRNN: the argument `engine`, and what 'auto' takes.

An engine is a function like `run` below, and a function that says what stands in its way.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from keras.src import backend

from lstmlab.cells import loop, scan
from lstmlab.cells.watching import collecting
from lstmlab.errors import listed, refusal

ENGINES = ("auto", "native", "xla", "scan")


class Choice(NamedTuple):
    """What computes a call.

    Attributes:
        engine: 'native', 'xla' or 'scan'.
        why: Why it was taken, in a sentence.
    """

    engine: str
    why: str


def choose(layer: Any, sequences: Any, states: list, mask: Any, training: bool) -> Choice:
    """The engine of a call of a GatedRNN, whose arguments are those of its `inner_loop`.

    Raises:
        ValueError: For an engine that was asked for and cannot compute this call.
    """
    given = layer, sequences, states, mask, training
    if layer.engine == "native" and collecting():  # who looks at a model did not name it
        return Choice("xla", "native was asked for, but has no traces: the loop over time has them")
    if layer.engine != "auto":
        if found := obstacle(layer.engine, *given):
            expected, received = found
            raise refusal(
                f"GatedRNN: engine={layer.engine!r}", f"{expected}, or engine='auto'", received
            )
        return Choice(layer.engine, "it was asked for")
    told = ""
    for engine in ("native", "scan"):
        found = obstacle(engine, *given)
        if not found:
            return Choice(
                engine, f"{told}{engine} is the first of native, scan, xla that serves it"
            )
        expected, received = found
        told += f"{engine} does not serve this: expected {expected}, received {listed(received)}; "
    return Choice("xla", f"{told}xla, the loop over time, serves every cell and every call")


def obstacle(
    engine: str, layer: Any, sequences: Any, states: list, mask: Any, training: bool
) -> tuple[str, Any] | None:
    """What keeps an engine from computing a call: (expected, received); None if nothing does."""
    if engine == "xla":
        return None
    if engine == "scan":
        return scan.obstacle(layer)
    return _native("support").unsupported(layer, sequences, states, training)


def run(
    engine: str,
    layer: Any,
    sequences: Any,
    states: list,
    mask: Any,
    drop: Any,
    every_step: bool,
    wanted: dict,
) -> tuple[dict, list]:
    """Compute a call.

    Args:
        engine: 'native', 'xla' or 'scan'.
        layer: A GatedRNN, with its cell, `go_backwards`, `zero_output_for_mask`, `stateful`.
        sequences: [B, T, F], after dropout.
        states: The first ones, as in GatedCell.
        mask: [B, T] or None. A masked step changes no state and repeats what the step before gave,
            at first zeros; zeros at every masked step with `zero_output_for_mask`.
        drop: The mask [B, hidden] of recurrent dropout, or None.
        every_step: Whether the values of all steps are wanted, or only those of the last.
        wanted: {name: size} of the values that are wanted, of those of GatedCell.step.

    Returns:
        values: {name: [B, T, size]} in the order of processing, or {name: [B, size]}.
        states: The last ones.
    """
    return _RUN[engine](layer, sequences, states, mask, drop, every_step, wanted)


def _native(module: str) -> Any:
    """A module of lstmlab.native.sequence, which imports this room: so not at the top."""
    return importlib.import_module(f"lstmlab.native.sequence.{module}")


def _run_native(*given: Any) -> tuple[dict, list]:
    return _native("bridge" if backend.backend() == "tensorflow" else "callbacks").run(*given)


_RUN = {"xla": loop.run, "scan": scan.run, "native": _run_native}
