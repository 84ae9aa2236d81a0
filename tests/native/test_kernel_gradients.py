"""Kernels' gradients in float32 against the Keras learners, for every cell with every rule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_cases import RULES, SEQUENCES, Case, drawn, pair, places_of, tables

from lstmlab.native.writing import LANES

EXAMPLES = 3  # of each kernel: some 600 cases
FEW = [  # one for each rule, and what is most unlike; the others are slow
    Case("vanilla", "traces", "sigmoid"),
    Case("lstm1997", "traces", "prime offset", symbols=True),
    Case("blocks of 2 behind a reset gate", "truncated", "softmax"),
    Case("peephole", "gates", "shortcuts, no bias"),
    Case("blocks of 2 with a stabiliser", "bptt", "linear", symbols=True),
    Case("elman", "one step", "softmax, shortcuts"),
    Case("blocks of 3, all fed back", "rtrl", "units"),
]


def check(case: Case, seed: int, errors: str, scale: float) -> None:
    """Two lanes of sixteen, each with its own weights, sequences and errors."""
    both, rng = pair(case), np.random.default_rng(seed)
    sequences = drawn(rng, errors, case.symbols)
    weights = (scale * rng.normal(size=(LANES, both.engine.weights))).astype("float32")
    found, prediction = both.kernel(weights, sequences)
    lane_of, n_of, step_of, rank_of = places_of(sequences.w)
    for lane in rng.choice(LANES, 2, replace=False):
        expected, predicted = both.keras(weights, sequences, lane)
        bound = np.abs(expected).max()
        difference = np.abs(found[lane] - expected).max()
        assert difference <= 2e-5 * bound, f"{case}: {difference / bound:.1e}"

        own = lane_of == lane
        at = n_of[own], step_of[own]
        seen = prediction[lane, n_of[own], rank_of[own]]
        np.testing.assert_allclose(seen, predicted[at], rtol=2e-5, atol=2e-6)


def check_examples(case: Case, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None, derandomize=True)
    @given(
        seed=st.integers(0, 2**32 - 1),
        errors=st.sampled_from(["end", "marked", "every"]),
        scale=st.sampled_from([0.1, 0.4, 0.8]),
    )
    def agree(seed: int, errors: str, scale: float) -> None:
        check(case, seed, errors, scale)

    agree()


@pytest.mark.parametrize(
    "case",
    [*FEW[:2], *(pytest.param(one, marks=pytest.mark.slow) for one in FEW[2:])],
    ids=str,
)
def test_gradients_of_a_few_kernels(case):
    check_examples(case, 10)


@pytest.mark.slow
@pytest.mark.parametrize("case", tables()[::47], ids=str)  # no multiple of 5 rules or 11 heads
def test_gradients_of_a_sample(case):
    """Every rule and every head with some cells."""
    check_examples(case, EXAMPLES)


@pytest.mark.slow
@pytest.mark.whole_table
@pytest.mark.parametrize("case", tables(), ids=str)
def test_gradients_of_every_cell_with_every_rule(case):
    """250 kernels, half an hour: pytest tests/native/test_kernel_gradients.py -m whole_table."""
    check_examples(case, EXAMPLES)


def test_few_kernels_have_every_rule():
    assert {case.rule for case in FEW} == set(RULES)
    assert SEQUENCES > 1  # so that memory must be cleared between sequences
