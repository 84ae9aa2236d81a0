"""What the engine "native" cannot do: the one list, of cells and of calls."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from keras.src import backend

from lstmlab.cells.gated import GatedCell
from lstmlab.cells.gates import RECURRENCES, Coupled, Gate
from lstmlab.cells.replaced import replaced
from lstmlab.native.block import ACTIVATIONS
from lstmlab.native.compiled import missing

Obstacle = tuple[str, Any]  # what is expected, and what was received: see lstmlab.errors.refusal


def unsupported(layer: Any, sequences: Any, states: list, training: bool) -> Obstacle | None:
    """What keeps the kernels from computing a call of a GatedRNN; None if nothing does."""
    name = backend.backend()
    if name not in ("tensorflow", "jax"):
        return "the backends tensorflow and jax", {"backend": name}
    if name == "jax" and layer.engine == "auto":
        # callbacks have no second derivatives, and a function that is traced does not show whether
        # it will be asked for them
        return "engine='native' by name on jax", {"engine": "auto"}
    found = of_cell(layer.cell) or _of_call(layer, training) or _of_process()
    if found or layer.engine != "auto":
        return found
    from lstmlab.native.sequence import bridge

    # who names the engine is told when a second derivative is asked for
    if bridge.differentiated_again(sequences, states, layer.cell):
        return "at most one derivative", "several tapes"
    return None


def of_cell(cell: Any) -> Obstacle | None:
    """What of a cell has no kernel."""
    if not isinstance(cell, GatedCell):
        return "a GatedCell", {"cell": type(cell).__name__}
    if found := replaced(cell):
        return "a subclass that computes its steps as GatedCell", {"cell": found}
    if cell.layer_normalization:
        return "layer_normalization=False", {"layer_normalization": True}
    if cell.compute_dtype != "float32" or cell.variable_dtype != "float32":
        return "float32", {"dtype": cell.dtype_policy.name}
    if (
        cell.reset_gate is not None
        and not cell.reset_after
        and cell.candidate_recurrent == "by_element"
    ):
        kinds = [kind for kind in RECURRENCES if kind != "by_element"]
        expected = f"reset_after=True, or candidate_recurrent one of {kinds} with a reset gate"
        return expected, {"candidate_recurrent": "by_element"}
    given = {f"{name}.activation": gate.activation for name, gate in cell.own.items()}
    given["candidate_activation"] = cell.candidate_activation
    given["output_activation"] = cell.output_activation
    for name, function in given.items():
        if function not in ACTIVATIONS:
            known = sorted(getattr(one, "__name__", str(one)) for one in ACTIVATIONS)
            return f"one of {known}", {name: getattr(function, "__name__", function)}
    for name, gate in cell.gates.items():
        if type(gate) not in (Gate, Coupled):
            return "a Gate or a Coupled", {name: type(gate).__name__}
    return None


def _of_call(layer: Any, training: bool) -> Obstacle | None:
    # a cell of float32 within a layer or wrapper of mixed precision reads its weights as half
    if layer.cell.kernel.dtype != "float32":
        return "float32", {"dtype": layer.cell.kernel.dtype}
    if layer._traced:
        return "return_traces=False and no call of traces", {
            "return_traces" if layer.return_traces else "traces": True
        }
    if layer.unroll:
        return "unroll=False", {"unroll": True}
    if layer.cell.recurrent_dropout and training:
        return "recurrent_dropout=0 in training", {
            "recurrent_dropout": layer.cell.recurrent_dropout
        }
    return None


def _of_process() -> Obstacle | None:
    """What of this process, or of the function that is traced, keeps kernels from running."""
    if why := missing():
        _tell(why)
        return "Numba", why
    # not above: where there is another backend, there need be no TensorFlow
    if backend.backend() == "jax":
        try:
            from lstmlab.native.sequence import callbacks
        except ImportError as error:  # of buffer_callback, which JAX may change
            return "JAX 0.10", str(error)
        return None if callbacks.processors_alone() else ("no GPU", {"device": "GPU"})
    from lstmlab.native.sequence import bridge
    from lstmlab.unroll import compiled_by_xla

    if not bridge.processors_alone():
        return "no GPU", {"device": "GPU"}
    if compiled_by_xla():
        return "a function that XLA does not compile", {"jit_compile": True}
    if bridge.exported():
        return "a model that is not exported", "an export"
    return None


@cache
def _tell(why: str) -> None:
    print(f"GatedRNN: no Numba here, which the engine 'native' needs: {why}", file=sys.stderr)
