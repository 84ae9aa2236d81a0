"""Our trials beside published rows: which run is which reading, figures and verdicts by hand."""

import numpy as np
import pandas as pd
import pytest

from lstmlab.config import compose
from lstmlab.report import reproduction
from lstmlab.report.reproduction import PAPER, lines, verdict
from lstmlab.results import Run, flat


def run_of(*overrides) -> dict:
    """The settings of a run as its row has them."""
    settings, choices = compose(*overrides)
    names = ("experiment", "task", "cell", "learner", "optimizer")
    return {**flat(settings), **{name: choices[name] for name in names}}


INPUTS = "cell.candidate_recurrent=none"
RUN = run_of("experiment=hs97/2c_very_long_lag")
INPUTS_ONLY = {"cell.candidate_recurrent": "none"}


def trials(solved_at, budget=300_000, **settings):
    """One row per trial; None: the budget is used up."""
    return [
        {
            **RUN, **settings, "seed": seed, "status": "budget" if at is None else "solved",
            "sequences": budget if at is None else at, "sequences_to_solution": at,
            "test_wrong": 0, "test_size": 10_000, "seconds": 2.0,
        }
        for seed, at in enumerate(solved_at)
    ]  # fmt: skip


def of(*parts):
    found = lines(pd.DataFrame([row for part in parts for row in part]), PAPER)
    return found.to_dict("records")


@pytest.mark.slow
def test_runs_are_told_by_their_settings_and_others_left_out():
    as_written = trials([None] * 4)
    other_p = trials([50_000] * 2, **{"task.p": 100, "task.q": 100})
    other_rate = trials([1000] * 3, **{"optimizer.learning_rate": 0.3})
    other_net = trials([1000] * 3, **{"cell.units": 3})
    found = of(trials([30_000, 20_000], **INPUTS_ONLY), other_rate, other_p, as_written, other_net)
    told = [(line["settings"], line["reading"].split()[0], line["trials"]) for line in found]
    assert told == [
        ("rate 0.01, p=50, q=50", "as", 4),
        ("rate 0.01, p=50, q=50", "cell", 2),
        ("rate 0.01, p=100, q=100", "as", 2),
    ]


def test_the_figures_of_a_line_by_hand():
    at = [20_000, 30_000, 40_000, None]
    [line] = of(trials(at, **INPUTS_ONLY))
    assert (line["trials"], line["solved"], line["mean"]) == (4, 3, 30_000)
    assert (line["published"], line["published_trials"], line["ratio"]) == (30_000, 20, 1.0)
    assert line["share_low"] == pytest.approx(0.3006, abs=1e-4), "Wilson 1927, of 3 among 4"
    assert 20_000 <= line["mean_low"] < 30_000 < line["mean_high"] <= 40_000
    assert (line["budget"], line["test_wrong"], line["seconds"]) == (300_000, 0, 8.0)


def test_a_row_of_another_column_is_told_by_the_trials_that_have_a_number_there():
    """ST1 and ST2 of experiment 3a: one training, two criteria."""
    run = run_of("experiment=hs97/3a_two_sequence")
    ends = [("solved", 40_000), ("budget", None), ("budget", None)]
    rows = [
        {
            **run, "seed": seed, "status": status, "sequences": at or 50_000, "test_wrong": 7,
            "sequences_to_solution": at, "sequences_to_few_wrong": few,
        }
        for seed, (few, (status, at)) in enumerate(zip((10_000, 30_000, None), ends, strict=True))
    ]  # fmt: skip
    first, second = of(rows)
    assert first["settings"].endswith("stop=ST1")
    assert second["settings"].endswith("stop=ST2")
    assert (first["solved"], first["mean"]) == (2, 20_000)
    assert np.isnan(first["test_wrong"]), "tested at the end, not there"
    assert (second["solved"], second["mean"], second["test_wrong"]) == (1, 40_000, 7)
    assert len(reproduction.kept(pd.DataFrame(rows), PAPER)) == 3, "each trial once"
    old = pd.DataFrame(rows).drop(columns="sequences_to_few_wrong")
    assert [line["settings"][-3:] for line in of(old.to_dict("records"))] == ["ST2"]


def test_a_seed_counts_once_at_each_of_two_rates():
    """And a trial that was run twice counts once."""
    run = run_of("experiment=hs97/2a_noise_free_lag_rtrl", "task.p=10")
    rows = [
        {
            **run, "optimizer.learning_rate": rate, "seed": seed, "status": "budget",
            "sequences": 1000, "sequences_to_solution": None, "test_wrong": 2,
        }
        for rate in (1.0, 10.0)
        for seed in (0, 1, 2, 2)
    ]  # fmt: skip
    assert [(line["settings"], line["trials"]) for line in of(rows)] == [
        ("rate 1.0 to 10.0, p=10", 6)
    ]
    kept = reproduction.kept(pd.DataFrame(rows), PAPER)
    assert list(lines(kept, PAPER)["trials"]) == [6]


