"""Tables written here, against what the settings say must come of them; every kind of bad table."""

import gzip
import re
import subprocess
import sys
import tracemalloc
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lstmlab.tasks.csv import Csv
from refusals import refused

from lstmlab import describe, report, results
from lstmlab.config import compose as composed
from lstmlab.runs import train
from lstmlab.task import generator, loss, valid_steps


@pytest.fixture
def write(tmp_path):
    def written(content, name="table.csv", **how) -> str:
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False, **how)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
        return str(path)

    return written


def series(n=200) -> pd.DataFrame:
    """v counts the rows, so that every number says where it comes from; u is twice that."""
    return pd.DataFrame({"t": np.arange(n), "v": np.arange(n) + 1000.0, "u": 2.0 * np.arange(n)})


def groups(lengths=(5, 9, 7, 6, 12, 8, 5, 10, 11, 6)) -> pd.DataFrame:
    """v = 100 * number of the group + step; the class is that number modulo 3."""
    rows = [
        (f"g{k}", t, 100.0 * k + t, -t, "abc"[k % 3])
        for k, n in enumerate(lengths)
        for t in range(n)
    ]
    return pd.DataFrame(rows, columns=["id", "t", "v", "u", "kind"])


def test_a_column_whose_name_is_read_as_a_number(write):
    """The command line reads task.target=2008 as a number."""
    table = series().rename(columns={"v": "2008", "u": "1.50", "t": "TRUE"})
    file = write(table)
    task = Csv(file=file, target=2008, features=[1.5], time=True, window=10)
    same = Csv(file=file, target="2008", features=["1.50"], time="TRUE", window=10)
    for one, other in zip(task.sequence(0, "train", 3), same.sequence(0, "train", 3), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"nearest: '2008'.*Received: task\.target='2009'"):
        Csv(file=file, target=2009)
    # each of two names is a written form of 1
    both = write(series().rename(columns={"v": "1.0", "u": "1e0"}), "both.csv")
    with pytest.raises(ValueError, match=r"a column of the table; .*task\.target='1'"):
        Csv(file=both, target=1)


def joined(blocks):
    return tuple(np.concatenate(part) for part in zip(*blocks, strict=True))


def rows_of(task, part) -> set:
    """Numbers of the target's column, in its unit, that any window of a part shows or asks for."""
    if part == "train":
        x, y, w = task.sample(generator(0, "train"), 500)
    else:
        x, y, w = joined(task.sets(0)[part])
    seen = x[..., 0][valid_steps(w)], y[..., 0][w > 0]
    return set(np.rint(task.in_units(np.concatenate(seen))).astype(int).tolist())


# ---- what comes of a good table


@pytest.mark.parametrize("horizon", [1, 4])
def test_targets_of_a_series_from_the_inputs(write, horizon):
    task = Csv(write(series()), target="v", time="t", horizon=horizon, warmup=3, window=20)
    assert (task.steps, task.features, task.outputs, task.readouts) == (20, 2, 1, 18)
    assert task.inputs == ("v", "u")
    for x, y, w in [
        task.sample(generator(0, "train"), 300),
        task.probe(0, 20),
        *(joined(s) for s in task.sets(0).values()),
    ]:
        shown, asked = task.in_units(x[..., 0]), task.in_units(y[..., 0])
        assert np.allclose((asked - shown)[w > 0], horizon, atol=1e-3)
        assert not w[:, :2].any()
        assert (np.cumsum(w == 0, axis=1)[w > 0] == 2).all(), "from warmup on every step is asked"
        assert np.allclose(
            (x[..., 1] * task.stds[1] + task.means[1])[valid_steps(w)] / 2 + 1000,
            shown[valid_steps(w)],
            atol=1e-3,
        )
        assert not x[~valid_steps(w)].any()
        assert not y[w == 0].any()
        assert {part.dtype for part in (x, y, w)} == {np.dtype("float32")}


def test_a_series_is_divided_by_time_and_every_step_asked_once(write):
    task = Csv(
        write(series().sample(frac=1, random_state=0)),
        target="v",
        time="t",
        horizon=2,
        warmup=3,
        window=20,
    )
    assert rows_of(task, "train") == set(range(1000, 1140))
    assert rows_of(task, "validation") == set(range(1140, 1170))
    assert rows_of(task, "test") == set(range(1170, 1200))
    for part, first, last in (("validation", 1140, 1170), ("test", 1170, 1200)):
        _, y, w = joined(task.sets(0)[part])
        asked = np.rint(task.in_units(y[w > 0]).ravel()).astype(int)
        assert sorted(asked) == list(range(first + 2 + 2, last)), (
            "without warmup - 1 + horizon rows; none twice"
        )
    x, _, _ = task.sample(generator(0, "train"), 5000)
    first = np.rint(task.in_units(x[:, 0, 0])).astype(int)
    assert set(first) == set(range(1000, 1140 - 20 - 2 + 1)), "windows begin anywhere"
    assert any("140 rows train, 30 rows validation, 30 rows test" in note for note in task.notes)


def test_scaling_is_that_of_the_training_part(write):
    table = series()
    table.loc[table["t"] >= 140, "v"] *= 1000
    task = Csv(write(table), target="v", time="t")
    training = table["v"][:140]
    assert task.means[0] == pytest.approx(training.mean())
    assert task.stds[0] == pytest.approx(training.std(ddof=0))
    summary = task.summary(np.zeros(task.test_size, bool), {})
    assert summary["target_std"] == pytest.approx(training.std(ddof=0))
    assert summary["target_mean"] == pytest.approx(training.mean())


