"""Every diagnostic that conf/diagnostic/ names: measures a small model and leaves no trace in it."""

import random
from importlib import resources

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics import Diagnostic, Probe
from lstmlab.learners import BPTT
from lstmlab.recording.board import Board

B, T, F, N, K = 3, 5, 2, 4, 1
FILES = {
    path.name: path
    for path in (resources.files("lstmlab.conf") / "diagnostic").iterdir()
    if path.name.endswith(".yaml")
}
PRESETS = {"off.yaml", "light.yaml", "full.yaml"}
every_diagnostic = pytest.mark.parametrize("name", sorted(FILES.keys() - PRESETS))


def build(name: str, **overrides) -> Diagnostic:
    return instantiate(
        OmegaConf.create(FILES[name].read_text(encoding="utf-8")), _convert_="all", **overrides
    )


def problem(rng):
    model = Recurrent(variant("lstm1997", units=N), Head(K), BPTT(), F)
    model.compile(keras.optimizers.Adam(0.1))
    w = np.zeros((B, T), "float32")
    w[[0, 1, 2], [4, 2, 3]] = 1.0
    x, y = (
        rng.normal(size=(B, T, F)).astype("float32"),
        rng.normal(size=(B, T, K)).astype("float32"),
    )
    model.train_step([tf.constant(part) for part in (x, y, w)])  # the optimizer has moments to lose
    valid = np.arange(T) <= np.array([[4], [2], [3]])
    return model, Probe(x, y, w, valid, w > 0)


def state(model) -> list[np.ndarray]:
    return [v.numpy() for v in (*model.weights, *model.optimizer.variables)]


@every_diagnostic
def test_file_names_its_own_place_in_the_config(name):
    stem = name.removesuffix(".yaml")
    assert (
        FILES[name].read_text(encoding="utf-8").splitlines()[0] == f"# @package diagnostic.{stem}"
    )
    assert build(name).name == stem


@every_diagnostic
def test_measures_and_shows_without_changing_anything(name, rng, tmp_path):
    diagnostic, (model, probe) = build(name), problem(rng)
    assert diagnostic.serves(model)
    before = state(model)
    copies = [part.copy() for part in probe]
    draws = (
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        tf.random.get_global_generator().state.numpy().tolist(),
    )
    seeds = keras.random.SeedGenerator(1).state.numpy().tolist()
    table = diagnostic.measure(model, probe)
    board = Board(tmp_path)
    diagnostic.show(board, table, 1000)
    board.close()
    assert draws == (
        random.getstate(), np.random.get_state()[1].tolist(), tf.random.get_global_generator().state.numpy().tolist()  # noqa: NPY002
    )  # fmt: skip
    assert seeds == keras.random.SeedGenerator(1).state.numpy().tolist()
    for one, other in zip([*before, *copies], [*state(model), *probe], strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(np.abs(value).max() > 0 for value in before[len(model.weights) :])
    assert isinstance(table, pd.DataFrame)
    assert len(table) > 0
    numbers = table.select_dtypes("number")
    assert np.isfinite(numbers).all(axis=None)
    assert (numbers != 0).any(axis=None)


@every_diagnostic
def test_follows_the_weights_and_measures_the_same_twice(name, rng):
    diagnostic, (model, probe) = build(name), problem(rng)
    first, second = diagnostic.measure(model, probe), diagnostic.measure(model, probe)
    pd.testing.assert_frame_equal(first, second)
    for weight in model.trainable_variables:
        weight.assign_add(tf.constant(rng.normal(size=weight.shape), weight.dtype))
    third = diagnostic.measure(model, probe)
    pd.testing.assert_index_equal(first.columns, third.columns)
    assert not first.equals(third)


@every_diagnostic
def test_serves_a_foreign_cell_or_says_that_it_does_not(name, rng, eager):
    diagnostic, (_, probe) = build(name), problem(rng)
    model = Recurrent(keras.layers.GRUCell(N), Head(K), BPTT(), F)
    assert diagnostic.serves(model) is (name == "gradients.yaml")
    if diagnostic.serves(model):
        assert len(diagnostic.measure(model, probe)) > 0


@every_diagnostic
def test_due(name):
    diagnostic = build(name, every=100)
    assert [diagnostic.due(a, b) for a, b in ((0, 99), (0, 100), (99, 100), (100, 199), (150, 450))] == [
        False, True, True, False, True,
    ]  # fmt: skip
    assert build(name, every="window").due(0, 1)
    doubling, moments = build(name, every="doubling"), range(0, 10_000, 500)
    assert [now for now in moments[1:] if doubling.due(now - 500, now)] == [1000, 2000, 4000, 8000]
    for wrong in (0, True, 1.5, "epoch"):
        with pytest.raises(
            ValueError,
            match=r": expected a positive integer, 'window' or 'doubling'\. Received: every=",
        ) as e:
            type(diagnostic)(every=wrong)
        assert (
            str(e.value)
            == f"{type(diagnostic).__name__}: expected a positive integer, 'window' or 'doubling'. Received: every={wrong!r}"
        )
