"""The recurrent layers of Keras a second time, in NumPy, and finished models that hold them."""

import keras
import numpy as np
from oracles import randomize

layers = keras.layers
B, T, F, N = 3, 5, 3, 4


def sigma(net):
    return 1 / (1 + np.exp(-net))


def lstm(weights, x_t, states):
    """One step of keras.layers.LSTM: columns i, f, c, o."""
    kernel, recurrent, bias = weights
    h, c = states
    i, f, g, o = np.split(x_t @ kernel + h @ recurrent + bias, 4, axis=1)
    i, f, g, o = sigma(i), sigma(f), np.tanh(g), sigma(o)
    c = f * c + i * g
    h = o * np.tanh(c)
    values = {"input_gate": i, "forget_gate": f, "output_gate": o, "candidate": g}
    return {**values, "cell_state": c, "output": h}, [h, c]


def gru(weights, x_t, states, reset_after=True):
    """One step of keras.layers.GRU: columns z, r, h; z multiplies the old state."""
    kernel, recurrent, bias = weights
    (h,) = states
    first, second = bias if reset_after else (bias, np.zeros_like(bias))
    n = len(recurrent)
    of_x, of_h = x_t @ kernel + first, h @ recurrent + second
    z, r = sigma(of_x[:, :n] + of_h[:, :n]), sigma(of_x[:, n : 2 * n] + of_h[:, n : 2 * n])
    if reset_after:
        g = np.tanh(of_x[:, 2 * n :] + r * of_h[:, 2 * n :])
    else:
        g = np.tanh(of_x[:, 2 * n :] + (r * h) @ recurrent[:, 2 * n :])
    h = z * h + (1 - z) * g
    values = {"input_gate": 1 - z, "forget_gate": z, "reset_gate": r, "candidate": g}
    return {**values, "cell_state": h, "output": h}, [h]


def gru_before(weights, x_t, states):
    return gru(weights, x_t, states, reset_after=False)


def simple(weights, x_t, states):
    kernel, recurrent, bias = weights
    h = np.tanh(x_t @ kernel + states[0] @ recurrent + bias)
    return {"candidate": h, "cell_state": h, "output": h}, [h]


STEPS = {"LSTM": lstm, "GRU": gru, "GRU before": gru_before, "SimpleRNN": simple}
ARGUMENTS = {"GRU before": {"reset_after": False}}


def made(kind: str, units: int = N, **arguments) -> keras.Layer:
    """The Keras layer of a kind of STEPS."""
    layer = getattr(layers, kind.split()[0])
    return layer(units, **ARGUMENTS.get(kind, {}), **arguments)


def made_cell(kind: str, units: int = N, **arguments) -> keras.Layer:
    cell = getattr(layers, f"{kind.split()[0]}Cell")
    return cell(units, **ARGUMENTS.get(kind, {}), **arguments)


def run(kind, cell, x, states=None, mask=None, backwards=False) -> tuple[dict, list]:
    """{value: [B, T, n]} in the order of processing, and the last states.

    A masked step keeps states and values, which are zero before the first step that counts.
    """
    weights = [weight.numpy().astype("float64") for weight in cell.weights]
    batch, steps, units = len(x), x.shape[1], weights[1].shape[0]
    count = 2 if kind == "LSTM" else 1
    states = [np.zeros((batch, units))] * count if states is None else states
    rows: list[dict] = []
    for t in reversed(range(steps)) if backwards else range(steps):
        values, after = STEPS[kind](weights, x[:, t].astype("float64"), states)
        here = np.ones((batch, 1), bool) if mask is None else mask[:, t, None]
        before = rows[-1] if rows else {name: np.zeros_like(v) for name, v in values.items()}
        rows.append({name: np.where(here, v, before[name]) for name, v in values.items()})
        states = [np.where(here, new, old) for new, old in zip(after, states, strict=True)]
    return {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}, states


def compiled(model, rng, loss="mse"):
    """The model with random weights, ready to be trained."""
    randomize(model, rng, scale=0.5)
    model.compile("sgd", loss)
    return model


def sequential(rng, *inner, **given) -> keras.Model:
    return compiled(keras.Sequential([keras.Input(**{"shape": (T, F), **given}), *inner]), rng)
