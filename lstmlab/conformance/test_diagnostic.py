"""Every diagnostic: it measures a small model and leaves no trace in it."""

import inspect
import random

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from lstmlab import Head, Recurrent, config, variant
from lstmlab.conformance import options
from lstmlab.conformance.branches import quick
from lstmlab.diagnostics import Diagnostic, Probe
from lstmlab.learners import BPTT
from lstmlab.recording.board import Board

B, T, F, N, K = 3, 5, 2, 4, 1
NAMES = [
    name
    for name in options.sound("diagnostic")
    if "_target_" in config.settings("diagnostic", name)  # not a preset
]
every_diagnostic = pytest.mark.parametrize("name", NAMES)
# the diagnostic `learners` compares several, each of which is compiled
each_diagnostic = pytest.mark.parametrize("name", quick(NAMES, lambda name: name != "learners"))


def build(name: str, **arguments) -> Diagnostic:
    settings = options.facts("diagnostic", name).get("settings", ())
    described = config.described("diagnostic", name, settings)
    return config.instantiate(described, "diagnostic", **arguments)


def problem(rng):
    model = Recurrent(variant("lstm1997", units=N), Head(K), BPTT(), F)
    model.compile(keras.optimizers.Adam(0.1))
    w = np.zeros((B, T), "float32")
    w[[0, 1, 2], [4, 2, 3]] = 1.0
    x, y = (rng.normal(size=(B, T, size)).astype("float32") for size in (F, K))
    model.train_step([tf.constant(part) for part in (x, y, w)])  # the optimizer has moments to lose
    valid = np.arange(T) <= np.array([[4], [2], [3]])
    return model, Probe(x, y, w, valid, w > 0)


@pytest.fixture(scope="module")
def trained():
    """One model and its probe for all; tests leave the model as they found it."""
    keras.utils.set_random_seed(1997)
    return problem(np.random.default_rng(1997))


@pytest.fixture(scope="module")
def built():
    """{name: diagnostic}: each compiles once for the model of all tests."""
    return {name: build(name) for name in NAMES}


def state(model) -> list[np.ndarray]:
    return [v.numpy() for v in (*model.weights, *model.optimizer.variables)]


# ---- one name, one cadence, one list


@every_diagnostic
def test_one_name_for_file_class_and_place_in_the_config(name):
    assert config.text("diagnostic", name).splitlines()[0] == f"# @package diagnostic.{name}"
    assert type(build(name)).name == name


@every_diagnostic
def test_the_option_says_the_settings_of_the_class(name):
    """`every` as the class has it, and each of its other arguments, so that it can be changed."""
    option, kind = config.settings("diagnostic", name), type(build(name))
    assert option["every"] == kind.every
    parameters = dict(inspect.signature(kind).parameters)
    assert set(option) - {"_target_"} == set(parameters)
    for argument in set(option) - {"_target_", "every", "learners"}:
        assert option[argument] == parameters[argument].default


# ---- what it measures


@each_diagnostic
def test_measures_and_shows_without_changing_anything(name, trained, built, tmp_path):
    diagnostic, (model, probe) = built[name], trained
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
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        tf.random.get_global_generator().state.numpy().tolist(),
    )
    assert seeds == keras.random.SeedGenerator(1).state.numpy().tolist()
    for one, other in zip([*before, *copies], [*state(model), *probe], strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(np.abs(value).max() > 0 for value in before[len(model.weights) :])
    assert isinstance(table, pd.DataFrame)
    assert len(table) > 0
    numbers = table.select_dtypes("number")
    assert np.isfinite(numbers).all(axis=None)
    assert (numbers != 0).any(axis=None)


@each_diagnostic
def test_follows_the_weights_and_measures_the_same_twice(name, rng, trained, built):
    diagnostic, (model, probe) = built[name], trained
    first, second = diagnostic.measure(model, probe), diagnostic.measure(model, probe)
    pd.testing.assert_frame_equal(first, second)
    before = model.get_weights()
    for weight in model.trainable_variables:
        weight.assign_add(tf.constant(rng.normal(size=weight.shape), weight.dtype))
    third = diagnostic.measure(model, probe)
    model.set_weights(before)
    pd.testing.assert_index_equal(first.columns, third.columns)
    assert not first.equals(third)


@every_diagnostic
def test_serves_a_foreign_cell_or_says_that_it_does_not(name, rng, trained, eager):
    diagnostic, (_, probe) = build(name), trained
    model = Recurrent(keras.layers.GRUCell(N), Head(K), BPTT(), F)
    serves = diagnostic.serves(model)
    assert isinstance(serves, bool)
    if options.is_built_in("diagnostic", name):
        assert serves is (name == "gradients")
    if diagnostic.serves(model):
        assert len(diagnostic.measure(model, probe)) > 0


@every_diagnostic
def test_due(name):
    diagnostic = build(name, every=100)
    spans = ((0, 99), (0, 100), (99, 100), (100, 199), (150, 450))
    assert [diagnostic.due(a, b) for a, b in spans] == [False, True, True, False, True]
    assert build(name, every="window").due(0, 1)
    doubling, moments = build(name, every="doubling"), range(0, 10_000, 500)
    assert [now for now in moments[1:] if doubling.due(now - 500, now)] == [1000, 2000, 4000, 8000]
    for wrong in (0, True, 1.5, "epoch"):
        expected = "expected a positive integer, 'window' or 'doubling'"
        with pytest.raises(ValueError, match=expected) as e:
            type(diagnostic)(every=wrong)
        owner = type(diagnostic).__name__
        assert str(e.value) == f"{owner}: {expected}. Received: every={wrong!r}"