def test_numbers_far_from_zero_keep_their_digits(write):
    table = pd.DataFrame({"v": 1e9 + np.tile([0.0, 1.0, 2.0, 1.0], 50)})
    x, _, _ = Csv(write(table), target="v").sample(generator(0, "train"), 50)
    assert len(np.unique(x)) == 3


def test_groups_go_whole_to_one_part(write):
    shuffled = groups().sample(frac=1, random_state=1)
    task = Csv(write(shuffled), target="v", group="id", time="t", features=["u"])
    assert task.steps == 11  # the longest group without its last row
    whole = {
        part: {value // 100 for value in rows_of(task, part)}
        for part in ("train", "validation", "test")
    }
    assert [len(numbers) for numbers in whole.values()] == [6, 2, 2]
    assert set.union(*whole.values()) == set(range(10))
    for x, y, w in (joined(task.sets(0)["test"]), task.sample(generator(0, "train"), 100)):
        steps = w.sum(axis=1).astype(int)
        number = np.rint(task.in_units(x[:, 0, 0])).astype(int)
        assert (number % 100 == 0).all(), "sequences begin at their first row"
        lengths = np.array([5, 9, 7, 6, 12, 8, 5, 10, 11, 6])[number // 100]
        assert (steps == lengths - 1).all()
        assert np.allclose(task.in_units(y[w > 0]), task.in_units(x[..., :1][w > 0]) + 1, atol=1e-2)
    assert rows_of(
        Csv(write(shuffled), target="v", group="id", time="t", split=1), "test"
    ) != rows_of(task, "test")


def test_sequences_are_drawn_alike(write):
    task = Csv(write(groups()), target="v", group="id", time="t")
    x, _, _ = task.sample(generator(0, "train"), 6000)
    numbers, counts = np.unique(x[:, 0, 0], return_counts=True)
    assert len(numbers) == 6
    assert np.abs(counts - 1000).max() < 150


def test_classification_of_groups(write):
    task = Csv(write(groups()), kind="classification", target="kind", group="id", time="t")
    assert (task.classes, task.outputs, task.readouts, task.steps) == (["a", "b", "c"], 3, 1, 12)
    assert task.inputs == ("v", "u")
    for x, y, w in (joined(task.sets(0)["test"]), task.sample(generator(0, "train"), 100)):
        number = np.rint(x[:, 0, 0] * task.stds[0] + task.means[0]).astype(int) // 100
        last = np.array([5, 9, 7, 6, 12, 8, 5, 10, 11, 6])[number] - 1
        assert (w.argmax(axis=1) == last).all()
        assert (w.sum(axis=1) == 1).all()
        assert (y[np.arange(len(y)), last].argmax(axis=1) == number % 3).all()
        assert (y.sum(axis=(1, 2)) == 1).all()
        assert task.correct(y, y, w).all()
        assert not task.correct(y, 5 - 2 * y, w).any()
        naive = task.baselines(x, w)["naive"]
        assert np.allclose(naive, np.bincount(task._labels[task._parts["train"]]) / 6)


def test_wide_rows_are_sequences_as_long_as_they_are_filled(write):
    table = pd.DataFrame(
        [[100 * k + t if t < 4 + k % 5 else None for t in range(8)] for k in range(20)]
    )
    table = table.rename(columns=str).assign(
        who=[f"p{k // 2}" for k in range(20)], kind=[str(k % 2) for k in range(20)]
    )
    task = Csv(write(table), format="wide", kind="classification", target="kind", group="who")
    assert (task.features, task.steps, task.classes) == (1, 8, ["0", "1"])
    steps = "0, 1, 2, 3, 4, 5, 6, 7"
    assert task.notes == [f"each row is a sequence of up to 8 steps: {steps}"]
    people = {}
    for part in ("train", "validation", "test"):
        x, y, w = task.encode(task._parts[part], task._starts[task._parts[part]])
        number = np.rint(x[:, 0, 0] * task.stds[0] + task.means[0]).astype(int) // 100
        assert (w.argmax(axis=1) == 3 + number % 5).all()
        assert (y.sum(axis=1).argmax(axis=1) == number % 2).all()
        people[part] = set(number // 2)
    assert sum(len(who) for who in people.values()) == 10, "rows of one group stay together"
    forecast = Csv(write(table), format="wide", features=[str(t) for t in range(8)], horizon=2)
    x, y, w = joined(forecast.sets(0)["test"])
    assert np.allclose(forecast.in_units(y[w > 0]) - forecast.in_units(x[w > 0]), 2, atol=1e-2)


def test_parts_of_a_column(write):
    table = groups().assign(
        where=lambda t: t["id"].map(
            lambda name: {"g3": "test", "g4": "validation"}.get(name, "train")
        )
    )
    task = Csv(write(table), target="v", group="id", part="where")
    assert {value // 100 for value in rows_of(task, "test")} == {3}
    assert {value // 100 for value in rows_of(task, "validation")} == {4}
    assert "where" not in task.inputs


def test_parts_of_a_column_beside_sequences_that_are_dropped(write):
    """The rows of a dropped sequence belong to no other one."""
    table = groups((5, 1, 7, 6, 1)).assign(
        where=lambda t: t["id"].map({"g1": "validation", "g2": "test", "g3": "validation"})
    )
    table["where"] = table["where"].fillna("train")
    task = Csv(write(table), target="v", group="id", part="where", short="drop")
    numbers = {part: {v // 100 for v in rows_of(task, part)} for part in task._parts}
    assert numbers == {"train": {0}, "validation": {3}, "test": {2}}
    assert task.counts["sequences_dropped"] == 2


def test_baselines_against_the_table(write):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"v": np.tile(rng.normal(size=7), 40) + 0.001 * rng.normal(size=280)})
    task = Csv(write(table), target="v", horizon=3, warmup=7, period=7, window=30)
    test, std = table["v"][238:].to_numpy(), table["v"][:196].std(ddof=0)
    asked = np.arange(7 - 1 + 3, len(test))
    losses = {}
    x, y, w = joined(task.sets(0)["test"])
    for name, prediction in task.baselines(x, w).items():
        assert prediction.shape == y.shape
        losses[name] = loss("squared", y, prediction, w)
    assert losses["naive"] == pytest.approx(
        np.mean((test[asked] - test[asked - 3]) ** 2) / std**2, rel=1e-4
    )
    assert losses["seasonal"] == pytest.approx(
        np.mean((test[asked] - test[asked - 7]) ** 2) / std**2, rel=1e-3
    )
    assert losses["mean"] == pytest.approx(
        np.mean((test[asked] - table["v"][:196].mean()) ** 2) / std**2, rel=1e-4
    )
    right = [task.correct(a, task.baselines(b, c)["naive"], c) for b, a, c in task.sets(0)["test"]]
    assert (
        task.summary(np.zeros(0, bool), {})["naive_wrong"]
        == int((~np.concatenate(right)).sum())
        > 0
    )


def test_errors_in_the_unit_of_the_table(write):
    """Errors of each rule's forecasts against the column; 3 for a network that is off by 3."""
    values = 500 + 40 * np.tile(np.random.default_rng(0).normal(size=7), 40)
    values[196:] += np.linspace(0, 200, 84)
    task = Csv(
        write(pd.DataFrame({"v": values})), target="v", horizon=3, warmup=7, period=7, window=30
    )
    x, y, w = joined(task.sets(0)["test"])
    predictions = {"test": y + 3 / task.stds[0], **task.baselines(x, w)}
    losses = {name: loss("squared", y, prediction, w) for name, prediction in predictions.items()}
    summary = task.summary(np.zeros(task.test_size, bool), losses)
    test = values[238:]
    asked = np.arange(7 - 1 + 3, len(test))
    off = {"naive": test[asked - 3], "seasonal": test[asked - 7], "mean": values[:196].mean()}
    wanted = {
        f"{name}_rmse": np.sqrt(np.mean((test[asked] - forecast) ** 2))
        for name, forecast in off.items()
    }
    assert {name: summary[name] for name in summary if name.endswith("_rmse")} == pytest.approx(
        {"test_rmse": 3.0, **wanted}, rel=1e-4
    )
    assert all(error > 3 for error in wanted.values()), "no rule is right by accident"


def test_classes_have_no_unit(write):
    task = Csv(write(groups()), target="kind", group="id", time="t", kind="classification")
    assert not [
        name
        for name in task.summary(np.zeros(task.test_size, bool), {"test": 1.0, "naive": 2.0})
        if "rmse" in name
    ]


def test_a_forecast_is_right_within_the_tolerance(write):
    task = Csv(write(series()), target="v", window=20, tolerance=0.5)
    _, y, w = task.sample(generator(0, "train"), 50)
    assert task.correct(y, y, w).all()
    assert task.correct(y, y + 0.49 * w[..., None], w).all()
    assert not task.correct(y, y + 0.51 * w[..., None], w).any()
    assert not task.correct(y, np.zeros_like(y), w).all()


def test_same_numbers_same_sequences(write):
    task = Csv(write(groups()), target="v", group="id", window=4)
    first, second, other = (task.sample(generator(0, "train", k), 40) for k in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert task.sequence(0, "test", 1)[0].shape == (1, 4, 3)


@pytest.mark.parametrize("how", ["semicolon", "latin", "mark", "gz", "dates"])
def test_other_ways_to_write_it(write, tmp_path, how):
    table, plain = series(), Csv(write(series(), "plain.csv"), target="v", time="t", features=["u"])
    settings = {"target": "v", "time": "t", "features": ["u"]}
    if how == "semicolon":
        file, more = write(table, sep=";", decimal=","), {"separator": ";", "decimal": ","}
    elif how == "latin":
        file, more = (
            write(table.rename(columns={"v": "Höhe"}), encoding="latin-1"),
            {"encoding": "latin-1", "target": "Höhe"},
        )
    elif how == "mark":
        file, more = write(table, encoding="utf-8-sig"), {}
    elif how == "gz":
        file, more = str(tmp_path / "table.csv.gz"), {}
        with gzip.open(file, "wt", encoding="utf-8") as packed:
            packed.write(table.to_csv(index=False))
    else:
        days = (pd.Timestamp("2001-01-25") + pd.to_timedelta(table["t"], "D")).dt.strftime(
            "%d.%m.%Y"
        )
        file, more = (
            write(table.assign(t=days).sample(frac=1, random_state=2)),
            {"time_format": "%d.%m.%Y"},
        )
    task = Csv(file, **{**settings, **more})
    for a, b in zip(
        task.sample(generator(0, "train"), 20), plain.sample(generator(0, "train"), 20), strict=True
    ):
        assert np.allclose(a, b)


def test_times_and_classes_with_the_decimal_sign_of_the_text(write):
    table = groups().sample(frac=1, random_state=3)
    table["t"] /= 2
    table["kind"] = table["kind"].map({"a": 10.5, "b": 9.5, "c": 100.25})
    text = {"separator": ";", "decimal": ","}
    settings = {"group": "id", "time": "t", "features": ["u"]}
    for more in ({"target": "v"}, {"target": "kind", "kind": "classification"}):
        plain = Csv(write(table, "plain.csv"), **settings, **more)
        german = Csv(write(table, sep=";", decimal=","), **settings, **more, **text)
        for a, b in zip(joined(plain.sets(0)["test"]), joined(german.sets(0)["test"]), strict=True):
            assert np.array_equal(a, b)
    assert plain.classes == ["9.5", "10.5", "100.25"]
    assert german.classes == ["9,5", "10,5", "100,25"]


def test_budget_takes_no_other_settings(write):
    rule = {"rule": "budget", "sets": ["validation"], "wrong": 0.05}
    assert Csv(write(series()), target="v", criterion=rule).criterion == {"rule": "budget"}
    assert Csv(write(series()), target="v").criterion == {
        "rule": "whole_sets",
        "sets": ["validation"],
        "wrong": 0.05,
    }


# ---- treatments that are reported


def holes() -> pd.DataFrame:
    table = groups()
    table.loc[[0, 7, 20], "u"] = np.nan  # the first of g0; one of g1; one of g2
    table.loc[9, "v"] = np.nan  # g1, step 4
    return table


def test_missing_values_are_an_error(write):
    refused(
        r"4 missing, the first in sequence 'g0', step 1, column 'u'",
        Csv,
        write(holes()),
        target="v",
        group="id",
        time="t",
    )


def test_rows_with_missing_values_dropped(write, capsys):
    task = Csv(write(holes()), target="v", group="id", time="t", missing="drop")
    assert task.counts == {
        "table_rows": 79,
        "rows_dropped": 4,
        "cells_filled": 0,
        "sequences_dropped": 0,
        "time_gaps": 2,
    }
    assert capsys.readouterr().err.count("Csv: 4 rows with missing values dropped") == 1
    assert task.summary(np.zeros(0, bool), {})["rows_dropped"] == 4


def test_missing_values_filled_from_before_and_never_asked_for(write, capsys):
    where = holes().assign(where="train")
    where.loc[where["id"] == "g1", "where"] = "test"
    where.loc[where["id"] == "g4", "where"] = "validation"
    task = Csv(write(where), target="v", group="id", time="t", missing="fill", part="where")
    assert task.counts == {
        "table_rows": 79,
        "rows_dropped": 1,
        "cells_filled": 3,
        "sequences_dropped": 0,
        "time_gaps": 0,
    }
    said = capsys.readouterr().err
    assert "Csv: 3 missing values filled with the value before" in said
    assert "Csv: 1 rows with missing values that no value precedes dropped" in said
    x, y, w = joined(task.sets(0)["test"])
    shown = task.in_units(x[0, :8, 0])
    assert np.allclose(shown, [100, 101, 102, 103, 103, 105, 106, 107], atol=1e-2)
    assert w[0].tolist()[:8] == [1, 1, 1, 0, 1, 1, 1, 1]
    assert y[0, 3, 0] == 0
    assert np.allclose(x[0, :4, 1] * task.stds[1] + task.means[1], [0, -1, -1, -3], atol=1e-2)


@pytest.mark.parametrize(
    ("column", "mark", "noted"),
    [
        (np.arange(60) % 7 + 0.5, -9999, True),
        (np.arange(60) % 7 + 1000.25, 99999, True),
        (np.arange(60) % 7 + 0.5, -8, False),  # far, but not by three times their range
        (np.arange(60) % 7 + 0.5, -9999.5, False),  # a mark is a whole number
        (np.arange(60) % 2, -9, True),
        (np.ones(60), 0, False),  # a sign that is seldom there
    ],
)
def test_a_value_that_may_mark_a_missing_one(write, column, mark, noted):
    column = np.r_[mark, column, mark]
    frame = pd.DataFrame({"t": np.arange(62), "v": np.arange(62) % 5 + 0.1, "u": column})
    notes = [n for n in Csv(write(frame), target="v", time="t").notes if "missing_values" in n]
    assert len(notes) == noted
    if noted:
        assert f"column 'u': {mark} is far off all others" in notes[0]
        assert f'"task.missing_values=[{mark}]"' in notes[0]
        marked = Csv(write(frame), target="v", time="t", missing_values=mark, missing="drop")
        assert not any("missing_values" in note for note in marked.notes)


def test_windows_without_a_known_target_are_not_drawn(write):
    table = series(300)
    table.loc[10:120, "v"] = np.nan
    table.loc[220:240, "v"] = np.nan
    task = Csv(write(table), target="v", time="t", missing="fill", window=8)
    for x, y, w in (
        task.sample(generator(0, "train"), 2000),
        task.probe(0, 30),
        *map(joined, task.sets(0).values()),
    ):
        assert w.any(axis=1).all()
        assert not x[~valid_steps(w)].any()
        assert (np.rint(task.in_units(y[w > 0])) != 1009).any()
    _, y, w = task.sample(generator(0, "train"), 2000)
    asked = set(np.rint(task.in_units(y[w > 0].ravel())).astype(int).tolist())
    assert asked == {*range(1001, 1010), *range(1121, 1210)}


def test_a_target_missing_to_the_end_of_a_sequence(write):
    table = groups()
    table.loc[table["id"] == "g1", "v"] = [100.0] + [np.nan] * 8
    refused(
        r"1 shorter \(or without a known target\), the first 'g1'",
        Csv,
        write(table),
        target="v",
        group="id",
        missing="fill",
    )


def test_short_sequences(write, capsys):
    file = write(groups((5, 1, 7, 6, 1, 8, 5, 10)))
    refused(
        r"at least 2 rows, or task.short=drop. Received: 2 shorter .* the first 'g1' with 1",
        Csv,
        file,
        target="v",
        group="id",
    )
    refused("at least 2 rows", Csv, file, kind="classification", target="kind", group="id")
    refused(
        "at least 6 rows", Csv, file, target="v", group="id", horizon=3, warmup=3, short="error"
    )
    task = Csv(file, target="v", group="id", short="drop")
    assert task.counts["sequences_dropped"] == 2
    assert "Csv: of 8 sequences 2 shorter" in capsys.readouterr().err
    shown = set.union(*(rows_of(task, part) for part in ("train", "validation", "test")))
    assert {value // 100 for value in shown} == {0, 2, 3, 5, 6, 7}


def test_a_group_of_which_nothing_is_left_is_named(write):
    table = groups()
    table.loc[table["id"] == "g2", "u"] = np.nan
    task = Csv(write(table), target="v", group="id", missing="drop")
    assert (task.counts["rows_dropped"], task.counts["sequences_dropped"]) == (7, 1)
    assert "1 sequences dropped with them, of which no row was left" in task.notes


def test_columns_that_hold_no_numbers_are_named(write, capsys):
    task = Csv(write(series().assign(place="here", one=1.0)), target="v", time="t")
    assert task.inputs == ("v", "u", "one")
    assert "Csv: columns left out, as they hold no numbers: place" in capsys.readouterr().err
    assert "column 'one' is constant in the training part: it says nothing there" in task.notes
    assert not task.sample(generator(0, "train"), 3)[0][..., 2].any()


def test_blank_lines_are_counted(write):
    lines = series().to_csv(index=False).splitlines()
    task = Csv(write("\n".join([*lines[:5], "", "", *lines[5:], "", ""])), target="v", time="t")
    assert task.counts["table_rows"] == 200
    assert "2 blank lines left out" in task.notes


# ---- tables and settings that cannot be used


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "expected a table. Received: the empty file"),
        ("\n\n", "expected a table. Received: the empty file"),
        ("t,v\n", "rows below the header. Received: none"),
        ("t,v\n1,2\n3\n4,5\n", r"2 cells in every row, as in the header. Received: 1 in line 3"),
        (
            "t,v\n1,2\n3,4\n4,5,6\n",
            r"2 cells in every row, as in the header. Received: 3 in line 4",
        ),
        ("t,v\n1,2,3\n3,4,\n", r"2 cells in every row, as in the header; .* Received: 3 in line 2"),
        ("1,2\n3,4\n5,6\n", "a header with the names of the columns"),
        ("v,t,v\n1,2,3\n", r"different names in the header. Received: 'v' in the columns \[1, 3\]"),
        (
            "t,v\n1,2\n2,x7\n3,4\n",
            r"numbers; for a mark of missing values \"task.missing_values=\['x7'\]\". "
            r"Received: 'x7' in row 2 below the header, column 'v'",
        ),
        (
            "t,v\n1,2\n2,inf\n3,4\n",
            r"finite numbers. Received: infinity in row 2 below the header, column 'v'",
        ),
        (
            "t,v\n1,2\n1,3\n3,4\n",
            r"each time once in a sequence; .* task.group names the column .* "
            r"Received: 1 repeated, the first in 'the series' at 1",
        ),
        (
            "t,v\n1,2\nnoon,3\n3,4\n",
            r"numbers in column 't'; see task.time_format. Received: 'noon' in row 2",
        ),
        (
            "t,v\n2001-01-02,2\n3.1.2001,3\n",
            r"times as %Y-%m-%d in column 't'.* Received: '3.1.2001' in row 2",
        ),
        (
            "t,v\nnoon,2\nx,3\n",
            r"numbers, or dates of the years 1 to 9999, in column 't'; .*task.time_format='%d.*. "
            r"Received: 'noon' in row 1 below the header",
        ),
        ("t,v\n1,2\n2,3\n3,4\n", "sequences of at least 2 rows. Received: 2 shorter"),
        (
            "t,v\n" + "".join(f"{t},5\n" for t in range(40)),
            "a target that varies in the training part",
        ),
        (
            "t,v\n" + "".join(f"{t},word\n" for t in range(40)),
            "numbers in the target. Received: task.target='v' with 'word'",
        ),
        (
            b"t,v\n1,2\n2,\xff\n",
            r"text in the encoding 'utf-8', or perhaps task.encoding=cp1252.* Received: byte 0xff",
        ),
        ('t,v\n1,2\n2,"3\n3,4\n', r"a table. Received: .*EOF inside string"),
    ],
)
def test_bad_tables(write, content, match):
    refused(match, Csv, write(content), target="v", time="t")


def test_the_row_of_a_word_is_found_beyond_the_first_chunk(write):
    table = series().astype({"v": object})
    table.loc[150, "v"] = "n. a."
    refused(
        r"'n. a.' in row 151 below the header, column 'v'",
        Csv,
        write(table),
        target="v",
        time="t",
        chunk=40,
    )
    table.loc[:, "v"] = series()["v"]
    table.loc[199, "t"] = 3
    refused(
        r"1 repeated, the first in 'the series' at 3",
        Csv,
        write(table),
        target="v",
        time="t",
        chunk=40,
    )


@pytest.mark.parametrize(
    ("changes", "row"),
    [({150: 1e39}, 151), ({0: -1e300}, 1), ({0: 3e38, 50: -3e38}, 1), ({199: -1e21}, 200)],
)
def test_numbers_too_far_from_the_others(write, changes, row):
    """In float32 their squared errors would be infinite."""
    table = series()
    for place, number in changes.items():
        table.loc[place, "u"] = number
    match = rf"1e\+18 times as far apart as the first .* in row {row} below the header, column 'u'"
    refused(match, Csv, write(table), target="v", time="t", chunk=40)


@pytest.mark.parametrize(
    "column",
    [
        1e-50 * np.tile([0.0, 1.0, 2.0, 1.0], 50),
        1e-320 * np.tile([0.0, 1.0, 2.0, 1.0], 50),
        1e200 * np.tile([1.0, 2.0, 3.0, 2.0], 50),
        0.5e308 * np.tile([-1.0, 0.0, 1.0, 0.0], 50),
        1e15 + np.tile([0.0, 1.0, 2.0, 1.0], 50),
        np.r_[np.full(60, 5.0), 5 + 1e-9 * np.tile([0.0, 1.0, 2.0, 1.0], 35)],
    ],
)
@pytest.mark.parametrize("name", ["v", "u"])
def test_differences_that_float32_cannot_hold_by_itself(write, column, name):
    """The standardised numbers are those of float64, for a target and for an input."""
    file = write(series().assign(**{name: column}))
    task = Csv(file, target="v", time="t", chunk=40)
    scale = np.abs(column - column[0]).max()  # so that squares stay finite in float64
    training = (column[:140] - column[0]) / scale
    wanted = (training - training.mean()) / training.std()
    x, _, w = task.sample(generator(0, "train"), 300)
    shown = x[..., task.inputs.index(name)][w > 0]
    assert set(np.round(shown, 2).tolist()) == {
        float(number) for number in np.round(wanted[:139], 2).astype("float32")
    }
    assert task.stds[task.inputs.index(name)] == pytest.approx(training.std() * scale, rel=1e-3)


def test_a_first_number_that_is_missing(write):
    table = series().assign(v=1e9 + np.tile([0.0, 1.0, 2.0, 1.0], 50))
    table.loc[0, "v"] = np.nan
    task = Csv(write(table), target="v", time="t", missing="drop")
    assert task.stds[0] == pytest.approx(table["v"][1:140].std(ddof=0), rel=1e-4)


def test_the_largest_numbers_of_float32_stay_finite(write):
    table = series().assign(u=np.tile([0.0, 3.4e38], 100))
    x, _, _ = Csv(write(table), target="v", time="t").sample(generator(0, "train"), 50)
    assert np.allclose(np.abs(x[..., 1]), 1)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"target": "V"}, r"a column of the table; nearest: 'v'. Received: task.target='V'"),
        ({"target": "v", "features": ["u", "ttt"]}, r"nearest: 't'. Received: task.features='ttt'"),
        ({"target": "v", "group": "number"}, r"nearest: .* Received: task.group='number'"),
        ({"target": "v", "features": "u"}, "a list of columns"),
        ({"target": "v", "features": ["u", "u"]}, "different columns"),
        (
            {"target": "v", "features": ["t"], "time": "t"},
            r"one purpose. Received: task.time='t' and task.features=\['t'\]",
        ),
        (
            {"target": "v", "time": "v"},
            r"different columns, each for one purpose. Received: task.time='v' and task.target='v'",
        ),
        (
            {"target": "v", "group": "v", "time": "v"},
            r"for one purpose. Received: task.group='v' and task.target='v'",
        ),
        (
            {"target": "v", "group": "t", "time": "t"},
            r"for one purpose. Received: task.time='t' and task.group='t'",
        ),
        (
            {"target": "v", "group": "t", "part": "v"},
            r"for one purpose. Received: task.part='v' and task.target='v'",
        ),
        (
            {"target": "v", "group": "t", "part": "t"},
            r"for one purpose. Received: task.part='t' and task.group='t'",
        ),
        (
            {"target": "u", "group": "t", "kind": "classification", "features": ["u"]},
            r"for one purpose. Received: task.target='u' and task.features=\['u'\]",
        ),
        (
            {"format": "wide", "group": "t", "part": "t"},
            r"for one purpose. Received: task.part='t' and task.group='t'",
        ),
        ({"target": "v", "format": "tall"}, "one of"),
        ({"target": "v", "kind": "guess"}, "one of"),
        ({"target": "v", "missing": "zero"}, "one of"),
        ({}, "a target, but for a wide table that is forecast"),
        ({"target": "v", "format": "wide"}, "a target, but for a wide table that is forecast"),
        ({"format": "wide", "time": "t"}, "no time column"),
        ({"target": ["v"]}, "the name of a column"),
        ({"target": 3}, r"a column of the table; nearest: .*Received: task.target='3'"),
        ({"target": "v", "kind": "classification"}, "a group column"),
        ({"target": "v", "part": "u"}, "a group column"),
        (
            {"target": "v", "kind": "classification", "group": "t", "horizon": 2},
            "only with task.kind=forecasting",
        ),
        ({"target": "v", "horizon": 0}, "positive integer"),
        (
            {"target": "v", "warmup": 5, "window": 4},
            "integer >= 5 or null, which is task.warmup. Received: task.window=4",
        ),
        (
            {"target": "v", "period": 4},
            r"integer in 1\.\.1 or null, at most task.warmup=1: .* Received: task.period=4",
        ),
        (
            {"target": "v", "warmup": 5, "period": 6},
            r"integer in 1\.\.5 or null, at most task.warmup=5: .* Received: task.period=6",
        ),
        ({"target": "v", "horizon": 40}, "sequences of at least 41 rows"),
        ({"target": "v", "shares": {"train": 0.5, "validation": 0.2, "test": 0.2}}, "add up to 1"),
        ({"target": "v", "shares": {"train": 0.5, "test": 0.5}}, "add up to 1"),
        (
            {"target": "v", "shares": {"train": 1.0, "validation": 0.2, "test": -0.2}},
            r"in \(0, 1\)",
        ),
        ({"target": "v", "tolerance": -1}, "number >= 0"),
        ({"target": "v", "separator": ";"}, r"a column of the table; nearest: 't,v,u'"),
        ({"target": "v", "separator": "::"}, "one character"),
        ({"target": "v", "encoding": "utf-99"}, "an encoding that Python knows"),
        ({"target": "v", "encoding": 8}, "the name of an encoding"),
        (
            {"target": "v", "limit": 399},
            r"at most task.limit=399 numbers.* Received: 200 rows x 3 columns = 600",
        ),
    ],
)
def test_bad_settings(write, settings, match):
    refused(match, Csv, write(series()), **settings)


