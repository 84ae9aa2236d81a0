"""Every diagnostic that conf/diagnostic/ names: measures a small model and leaves no trace in it."""

import inspect
import random
from importlib import import_module, resources

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lstmlab import Head, Recurrent, variant
from lstmlab.diagnostics import Diagnostic, Probe, kinds
from lstmlab.learners import BPTT
from lstmlab.recording.board import Board

B, T, F, N, K = 3, 5, 2, 4, 1
FILES = {
    path.name.removesuffix(".yaml"): path.read_text(encoding="utf-8")
    for path in (resources.files("lstmlab.conf") / "diagnostic").iterdir()
    if path.name.endswith(".yaml")
}
PRESETS = {"off", "light", "full"}
every_diagnostic = pytest.mark.parametrize("name", sorted(FILES.keys() - PRESETS))


def build(name: str, **overrides) -> Diagnostic:
    return instantiate(OmegaConf.create(FILES[name]), _convert_="all", **overrides)


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
    return {name: build(name) for name in FILES.keys() - PRESETS}


def state(model) -> list[np.ndarray]:
    return [v.numpy() for v in (*model.weights, *model.optimizer.variables)]


# ---- one name, one cadence, one list


@every_diagnostic
def test_one_name_for_file_class_option_and_module(name):
    assert FILES[name].splitlines()[0] == f"# @package diagnostic.{name}"
    kind = type(build(name))
    assert kind.name == name
    assert kind is kinds()[name]
    assert kind.__module__ == f"lstmlab.diagnostics.{name}"
    assert getattr(import_module("lstmlab.diagnostics"), kind.__name__) is kind


@every_diagnostic
def test_the_option_says_the_settings_of_the_class(name):
    """`every` as the class has it, and each of its other arguments, so that it can be changed."""
    option, kind = yaml.safe_load(FILES[name]), kinds()[name]
    assert option["every"] == kind.every
    parameters = dict(inspect.signature(kind).parameters)
    assert set(option) - {"_target_"} == set(parameters)
    for argument in set(option) - {"_target_", "every", "learners"}:
        assert option[argument] == parameters[argument].default


def test_every_diagnostic_has_an_option_and_stands_in_the_presets_it_should():
    assert set(kinds()) == FILES.keys() - PRESETS
    light, full = (yaml.safe_load(FILES[preset])["defaults"] for preset in ("light", "full"))
    assert {name for name, kind in kinds().items() if kind.light} <= set(light) < set(full)
    # `learners` compares learners and is asked for by name
    assert sorted(full) == sorted(kinds().keys() - {"learners"})


# ---- what it measures


@every_diagnostic
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
    assert diagnostic.serves(model) is (name == "gradients")
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
