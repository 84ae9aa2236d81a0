"""The engine native of GatedRNN against the loop: outputs, states and all gradients."""

import numpy as np
import pytest
from branches import on_demand, quick
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sequence_cases import FLAGS, KINDS, Call, calls, check, pair, switches

from lstmlab import GatedCell, variants
from lstmlab.native.sequence import threads
from lstmlab.native.sequence.support import of_cell

# no shrinking: it takes minutes, and a case is small as it is
QUIET = {
    "deadline": None, "database": None, "derandomize": True, "phases": [Phase.generate],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_shapes_masks_and_states(kind):
    @settings(max_examples=30, **QUIET)
    @given(call=calls(even=True), flags=FLAGS)
    def agree(call, flags):
        check(call, **KINDS[kind], **flags)

    agree()


@pytest.mark.parametrize("kind", KINDS)
def test_many_steps(kind):
    @settings(max_examples=2, **QUIET)
    @given(call=calls(even=True, most=20, long=True), flags=FLAGS)
    def agree(call, flags):
        check(call, **KINDS[kind], **flags)

    agree()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vanilla", "gru", "slstm"])
def test_odd_numbers_of_units(kind):
    @settings(max_examples=15, **QUIET)
    @given(call=calls(), flags=FLAGS)
    def agree(call, flags):
        check(call, **KINDS[kind], **flags)

    agree()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 12, 13, 25, 64])
def test_rows_for_every_tile_and_pieces_for_two_threads(rows, monkeypatch):
    monkeypatch.setattr(threads, "WORTH", 1)
    monkeypatch.setattr(threads, "processors", lambda: 2)
    check(Call(rows, 33, rows, 5, 3, "holes"), return_sequences=True)


def test_more_rows_than_one_block_of_the_weights_gradient():
    check(Call(1, 6, 300, 3, 2), return_sequences=True)
    check(Call(2, 6, 2, 300, 2, "holes", scale=0.3), return_sequences=True)


def test_wide_inputs_and_many_units():
    check(Call(3, 130, 9, 4, 150, "lengths"), return_sequences=True)


@pytest.mark.parametrize("steps", quick([5, 8, 19], lambda steps: steps == 5))
@pytest.mark.parametrize("kind", KINDS)
def test_many_features_with_and_without_a_way_back(kind, steps):
    """Without one, two steps are kept in turn."""
    call, settings = Call(steps, 8, 5, steps, 70, "holes", scale=0.2), KINDS[kind]
    check(call, return_sequences=True, **settings)
    native, loop = pair(call, return_sequences=True, **settings)
    x = np.random.default_rng(steps).normal(size=(5, steps, 70)).astype("float32")
    for one, other in zip(native(x), loop(x), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", on_demand(variants()))
def test_every_variant(name):
    @settings(max_examples=3, **QUIET)
    @given(call=calls(even=True), flags=FLAGS)
    def agree(call, flags):
        check(call, variant=name, **flags)

    agree()


@pytest.mark.slow
def test_switches_at_random():
    """Each cell compiles kernels of its own; most draws are none that GatedCell accepts."""
    count, enough = 0, 15

    @settings(max_examples=500, suppress_health_check=list(HealthCheck), **QUIET)
    @given(arguments=switches(), seed=st.integers(0, 2**32 - 1), flags=FLAGS)
    def agree(arguments, seed, flags):
        nonlocal count
        if count == enough:
            return
        try:
            cell = GatedCell(12, **arguments)
        except ValueError:
            return
        if of_cell(cell):
            return
        count += 1
        for call in (Call(seed, 12, 5, 4, 3), Call(seed, 36, 3, 5, 2, "holes", scale=0.2)):
            check(call, **arguments, **flags)

    agree()
    assert count == enough


def test_another_weight_is_noticed():
    """The comparison is not vacuous: another weight gives other answers."""
    call = Call(5, 8, 3, 4, 2)
    native, loop = pair(call)
    changed = native.get_weights()
    changed[1][0, 0] += 0.1
    native.set_weights(changed)
    assert not np.allclose(native(np.ones((3, 4, 2)))[0], loop(np.ones((3, 4, 2)))[0], atol=1e-5)