def test_what_is_forecast_may_be_named_among_the_features(write):
    assert Csv(write(series()), target="v", time="t", features=["u", "v"]).inputs == ("v", "u")


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_another_separator_is_suggested(write, sign):
    typed = f"separator={sign!r}"
    written = re.escape(f"task.{typed}")
    received = r"Received: .*task.file='.*table.csv'"
    hint = rf'; perhaps "{written}", for the header is .* {received}'
    file = write(series(), sep=sign)
    refused(f"a column of the table.*{hint}", Csv, file, target="v", time="t")
    refused(f"at least one column of numbers{hint}", Csv, file, format="wide")
    assert describe.build("csv", [f"file={file}", "target=v", "time=t", typed]).inputs == ("v", "u")
    file = write(series(), sep=sign, decimal=",")
    refused(f"1 cells in every row, as in the header{hint}", Csv, file, target="v", time="t")
    assert Csv(file, target="v", time="t", separator=sign, decimal=",").inputs == ("v", "u")


def test_no_other_separator_is_suggested_for_one_plain_column(write):
    with pytest.raises(
        ValueError, match=r"nearest: 'v'\. Received: task.target='w', task.file="
    ) as caught:
        Csv(write(series()[["v"]]), target="w")
    assert "perhaps" not in str(caught.value)
    assert Csv(
        write(series()[["v"]].rename(columns={"v": "v; in m"})), target="v; in m"
    ).inputs == ("v; in m",)


