"""Which Keras wrapper calls a layer, and what that wrapper cannot hand on."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.backend.common import global_state

from lstmlab.errors import refusal


def check_traces(layer: Any) -> None:
    """Refuse return_traces=True where the wrapper takes one output.

    TimeDistributed takes one, Bidirectional too, unless return_state=True; what comes behind the
    output it hands on as it is.

    Raises:
        ValueError: With the other way to the same values, `lstmlab.traces`.
    """
    wrapper = caller(layer)
    if not layer.return_traces or not isinstance(wrapper, _ONE_OUTPUT):
        return
    if isinstance(wrapper, keras.layers.Bidirectional) and layer.return_state:
        return
    name = next(kind.__name__ for kind in _ONE_OUTPUT if isinstance(wrapper, kind))
    expected = f"return_traces=False inside {name}; lstmlab.traces(model, x) shows the gates there"
    raise refusal("GatedRNN", expected, {"return_traces": True})


def caller(layer: Any) -> Any:
    """The layer or model that builds or calls this one now, or None."""
    # Keras opens a scope of names for each layer that it builds or calls, the outermost first
    scopes = global_state.get_global_attribute("name_scope_stack") or []
    callers = [scope.caller for scope in scopes if scope.caller is not layer]
    return callers[-1] if callers else None


_ONE_OUTPUT = (keras.layers.Bidirectional, keras.layers.TimeDistributed)
