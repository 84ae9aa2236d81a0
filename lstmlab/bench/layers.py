"""What a training step of the layer costs beside that of Keras, of variants, and with traces."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd


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


BENCHMARKS = {"keras": keras_lstm, "variants": every_variant, "traces": with_traces}
