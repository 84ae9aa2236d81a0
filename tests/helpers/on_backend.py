"""The same layers on any backend of Keras.

As a script: python tests/helpers/on_backend.py FOLDER few (or all), with KERAS_BACKEND set.
"""

import sys
from pathlib import Path

import numpy as np

B, T, N = 3, 5, 4


FEW = ("lstm1997", "gru", "slstm", "backwards", "zero output", "normalised",
       "scan", "scan, by element", "scan, state normalised")  # fmt: skip


def layers(dtype: str, few: bool) -> dict:
    """{case: GatedRNN}: every variant, with as many features as cells or fewer; and the other
    builds of the loop.

    few: only those in FEW, a sample: no unrolled loop, for instance, and no heads.
    """
    from lstmlab.cells import Gate, GatedRNN, variants

    shown = {"return_sequences": True, "return_state": True, "return_traces": True, "dtype": dtype}
    cases = {
        f"{name} {(3, 6)[k % 2]}": GatedRNN(N, name, **shown) for k, name in enumerate(variants())
    }
    cases["backwards 3"] = GatedRNN(N, "peephole", go_backwards=True, **shown)
    cases["zero output 6"] = GatedRNN(N, "lstm1997", zero_output_for_mask=True, **shown)
    cases["unrolled 3"] = GatedRNN(N, "lstm1997", unroll=True, **shown)
    heads = Gate(recurrent="block_diagonal")
    cases["heads 3"] = GatedRNN(
        N, "slstm", output_gate=heads, candidate_recurrent="by_element", heads=2, **shown
    )
    cases["normalised 6"] = GatedRNN(N, layer_normalization=True, **shown)
    scan = {**shown, "engine": "scan"}
    cases["scan 3"] = GatedRNN(N, "minlstm", go_backwards=True, **scan)
    switches = {"feedback": "cells", "input_gate": Gate(recurrent="none")}
    cases["scan, by element 6"] = GatedRNN(
        N, "mingru", candidate_recurrent="by_element", **switches, **scan
    )
    cases["scan, state normalised 3"] = GatedRNN(N, "slstm", feedback="none", **scan)
    return {k: v for k, v in cases.items() if not few or k.rpartition(" ")[0] in FEW}


def inputs(seed: int, features: int, layer) -> tuple:
    """x, initial states, mask, and a direction for each output, random numbers that float32 holds.

    Random weights in place.
    """
    rng, cell = np.random.default_rng(seed), layer.cell

    def normal(*size, scale=1.0):
        return (scale * rng.normal(size=size)).astype("float32").astype(layer.dtype)

    for weight in layer.weights:
        weight.assign(normal(*weight.shape, scale=0.3))
    x = normal(B, T, features)
    drawn = {
        name: normal(B, size) for name, size in zip(cell.state_names, cell.state_size, strict=True)
    }
    states = [
        np.abs(state) + np.float32(0.5) if name == "normaliser" else state
        for name, state in drawn.items()
    ]
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0], [0, 1, 1, 0, 0]], bool)
    sizes = [
        (T, N),
        *((size,) for size in cell.state_size),
        *((T, size) for size in cell.value_sizes.values()),
    ]
    return x, states, mask, [normal(B, *size) for size in sizes]


def differentiated(call, directions: list, weights: list, arrays: list) -> tuple[dict, list]:
    """call(arrays), a dictionary, and the gradients of its product with the directions to weights
    and arrays.
    """
    import keras
    from keras import ops

    def scalar(found):
        return sum(
            ops.sum(a * ops.convert_to_tensor(b))
            for a, b in zip(found.values(), directions, strict=True)
        )

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        arrays = [tf.constant(array) for array in arrays]
        with tf.GradientTape() as tape:
            tape.watch(arrays)
            found = call(arrays)
            number = scalar(found)
        return found, tape.gradient(number, [weight.value for weight in weights] + arrays)
    if keras.backend.backend() == "torch":
        import torch

        arrays = [torch.tensor(array, requires_grad=True) for array in arrays]
        found = call(arrays)
        scalar(found).backward()
        return found, [weight.value.grad for weight in weights] + [array.grad for array in arrays]
    import jax

    def of(values, arrays):
        with keras.StatelessScope(list(zip(weights, values, strict=True))):
            found = call(arrays)
        return scalar(found), found

    values = [weight.value for weight in weights]
    (one, other), found = jax.jit(jax.grad(of, argnums=(0, 1), has_aux=True))(values, arrays)
    return found, [*one, *other]


