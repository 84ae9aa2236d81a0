"""The engine native on the JAX backend beside the loop there: python native_on_jax.py FOLDER.

It writes what both answer, and what a fit of both gives, as arrays into FOLDER.
"""

import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from lstmlab import GatedRNN
from lstmlab.native.sequence import callbacks

CELLS = ("vanilla", "peephole", "lstm1997", "gru", "slstm", "mingru")
CALLS: dict[str, tuple[dict, str]] = {  # flags, and the kind of mask
    "last": ({}, "none"),
    "all, backwards": ({"return_sequences": True, "go_backwards": True}, "none"),
    "holes": ({"return_sequences": True, "go_backwards": True}, "holes"),
    "lengths": ({}, "lengths"),
    "zeros": ({"return_sequences": True, "zero_output_for_mask": True}, "holes"),
}
B, T, F, N = 3, 7, 5, 4


def pair(rng: Any, variant: str, **flags: Any) -> list:
    """The layer of each engine, with the same weights."""
    layers = [
        GatedRNN(N, variant, engine=engine, return_state=True, **flags)
        for engine in ("native", "xla")
    ]
    for layer in layers:
        layer.build((B, T, F))
    drawn = [0.7 * rng.normal(size=one.shape) for one in layers[0].weights]
    for layer in layers:
        layer.set_weights(drawn)
    return layers


def function(layer: Any, rng: Any, mask: Any = None) -> tuple:
    """A number of weights, inputs and first states, that depends on all that is put out."""
    x = jnp.asarray(rng.normal(size=(B, T, F)), "float32")
    initial = [
        jnp.asarray(1 + np.abs(rng.normal(size=(B, size))), "float32")
        for size in layer.cell.state_size
    ]
    by = [rng.normal(size=(1, n)).astype("float32") for n in (N, *layer.cell.state_size)]
    fixed = [one.value for one in layer.non_trainable_variables]

    def of(weights: list, x: Any, initial: list) -> Any:
        found, _ = layer.stateless_call(weights, fixed, x, initial_state=initial, mask=mask)
        return sum(jnp.sum(jnp.sin(part) * by) for part, by in zip(found, by, strict=True))

    return of, ([one.value for one in layer.trainable_variables], x, initial)


def masked(kind: str, rng: Any) -> Any:
    if kind == "none":
        return None
    if kind == "lengths":
        return np.arange(T) < np.array([[4], [7], [0]])
    return rng.random((B, T)) < 0.6


def gradients(layer: Any, seed: int, mask: Any) -> list:
    of, given = function(layer, np.random.default_rng(seed), mask)
    found = jax.jit(jax.value_and_grad(of, argnums=(0, 1, 2)))(*given)
    return jax.tree.leaves(found)


def answers() -> dict[str, np.ndarray]:
    """All calls of one cell; of the others two each, in turn."""
    found, names = {}, list(CALLS)
    for k, variant in enumerate(CELLS):
        for name in names if k == 0 else (names[2 * k % 5], names[(2 * k + 1) % 5]):
            flags, kind = CALLS[name]
            rng = np.random.default_rng(len(found))
            layers, mask = pair(rng, variant, **flags), masked(kind, rng)
            for layer in layers:
                for number, part in enumerate(gradients(layer, 1, mask)):
                    found[f"{variant}, {name}:{number}:{layer.engine_used}"] = np.asarray(part)
    return found


