"""Times of a table, however they are written: the order of the rows, and what is said of it."""

import numpy as np
import pandas as pd
import pytest
from lstmlab.tasks.csv import Csv
from refusals import refused

from lstmlab.task import generator

N = 60


@pytest.fixture
def task_of(tmp_path):
    """Makes a table of the columns of time, in an order of its own, with v as the true order."""

    def made(columns: dict, shuffled: bool = True, **settings) -> Csv:
        table = pd.DataFrame(columns).assign(v=np.arange(len(next(iter(columns.values())))) % 7)
        table["order"] = np.arange(len(table)) + 1000.0
        if shuffled:
            table = table.sample(frac=1, random_state=0)
        table.to_csv(tmp_path / "table.csv", index=False)
        settings = {"time": next(iter(columns)), "target": "order", "features": []} | settings
        return Csv(str(tmp_path / "table.csv"), **settings)

    return made


def in_true_order(task) -> bool:
    """Whether each row is followed by the next, and training is before validation and test."""
    x, y, w = task.sample(generator(0, "train"), 200)
    steps = (task.in_units(y) - task.in_units(x[..., :1]))[w > 0]
    cut = [task.in_units(task._values[task._starts[k], 0]) for k in range(3)]
    expected = 1000 + np.rint(np.cumsum([0, 0.7, 0.15]) * N)
    return np.allclose(steps, 1, atol=1e-3) and np.allclose(cut, expected, atol=1e-3)


def written(format, step="D", start="2001-01-25"):
    """N dates, `step` apart."""
    return pd.date_range(start, periods=N, freq=step).strftime(format).tolist()


def months(format, count=1):
    dates = [pd.Timestamp("1990-01-01") + pd.DateOffset(months=count * k) for k in range(N)]
    return [format(date) if callable(format) else date.strftime(format) for date in dates]


def quarter(pattern):
    return lambda date: pattern.format(y=date.year, q=date.quarter)


WAYS = {
    "1650": [f"{1650 + k}-01-01" for k in range(N)],
    "2240, beyond nanoseconds": [f"{2240 + k}-06-30" for k in range(N)],
    "year 1": [f"{1 + k:04d}-01-01" for k in range(N)],
    "to 9999": [f"{9940 + k}-12-31" for k in range(N)],
    "iso": written("%Y-%m-%dT%H:%M:%SZ", "h"),
    "iso, some longer": [str(pd.Timestamp("2020") + pd.Timedelta(k, "s") / 2) for k in range(N)],
    "nanoseconds": [f"2020-01-01 00:00:00.0000000{k:02d}" for k in range(N)],
    "whole nanoseconds": [1577836800000000000 + k for k in range(N)],
    "years": [1650 + k for k in range(N)],
    "spreadsheet": [43831 + k / 24 for k in range(N)],
    "digits": written("%Y%m%d"),
    "digits of months": months("%Y%m"),
    "day first": written("%d/%m/%Y"),
    "month first": written("%m/%d/%Y %H:%M", "h"),
    "day first with points": written("%d.%m.%Y"),
    "names of months": months("%d %b %Y"),
    "names of months without days": months("%B %Y"),
    "short names of months": months("%b-%Y"),
    "months": months("%m/%Y"),
    "months of statsmodels": months("%YM%m"),
    "quarters": months(quarter("{y}Q{q}"), 3),
    "quarters with a dash": months(quarter("{y}-Q{q}"), 3),
    "quarters first": months(quarter("Q{q} {y}"), 3),
}


@pytest.mark.parametrize("times", WAYS.values(), ids=WAYS.keys())
def test_the_order_of_rows(task_of, times):
    task = task_of({"t": times})
    assert in_true_order(task)
    assert task.counts["time_gaps"] == 0
    assert task.notes[-1].startswith("one series in the order of 't': 42 rows train")
    assert "the rows were not in order: sorted by 't'" in task.notes
    assert not [note for note in task_of({"t": times}, shuffled=False).notes if "sorted" in note]


