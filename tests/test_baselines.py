"""Criteria that a constant, or a look at the present input, meets: they show nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from composed import NO_DIAGNOSTICS
from composed import run as small_run
from lstmlab.tasks.common.rules import within
from lstmlab.tasks.csv import Csv

from lstmlab import baselines, config, report, results
from lstmlab.describe import build
from lstmlab.runs import train
from lstmlab.task import Task, generator

TASKS = sorted(set(config.options("task")) - {"csv"})
EXPERIMENTS = sorted(config.options("experiment"))


@pytest.mark.parametrize("name", TASKS)
def test_no_default_is_met_without_learning(name):
    assert baselines.meeting(build(name, []), seed=0) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_experiment_is_met_without_learning(name):
    composed, _ = config.compose(f"experiment={name}")
    assert baselines.meeting(config.instantiate(composed, "task"), seed=0) == []


TRIVIAL = [
    ("adding_modern", ["T=2", "tolerance=1"], ["chance"]),
    ("adding", ["criterion.wrong=1999", "criterion.error_below=1"], ["chance"]),
    ("adding", ["criterion.sequences=1"], ["chance"]),
    ("adding", ["criterion.sequences=1000000", "criterion.wrong=999000", "criterion.error_below=1"],
     ["chance"]),
    ("multiplication", ["criterion.wrong=1700", "criterion.error_below=1"], ["chance"]),
    ("copy_memory", ["T=1", "length=1", "symbols=2", "criterion.wrong=1999"],
     ["memoryless", "without_symbols"]),
    ("counting_language", ["N=1", "M=1"], ["memoryless"]),
    ("pixels", ["criterion.wrong=0.95"], ["chance"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "met"), TRIVIAL)
@pytest.mark.parametrize("seed", [0, 1])
def test_criteria_that_are_met_without_learning(name, settings, met, seed):
    assert baselines.meeting(build(name, settings), seed) == met


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adding_modern", ["T=2", "tolerance=0.9"]),
        ("parity", ["shortest=2", "longest=2", "tolerance=0.5"]),
        ("latch", ["shortest=2", "longest=2", "variance=0"]),
        ("noise_free_lag", ["p=2"]),
        ("timing", ["F=2", "I_max=1", "steps=3"]),
        ("two_sequence", ["T=2", "N=1"]),
        ("selective_copy", ["T=1", "tokens=1", "symbols=2"]),
        ("pixels", ["criterion.wrong=0.5"]),
    ],
)
def test_the_least_settings_still_ask_for_something(name, settings):
    assert baselines.meeting(build(name, settings), seed=0) == []


def test_a_budget_is_met_by_nothing():
    task = build("adding_modern", ["T=2", "tolerance=1"])
    task.criterion = {"rule": "budget"}
    assert baselines.meeting(task, seed=0) == []


class Echo(Task):
    """Asks for the present input, which is 0 in four of five cases, and else 1, 2 or 3."""

    features = outputs = readouts = 1
    steps, lag, test_size, output_activation = 2, 0, 100, "linear"
    chance = memoryless = None
    criterion = {"rule": "whole_sets", "sets": ["test"], "wrong": 0.3}

    def sample(self, rng, n):
        x = np.zeros((n, 2, 1), "float32")
        x[:, 1, 0] = rng.choice([0, 1, 2, 3], n, p=[0.8, 0.1, 0.05, 0.05])
        w = np.zeros((n, 2), "float32")
        w[:, 1] = 1
        return x, x.copy(), w

    def correct(self, y, prediction, w):
        return within(0.1, y, prediction, w)


def test_the_best_answers_by_hand():
    """The mean, 0.35, is never right; the most frequent target is right in four of five cases."""
    task = Echo()
    simple = baselines.Simple(task, generator(0, "baselines"))
    x, y, w = task.sample(generator(0, "test"), 50)
    assert not simple.answer("chance", x, w)[w > 0].any()
    assert np.array_equal(simple.answer("memoryless", x, w), y)
    x[0, 1], x[1, 1] = 7, 2
    assert simple.answer("memoryless", x, w)[:2, 1, 0].tolist() == [0, 2], "0 for what is new"
    assert baselines.meeting(task, 0) == ["chance"]
    task.criterion = {**task.criterion, "wrong": 0.1}
    assert baselines.meeting(task, 0) == ["memoryless"]
    task.criterion = {"rule": "sliding_window", "sequences": 2000, "wrong": 20}
    assert baselines.meeting(task, 0) == ["memoryless"]


# ---- tables


@pytest.fixture
def walk(tmp_path) -> str:
    """A random walk of 600 rows: nothing is better than its last value."""
    steps = np.random.default_rng(0).normal(size=600)
    path = tmp_path / "walk.csv"
    pd.DataFrame({"t": np.arange(600), "v": np.cumsum(steps)}).to_csv(path, index=False)
    return str(path)


def test_a_random_walk_is_met_by_its_last_value(walk):
    settings = {"target": "v", "time": "t"}
    assert baselines.meeting(Csv(walk, **settings), seed=0) == ["naive"]
    assert baselines.meeting(Csv(walk, tolerance=0.01, **settings), seed=0) == []
    everything = Csv(walk, tolerance=100, **settings)
    assert baselines.meeting(everything, seed=0) == ["chance", "naive", "mean"]


def test_a_seasonal_series_is_met_by_its_last_season(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"v": np.tile(rng.normal(size=7), 60) + 0.001 * rng.normal(size=420)})
    table.to_csv(tmp_path / "t.csv", index=False)
    task = Csv(str(tmp_path / "t.csv"), target="v", warmup=7, period=7, window=20)
    assert baselines.meeting(task, seed=0) == ["seasonal"]


@pytest.mark.parametrize(("rare", "met"), [(1, ["chance", "naive"]), (20, [])])
def test_skewed_classes(tmp_path, rare, met):
    """One of a hundred sequences, or twenty, are of the second class."""
    rng = np.random.default_rng(0)
    rows = [
        (k, t, rng.normal(), "b" if k < rare * 2 else "a") for k in range(200) for t in range(5)
    ]
    table = pd.DataFrame(rows, columns=["id", "t", "v", "kind"])
    table.to_csv(tmp_path / "t.csv", index=False)
    settings = {"kind": "classification", "target": "kind", "group": "id", "time": "t"}
    task = Csv(str(tmp_path / "t.csv"), **settings)
    assert baselines.meeting(task, seed=0) == met


# ---- runs


WALK = (
    "task=csv", "task.target=v", "task.time=t", "task.window=30", "cell=vanilla", "cell.units=2",
    "learner=bptt", "optimizer=adam", "trainer.batch_size=10", "trainer.window=100",
    "trainer.budget=200", "trainer.steps_per_execution=10", "trainer.jit_compile=false", "probe=2",
)  # fmt: skip


@pytest.mark.slow
def test_a_run_that_a_baseline_would_solve_is_not_solved(walk, tmp_path, capsys):
    composed, choices = config.compose(*WALK, f"task.file={walk}", *NO_DIAGNOSTICS)
    folder = tmp_path / "runs" / "walk"
    folder.mkdir(parents=True)
    row = train.run(composed, folder, choices, progress=False)
    said = "train: the task's criterion is met without learning, by naive"
    assert said in capsys.readouterr().err
    assert row["criterion_met_by"] == "naive"
    assert (row["status"], row["solved"], row["sequences_to_solution"]) == ("budget", False, None)
    assert row["sequences"] == 200, "it trains through its whole budget"
    assert json.loads((folder / results.ROW).read_text()) == row
    verdict = "not solved in 200 sequences; the criterion is met without learning, by naive"
    assert verdict in report.summary(folder)
    assert "met without learning, by naive, in 1 runs: none is solved" in report.write(tmp_path)


def test_a_run_whose_criterion_asks_for_something(tmp_path, capsys):
    row = small_run(tmp_path, *NO_DIAGNOSTICS)
    assert row["criterion_met_by"] is None
    assert "without learning" not in capsys.readouterr().err


@pytest.mark.slow
def test_the_check_changes_no_number(tmp_path, monkeypatch):
    """It draws from a stream of its own."""
    rows = []
    for name, meeting in (("with", baselines.meeting), ("without", lambda task, seed: [])):
        monkeypatch.setattr(baselines, "meeting", meeting)
        folder = Path(tmp_path / name)
        folder.mkdir()
        rows.append(small_run(folder, *NO_DIAGNOSTICS))
    measured = ("seconds", "peak_memory_mb")
    first, second = ({k: v for k, v in row.items() if k not in measured} for row in rows)
    assert first == second