def transformed() -> dict[str, np.ndarray]:
    """What JAX may do with a function: gradients twice, of a part, again, of many."""
    rng = np.random.default_rng(0)
    found = {}
    for layer in pair(rng, "vanilla"):
        of, given = function(layer, np.random.default_rng(1))
        name = layer.engine

        _, back = jax.vjp(of, *given)
        found[f"first:{name}"], found[f"second:{name}"] = (
            np.asarray(jax.tree.leaves(back(jnp.float32(by)))[0]) for by in (1, 2)
        )
        part = jax.jit(jax.grad(of, argnums=1))(*given)
        found[f"of inputs alone:{name}"] = np.asarray(part)
        again = jax.jit(jax.grad(jax.checkpoint(of)))(*given)[0]
        found[f"checkpoint:{name}"] = np.asarray(again)
        many = jnp.stack([given[1], 2 * given[1]])
        each = jax.vmap(jax.grad(of), in_axes=(None, 0, None))(given[0], many, given[2])
        found[f"many:{name}"] = np.asarray(each[0])
        none = [jnp.zeros((0, *one.shape[1:])) for one in (given[1], *given[2])]
        nothing = jax.grad(of)(given[0], none[0], none[1:])
        found[f"no sequences:{name}"] = np.asarray(nothing[0])
        step = jax.grad(of)(given[0], given[1][:, :1], given[2])
        found[f"one step:{name}"] = np.asarray(step[0])
    return found


def fitted() -> dict[str, np.ndarray]:
    """Losses of a model with two layers, masked, one of them in both directions."""
    rng, found = np.random.default_rng(0), {}
    x = rng.normal(size=(48, 300, 64)).astype("float32")  # more than JAX hands over at once
    x[:16, 200:] = 0
    y = x[:, :, :1].mean(axis=1)
    for engine in ("native", "xla"):
        keras.utils.set_random_seed(0)
        inner = [
            keras.layers.Masking(),
            keras.layers.Bidirectional(GatedRNN(24, engine=engine, return_sequences=True)),
            GatedRNN(16, "peephole", engine=engine),
            keras.layers.Dense(1),
        ]
        model = keras.Sequential([keras.Input((300, 64)), *inner])
        model.compile("adam", "mse")
        assert model.jit_compile
        history = model.fit(x, y, batch_size=16, epochs=4, shuffle=False, verbose=0)
        found[f"losses:{engine}"] = np.array(history.history["loss"])
        found[f"prediction:{engine}"] = model.predict(x, batch_size=16, verbose=0)
    return found


def kept() -> dict[str, np.ndarray]:
    """How many tapes wait: after ways back; and after many ways ahead, where little may."""
    [layer, _] = pair(np.random.default_rng(0), "vanilla")
    of, given = function(layer, np.random.default_rng(1))
    before = len(callbacks.waiting)
    for _ in range(5):
        jax.grad(of)(*given)
    after = len(callbacks.waiting)
    callbacks.MOST = 100_000
    backs = [jax.vjp(of, *given)[1] for _ in range(200)]
    held = sum(map(callbacks._bytes, callbacks.waiting._tapes.values()))
    assert held == callbacks.waiting.held
    first, last = (np.asarray(back(jnp.float32(1))[1]) for back in (backs[0], backs[-1]))
    callbacks.MOST, callbacks.MANY = 1 << 31, 7
    for _ in range(10):
        jax.vjp(of, *given)
    found = {"left": after - before, "held": held, "many": len(callbacks.waiting)}
    return {**{name: np.array(one) for name, one in found.items()}, "old": first, "new": last}


def refused() -> dict[str, np.ndarray]:
    """What is said where a second derivative is asked for, and what auto takes."""
    [layer, _] = pair(np.random.default_rng(0), "vanilla")
    of, given = function(layer, np.random.default_rng(1))
    try:
        jax.grad(lambda x: jnp.sum(jax.grad(of, argnums=1)(given[0], x, given[2])))(given[1])
        said = ""
    except NotImplementedError as error:
        said = str(error)
    auto = GatedRNN(N)
    auto(given[1])
    try:
        jax.jvp(lambda x: of(given[0], x, given[2]), (given[1],), (given[1],))
        forwards = ""
    except TypeError as error:
        forwards = str(error)
    callbacks.processors_alone = lambda: False
    try:
        layer(given[1])
        gpu = ""
    except ValueError as error:
        gpu = str(error)
    found = {"said": said, "forwards": forwards, "auto": auto.engine_used, "gpu": gpu}
    return {name: np.array(text) for name, text in found.items()}


if __name__ == "__main__":
    for part in (answers, transformed, fitted, kept, refused):
        np.savez(Path(sys.argv[1]) / f"{part.__name__}.npz", **part())