def answers(dtype: str, few: bool) -> dict:
    """Outputs, states and traces of every case, from any state and with a mask, and the gradients
    of a scalar of them all.
    """
    import keras
    from keras import ops

    found = {}
    for seed, (case, layer) in enumerate(layers(dtype, few).items()):
        features = int(case.split()[-1])
        layer.build((B, T, features))
        x, states, mask, directions = inputs(seed, features, layer)

        def outputs(arrays, layer=layer, mask=mask):
            y, *after, traces = layer(
                arrays[0], initial_state=list(arrays[1:]), mask=ops.convert_to_tensor(mask)
            )
            names = [f"state {name}" for name in layer.cell.state_names]
            return {
                "y": y,
                **dict(zip(names, after, strict=True)),
                **{f"trace {name}": traces[name] for name in traces},
            }

        weights = layer.trainable_weights
        values, gradients = differentiated(outputs, directions, weights, [x, *states])
        found |= {f"{case}: {name}": value for name, value in values.items()}
        for name, gradient in zip(
            [*(w.name for w in weights), "x", *layer.cell.state_names], gradients, strict=True
        ):
            found[f"{case}: gradient to {name}"] = gradient
    return {name: np.array(keras.ops.convert_to_numpy(value)) for name, value in found.items()}


def model():
    """Both directions, a stack, a mask, a layer of Keras, and one that keeps its state."""
    import keras

    from lstmlab.cells import GatedRNN

    both = keras.layers.Bidirectional(GatedRNN(N, "cifg", return_sequences=True, name="both"))
    built = keras.Sequential(
        [
            keras.Input(batch_shape=(B, T, 3)),
            keras.layers.Masking(),
            both,
            keras.layers.GRU(N, return_sequences=True, name="stock"),
            GatedRNN(N, stateful=True, name="top"),
            keras.layers.Dense(2),
        ]
    )
    rng = np.random.default_rng(0)
    for weight in built.weights:
        weight.assign(rng.normal(size=weight.shape, scale=0.5))
    return built


def lose_nothing(built, x) -> None:
    """A look that fails, after which the model must still be there."""
    import lstmlab

    try:
        lstmlab.traces(built, x[..., :2], batch_size=B)
    except Exception:  # each backend raises another one
        return
    raise AssertionError("two features were taken for three")


def used(built, only_called: bool = False) -> dict:
    """Two calls of the model, the second from the states of the first; what it shows.

    Its weights after a step of fit.
    """
    import keras

    import lstmlab

    x, y = (
        np.random.default_rng(1).normal(size=size).astype("float32") for size in ((B, T, 3), (B, 2))
    )
    x[1, 3:] = 0
    top = built.get_layer("top")
    top.reset_state()
    found = {f"call {k}": keras.ops.convert_to_numpy(built(x)) for k in range(2)}
    if only_called:
        return found
    top.reset_state()
    lose_nothing(built, x)
    for layer, values in lstmlab.traces(built, x, batch_size=B).items():
        found |= {f"{layer} shows {name}": value for name, value in values.items()}
    found["state"] = keras.ops.convert_to_numpy(top.states[1])
    built.compile(keras.optimizers.SGD(0.5), "mse")
    found["loss"] = np.array(built.fit(x, y, batch_size=B, verbose=0).history["loss"])
    return found | {
        f"{k} {weight.name}": np.array(keras.ops.convert_to_numpy(weight))
        for k, weight in enumerate(built.weights)
    }


def main(folder: Path, few: bool) -> None:
    # That this import does not bring TensorFlow in is a part of the test.
    import lstmlab.cells  # noqa: F401

    assert "tensorflow" not in sys.modules
    import keras

    np.savez(folder / "answers.npz", **answers("float32", few))
    assert (
        "tensorflow" not in sys.modules
    )  # Keras itself imports it to save, wherever it is installed
    own = model()
    own.save(folder / "own.keras")
    np.savez(folder / "used.npz", **used(own))
    for name in ("own", "theirs"):
        loaded = keras.models.load_model(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", **used(loaded, only_called=few))


if __name__ == "__main__":
    main(Path(sys.argv[1]), few=sys.argv[2] == "few")
