"""cells/ on the three backends of Keras.

The same numbers, and models that move from one to another.
"""

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

# Keras has float64 on TensorFlow alone: its products are float32 on the other two. What they say in
# float32 is held against TensorFlow's float64, from inputs and weights that float32 holds. A step
# rounds some twenty times in a row (two products, a sum, bias, peephole, gates, what they multiply,
# normaliser, state, output), T steps and the way back together 200 times, each time uniformly
# within eps/2, standard deviation eps/sqrt(12): sqrt(200/12) eps = 4 eps where nothing amplifies.
# Twice that is allowed, of the length of what is compared. Layer normalisation does amplify, as it
# divides by small standard deviations: what TensorFlow loses there by float32 says how much, and
# OTHERS times that is allowed.
EPS = 2.0**-23
TOLERANCE = 8 * EPS
OTHERS = 4


def expected(few: bool) -> tuple[dict, dict]:
    """TensorFlow's answers in float64, and what may lie between them and others in float32, where
    that is not TOLERANCE.
    """
    exact, single = (on_backend.answers(dtype, few) for dtype in ("float64", "float32"))
    normalised = [name for name in exact if name.startswith("normalised")]
    lost = max(distance(single[name], exact[name]) for name in normalised)
    return exact, dict.fromkeys(normalised, OTHERS * lost)


def run_on(backend: str, folder: Path, which: str) -> Path:
    """The folder in which a process with another backend leaves its answers."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; it comes with: make test EXTRAS=test,backends")
    on_backend.model().save(folder / "theirs.keras")
    settings = {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    settings["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # compiles faster
    done = subprocess.run(
        [sys.executable, on_backend.__file__, str(folder), which],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module", params=["jax", "torch"])
def elsewhere(request, tmp_path_factory) -> Path:
    return run_on(request.param, tmp_path_factory.mktemp(request.param), "few")


@pytest.fixture(scope="module")
def few() -> tuple[dict, dict]:
    return expected(few=True)


@pytest.fixture(scope="module")
def used_here() -> dict:
    return on_backend.used(on_backend.model())


def distance(actual, expected) -> float:
    """|actual - expected| in units of |expected|, or of 1 per element where that is longer than
    1e-3 of it.
    """
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


def check_answers(folder: Path, expected: tuple[dict, dict]) -> set[str]:
    """Outputs, states, traces and gradients; returns the names of the cases."""
    (exact, allowed), actual = expected, dict(np.load(folder / "answers.npz"))
    compare(actual, exact, allowed)
    assert max(allowed.values()) < 1e-5
    assert {value.dtype.name for value in actual.values()} == {"float32"}
    assert np.mean([np.abs(value).max() > 1e-2 for value in exact.values()]) > 0.95
    return {case.partition(":")[0].rpartition(" ")[0] for case in actual}


@pytest.mark.slow
def test_outputs_states_traces_and_gradients_of_a_few_layers(elsewhere, few):
    """The test below, on demand, has all."""
    assert check_answers(elsewhere, few) == set(on_backend.FEW)


@pytest.mark.slow
@pytest.mark.whole_table
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_outputs_states_traces_and_gradients_of_every_variant(backend, tmp_path):
    folder = run_on(backend, tmp_path, "all")
    assert check_answers(folder, expected(few=False)) >= set(variants())
    for saved in ("own", "theirs"):  # loaded there, and trained on
        compare(dict(np.load(folder / f"{saved}.npz")), on_backend.used(on_backend.model()))
    loaded = keras.models.load_model(folder / "own.keras")
    compare(on_backend.used(loaded), on_backend.used(on_backend.model()))


def calls(used: dict) -> dict:
    return {name: value for name, value in used.items() if name.startswith("call")}


@pytest.mark.slow
def test_calls_states_traces_and_a_step_of_fit(elsewhere, used_here):
    compare(dict(np.load(elsewhere / "used.npz")), used_here)
    assert distance(used_here["call 0"], used_here["call 1"]) > 1e-3
    assert distance(on_backend.model().get_weights()[0], used_here["0 kernel"]) > 1e-3


@pytest.mark.parametrize("saved", ["own", "theirs"])
def test_models_saved_there_and_here_and_loaded_there(saved, elsewhere, used_here):
    compare(dict(np.load(elsewhere / f"{saved}.npz")), calls(used_here))


def test_models_saved_there_and_loaded_here(elsewhere, used_here):
    loaded = keras.models.load_model(elsewhere / "own.keras")
    compare(on_backend.used(loaded, only_called=True), calls(used_here))
