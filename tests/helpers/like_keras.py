"""Questions to a recurrent layer: every argument, property and method of those of Keras."""

import copy
import pickle

import keras
import numpy as np
from keras import ops

layers = keras.layers
B, T, F, N = 3, 5, 2, 4
RNG = np.random.default_rng(1997)
X = RNG.normal(size=(B, T, F)).astype("float32")
MASK = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 0]], bool)
PADDED = np.where(MASK[..., None], X, 0).astype("float32")
EVERYTHING = {"return_sequences": True, "return_state": True}
STATEFUL = {"stateful": True}


def states(layer, size: int = N) -> list:
    """One or two initial states."""
    count = len(layer.state_size)
    return [np.linspace(-1, 1, B * size).reshape(B, size).astype("float32") for _ in range(count)]


def symbolic(*shape, dtype="float32"):
    return keras.Input(shape, dtype=dtype)


def model(layer, batch=None):
    return keras.Sequential([keras.Input(batch_shape=(batch, T, F)), layer])


def again(layer):
    """The layer from its config, with its weights."""
    made = type(layer).from_config(layer.get_config())
    made.build((B, T, F))
    made.set_weights(layer.get_weights())
    return made


def after(layer, *steps):
    """What the layer tells when something was done before."""
    return [step(layer) for step in steps][-1]


def loss(layer) -> list:
    return [float(one) for one in layer.losses]


def trains(layer) -> list:
    """How many weights are trained, and whether a step of fit moves them."""
    net = keras.Sequential([keras.Input((T, F)), layer, layers.Dense(1)])
    net.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    before = layer.get_weights()
    net.fit(X, X[:, 0, :1], verbose=0)
    moved = [np.abs(a - b).max() > 0 for a, b in zip(before, layer.get_weights(), strict=True)]
    of_layer = {id(weight) for weight in layer.weights}
    trained = [weight for weight in net.trainable_weights if id(weight) in of_layer]
    return [bool(layer.trainable_weights), bool(trained), any(moved), all(moved)]


def mask_of(answer):
    return [getattr(one, "_keras_mask", None) for one in keras.tree.flatten(answer)]


def dtypes(layer) -> list:
    answer = [keras.backend.standardize_dtype(one.dtype) for one in keras.tree.flatten(layer(X))]
    return [
        answer,
        layer.dtype,
        layer.compute_dtype,
        layer.cell.compute_dtype,
        layer.weights[0].dtype,
    ]


