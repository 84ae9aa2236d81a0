"""Keras' own tests of recurrent layers, run on GatedRNN and GatedCell: see helpers/keras_own.py."""

import importlib.util
import json
import os
import subprocess
import sys

import keras_own
import pytest

TWO_STATES = "its cell returns a state that is not its output, which no GatedCell does"
NO_CUDNN = "it asks when Keras takes cuDNN, which GatedRNN has not"
DO_NOT_APPLY = {
    "rnn::test_forward_pass_two_states": TWO_STATES,
    "rnn::test_passing_initial_state_two_states": TWO_STATES,
    "rnn::test_statefulness_two_states": TWO_STATES,
    "stacked_rnn_cells::test_correctness_two_states_stack": TWO_STATES,
    "stacked_rnn_cells::test_statefullness_two_states_stack": TWO_STATES,
    "stacked_rnn_cells::test_correctness_single_state_stack": (
        "a single state is a list of one here, and in a stack a list in a list"
    ),
    "bidirectional::test_keeps_use_cudnn": NO_CUDNN,
    "bidirectional::test_fused_lstm_eligibility": NO_CUDNN,
    "bidirectional::test_fused_gru_eligibility": NO_CUDNN,
    "time_distributed::test_mask_validation_with_3d_mask": (
        "its mask has two values for the one step of a sequence, which Dense does not look at"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend",
    ["tensorflow", *(pytest.param(one, marks=pytest.mark.whole_table) for one in ("jax", "torch"))],
)
def test_the_tests_of_keras(backend, tmp_path):
    """All pass but those that do not apply, and of these none."""
    if not keras_own.shipped():
        pytest.skip("this Keras comes without its tests")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; it comes with: make test EXTRAS=test,backends")
    settings = {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, keras_own.__file__, str(tmp_path / "found.json")],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert {name.partition("::")[0] for name in found} == set(keras_own.FILES)
    failed = {name: said for name, said in found.items() if said not in ("passed", "skipped")}
    assert failed.keys() == DO_NOT_APPLY.keys(), failed
    assert list(found.values()).count("passed") > 4 * len(DO_NOT_APPLY)