def test_bad_files(tmp_path):
    refused(r"the path of a csv file. Received: task.file=None", Csv, None)
    refused(
        r"a file that can be read. Received: task.file='.*nowhere.csv' \(No such file",
        Csv,
        str(tmp_path / "nowhere.csv"),
        target="v",
    )
    refused(r"a file that can be read.*directory", Csv, str(tmp_path), target="v")
    (tmp_path / "not.gz").write_bytes(b"a,b\n1,2\n")
    refused(r"a file that can be read", Csv, str(tmp_path / "not.gz"), target="a")
    packed = gzip.compress(series().to_csv(index=False).encode())
    for name, content, cause in [
        ("cut.gz", packed[:-20], "ended before"),
        ("damaged.gz", packed[:10] + b"\xff" + packed[11:], "invalid block type"),  # after its head
    ]:
        (tmp_path / name).write_bytes(content)
        received = rf"Received: task.file='.*{name}' \(.*{cause}"
        refused(f"a file that can be read. {received}", Csv, str(tmp_path / name), target="v")


def test_bad_groups(write):
    table = groups()
    table.loc[12, "kind"] = "z"
    classes = {"kind": "classification", "target": "kind", "group": "id"}
    expected = r"one class per sequence, column 'kind'. Received: 'b' and 'z' in 'g1'"
    refused(expected, Csv, write(table), time="t", **classes)
    table = groups()
    table.loc[12, "id"] = None
    refused(
        r"no empty cells in column 'id'. Received: one in row 13",
        Csv,
        write(table),
        target="v",
        group="id",
    )
    table.loc[12, "id"], table.loc[13, "kind"] = "g1", None
    expected = r"no empty cells in column 'kind'. Received: one in row 14"
    refused(expected, Csv, write(table), **classes)
    refused("at least two classes", Csv, write(groups().assign(kind="a")), **classes)
    refused("enough sequences for validation", Csv, write(groups((5, 6))), target="v", group="id")
    twice = groups()
    twice.loc[7, "t"] = 1
    refused(
        r"1 repeated, the first in 'g1' at 1", Csv, write(twice), target="v", group="id", time="t"
    )