@pytest.mark.parametrize(
    "times",
    [
        {"day": written("%Y-%m-%d", "6h"), "hour": written("%H:%M", "6h")},
        {"Year": written("%Y", "6h"), "Month": written("%m", "6h"), "day": written("%d", "6h")}
        | {"hour": written("%H", "6h")},
        {"year": [1650 + k // 12 for k in range(N)], "month": [1 + k % 12 for k in range(N)]},
    ],
)
def test_a_time_in_several_columns(task_of, times):
    task = task_of(times, time=list(times))
    assert in_true_order(task)
    said = " and ".join(map(repr, times))
    assert f"the rows were not in order: sorted by {said}" in task.notes


def test_a_format_for_several_columns(task_of):
    times = {"day": written("%d.%m.%y", "6h"), "hour": [6 * (k % 4) for k in range(N)]}
    refused("task.time_format=.*'25.01.01 0' in row 1", task_of, times, False, time=["day", "hour"])
    assert in_true_order(task_of(times, time=["day", "hour"], time_format="%d.%m.%y %H"))


@pytest.mark.parametrize(
    ("times", "match"),
    [
        (
            written("%d%m%Y", start="2020-01-01"),
            "time_format='%d%m%Y'.* reads every time in.*'0101",
        ),
        (written("%m%d%Y", start="2020-01-01"), "time_format='%m%d%Y'.* reads every time in"),
        (written("%y%m%d", start="1990-01-01"), "time_format='%y%m%d'.* column 't'.*'900101'"),
        (months("%y%m%d"), "time_format='%y%m%d'"),
        (months("%m%Y"), "time_format='%m%Y'"),
    ],
)
def test_digits_that_do_not_begin_with_the_year(task_of, times, match):
    refused(match, task_of, {"t": times}, False)
    format = match.split("'")[1]
    assert in_true_order(task_of({"t": times}, time_format=format))


@pytest.mark.parametrize(
    "times",
    [
        range(100001, 100001 + N),
        range(99990, 99990 + N),
        range(101990, 101990 + N),
        range(20200101, 20200101 + N),
        range(43831, 43831 + N),
        [f"{k:06d}" for k in range(N)],
    ],
)
def test_digits_that_only_count(task_of, times):
    task = task_of({"t": list(times)})
    assert in_true_order(task)
    assert not [note for note in task.notes if "read as dates" in note]


@pytest.mark.parametrize(("name", "count"), [("q", 4), ("week", 10), ("week", 53), ("day", 60)])
def test_a_year_and_what_is_no_month(task_of, name, count):
    times = {"y": [1990 + k // count for k in range(N)], name: [1 + k % count for k in range(N)]}
    match = rf"task.time_format.*1990Q1.*Received: task.time=\['y', '{name}'\] with 1 to {count}"
    refused(rf"^(?!.*%Y-%m-%d).*{match}", task_of, times, time=["y", name])


@pytest.mark.parametrize(("name", "count"), [("Mon", 4), ("monat", 12), ("p", 12)])
def test_a_year_and_a_month(task_of, name, count):
    times = {"y": [1990 + k // count for k in range(N)], name: [1 + k % count for k in range(N)]}
    assert in_true_order(task_of(times, time=["y", name]))


@pytest.mark.parametrize("format", ["%Y-%m-%d", "%Y%m%d", "%d/%m/%Y", "%d.%m.%Y"])
def test_a_date_and_an_hour(task_of, format):
    times = {"date": written(format, "h"), "hour": [k % 24 for k in range(N)]}
    task = task_of(times, time=["date", "hour"])
    assert in_true_order(task)
    assert task.counts["time_gaps"] == 0


@pytest.mark.parametrize(("name", "hours"), [("hour", range(1, 25)), ("shift", range(1, 4))])
def test_a_date_and_what_is_no_hour(task_of, name, hours):
    days = [str(np.datetime64("2001-01-25") + k // len(hours)) for k in range(N)]
    times = {"date": days, name: [hours[k % len(hours)] for k in range(N)]}
    match = rf"hours from 0 to 23 in column '{name}', which .*time_format='%Y-%m-%d %H'"
    refused(match, task_of, times, time=["date", name])


def test_dates_with_different_offsets(task_of):
    hours = [f"2020-01-{1 + k // 24:02d} {k % 24:02d}:00:00" for k in range(N)]
    offsets = [f"{pd.Timestamp(hours[k]) + pd.Timedelta(k % 3, 'h')}+0{k % 3}:00" for k in range(N)]
    assert in_true_order(task_of({"t": offsets}))
    offsets[7] = offsets[7][:-6]
    refused(r"column 't'; see task.time_format.* in row 8", task_of, {"t": offsets}, False)


def test_dates_that_can_be_read_in_two_ways(task_of):
    """The first of every month, or the first twelve days of January: nobody can know."""
    both = [f"01/{1 + k % 12:02d}/{2000 + k // 12}" for k in range(N)]
    match = "time_format='%m/%d/%Y'.* and .*time_format='%d/%m/%Y'.* both read every date"
    refused(rf"{match} in column 't'. Received: '01/01/2000' in row 1", task_of, {"t": both}, False)
    assert in_true_order(task_of({"t": both}, time_format="%d/%m/%Y"))
    assert not in_true_order(task_of({"t": both[::-1]}, time_format="%m/%d/%Y"))


@pytest.mark.parametrize("chunk", [7, 1000])
def test_one_date_decides_how_all_are_read(task_of, chunk):
    task = task_of({"t": written("%d/%m/%Y", start="2001-02-05")}, shuffled=False, chunk=chunk)
    assert "dates in column 't' read as %d/%m/%Y" in task.notes
    assert task.counts["time_gaps"] == 0


@pytest.mark.parametrize(
    ("times", "match"),
    [
        ([f"-{1000 - k:04d}-01-01" for k in range(N)], "years 1 to 9999.*'-1000-01-01' in row 1"),
        ([*WAYS["year 1"][:-1], "-0044-03-15"], "times as .*'-0044-03-15' in row 60"),
        ([f"{44 - k % 40} BC" for k in range(N)], "years 1 to 9999.*'44 BC' in row 1"),
        ([f"{9960 + k}-01-01" for k in range(N)], "'10000-01-01' in row 41"),
        (written("%d/%m/%y"), "task.time_format=.*'25/01/01' in row 1"),
        ([*written("%Y-%m-%d")[:-1], "31.12.2001"], "times as %Y-%m-%d in.*'31.12.2001' in row 60"),
        ([*written("%Y-%m-%d")[:3], None] * 15, "an empty cell in row 4"),
        ([*range(N - 1), "inf"], "numbers in column 't'.*'inf' in row 60"),
        ([f"{1990 + k // 5}Q{k % 5 + 1}" for k in range(N)], "quarters in.*'1990Q5' in row 5"),
        ([1, 2, 3, 3] * 15, "reason is several.*task.group names the column.*; another is an hour"),
    ],
)
def test_times_that_cannot_be_read(task_of, times, match):
    refused(match, task_of, {"t": times}, False)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"time_format": 5}, "how dates are written, as .* Received: task.time_format=5"),
        ({"time_format": "%Q"}, "how dates are written, as .* Received: task.time_format='%Q'"),
        ({"time_format": "%Y", "time": None}, "task.time, the column whose dates it describes"),
    ],
)
def test_formats_that_are_none(task_of, settings, match):
    refused(match, task_of, {"t": written("%Y-%m-%d")}, **settings)


def test_nanoseconds_beside_dates_they_cannot_reach(task_of):
    times = [f"2020-01-01 00:00:00.0000000{k:02d}" for k in range(N)]
    times[40:] = [f"{1650 + k}-01-01 00:00:00.000000" for k in range(20)]
    refused("1650-01-01|1678", task_of, {"t": times}, False, chunk=10)


def test_gaps_are_counted(task_of):
    days = np.arange(N) + np.where(np.arange(N) > 20, 4, 0) + np.where(np.arange(N) > 50, 1, 0)
    times = [str((pd.Timestamp("2020-01-01") + pd.Timedelta(k, "D")).date()) for k in days]
    task = task_of({"t": times})
    assert task.counts["time_gaps"] == 2
    assert task.summary(np.zeros(0, bool), {})["time_gaps"] == 2
    said = "2 of 59 steps are longer than the usual one, the longest 5 days instead of 1 day"
    assert any(f"{said}, after 2020-01-21; a horizon counts rows" in note for note in task.notes)
    numbers = task_of({"t": days})
    assert any("the longest 5 instead of 1, after 20;" in note for note in numbers.notes)


def test_gaps_in_sequences_of_different_steps(tmp_path):
    """Each sequence by its own usual step: 1 in one, 10 in the other, which has the one gap."""
    steps = {"a": np.arange(20), "b": np.r_[np.arange(10), np.arange(11, 21)] * 10}
    rows = [(name, t, t % 7) for name in ("a", "b") for t in steps[name]]
    rows += [(f"c{k}", t, t % 7) for k in range(8) for t in range(9)]
    table = pd.DataFrame(rows, columns=["id", "t", "v"])
    table.to_csv(tmp_path / "table.csv", index=False)
    task = Csv(str(tmp_path / "table.csv"), target="v", group="id", time="t")
    assert task.counts["time_gaps"] == 1
    assert any("the longest 20 instead of 10, after 90" in note for note in task.notes)