# {question: (arguments of the layer, what is asked)}; the layer is built unless it says unbuilt
CALLS = {
    "call": ({}, lambda layer: layer(X)),
    "call with float64": ({}, lambda layer: layer(X.astype("float64"))),
    "call with integers": ({}, lambda layer: layer(np.round(X).astype("int32"))),
    "call with a list": ({}, lambda layer: layer(X.tolist())),
    "call with inputs and states in a list": ({}, lambda layer: layer([X, *states(layer)])),
    "call in training": ({}, lambda layer: layer(X, training=True)),
    "call with training=None": ({}, lambda layer: layer(X, training=None)),
    "call with an unknown argument": ({}, lambda layer: layer(X, foo=1)),
    "one step": ({}, lambda layer: layer(X[:, :1])),
    "no step": ({}, lambda layer: layer(X[:, :0])),
    "another rank": ({}, lambda layer: layer(X[0])),
    "other features": ({}, lambda layer: layer(X[..., :1])),
    "all outputs": (EVERYTHING, lambda layer: layer(X)),
    "backwards": ({**EVERYTHING, "go_backwards": True}, lambda layer: layer(X)),
    "unroll": ({**EVERYTHING, "unroll": True}, lambda layer: layer(X, mask=MASK)),
    "unroll of any length": ({"unroll": True}, lambda layer: layer(symbolic(None, F))),
    "mask": ({}, lambda layer: layer(X, mask=MASK)),
    "mask by position": ({}, lambda layer: layer(X, None, MASK)),
    "mask of integers": ({}, lambda layer: layer(X, mask=MASK.astype("int32"))),
    "mask of floats": ({}, lambda layer: layer(X, mask=0.5 * MASK)),
    "mask in a list": ({}, lambda layer: layer(X, mask=[MASK])),
    "mask as a list": ({}, lambda layer: layer(X, mask=MASK.tolist())),
    "all masked": (EVERYTHING, lambda layer: layer(X, mask=np.zeros_like(MASK))),
    "zero_output_for_mask": (
        {**EVERYTHING, "zero_output_for_mask": True},
        lambda layer: layer(X, mask=MASK),
    ),
    "Masking": (EVERYTHING, lambda layer: layer(layers.Masking()(PADDED))),
    "mask handed on": (EVERYTHING, lambda layer: mask_of(layer(layers.Masking()(PADDED)))),
    "mask handed on backwards": (
        {"return_sequences": True, "go_backwards": True},
        lambda layer: mask_of(layer(layers.Masking()(PADDED))),
    ),
    "mask ends": ({}, lambda layer: mask_of(layer(layers.Masking()(PADDED)))),
    "compute_mask": (EVERYTHING, lambda layer: layer.compute_mask(X, MASK)),
    "compute_mask of lists": (EVERYTHING, lambda layer: layer.compute_mask([X], [MASK, None])),
    "compute_mask of None": ({"return_sequences": True}, lambda layer: layer.compute_mask(X, None)),
    "compute_mask of an end": ({}, lambda layer: layer.compute_mask(X, MASK)),
    "initial_state": (EVERYTHING, lambda layer: layer(X, initial_state=states(layer))),
    "initial_state by position": ({}, lambda layer: layer(X, states(layer))),
    "initial_state as a tuple": ({}, lambda layer: layer(X, initial_state=tuple(states(layer)))),
    "initial_state alone": ({}, lambda layer: layer(X, initial_state=states(layer)[0])),
    "initial_state of another width": (
        {},
        lambda layer: layer(X, initial_state=states(layer, N + 1)),
    ),
    "initial_state of float64": (
        {},
        lambda layer: layer(X, initial_state=[s.astype("float64") for s in states(layer)]),
    ),
    "too many initial states": ({}, lambda layer: layer(X, initial_state=3 * states(layer))),
    "get_initial_state": ({}, lambda layer: layer.get_initial_state(2)),
}
SHAPES = {
    "symbolic": (EVERYTHING, lambda layer: layer(symbolic(None, F))),
    "symbolic mask": ({}, lambda layer: layer(symbolic(T, F), mask=symbolic(T, dtype="bool"))),
    "symbolic states": (
        EVERYTHING,
        lambda layer: layer(symbolic(T, F), initial_state=[symbolic(N) for _ in states(layer)]),
    ),
    "compute_output_spec": ({}, lambda layer: layer.compute_output_spec(symbolic(None, F))),
    "symbolic_call": ({}, lambda layer: layer.symbolic_call(symbolic(None, F))),
    "compute_output_shape": (EVERYTHING, lambda layer: layer.compute_output_shape((None, None, F))),
    "compute_output_shape of a list": ({}, lambda layer: layer.compute_output_shape([B, T, F])),
    "compute_output_shape with states": (
        EVERYTHING,
        lambda layer: layer.compute_output_shape((B, T, F), initial_state_shape=[(B, N)]),
    ),
    "input and output": (
        {},
        lambda layer: after(layer, lambda it: it(symbolic(T, F)), lambda it: [it.input, it.output]),
    ),
    "unbuilt: input": ({}, lambda layer: layer.input),
    "unbuilt: build": (
        {},
        lambda layer: after(
            layer,
            lambda it: it.build((None, None, F)),
            lambda it: [it.built, it.get_build_config()],
        ),
    ),
    "unbuilt: build from a list": (
        {},
        lambda layer: after(layer, lambda it: it.build([None, T, F]), lambda it: it.built),
    ),
    "unbuilt: build_from_config": (
        {},
        lambda layer: after(
            layer,
            lambda it: it.build_from_config({"input_shape": (None, T, F)}),
            lambda it: len(it(X)),
        ),
    ),
    "unbuilt: input_shape": (
        {"input_shape": (T, F)},
        lambda layer: keras.Sequential([layer]).built,
    ),
    "unbuilt: input_dim": ({"input_dim": F}, lambda layer: keras.Sequential([layer]).built),
    "unbuilt: batch_input_shape": ({"batch_input_shape": (B, T, F)}, lambda layer: 0),
    "unbuilt: properties": (
        {},
        lambda layer: [layer.built, layer.weights, layer.path, layer.losses, layer.states],
    ),
}
PROPERTIES = {
    "properties": (
        {},
        lambda layer: [
            *(layer.name, layer.path, layer.built, layer.units, layer.supports_masking),
            *(layer.trainable, layer.autocast, layer.stateful, layer.unroll, layer.go_backwards),
            *(layer.return_state, layer.return_sequences, layer.zero_output_for_mask),
            *(layer.dtype, layer.compute_dtype, layer.variable_dtype, layer.input_dtype),
            *(layer.dtype_policy.name, layer.quantization_mode, layer.state_size),
            *(layer.metrics, layer.metrics_variables, layer.cell.units, layer.cell.output_size),
        ],
    ),
    "another name": (
        {},
        lambda layer: after(layer, lambda it: setattr(it, "name", "b"), lambda it: it.name),
    ),
    "of the cell": (
        {"dropout": 0.25, "recurrent_dropout": 0.5, "kernel_constraint": "non_neg"},
        lambda layer: [
            *(layer.dropout, layer.recurrent_dropout, layer.kernel_regularizer),
            *(type(layer.kernel_initializer), type(layer.recurrent_initializer)),
            *(type(layer.kernel_constraint), layer.bias_constraint, layer.recurrent_regularizer),
        ],
    ),
    "first weights": ({}, lambda layer: [w.name for w in layer.weights][:2]),
    "count_params": ({}, lambda layer: layer.count_params()),
    "unbuilt: count_params": ({}, lambda layer: layer.count_params()),
    "set_weights of another length": ({}, lambda layer: layer.set_weights([])),
    "variables that are no weights": ({}, lambda layer: len(layer.variables) - len(layer.weights)),
    "seed of dropout": ({"dropout": 0.5}, lambda layer: len(layer.non_trainable_variables)),
    "quantize": ({}, lambda layer: layer.quantize("int8")),
    "unbuilt: quantize": ({}, lambda layer: layer.quantize("int8")),
    "quantized dtype": ({"dtype": "int8_from_float32"}, lambda layer: layer(X)),
    "add_loss": (
        {},
        lambda layer: after(layer, lambda it: it(X), lambda it: it.add_loss(ops.sum(X)), loss),
    ),
    "stateless_call": (
        {},
        lambda layer: layer.stateless_call(
            layer.trainable_variables, layer.non_trainable_variables, X
        )[0],
    ),
    "summary": (
        {},
        lambda layer: after(
            layer,
            lambda it: (net := model(it), lines := [], net.summary(print_fn=lines.append))[1],
            lambda it: it.built,
        ),
    ),
    "dropout=0 in training": ({"dropout": 0.0}, lambda layer: layer(X, training=True)),
    "dropout when not trained": ({"dropout": 0.5, "seed": 1}, lambda layer: layer(X)),
    "constraints": (
        {"kernel_constraint": "non_neg", "recurrent_constraint": "max_norm"},
        lambda layer: [type(w.constraint) for w in layer.weights[:2]],
    ),
    "unknown argument": ({"time_major": True}, lambda layer: layer(X)),
    "unbuilt: initializers": (
        {"kernel_initializer": "ones", "recurrent_initializer": "zeros"},
        lambda layer: layer(X),
    ),
}
LOSSES = {
    "regularizers": (
        {"kernel_regularizer": "l2", "recurrent_regularizer": "l1"},
        lambda layer: sum(loss(layer)),
    ),
    "bias_regularizer": ({"bias_regularizer": "l2"}, lambda layer: sum(loss(layer))),
    "regularizers, frozen": (
        {"kernel_regularizer": "l2", "trainable": False},
        loss,
    ),
    **{
        f"activity_regularizer, {name}": (
            {"activity_regularizer": "l2", **more},
            lambda layer, mask=mask: after(layer, lambda it: it(X, mask=mask), loss),
        )
        for name, more, mask in (
            ("output", {}, None),
            ("masked", {"return_sequences": True}, MASK),
            ("with states", EVERYTHING, None),
            ("frozen", {"trainable": False}, None),
        )
    },
    "activity_regularizer, symbolic": (
        {"activity_regularizer": "l2"},
        lambda layer: after(model(layer), lambda net: net(X), loss),
    ),
    "activity_regularizer, stateless": (
        {"activity_regularizer": "l2"},
        lambda layer: len(
            layer.stateless_call(
                layer.trainable_variables, layer.non_trainable_variables, X, return_losses=True
            )[-1]
        ),
    ),
}
TRAINED = {
    "trainable": ({}, trains),
    "trainable=False": ({"trainable": False}, trains),
    "trainable=False of the cell": ({"trainable": False}, lambda layer: layer.cell.trainable),
    "trainable='no'": ({"trainable": "no"}, trains),
    "frozen later": (
        {},
        lambda layer: after(layer, lambda it: setattr(it, "trainable", False), trains),
    ),
    "thawed": (
        {"trainable": False},
        lambda layer: after(layer, lambda it: setattr(it, "trainable", True), trains),
    ),
    "the cell frozen": (
        {},
        lambda layer: after(layer, lambda it: setattr(it.cell, "trainable", False), trains),
    ),
    "frozen from its config": ({"trainable": False}, lambda layer: trains(again(layer))),
    "frozen in Bidirectional": (
        {"trainable": False},
        lambda layer: trains(layers.Bidirectional(layer)),
    ),
    "frozen in a clone": (
        {"trainable": False},
        lambda layer: len(keras.models.clone_model(model(layer)).trainable_weights),
    ),
    "frozen in TimeDistributed": (
        {"trainable": False},
        lambda layer: after(
            layers.TimeDistributed(layer),
            lambda it: it(X[None]),
            lambda it: len(it.trainable_weights),
        ),
    ),
}
STATES = {
    "stateful": (STATEFUL, lambda layer: [layer(X), layer(X), *layer.states]),
    "stateful and masked": (STATEFUL, lambda layer: [layer(X, mask=MASK), layer(X)]),
    "stateful from initial states": (
        STATEFUL,
        lambda layer: [layer(X, initial_state=states(layer)), layer(X)],
    ),
    "reset_state": (
        STATEFUL,
        lambda layer: [layer(X), layer.reset_state(), layer(X), layer.reset_states(), layer.states],
    ),
    "reset_states with an argument": (STATEFUL, lambda layer: layer.reset_states(states(layer))),
    "reset_state with an argument": (
        STATEFUL,
        lambda layer: layer.reset_state(states=states(layer)),
    ),
    "reset_state of no state": ({}, lambda layer: [layer.reset_state(), layer.states]),
    "unbuilt: reset_state": (STATEFUL, lambda layer: [layer.reset_state(), layer.states]),
    "another batch": (STATEFUL, lambda layer: after(layer, lambda it: it(X), lambda it: it(X[:2]))),
    "unbuilt: any batch": (STATEFUL, lambda layer: layer(symbolic(T, F))),
    "stateful in predict": (
        STATEFUL,
        lambda layer: after(
            model(layer, B),
            lambda it: it.predict(X, batch_size=B, verbose=0),
            lambda it: it.predict(X, batch_size=B, verbose=0),
        ),
    ),
    "names of states": (STATEFUL, lambda layer: [(s.name, s.trainable) for s in layer.states]),
    "states are no weights": (STATEFUL, lambda layer: layer.non_trainable_weights),
    "built twice": (
        STATEFUL,
        lambda layer: after(
            layer, lambda it: it(X), lambda it: it.build((B, T, F)), lambda it: it.states
        ),
    ),
    "states of a dtype": (
        {**STATEFUL, "dtype": "mixed_float16"},
        lambda layer: [state.dtype for state in layer.states],
    ),
}
DTYPES = {
    **{
        f"dtype={dtype}": ({**EVERYTHING, "dtype": dtype}, dtypes)
        for dtype in ("float64", "float16", "mixed_float16", "mixed_bfloat16")
    },
    "dtype of a policy": ({"dtype": keras.DTypePolicy("mixed_float16")}, dtypes),
    "dtype of a map": (
        {"dtype": keras.dtype_policies.DTypePolicyMap(default_policy="mixed_bfloat16")},
        dtypes,
    ),
    "dtype_policy set": (
        {},
        lambda layer: after(layer, lambda it: setattr(it, "dtype_policy", "float64"), dtypes),
    ),
    "unbuilt: dtype=int32": ({"dtype": "int32"}, lambda layer: layer(X)),
    "autocast=False": ({"autocast": False}, dtypes),
}
KEPT = {
    "from_config": (EVERYTHING, lambda layer: again(layer)(X)),
    "from_config twice": ({}, lambda layer: [again(layer)(X), again(layer)(X)]),
    "config unchanged": (
        {},
        lambda layer: after(
            (config := layer.get_config(), copy.deepcopy(config)),
            lambda pair: type(layer).from_config(pair[0]),
            lambda pair: pair[0] == pair[1],
        ),
    ),
    "config of the layer": (
        {"activity_regularizer": "l1", "go_backwards": True, "trainable": False},
        lambda layer: {
            name: value
            for name, value in layer.get_config().items()
            if name in ("name", "trainable", "dtype", "go_backwards", "stateful", "unroll")
        },
    ),
    "deepcopy": (EVERYTHING, lambda layer: copy.deepcopy(layer)(X)),
    "pickle": ({}, lambda layer: pickle.loads(pickle.dumps(model(layer)))(X)),
}
CASES = CALLS | SHAPES | PROPERTIES | LOSSES | TRAINED | STATES | DTYPES | KEPT