def test_classes_that_only_the_test_part_has(write):
    table = groups().assign(where="train")
    table.loc[table["id"] == "g2", "where"] = "validation"
    table.loc[table["kind"] == "c", "where"] = "test"
    table.loc[table["id"] == "g0", "where"] = "validation"
    settings = {"kind": "classification", "target": "kind", "group": "id", "part": "where"}
    refused(
        r"every class in the training part. Received: classes that occur only elsewhere: \['c'\]",
        Csv,
        write(table),
        **settings,
    )
    table.loc[table["id"] == "g5", "where"] = "train"
    assert Csv(write(table), **settings).outputs == 3
    table.loc[0, "where"] = "probe"
    refused(
        r"one of \('train', 'validation', 'test'\) in column 'where'. Received: 'probe' in row 1",
        Csv,
        write(table),
        **settings,
    )
    table.loc[0, "where"] = "test"
    refused(r"one part per sequence, column 'where'", Csv, write(table), **settings)


def test_every_class_is_dealt_to_training(write):
    """Nine classes, most of them with one sequence alone, whatever the shuffle."""
    lengths = [5] * 20
    rows = [
        (f"g{k}", 10.0 * k + t, str(max(0, k - 11)))
        for k, n in enumerate(lengths)
        for t in range(n)
    ]
    file = write(pd.DataFrame(rows, columns=["id", "v", "kind"]))
    for split in range(20):
        task = Csv(file, kind="classification", target="kind", group="id", split=split)
        assert set(task._labels[task._parts["train"]]) == set(range(9))
        assert [len(chosen) for chosen in task._parts.values()] == [14, 3, 3]


