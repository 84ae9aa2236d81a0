"""docs/studies/forget_gate.md: what is measured, and how its nets differ."""

import sys
from pathlib import Path

import numpy as np

from lstmlab import config
from lstmlab.results import flat

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import study_forget_gate as script  # noqa: E402


class Answers:
    """What a net answers, as TensorFlow gives it."""

    def __init__(self, values):
        self.values = values

    def numpy(self):
        return self.values


def test_the_first_error_and_the_largest_state_so_far():
    steps = script.PLACES[-1]
    prediction, states = np.zeros((2, steps, 3)), np.ones((2, steps))
    prediction[0, 700, 2] = prediction[0, 900, 1] = 0.49  # not below: an error
    prediction[1] = 0.48
    states[:, 5], states[1, 99], states[0, 100] = 2, 4, 8  # step 99 is symbol 100
    streams = [(np.zeros((1, steps, 7)), np.zeros((1, steps, 3)), np.ones((1, steps)))] * 2
    found = script.measured(lambda x: (Answers(prediction), Answers(states)), streams)
    assert found == {
        "correct": (700 + steps) / 2,
        "state_10": 2,
        "state_100": 3,
        "state_1000": 6,
        "state_10000": 6,
        "state_100000": 6,
    }


def test_a_net_is_solved_where_it_makes_no_error():
    trials = script.FORGET_GATE.trials()
    solved = trials["status"] == "solved"
    assert ((trials["correct"] == script.PLACES[-1]) == solved).all()


def test_the_nets_differ_in_their_forget_gates_only():
    listed = config.settings("experiment", "study/forget_gate")["hydra"]["sweeper"]["commands"]
    nets = [config.compose("experiment=study/forget_gate", *one.split())[0] for one in listed]
    first, second = (flat({k: v for k, v in net.items() if k != "hydra"}) for net in nets)
    keys = {key for key in {*first, *second} if first.get(key) != second.get(key)}
    assert keys
    assert all(key.startswith("cell.forget_gate") for key in keys)
    assert second["cell.forget_gate"] is None
