"""Whole runs that learn something: rate, initial weights, learner, task and criterion together. Not a speed test."""

import pandas as pd
import pytest
from composed import composed

from lstmlab import train

pytestmark = pytest.mark.slow


def run(folder, *settings: str) -> dict:
    config, choices = composed(*settings, "diagnostic=[]")
    return train.run(config, folder, choices, progress=False)


def test_embedded_reber_is_solved(tmp_path):
    row = run(tmp_path, "experiment=hs97/embedded_reber", "trainer.budget=60000")
    assert (row["status"], row["solved"], row["test_wrong"], row["test_size"]) == ("solved", True, 0, 256)
    assert 1000 <= row["sequences_to_solution"] == row["sequences"]
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["recent_wrong"].iloc[0] > 400, "of 512, before it has learned"
    assert history["recent_wrong"].iloc[-1] == 0


def test_adding_is_learned_by_the_rule_of_1997(tmp_path):
    """Short sequences, the paper's net and rate: from 85 % wrong to hardly any, and the criterion counts what it says."""
    row = run(tmp_path, "task.T=30", "trainer.budget=60000", "task.criterion.wrong=100", "task.criterion.error_below=0.02")
    history = pd.read_csv(tmp_path / "history.csv")
    assert (history["wrong"].iloc[:3] > 700).all()
    assert row["status"] == "solved"
    assert history["recent_wrong"].iloc[-2] > 100 or history["absolute_error"].iloc[-2:].mean() >= 0.018
    assert row["test_wrong"] < 0.1 * row["test_size"]