# ---- a large file


def peak(file: str, **settings) -> tuple[int, Csv]:
    tracemalloc.start()
    task = Csv(file, **settings)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most, task


@pytest.mark.slow
def test_a_large_file_is_read_in_chunks(write):
    """Memory grows with the numbers that are kept, not with the file: one column of 24."""
    n = 60_000
    line = ",".join(["0.12345678"] * 23)
    files = [
        write(
            "v,"
            + ",".join(f"c{k}" for k in range(23))
            + "\n"
            + "".join(f"{t % 97},{line}\n" for t in range(rows)),
            f"{rows}.csv",
        )
        for rows in (n, 2 * n)
    ]
    sizes = [Path(file).stat().st_size for file in files]
    assert sizes[1] > 500 * n
    (small, _), (large, task) = (peak(file, target="v", features=[], chunk=2000) for file in files)
    assert task.counts["table_rows"] == 2 * n
    assert task.features == 1
    assert large < sizes[1] / 5
    assert large - small < 40 * n, (
        "per row no more than a few copies of the one number, 4 bytes, while it is worked on"
    )


# ---- to a trained model


@pytest.mark.slow
def test_a_table_becomes_a_trained_model_and_a_report(write, tmp_path):
    """A noisy wave of two frequencies, forecast better than by its last value or its mean."""
    t = np.arange(400)
    wave = np.sin(t / 3) + 0.5 * np.sin(t / 1.7) + 0.05 * np.random.default_rng(0).normal(size=400)
    file = write(pd.DataFrame({"t": t, "wave": 50 + 10 * wave}))
    config, choices = composed(
        "task=csv",
        f"task.file={file}",
        "task.target=wave",
        "task.time=t",
        "task.window=30",
        "task.warmup=8",
        "cell=vanilla",
        "cell.units=12",
        "learner=bptt",
        "optimizer=adam",
        "optimizer.learning_rate=0.01",
        "trainer.batch_size=10",
        "trainer.steps_per_execution=10",
        "trainer.window=500",
        "trainer.budget=10000",
        "probe=4",
        "diagnostic=[]",
    )
    folder = tmp_path / "outputs" / "run"
    folder.mkdir(parents=True)
    row = train.run(config, folder, choices, progress=False)
    assert row["test_loss"] < 0.5 * row["naive_loss"] < row["mean_loss"]
    assert row["test_wrong"] <= row["naive_wrong"] <= row["test_size"]
    assert row["target_std"] == pytest.approx(10 * wave[:280].std(), rel=1e-4)
    assert row["test_rmse"] == pytest.approx(row["test_loss"] ** 0.5 * row["target_std"])
    assert (
        row["test_rmse"]
        < row["naive_rmse"]
        < row["mean_rmse"]
        == pytest.approx(10 * wave[340:].std(), rel=0.2)
    )
    assert row["test_error"] * row["target_std"] <= row["test_rmse"], (
        "the mean absolute error is never above it"
    )
    assert f"naive {row['naive_loss']:.4g}, mean {row['mean_loss']:.4g}" in report.write(
        tmp_path / "outputs"
    )
    assert f"{row['test_loss']:.4g} (to beat: naive {row['naive_loss']:.4g}" in report.summary(
        folder
    )
    assert results.load(tmp_path / "outputs")["naive_loss"].iloc[0] == row["naive_loss"]


