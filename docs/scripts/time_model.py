"""A whole Keras model with GatedRNN beside keras.layers.LSTM: python docs/scripts/time_model.py

Two bidirectional layers over masked sequences of several lengths, from tf.data, trained by `fit`
with Adam, all settings Keras' own. In each round both models train one epoch, in another order each
time; then ten models of each kind are trained, with other weights and the same data. Printed are
seconds per epoch, their ratio within rounds, and the losses at the end on held-out sequences with
an interval.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

import lstmlab

ROUNDS, SEEDS, EPOCHS = 9, 10, 3
STEPS, FEATURES, UNITS, BATCH, PADDING = 120, 8, 64, 32, 0.0


def sequences(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences [count, STEPS, FEATURES] of 40 to 120 steps, and targets [count, 1].

    A target is the sum of feature 1 over the sequence, divided by the square root of STEPS.
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (count, STEPS, FEATURES)).astype("float32")
    lengths = rng.integers(STEPS // 3, STEPS + 1, count)
    x[np.arange(STEPS) >= lengths[:, None]] = PADDING
    return x, x[:, :, :1].sum(axis=1) / np.sqrt(STEPS)


def model(recurrent: type, seed: int) -> keras.Model:
    """The model; its layers are `recurrent`."""
    keras.utils.set_random_seed(seed)
    made = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            keras.layers.Masking(PADDING),
            keras.layers.Bidirectional(recurrent(UNITS, return_sequences=True)),
            keras.layers.Bidirectional(recurrent(UNITS)),
            keras.layers.Dense(1),
        ]
    )
    made.compile(keras.optimizers.Adam(0.003), "mse")
    return made


def main() -> None:
    kinds = {"keras.layers.LSTM": keras.layers.LSTM, "lstmlab.GatedRNN": lstmlab.GatedRNN}
    train, held_out = sequences(0, 2_000), sequences(1, 1_000)
    data = tf.data.Dataset.from_tensor_slices(train).cache()

    def epoch(one: keras.Model, seed: int) -> float:
        begin = time.perf_counter()
        shuffled = data.shuffle(2_000, seed=seed).batch(BATCH).prefetch(2)
        one.fit(shuffled, epochs=1, shuffle=False, verbose=0)
        return time.perf_counter() - begin

    models = {name: model(kind, 0) for name, kind in kinds.items()}
    for one in models.values():
        epoch(one, 0)  # traces and compiles
    rng, seconds = np.random.default_rng(0), {name: [] for name in kinds}
    for round_ in range(ROUNDS):
        for name in rng.permutation(list(kinds)):
            seconds[name].append(epoch(models[name], round_))
    ours, theirs = seconds["lstmlab.GatedRNN"], seconds["keras.layers.LSTM"]
    for name, some in seconds.items():
        print(f"{name}: {np.median(some):.2f} s per epoch of 2,000 sequences", flush=True)
    ratios = np.divide(theirs, ours)
    print(f"ratio: {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)

    for name, kind in kinds.items():
        losses = []
        for seed in range(SEEDS):
            one = model(kind, seed)
            for number in range(EPOCHS):
                epoch(one, 1000 * seed + number)
            losses.append(one.evaluate(*held_out, batch_size=200, verbose=0))
        spread = stats.t.ppf(0.975, SEEDS - 1) * stats.sem(losses)
        print(
            f"{name}: held-out loss {np.mean(losses):.4f} +- {spread:.4f} after {EPOCHS} epochs "
            f"(95 %, {SEEDS} models; chance {held_out[1].var():.4f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
