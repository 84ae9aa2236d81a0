"""GradientNorm: the learner's gradient and the weights, against slices by hand and Keras."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from oracles import randomize

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics import GradientNorm, Probe
from lstmlab.learners import BPTT, Truncated1997

B, T, F, N, K = 3, 4, 2, 4, 1
COLUMNS = {  # {weight: {net: columns}} of 4 cells, with blocks of 2 in the cells of 1997 and 2000
    "lstm1997": {
        name: {"input_gate": slice(0, 2), "candidate": slice(2, 6), "output_gate": slice(6, 8)}
        for name in ("kernel", "recurrent_kernel", "bias")
    },
    "lstm2000": {
        **{
            name: {
                "input_gate": slice(0, 2),
                "forget_gate": slice(2, 4),
                "candidate": slice(4, 8),
                "output_gate": slice(8, 10),
            }
            for name in ("kernel", "recurrent_kernel")
        },
        "bias": {"input_gate": slice(0, 2), "forget_gate": slice(2, 4), "output_gate": slice(4, 6)},
    },
    "gru": {
        "kernel": {
            "forget_gate": slice(0, 4),
            "reset_gate": slice(4, 8),
            "candidate": slice(8, 12),
        },
        "recurrent_kernel": {"forget_gate": slice(0, 4), "reset_gate": slice(4, 8)},
        "bias": {"forget_gate": slice(0, 4), "reset_gate": slice(4, 8), "candidate": slice(8, 12)},
    },
    "elman": {},
}


class Board:
    """Keeps what is written: {tag: value}."""

    def __init__(self):
        self.written: dict[str, float] = {}

    def scalar(self, tag, value, sequences):
        assert tag not in self.written
        self.written[tag] = value


def problem(rng, cell, learner):
    model = Recurrent(cell, Head(K, dtype=cell.dtype), learner, F)
    for layer in (model.cell, model.head):
        randomize(layer, rng)
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, T, K))
    w = rng.uniform(size=(B, T))
    return model, Probe(x, y, w, w > 0, w > 0)


def mean_gradients(model, probe) -> dict[str, np.ndarray]:
    """Sequence by sequence, by name of the weight."""
    total = {w.name: np.zeros(w.shape) for w in model.trainable_variables}
    for b in range(B):
        one = (tf.constant(v[b : b + 1]) for v in probe[:3])
        _, _, gradients = model.learner.gradients(model.cell, model.head, *one)
        for name, gradient in zip(total, gradients, strict=True):
            total[name] = total[name] + gradient.numpy() / B
    return total


def whole(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["net"] == "all"].reset_index(drop=True)


@pytest.mark.parametrize("learner", [BPTT(), Truncated1997()])
def test_norm_of_the_mean_gradient_of_each_weight(learner, rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), learner)
    table = whole(GradientNorm().measure(model, probe))
    assert list(table["weight"]) == [
        "kernel",
        "recurrent_kernel",
        "bias",
        "head_kernel",
        "head_bias",
    ]
    expected = mean_gradients(model, probe)
    np.testing.assert_allclose(
        table["norm"], [np.linalg.norm(g) for g in expected.values()], rtol=1e-9
    )
    assert table["norm"].min() > 1e-3


def test_learners_differ(rng, eager):
    cell = variant("lstm1997", units=N, dtype="float64")
    model, probe = problem(rng, cell, BPTT())
    exact = whole(GradientNorm().measure(model, probe))["norm"]
    cut = whole(GradientNorm().measure(Recurrent(cell, model.head, Truncated1997(), F), probe))[
        "norm"
    ]
    assert np.abs(exact - cut)[:3].min() > 1e-3


@pytest.mark.parametrize("name", COLUMNS)
def test_blocks_against_slices(name, rng, eager):
    model, probe = problem(rng, variant(name, units=N, dtype="float64"), BPTT())
    table = GradientNorm().measure(model, probe).set_index(["weight", "net"])
    gradients = mean_gradients(model, probe)
    weights = {w.name: w.numpy() for w in model.trainable_variables}
    expected = {(weight, "all"): slice(None) for weight in weights}
    expected |= {
        (weight, net): columns
        for weight, nets in COLUMNS[name].items()
        for net, columns in nets.items()
    }
    assert set(table.index) == set(expected)
    assert not table.index.duplicated().any()
    for (weight, net), columns in expected.items():
        row = table.loc[(weight, net)]
        np.testing.assert_allclose(
            row["norm"], np.sqrt((gradients[weight][..., columns] ** 2).sum()), rtol=1e-9
        )
        np.testing.assert_allclose(
            row["weight_norm"], np.sqrt((weights[weight][..., columns] ** 2).sum()), rtol=1e-12
        )
        assert row["norm"] > 1e-6
    norms = table.loc[[key for key in expected if key[0] == "kernel"], "norm"]
    assert norms.nunique() == len(norms)


def test_update_ratio_and_angle_against_the_measurement_before(rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), BPTT())
    diagnostic = GradientNorm()
    first = diagnostic.measure(model, probe)
    assert (first[["update_ratio", "angle"]] == 0).all(axis=None)
    weights, gradients = (
        {w.name: w.numpy() for w in model.trainable_variables},
        mean_gradients(model, probe),
    )
    for weight in model.trainable_variables:
        weight.assign_add(rng.normal(size=weight.shape, scale=0.2))
    second = diagnostic.measure(model, probe).set_index(["weight", "net"])
    now, later = (
        {w.name: w.numpy() for w in model.trainable_variables},
        mean_gradients(model, probe),
    )
    blocks = {(name, "all"): slice(None) for name in weights}
    blocks |= {
        (name, net): columns
        for name, nets in COLUMNS["lstm1997"].items()
        for net, columns in nets.items()
    }
    for (name, net), columns in blocks.items():
        old, new = (part[name][..., columns].ravel() for part in (weights, now))
        u, v = (part[name][..., columns].ravel() for part in (gradients, later))
        ratio = np.sqrt(((new - old) ** 2).sum() / (new**2).sum())
        angle = np.degrees(np.arccos(u @ v / np.sqrt((u @ u) * (v @ v))))
        np.testing.assert_allclose(second.loc[(name, net), "update_ratio"], ratio, rtol=1e-9)
        np.testing.assert_allclose(second.loc[(name, net), "angle"], angle, atol=1e-5)
        assert ratio > 1e-3
    assert (second["angle"] > 0.1).sum() > 5
    third = diagnostic.measure(model, probe)
    assert (third[["update_ratio", "angle"]] == 0).all(axis=None)  # nothing has changed since
    other, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), BPTT())
    assert (diagnostic.measure(other, probe)[["update_ratio", "angle"]] == 0).all(
        axis=None
    )  # another model begins anew


@pytest.mark.parametrize("kind", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_clipping_against_what_keras_does(kind, rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), BPTT())
    gradients = list(mean_gradients(model, probe).values())
    size = {
        "clipnorm": lambda g: np.linalg.norm(g),
        "clipvalue": lambda g: np.abs(g).max(),
        "global_clipnorm": lambda g: np.sqrt(sum((part**2).sum() for part in gradients)),
    }[kind]
    limits = sorted({size(g) for g in gradients})
    seen = set()
    for limit in (limits[0] * 0.99, np.mean(limits) * 0.999, limits[-1] * 1.01):
        model.compile(keras.optimizers.SGD(1.0, **{kind: float(limit)}))
        table = whole(GradientNorm().measure(model, probe))
        weights = [keras.Variable(np.zeros(g.shape), dtype="float64") for g in gradients]
        model.optimizer.apply([tf.constant(g) for g in gradients], weights)
        changed = [
            not np.allclose(-w.numpy(), g, rtol=1e-6, atol=0)
            for w, g in zip(weights, gradients, strict=True)
        ]
        assert list(table["clipped"]) == changed
        seen |= set(changed)
    assert seen == {True, False}


def test_clipvalue_looks_at_the_columns_of_a_net(rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), BPTT())
    kernel = mean_gradients(model, probe)["kernel"]
    largest = {
        net: np.abs(kernel[:, columns]).max()
        for net, columns in COLUMNS["lstm1997"]["kernel"].items()
    }
    limit = float(np.median(list(largest.values())) * 0.999)
    model.compile(keras.optimizers.SGD(1.0, clipvalue=limit))
    table = GradientNorm().measure(model, probe).set_index(["weight", "net"])["clipped"]
    assert {net: table.loc[("kernel", net)] for net in largest} == {
        net: int(most > limit) for net, most in largest.items()
    }
    assert sorted(table.loc[["kernel"]]) == [0, 1, 1, 1]


def test_without_an_optimizer_nothing_is_clipped(rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), BPTT())
    assert (GradientNorm().measure(model, probe)["clipped"] == 0).all()


def test_what_is_not_finite_is_named_once(rng, eager, capsys):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), BPTT())
    diagnostic = GradientNorm()
    table = diagnostic.measure(model, probe)
    diagnostic.show(Board(), table, 0)
    assert (table["finite"] == 1).all()
    assert capsys.readouterr().err == ""
    model.head.kernel.assign(np.full(model.head.kernel.shape, np.nan))
    for sequences in (1000, 2000):
        table = diagnostic.measure(model, probe)
        diagnostic.show(Board(), table, sequences)
    assert (table["finite"] == 0).all()
    names = "kernel, recurrent_kernel, bias, head_kernel, head_bias"
    assert (
        capsys.readouterr().err
        == f"diagnostic.gradients: not finite after 1000 sequences: {names}\n"
    )


def test_finite_tells_the_weights_apart(rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), BPTT())
    probe.y[:, -1] = 1e200  # finite gradients whose squares are not
    with np.errstate(over="raise"):
        table = GradientNorm().measure(model, probe)
    assert (table["finite"] == 1).all()
    probe.y[:, -1] = np.inf
    table = whole(GradientNorm().measure(model, probe)).set_index("weight")["finite"]
    assert table["head_bias"] == 0


def test_shows_whole_weights_and_all_weights_of_a_gate_together(rng, eager):
    model, probe = problem(rng, variant("lstm1997", units=N, dtype="float64"), BPTT())
    diagnostic, board = GradientNorm(), Board()
    diagnostic.measure(model, probe)
    randomize(model.cell, rng)
    table = diagnostic.measure(model, probe)
    diagnostic.show(board, table, 10)
    for row in table.itertuples():
        if row.net == "all":
            assert board.written[f"gradient_norm/{row.weight}"] == row.norm
    for gate in ("input_gate", "output_gate", "candidate"):
        norms = table.loc[table["net"] == gate, "norm"]
        assert len(norms) > 1
        np.testing.assert_allclose(
            board.written[f"gradient_norm_by_gate/{gate}"], np.sqrt((norms**2).sum())
        )
    of_kernel = table[(table["weight"] == "kernel") & (table["net"] == "all")].iloc[0]
    assert board.written["gradient_update_ratio/kernel"] == of_kernel["update_ratio"]
    assert board.written["gradient_angle/kernel"] == of_kernel["angle"]
    assert len(board.written) == 5 + 3 + 2


def test_serves_any_cell(rng, eager):
    model, probe = problem(rng, keras.layers.GRUCell(N), BPTT())
    assert GradientNorm().serves(model)
    table = GradientNorm().measure(model, probe)
    assert table["norm"].min() > 0
    assert list(table["net"].unique()) == ["all"]