@pytest.mark.slow
def test_the_sunspots_of_statsmodels_through_the_command(tmp_path):
    """Real measurements, as in docs/your_data.md, forecast better than by the naive rules."""
    file = distribution("statsmodels").locate_file("statsmodels/datasets/sunspots/sunspots.csv")
    arguments = [
        "task=csv",
        f"task.file={file}",
        "task.target=SUNACTIVITY",
        "task.time=YEAR",
        "task.window=40",
        "task.warmup=11",
        "task.period=11",
        "cell=vanilla",
        "cell.units=8",
        "learner=bptt",
        "optimizer=adam",
        "optimizer.learning_rate=0.005",
        "trainer.batch_size=16",
        "trainer.window=800",
        "trainer.budget=4000",
        "probe=4",
        "diagnostic=[]",
    ]
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [programs / "lstmlab", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "216 rows train, 47 rows validation, 46 rows test" in done.stderr
    row = results.load(tmp_path / "outputs").iloc[0]
    table = pd.read_csv(file)["SUNACTIVITY"].to_numpy()
    asked = table[216 + 47 + 11 :]
    assert row["table_rows"] == len(table) == 309
    assert row["naive_rmse"] == pytest.approx(
        np.mean((asked - table[-len(asked) - 1 : -1]) ** 2) ** 0.5, rel=1e-5
    )
    assert row["seasonal_rmse"] == pytest.approx(
        np.mean((asked - table[-len(asked) - 11 : -11]) ** 2) ** 0.5, rel=1e-5
    )
    assert row["test_loss"] < 0.6 * row["naive_loss"] < row["seasonal_loss"] < row["mean_loss"]
    to_beat = ", ".join(
        f"{name} {row[f'{name}_loss']:.4g}" for name in ("naive", "mean", "seasonal")
    )
    assert f"{row['test_loss']:.4g} (to beat: {to_beat}" in done.stdout
    told = subprocess.run(
        [programs / "lstmlab-report", "outputs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert told.returncode == 0, told.stderr
    assert f"{row['test_loss']:.4g}" in told.stdout, told.stdout
    assert to_beat in told.stdout, told.stdout
