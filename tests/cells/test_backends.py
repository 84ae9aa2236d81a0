"""cells/ on the three backends of Keras: the same numbers, and models that move from one to another."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import on_backend
import pytest

from lstmlab import variants

# Keras has float64 on TensorFlow alone: its products are float32 on the other two. What they say in float32 is held against
# TensorFlow's float64, from inputs and weights that float32 holds. A step rounds some twenty times in a row (two products, a
# sum, bias, peephole, gates, what they multiply, normaliser, state, output), T steps and the way back together 200 times, each
# time uniformly within eps/2, standard deviation eps/sqrt(12): sqrt(200/12) eps = 4 eps where nothing amplifies. Twice that is
# allowed, of the length of what is compared. Layer normalisation does amplify, as it divides by small standard deviations:
# what TensorFlow loses there by float32 says how much, and OTHERS times that is allowed.
EPS = 2.0**-23
TOLERANCE = 8 * EPS
OTHERS = 4


@pytest.fixture(scope="module")
def expected() -> tuple[dict, dict]:
    """TensorFlow's answers in float64, and what may lie between them and others in float32, where that is not TOLERANCE."""
    exact, single = (on_backend.answers(dtype) for dtype in ("float64", "float32"))
    normalised = [name for name in exact if name.startswith("normalised")]
    lost = max(distance(single[name], exact[name]) for name in normalised)
    return exact, dict.fromkeys(normalised, OTHERS * lost)


@pytest.fixture(scope="module", params=["jax", "torch"])
def elsewhere(request, tmp_path_factory) -> Path:
    """The folder in which a process with the other backend has left its answers."""
    backend = request.param
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; it comes with: make test EXTRAS=test,backends")
    folder = tmp_path_factory.mktemp(backend)
    on_backend.model().save(folder / "theirs.keras")
    settings = {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    settings["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # compiles faster
    done = subprocess.run(
        [sys.executable, on_backend.__file__, str(folder)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def distance(actual, expected) -> float:
    """|actual - expected| in units of |expected|, or of 1 per element where that is longer than 1e-3 of it."""
    assert actual.shape == expected.shape
    return np.linalg.norm(actual.astype("float64") - expected) / max(
        np.linalg.norm(expected), 1e-3 * np.sqrt(expected.size)
    )


def compare(actual: dict, expected: dict, allowed: dict | None = None) -> None:
    """allowed: {name: distance} where it is not TOLERANCE."""
    assert sorted(actual) == sorted(expected)
    distances = {name: distance(actual[name], value) for name, value in expected.items()}
    too_far = {
        name: d for name, d in distances.items() if not d < (allowed or {}).get(name, TOLERANCE)
    }
    assert not too_far


def test_outputs_states_traces_and_gradients_of_every_variant(elsewhere, expected):
    (exact, allowed), actual = expected, dict(np.load(elsewhere / "answers.npz"))
    compare(actual, exact, allowed)
    assert max(allowed.values()) < 1e-5
    assert {case.partition(":")[0].rpartition(" ")[0] for case in actual} >= set(variants())
    assert {value.dtype.name for value in actual.values()} == {"float32"}
    assert np.mean([np.abs(value).max() > 1e-2 for value in exact.values()]) > 0.95


def test_calls_states_traces_and_a_step_of_fit(elsewhere):
    expected = on_backend.used(on_backend.model())
    compare(dict(np.load(elsewhere / "used.npz")), expected)
    assert distance(expected["call 0"], expected["call 1"]) > 1e-3
    assert distance(on_backend.model().get_weights()[0], expected["0 kernel"]) > 1e-3


@pytest.mark.parametrize("saved", ["own", "theirs"])
def test_models_saved_there_and_here_and_loaded_there(saved, elsewhere):
    compare(dict(np.load(elsewhere / f"{saved}.npz")), on_backend.used(on_backend.model()))


def test_models_saved_there_and_loaded_here(elsewhere):
    compare(
        on_backend.used(keras.models.load_model(elsewhere / "own.keras")),
        on_backend.used(on_backend.model()),
    )
