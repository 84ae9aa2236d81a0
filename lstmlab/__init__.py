"""lstmlab: a laboratory for long short-term memory on TensorFlow and Keras.

Importing this package loads nothing heavy: the public names below are fetched when they are first
used. Where Keras is imported too, before or after, it finds the cells and layers of saved models by
itself.

Legend of symbols, the same in code, docs and pictures (1997: the letter in Hochreiter & Schmidhuber
1997):

    B    batch: sequences processed together     T    time steps of a sequence (padded length)
    F    input features                          K    outputs of the head
    n    memory cells                            m    blocks, n / block_size (they share gates)
    P    trainable weights                       R    trials: runs that differ only in the seed
    x_t  input at step t                         net  pre-activation of a gate or candidate
    i_t  input gate    (1997: y^in)              f_t  forget gate  (2000: y^phi; 1997: 1)
    o_t  output gate   (1997: y^out)             g_t  candidate    (1997: g(net_c))
    r_t  refine gate   (2020)                    q_t  reset gate   (GRU; elsewhere r_t)
    e_t  refined forget gate, the factor of s_tm1
    n_t  normaliser of the state, m_t its stabiliser (sLSTM)
    W_a, R_a  weights into net a from x_t and from hidden_tm1
    b_a, u_a  its bias and its peephole weights; c: the bias behind a reset gate
    s_t  cell state    (1997: s_c; elsewhere c_t)
    y_t  cell output   (1997: y^c; elsewhere h_t)
    w    weight of the error at a step, [B, T]
    lag  steps between an event and the error that depends on it
    _tm1 a value of the step before (t - 1)
    d, ∂ total derivative, by every path; partial, with everything else that is read held
"""

import importlib
from typing import Any

import wrapt

__version__ = "0.1.0"

_HOMES = {
    "Gate": "lstmlab.cells.gates",
    "Coupled": "lstmlab.cells.gates",
    "Chrono": "lstmlab.cells.initializers",
    "Opposite": "lstmlab.cells.initializers",
    "Staggered": "lstmlab.cells.initializers",
    "UniformGate": "lstmlab.cells.initializers",
    "GatedCell": "lstmlab.cells.gated",
    "GatedRNN": "lstmlab.cells.layer",
    "traces": "lstmlab.cells.tracing",
    "variant": "lstmlab.cells.variants",
    "variants": "lstmlab.cells.variants",
    "Head": "lstmlab.model",
    "OutputUnits": "lstmlab.model",
    "Recurrent": "lstmlab.model",
    "error_flow": "lstmlab.measures",
    "audit": "lstmlab.auditing",
}
_ROOMS = (
    "cells",
    "learners",
    "trainers",
    "diagnostics",
    "measures",
    "tasks",
    "results",
    "report",
    "model",
    "task",
    "criterion",
)

__all__ = ["__version__", *_HOMES, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"lstmlab.{name}")
    raise AttributeError(f"module 'lstmlab' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)


@wrapt.when_imported("keras")
def _register(_: Any) -> None:
    """Tell Keras of our classes as soon as it is imported, so that saved models load."""
    importlib.import_module("lstmlab.cells")