LINE = {
    "trials": 10, "solved": 10, "mean": 1000.0, "ratio": 1.0, "published": 1000,
    "published_trials": 10, "published_solved": None, "published_some": False,
    "lowest": None, "highest": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "reproduced"),
        ({"ratio": 1.99}, "reproduced"),
        ({"ratio": 2.01}, "slower"),
        ({"ratio": 0.49}, "faster"),
        ({"ratio": 2.5, "mean": 2500.0, "lowest": 100, "highest": 3000}, "reproduced"),
        # Fisher: 6 of 10 against 10 of 10 has p = 0.087, 5 of 10 has p = 0.033
        ({"solved": 6}, "reproduced"),
        ({"solved": 5}, "fewer solved"),
        ({"solved": 0, "mean": None, "ratio": None}, "fewer solved"),
        # 0 of 10 against 6 of 18: p = 0.06
        (
            {"solved": 0, "mean": None, "ratio": None, "published_trials": 18}
            | {"published_solved": 0.33},
            "undecided",
        ),
        # 10 of 10 against 3 of 10: p = 0.003
        ({"published_solved": 0.3}, "more solved"),
        ({"published_solved": 0, "solved": 0, "published": None}, "as published, none"),
        ({"published_solved": 0, "solved": 1, "published": None}, "some solved, published none"),
        # without a number of trials: whether the share is within our Wilson interval
        ({"published_trials": None, "published_solved": 0.5}, "more solved"),
        ({"published_trials": None, "published_solved": 0.9}, "reproduced"),
        # where the text says 'some fraction', the mean alone tells
        ({"published_some": True, "solved": 3, "ratio": 1.4}, "reproduced"),
        ({"published_some": True, "solved": 3, "ratio": 3.6}, "slower"),
        ({"published_some": True, "solved": 0, "mean": None, "ratio": None}, "fewer solved"),
        ({"published": None, "published_solved": None, "ratio": None}, "no figure published"),
        ({"published": None, "published_solved": 1.0, "ratio": None}, "reproduced"),
        ({"trials": 9, "solved": 9}, "too few trials"),
        ({"trials": 9, "solved": 0, "published_solved": 0}, "too few trials"),
    ],
)
def test_verdicts(change, expected):
    assert verdict({**LINE, **change}) == expected


@pytest.mark.slow
def test_files_of_the_command_and_rows_that_are_kept_tell_the_same(tmp_path):
    rows = pd.DataFrame([*trials([30_000, None], **INPUTS_ONLY), *trials([5], **{"cell.units": 3})])
    kept = reproduction.kept(rows.assign(other=1), PAPER)
    assert len(kept) == 2
    assert set(kept["command"]) == {
        "hs97/2c_very_long_lag trainer.budget=100000 cell.candidate_recurrent=none"
    }
    assert "other" not in kept
    kept.to_csv(tmp_path / "rows.csv", index=False)
    again = lines(pd.read_csv(tmp_path / "rows.csv"), PAPER)
    pd.testing.assert_frame_equal(again, lines(rows, PAPER), check_dtype=False)


@pytest.mark.slow
def test_how_a_run_is_carried_out_does_not_count_and_what_it_is_does():
    one = trials([30_000], **INPUTS_ONLY)[0]
    same = {"trainer.budget": 5, "probe": 3, "diagnostic.gates.every": 2}
    assert [line["trials"] for line in of([{**one, **same}])] == [1]
    for other in (
        {"trainer.batch_size": 2},
        {"trainer.window": 7},
        {"task.criterion.redraw": True},
        {"cell.new": 1},
    ):
        assert of([{**one, **other}]) == []
    # the head's activation is the task's where the command leaves it open
    assert [line["trials"] for line in of([{**one, "head.loss": "squared"}])] == [1]


def test_of_two_commands_the_one_that_says_more_counts():
    both = {}
    for name, settings in (("open", ()), ("linear", ("head.activation=linear", INPUTS))):
        measured = {name: value for name, value in trials([1])[0].items() if name not in RUN}
        row = {**measured, **run_of("experiment=hs97/5_multiplication", *settings), "seed": 0}
        both[name] = {**row, "head.activation": "linear" if settings else "sigmoid"}
    told = [(line["reading"].split(",")[0], line["trials"]) for line in of(list(both.values()))]
    assert told == [("as written", 1), ("linear output", 1)]


def test_summary_counts_rows_by_their_best_reading():
    found = pd.DataFrame(
        {
            "experiment": ["1", "1", "2", "2"],
            "method": ["LSTM", "LSTM", "LSTM", "RTRL"],
            "settings": ["a", "a", "b", "c"],
            "reading": ["as written", "linear output", "as written", "as written"],
            "verdict": ["slower", "reproduced", "fewer solved", "as published, none"],
        }
    )
    assert reproduction.summary(found) == (
        "1 of 2 rows of LSTM reproduced in one of their readings (1 in another reading); "
        "1 of 1 rows of rivals reproduced in one of their readings (1 as written; in 1 of them no "
        "trial is solved, there and here)"
    )
    found.loc[1, "reading"] = "linear output (found by search)"
    assert "LSTM reproduced in one of their readings (1 in one found by search)" in (
        reproduction.summary(found)
    )
    assert reproduction.summary(found.assign(verdict="slower")) == (
        "0 of 2 rows of LSTM reproduced in one of their readings; "
        "0 of 1 rows of rivals reproduced in one of their readings"
    )


def test_a_folder_without_such_runs(tmp_path):
    with pytest.raises(FileNotFoundError):
        reproduction.write(tmp_path)
    (tmp_path / "0").mkdir()
    Run(tmp_path / "0").write_row({**trials([5])[0], "experiment": None})
    with pytest.raises(ValueError, match="runs of rows of Hochreiter & Schmidhuber 1997, as exper"):
        reproduction.write(tmp_path)
    assert reproduction.beside_published(tmp_path) == ""
    assert {path.name for path in tmp_path.iterdir()} == {"0"}
