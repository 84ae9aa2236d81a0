"""A process that runs recurrent layers for `lstmlab-bench layer`, on one backend of Keras.

It reads orders from its input, a line of JSON each, and answers each with one. So that layers of
several backends take turns, and one process at a time works.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lstmlab.bench import devices
from lstmlab.bench.defaults import LAYERS
from lstmlab.bench.learners import began_mb, peak_mb

RATE = 0.01  # of plain gradient descent


def main() -> None:
    """Answer orders until the input ends."""
    calls: dict[tuple, Callable] = {}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no answer
    for line in sys.stdin:
        print(reply(calls, line), file=answers, flush=True)


def reply(calls: dict, line: str) -> str:
    """The answer to an order, both in JSON; {"error": text} if a layer refuses."""
    try:
        answer = answered(calls, **json.loads(line))
    except (ValueError, ImportError) as error:
        plain = re.sub("\x1b\\[\\d*m", "", str(error))  # Keras writes in bold
        lines = [" ".join(one.split()) for one in plain.splitlines()]
        # behind what Keras and TensorFlow say about where it was raised
        ours = [one for one in lines if "Received: " in one]
        answer = {"error": (ours or lines)[-1]}
    return json.dumps(answer)


def answered(
    calls: dict, name: str, shape: list, mode: str, seconds: float, count: int | None,
    gpu: bool = False,
) -> dict:  # fmt: skip
    """Run a layer.

    Args:
        calls: Those that are built; of one shape at a time.
        name: In LAYERS.
        shape: batch, steps, features, units.
        mode: 'forward', 'training' or 'memory'; 'gpu' runs nothing.
        seconds: About how long to run, if `count` is None.
        count: How often to run.
        gpu: Whether to compute on a GPU; all but PyTorch do so where they see one.

    Returns:
        count: How often it ran; seconds: of one run; first: of the first call, if it was the first.
        Of 'memory' only mb, see `memory`; of 'gpu' only whether the backend sees one.
    """
    if mode == "gpu":
        return {"gpu": devices.has_gpu(LAYERS[name][0])}
    if mode == "memory":
        return {"mb": memory(name, tuple(shape), gpu)}
    key, first = (name, *shape, mode), None
    for other in [one for one in calls if one[1:5] != key[1:5]]:
        del calls[other]
    if key not in calls:
        _load(LAYERS[name][0])
        start = time.perf_counter()
        calls[key] = built(name, tuple(shape), mode, gpu)
        calls[key]()
        first = time.perf_counter() - start
    call = calls[key]
    if count is None:
        call()
        start = time.perf_counter()
        call()
        count = max(1, round(seconds / (time.perf_counter() - start)))
    start = time.perf_counter()
    for _ in range(count):
        call()
    return {"count": count, "seconds": (time.perf_counter() - start) / count, "first": first}


def _load(backend: str) -> None:
    """Import what every layer of a backend needs, so that the first call does not."""
    importlib.import_module(backend)
    if backend != "torch":
        importlib.import_module("lstmlab.cells")


def memory(name: str, shape: tuple, gpu: bool = False) -> float:
    """MB beyond those of this process once it has trained a small layer, while it trains one.

    gpu: Those that its arrays hold on the GPU instead, all of them.
    """
    if gpu:
        _trained(built(name, shape, "training", gpu), 4)
        return devices.peak_mb(LAYERS[name][0])
    batch, steps, features, units = shape
    small = built(name, (min(batch, 2), min(steps, 8), features, min(units, 8)), "training")
    _trained(small, 2)
    gc.collect()
    before = began_mb()
    _trained(built(name, shape, "training"), 4)
    return max(peak_mb() - before, 0.0)


def _trained(call: Callable, times: int) -> None:
    for _ in range(times):
        call()


def built(name: str, shape: tuple, mode: str, gpu: bool = False) -> Callable:
    """A call that takes one batch through a layer and a linear output: forward, or a step of SGD.

    It ends when the numbers are there.
    """
    batch, steps, features, units = shape
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, steps, features)).astype("float32")
    y = rng.normal(size=(batch, 1)).astype("float32")
    backend, kind, settings, compiled = LAYERS[name]
    if backend == "torch":
        return _torch(x, y, units, mode, "cuda" if gpu else "cpu")
    if kind == "lax.scan":
        return _lax_scan(x, y, units, mode)
    model = _model(kind, settings, shape)
    if backend == "jax":
        return _keras_on_jax(model, x, y, mode)
    return _keras_on_tensorflow(model, x, y, mode, compiled)


def _model(kind: str, settings: dict, shape: tuple) -> Any:
    import keras

    from lstmlab.cells import GatedRNN

    batch, steps, features, units = shape
    layer = keras.layers.LSTM(units) if kind == "LSTM" else GatedRNN(units, kind, **settings)
    inputs = [keras.Input((steps, features), batch_size=batch)]
    return keras.Sequential([*inputs, layer, keras.layers.Dense(1)])


def _keras_on_tensorflow(model: Any, x: Any, y: Any, mode: str, compiled: bool) -> Callable:
    import tensorflow as tf
    from keras import optimizers

    x, y = tf.constant(x), tf.constant(y)
    if mode == "forward":
        forward = tf.function(lambda: model(x, training=False), jit_compile=compiled)
        return lambda: forward().numpy()
    model.compile(optimizers.SGD(RATE), "mse")
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda: model.train_step((x, y)), jit_compile=compiled)
    return lambda: step()["loss"].numpy()


def _keras_on_jax(model: Any, x: Any, y: Any, mode: str) -> Callable:
    fixed = [variable.value for variable in model.non_trainable_variables]

    def output(weights: list, x: Any) -> Any:
        return model.stateless_call(weights, fixed, x)[0]

    return _on_jax(output, [variable.value for variable in model.trainable_variables], x, y, mode)


def _lax_scan(x: Any, y: Any, units: int, mode: str) -> Callable:
    """An LSTM as one writes it in JAX: the product with the inputs ahead, then lax.scan."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(1)
    sizes = (x.shape[2], 4 * units), (units, 4 * units), (4 * units,), (units, 1)
    weights = [jnp.asarray(0.1 * rng.normal(size=size), "float32") for size in sizes]

    def output(weights: list, x: Any) -> Any:
        kernel, recurrent, bias, head = weights
        start = jnp.zeros((x.shape[0], units))

        def step(states: tuple, net_x: Any) -> tuple:
            y_tm1, s_tm1 = states
            i, f, g, o = jnp.split(net_x + y_tm1 @ recurrent, 4, axis=-1)
            s_t = jax.nn.sigmoid(f) * s_tm1 + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(s_t), s_t), None

        nets = jnp.swapaxes(x @ kernel + bias, 0, 1)
        return jax.lax.scan(step, (start, start), nets)[0][0] @ head

    return _on_jax(output, weights, x, y, mode)


