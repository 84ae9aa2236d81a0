"""A search by Optuna that ends as it pleases, over jobs whose rows are a formula."""

import json
import math

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from lstmlab.runs import search, sweep
from lstmlab.runs.search import Search, of_row

RATE = "optimizer.learning_rate=tag(log,interval(0.001,1))"


def row(seed: int, solved_at: int | None, **more) -> dict:
    return {
        "seed": seed, "trials": 1, "status": "solved" if solved_at else "budget",
        "solved": bool(solved_at), "sequences": 1000, "sequences_to_solution": solved_at,
        "trainer.budget": 1000, "test_loss": 0.5, "name": "x", **more,
    }  # fmt: skip


class Launched:
    """A launcher whose jobs need 10 sequences, and more the farther the rate is from 0.03.

    A job does not end where `breaks` says so.
    """

    def __init__(self, folder, breaks=lambda typed: False):
        self.folder, self.breaks = folder, breaks
        self.folders, self.jobs = {}, []

    def launch(self, job_overrides, initial_job_idx):
        for typed in job_overrides:
            if self.breaks(typed):
                raise ZeroDivisionError
            given = dict(one.split("=") for one in typed)
            folder = self.folder / "-".join(typed)
            folder.mkdir(exist_ok=True)
            far = abs(math.log(float(given["optimizer.learning_rate"]) / 0.03))
            found = row(int(given["seed"]), 10 + round(100 * far))
            (folder / "result.json").write_text(json.dumps(found))
            self.folders[tuple(typed)] = folder
            self.jobs.append(typed)
        return [JobReturn(status=JobStatus.COMPLETED) for _ in job_overrides]


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """A function that gives a command of a search, in the same folder each time."""
    pytest.importorskip("optuna")
    monkeypatch.setattr(Search, "validate_batch_is_legal", lambda self, batch: None)

    def made(folder="x", breaks=lambda typed: False, typed=(RATE, "seed=4,5"), **arguments):
        (tmp_path / folder).mkdir(exist_ok=True)
        settings = {
            "trials": 6, "at_once": 1, "objective": "sequences_to_solution",
            "direction": "minimize", "sampler": "tpe", "seed": 0,
        }  # fmt: skip
        one = Search(**{**settings, **arguments})
        one.whole = OmegaConf.create(
            {
                "seed": 0,
                "optimizer": {"learning_rate": 0.5},
                "hydra": {"sweep": {"dir": str(tmp_path / folder)}, "runtime": {"choices": {}}},
            }
        )
        one.resuming = Launched(tmp_path / folder, breaks)
        led = type("Led", (), {"stopped": False, "last": ""})()
        monkeypatch.setattr(sweep, "led", [led])
        try:
            one.sweep(list(typed))
        except ZeroDivisionError:
            led.last = "killed"
        return one, led

    return made


def test_a_search_finds_the_best_and_says_how_to_run_it(searched, tmp_path, capsys):
    one, led = searched(trials=12, typed=("task.T=24", "sweep=x", RATE, "seed=4,5"))
    assert one.resuming.jobs[:2] == [
        ("task.T=24", "sweep=x", "optimizer.learning_rate=0.5", "seed=4"),
        ("task.T=24", "sweep=x", "optimizer.learning_rate=0.5", "seed=5"),
    ], "it begins with what is set"
    assert len(one.resuming.jobs) == 24
    tried = one.study.closed()
    best = min(tried, key=lambda trial: trial.objective)
    assert best.objective < tried[0].objective / 2
    line = f"lstmlab task.T=24 optimizer.learning_rate={best.chosen['optimizer.learning_rate']}"
    assert led.last.startswith(f"search: best of 12 trials, number {best.number + 1}: ")
    assert led.last.splitlines()[1] == line
    assert (tmp_path / "x" / search.BEST).read_text() == line + "\n"
    assert len((tmp_path / "x" / "search.csv").read_text().splitlines()) == 13
    assert "trial 12 of 12: optimizer.learning_rate=" in capsys.readouterr().out


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_search_that_is_broken_off_goes_on_as_if_nothing_had_happened(searched, at_once):
    alone, _ = searched("alone", at_once=at_once, trials=14)
    rates = [one.chosen for one in alone.study.closed()]
    assert len({str(rate) for rate in rates}) == 14
    killed = rates[10 if at_once == 1 else 11]["optimizer.learning_rate"]

    def breaks(typed):
        return f"optimizer.learning_rate={killed}" in typed and "seed=5" in typed

    first, led = searched("broken", breaks, at_once=at_once, trials=14)
    assert led.last == "killed" or "best of" in led.last
    assert len(first.study.closed()) == (10 if at_once == 1 else 8)
    second, _ = searched("broken", at_once=at_once, trials=14)
    found = second.study.closed()
    assert [one.chosen for one in found] == rates
    assert [one.number for one in found] == list(range(14))
    assert second.study.study.get_trials()[-1].number == 13
    third, led = searched("broken", at_once=at_once, trials=14)
    assert third.resuming.jobs == []


def test_another_search_in_the_same_folder_is_refused(searched):
    searched(trials=1)
    with pytest.raises(ValueError, match=r"expected seed='4, 5', as the search in .*sweep=NAME"):
        searched(trials=1, typed=(RATE, "seed=4,5,6"))
    with pytest.raises(ValueError, match=r"expected optimizer.learning_rate='tag\(log,"):
        searched(trials=1, typed=(RATE.replace("0.001", "0.01"), "seed=4,5"))


@pytest.mark.parametrize(
    ("found", "objective", "counts"),
    [
        (row(0, 300), "sequences_to_solution", 300),
        (row(0, None), "sequences_to_solution", 1000),
        (row(0, None, status="failed"), "sequences_to_solution", 1000),
        (row(0, None, status="failed", sequences=0), "sequences_to_solution", None),
        (row(0, None, status="killed"), "test_loss", None),
        (row(0, 300), "test_loss", 0.5),
        (row(0, None, status="failed"), "test_loss", math.inf),
        (row(0, None, status="failed"), "solved", 0),
        (row(0, 300), "solved", 1),
    ],
)
def test_what_a_run_counts_with(found, objective, counts):
    assert of_row(found, objective, "minimize") == counts


def test_a_column_without_numbers_is_refused():
    with pytest.raises(ValueError, match=r"expected a column with a number, one of solved, .*loss"):
        of_row(row(0, 300), "nosuch", "minimize")
    assert of_row(row(0, None, status="failed"), "test_loss", "maximize") == -math.inf
