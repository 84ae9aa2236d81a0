"""What the tests of GatedRNN measure against.

GatedCell.step in a plain loop, one step after the other.
"""

import keras
import numpy as np
import pytest
from oracles import randomize

from lstmlab import Gate, GatedRNN

B, T, N = 3, 5, 4
FEATURES = {
    "ahead": 6,
    "joined": 3,
}  # at least as many as cells: W x is taken ahead of the loop; fewer: [x, hidden] in it
MASK = np.array(
    [[1, 1, 1, 1, 1], [1, 1, 0, 1, 0], [0, 1, 1, 0, 0]], bool
)  # whole, holes and a late start with an early end


def made(rng, features: int = 3, variant: str = "vanilla", batch: int = B, **arguments) -> GatedRNN:
    """A built layer with random weights."""
    layer = GatedRNN(N, variant, **{"dtype": "float64", **arguments})
    layer.build((batch, T, features))
    randomize(layer, rng, scale=0.5)
    return layer


def start(layer, rng, batch: int = B) -> list:
    """Random states from which a layer can begin; what must be positive is."""
    names = layer.cell.state_names
    drawn = [rng.normal(size=(batch, size)) for size in layer.cell.state_size]
    return [
        np.abs(state) + 0.5 if name == "normaliser" else state
        for name, state in zip(names, drawn, strict=True)
    ]


def stepped(layer, x, states=None, mask=None, net=None) -> tuple[dict, list]:
    """{value name: [B, T, ...]} in the order of processing, and the last states.

    A masked step changes no state and repeats the values of the step before, which are zero before
    the first.
    """
    cell, (batch, steps) = layer.cell, x.shape[:2]
    x = keras.ops.convert_to_tensor(x, cell.compute_dtype)
    states = cell.get_initial_state(batch) if states is None else states
    states = [np.asarray(state, cell.compute_dtype) for state in states]
    mask = np.ones((batch, steps), bool) if mask is None else mask
    kept = {name: np.zeros((batch, size)) for name, size in cell.value_sizes.items()}
    rows: list[dict] = []
    for t in reversed(range(steps)) if layer.go_backwards else range(steps):
        values, after = cell.step(
            x[:, t], [keras.ops.convert_to_tensor(state) for state in states], net=net
        )
        here = mask[:, t, None]
        kept = {
            name: np.where(here, keras.ops.convert_to_numpy(value), kept[name])
            for name, value in values.items()
        }
        states = [
            np.where(here, keras.ops.convert_to_numpy(a), b)
            for a, b in zip(after, states, strict=True)
        ]
        rows.append(kept)
    return {name: np.stack([row[name] for row in rows], axis=1) for name in kept}, states


KINDS = {
    "vanilla": {},
    "lstm1997": {},
    "fgr": {},
    "gru": {},
    "slstm": {},
    "vanilla, normalised": {"layer_normalization": True},
    "vanilla, no bias": {"input_gate": Gate(bias=None), "candidate_bias": None},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_width = pytest.mark.parametrize("width", FEATURES)


def of_kind(kind: str, rng, width: str = "joined", **arguments) -> GatedRNN:
    return made(rng, FEATURES[width], kind.partition(",")[0], **KINDS[kind], **arguments)


def close(actual, expected, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def far(one, other) -> bool:
    return np.abs(np.asarray(one) - np.asarray(other)).max() > 1e-3


def refused(call) -> str:
    """The text of the ValueError, without what Keras wraps around the errors of a layer's call."""
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        call()
    assert type(e.value) is ValueError
    return str(e.value).partition("\033[1m")[2].partition("\033[0m")[0] or str(e.value)


def ragged(rng, lengths, features: int = 3, dtype="float64"):
    """Sequences of these lengths, padded on the right with zeros, and one by one."""
    rows = [rng.normal(size=(length, features)).astype(dtype) for length in lengths]
    padded = np.zeros((len(rows), max(lengths), features), dtype)
    for k, row in enumerate(rows):
        padded[k, : len(row)] = row
    return padded, rows
