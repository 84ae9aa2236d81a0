"""The flip-flop task, recomputed from the inputs alone by a switch per channel."""

import numpy as np
import pytest
from lstmlab.tasks.flip_flop import FlipFlop
from scipy.stats import chisquare

from lstmlab.task import loss

N = 10_000
CERTAIN = 1e-4  # smallest p value that is taken for chance; the seed is fixed
FORMS = [
    {},
    {"channels": 1, "T": 2, "interval": 2},
    {"channels": 4, "T": 30, "interval": 1},
    {"T": 50, "interval": 1000},
]


@pytest.fixture(scope="module", params=FORMS, ids=str)
def drawn(request):
    task = FlipFlop(**request.param)
    return task, *task.sample(np.random.default_rng(4), N)


def test_target_from_the_inputs_alone(drawn):
    task, x, y, w = drawn
    assert (w == 1).all()
    assert set(np.unique(x)) <= {-1.0, 0.0, 1.0}
    state = np.zeros((N, task.channels))
    for t in range(task.T):
        for pulse in (-1, 1):
            state[x[:, t] == pulse] = pulse
        assert np.array_equal(y[:, t], state), t


def test_target_of_one_channel_by_hand():
    x, y, _ = FlipFlop(interval=4, T=12).sample(np.random.default_rng(0), 3)
    for shown, asked in zip(
        x.transpose(0, 2, 1).reshape(-1, 12), y.transpose(0, 2, 1).reshape(-1, 12), strict=True
    ):
        for t in range(12):
            pulses = [pulse for pulse in shown[: t + 1].tolist() if pulse]
            assert asked[t] == (pulses[-1] if pulses else 0)


def test_pulses_are_independent_and_as_frequent_as_said(drawn):
    task, x, _, w = drawn
    p = 1 / task.interval
    for t in (0, task.T - 1):
        counts = [(x[:, t] == pulse).sum() for pulse in (-1, 0, 1)]
        expected = np.array([p / 2, 1 - p, p / 2]) * N * task.channels
        possible = expected > 0
        assert np.array(counts)[~possible].sum() == 0
        assert chisquare(np.array(counts)[possible], expected[possible]).pvalue > CERTAIN
    both = ((x[:, :-1] != 0) & (x[:, 1:] != 0)).mean()
    assert both == pytest.approx(p**2, abs=5 * p / np.sqrt(N * task.channels * (task.T - 1)))
    assert np.array_equal(task.events(x, w), np.abs(x).sum(axis=-1) > 0)


def test_yardsticks(drawn):
    """0 always; and 0 but at a pulse, which is its own answer."""
    task, x, y, w = drawn
    assert loss("squared", y, np.zeros_like(y), w) == pytest.approx(task.chance, rel=0.02)
    assert loss("squared", y, x, w) == pytest.approx(task.memoryless, rel=0.02, abs=1e-9)
    assert abs(y.mean()) < 0.02


def test_numbers_of_the_card():
    assert (round(FlipFlop().chance, 3), round(FlipFlop().memoryless, 3)) == (0.811, 0.761)
    assert FlipFlop(interval=1).memoryless == pytest.approx(0, abs=1e-12), "a pulse at every step"


def test_cut_in_pieces_the_last_pulse_is_kept():
    task = FlipFlop(T=90, interval=30)
    whole = task.sample(np.random.default_rng(3), 200)
    pieces = list(task.pieces(np.random.default_rng(3), 200, [1, 1, 40, 7, 41]))
    for part, cut in zip(whole, zip(*pieces, strict=True), strict=True):
        assert np.array_equal(part, np.concatenate(cut, axis=1))
    silent = ~(pieces[2][0] != 0).any(axis=1)
    assert (pieces[2][1][:, -1][silent] != 0).any(), "a pulse is kept through a whole piece"


def test_right_and_wrong(drawn):
    task, _, y, w = drawn
    assert task.correct(y, y + 0.49, w).all()
    for step in (0, task.T - 1):
        wrong = y.copy()
        wrong[:, step, -1] += 0.51
        assert not task.correct(y, wrong, w).any()
        assert task.correct(y, wrong, w * (np.arange(task.T) != step)).all(), (
            "steps without an error do not count"
        )
    assert not FlipFlop(tolerance=0.1).correct(y, y + 0.11, w).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 0}, "FlipFlop: expected a positive integer. Received: task.channels=0"),
        ({"T": 1}, "FlipFlop: expected an integer >= 2. Received: task.T=1"),
        (
            {"interval": 0.5},
            "FlipFlop: expected a number in [1, 10000]. Received: task.interval=0.5",
        ),
        ({"tolerance": 2}, "FlipFlop: expected a number in [0, 1]. Received: task.tolerance=2"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        FlipFlop(**settings)
    assert str(refused.value) == message