def _on_jax(output: Callable, weights: list, x: Any, y: Any, mode: str) -> Callable:
    import jax
    import jax.numpy as jnp

    if mode == "forward":
        forward = jax.jit(output)
        return lambda: np.asarray(forward(weights, x))

    def loss(weights: list) -> Any:
        return jnp.mean((output(weights, x) - y) ** 2)

    @jax.jit
    def step(weights: list) -> tuple:
        number, gradients = jax.value_and_grad(loss)(weights)
        return number, [w - RATE * g for w, g in zip(weights, gradients, strict=True)]

    now = [weights]

    def call() -> Any:
        number, now[0] = step(now[0])
        return np.asarray(number)

    return call


def _torch(x: Any, y: Any, units: int, mode: str, device: str) -> Callable:
    import torch

    x, y = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
    layer = torch.nn.LSTM(x.shape[2], units, batch_first=True).to(device)
    head = torch.nn.Linear(units, 1).to(device)
    optimizer = torch.optim.SGD([*layer.parameters(), *head.parameters()], RATE)

    def output() -> Any:
        return head(layer(x)[0][:, -1])

    def forward() -> Any:
        with torch.no_grad():
            return output().cpu().numpy()

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(output(), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return forward if mode == "forward" else step


if __name__ == "__main__":
    main()
