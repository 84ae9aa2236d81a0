"""The engine native on the JAX backend: as the loop there, in all that JAX does with functions."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from on_backend import __file__ as neighbour
from once import once

TOLERANCE = 2e-5
SCRIPT = Path(neighbour).with_name("native_on_jax.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed"),
]


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """What the script found."""
    folder = once(tmp_path_factory, "native_on_jax", run)
    return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}


def run(folder: Path) -> None:
    """The script, on one core: where JAX has one thread, no callback may wait for it."""
    settings = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    core = {min(os.sched_getaffinity(0))} if hasattr(os, "sched_setaffinity") else None
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        preexec_fn=core and (lambda: os.sched_setaffinity(0, core)),
    )
    assert done.returncode == 0, done.stderr


def pairs(found):
    """{name: (native, loop)}."""
    names = dict.fromkeys(name.rpartition(":")[0] for name in found)
    return {name: (found[f"{name}:native"], found[f"{name}:xla"]) for name in names}


def check(found, tolerance=TOLERANCE):
    for name, (native, loop) in pairs(found).items():
        assert native.shape == loop.shape, name
        largest = max(np.abs(loop).max(initial=0), 1e-3)
        assert np.abs(native - loop).max(initial=0) <= tolerance * largest, name


def test_outputs_states_and_all_gradients(there):
    check(there["answers"])
    assert len(pairs(there["answers"])) > 15 * 5  # a value, and gradients of all that is given
    weights = [one for name, (one, _) in pairs(there["answers"]).items() if name.endswith(":1")]
    assert min(np.abs(one).max() for one in weights) > 1e-3


def test_gradients_twice_of_a_part_again_and_of_many(there):
    found = there["transformed"]
    check(found)
    np.testing.assert_allclose(found["second:native"], 2 * found["first:native"], rtol=1e-6)
    assert not found["no sequences:native"].any()
    assert np.abs(found["one step:native"]).max() > 1e-3


def test_a_fit_of_a_masked_bidirectional_model(there):
    check(there["fitted"], 1e-3)  # after twelve steps of Adam
    losses = there["fitted"]["losses:native"]
    assert losses[-1] < losses[0]


def test_few_tapes_wait_and_one_that_is_gone_is_made_again(there):
    found = there["kept"]
    assert found["left"] == 0
    assert 0 < found["held"] <= 100_000
    assert found["many"] == 7
    np.testing.assert_array_equal(found["old"], found["new"])


def test_what_it_cannot_do_is_said(there):
    found = there["refused"]
    assert "has no second derivatives" in str(found["said"])
    assert "engine='xla'" in str(found["said"])
    assert "forward-mode" in str(found["forwards"])
    assert str(found["auto"]) == "xla"
    assert "expected no GPU" in str(found["gpu"])
