"""Every command, file and number of docs/your_data.md, as they stand there."""

import csv
import re
import shlex
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lstmlab.tasks.csv import Csv

from lstmlab import results
from lstmlab.describe import build

PAGE = (Path(__file__).parents[2] / "docs" / "your_data.md").read_text(encoding="utf-8")
PROGRAMS = Path(sys.executable).parent
SUNSPOTS = distribution("statsmodels").locate_file("statsmodels/datasets/sunspots/sunspots.csv")


def commands() -> list[list[str]]:
    """Every `lstmlab` command of the page, as a shell would split it."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("lstmlab ")]


def table_below(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def write_tables(folder: Path) -> None:
    """The files that the commands name."""
    groups, steps = np.repeat(np.arange(40), 12), np.tile(np.arange(12), 40)
    wave = np.sin(groups + steps)
    frame = pd.DataFrame({"patient": groups, "hour": steps, "pulse": 60 + wave})
    frame.assign(outcome=groups % 2).to_csv(folder / "patients.csv", index=False)
    sales = pd.DataFrame({"store": groups // 8, "item": groups % 8, "day": steps, "sold": wave})
    sales.to_csv(folder / "sales.csv", index=False)
    beats = pd.DataFrame(wave.reshape(40, 12)).add_prefix("step_")
    beats.assign(kind=np.arange(40) % 2).to_csv(folder / "beats.csv", index=False)
    days = pd.date_range("2020-01-01", periods=480, freq="h")
    meter = {"date": days.strftime("%d.%m.%y"), "hour": days.hour, "kwh": wave}
    pd.DataFrame(meter).to_csv(folder / "meter.csv", index=False)


@pytest.mark.parametrize("command", commands(), ids=lambda command: " ".join(command)[:60])
def test_its_commands_describe_a_task(command, tmp_path, monkeypatch, capsys):
    write_tables(tmp_path)
    monkeypatch.chdir(tmp_path)
    if command[0].startswith("experiment="):
        assert command == ["experiment=digits"]  # see the last test
        return
    settings = [s.removeprefix("task.") for s in command[1:] if s.startswith("task.")]
    settings = [s.replace("$FILE", str(SUNSPOTS)) for s in settings]
    assert command[0] == "task=csv"
    task = build("csv", settings)
    assert task.test_size > 0
    if "beats.csv" in command[1]:
        assert "each row is a sequence of up to 12 steps" in capsys.readouterr().err
    if "sales.csv" in command[1]:
        assert len(task._starts) == 40
    if "meter.csv" in command[1]:
        assert task.counts["time_gaps"] == 0


# ---- how the file is written

PLAIN = "t,v\n" + "".join(f"{k},{1000 + k % 7}.5\n" for k in range(60))
WRITTEN = {
    "semicolons": (lambda: PLAIN.replace(",", ";").replace(".", ","), ["v", None]),
    "tabs": (lambda: PLAIN.replace(",", "\t"), ["v", None]),
    "thousands": (lambda: re.sub(r",1(\d\d\d.5)", r',"1,\1"', PLAIN), ["v", None]),
    "encoding": (lambda: PLAIN.replace("t,v", "é,v"), ["v", "cp1252"]),
    "above": (lambda: "a\nb\nc\n" + PLAIN, ["v", None]),
    "comments": (lambda: "# a\n" + PLAIN, ["v", None]),
    "no header": (lambda: PLAIN.partition("\n")[2], [None, None]),
    "missing": (lambda: PLAIN.replace("1003.5", "-9999", 1), ["v", None]),
}
SETTINGS = dict(zip(WRITTEN, table_below("How the file is written"), strict=True))


@pytest.mark.parametrize("name", WRITTEN)
def test_the_settings_of_its_table(name, tmp_path, monkeypatch):
    """Each is typed as it stands there; without it the table is refused, or read wrongly."""
    make, (target, encoding) = WRITTEN[name]
    (tmp_path / "t.csv").write_bytes(make().encode(encoding or "utf-8"))
    typed = SETTINGS[name][1].split("` or `")[0].split("`, `")[0].strip("`")
    settings = [setting.removeprefix("task.") for setting in shlex.split(typed)]
    base = [f"file={tmp_path / 't.csv'}", *([f"target={target}"] if target else [])]
    missing = ["missing=drop"] if name == "missing" else []
    task = build("csv", [*base, *missing, *settings])
    dropped = 1 if name == "missing" else 0
    assert task.counts["rows_dropped"] == dropped
    assert task.counts["table_rows"] == 60
    known = [1000.5 + k % 7 for k in range(60)]
    del known[3 : 3 + dropped]
    assert np.allclose(task._values[:, 0] * task.stds[0] + task.means[0], known, atol=1e-3)
    if name == "missing":
        wrong = build("csv", [*base, *missing])
        assert wrong.stds[0] > 100 * task.stds[0]
    else:
        with pytest.raises(ValueError, match="Csv: expected"):
            build("csv", [*base, *(["target=v"] if target is None else [])])


# ---- tables that do not fit

G = "id,t,v\n" + "".join(f"g{k // 6},{k % 6},{k % 7}\n" for k in range(60))
BY_GROUP = {"target": "v", "group": "id", "time": "t"}
BY_CLASS = {"target": "kind", "group": "id", "kind": "classification"}
CLASSES = "id,t,v,kind\n" + "".join(f"g{k // 6},{k % 6},{k % 7},{k // 6 % 2}\n" for k in range(60))
AMBIGUOUS = "t,v\n" + "".join(f"0{1 + k % 9}/01/{2000 + k // 9},{k % 7}\n" for k in range(60))
REFUSED = {
    "no file": ("", {"target": "v"}, "the empty file"),
    "a column that": (PLAIN, {"target": "V"}, "nearest: 'v'"),
    "two columns": ("v,v\n1,2\n", {"target": "v"}, r"in the columns \[1, 2\]"),
    "a cell that": (PLAIN.replace("3,1003.5", '3,"1,003.5"', 1), {"target": "v"},
                    "task.thousands=','.*row 4 below the header, column 'v'"),
    "numbers 1e18": (PLAIN.replace("1003.5", "1e30", 1), {"target": "v"}, "row 4 below the header"),
    "missing numbers": (PLAIN.replace("1003.5", "", 1), {"target": "v"}, "task.missing=drop or"),
    "an empty cell": (G.replace("g1,3", ",3"), BY_GROUP | {"missing": "drop"},
                      "no empty cells in column 'id'.*row 10 below the header"),
    "groups in which": (G + "g10,0,1\n", BY_GROUP, "task.short=drop"),
    "one time twice": (G.replace("g1,3", "g1,2"), BY_GROUP, "a second column"),
    "two classes": (CLASSES.replace("g1,3,2,1", "g1,3,2,0"), BY_CLASS, "one class per sequence"),
    "dates that": (AMBIGUOUS, {"target": "v", "time": "t"}, "%m/%d/%Y.*%d/%m/%Y"),
}  # fmt: skip
SAID = {
    "columns of words": (PLAIN.replace("v\n", "v,w\n").replace(".5\n", ".5,a\n"), "numbers: w"),
    "a whole number": (PLAIN.replace("1003.5", "-9999", 1), r"task.missing_values=\[-9999\]"),
    "gaps in time": (PLAIN.replace("30,1002.5\n", ""), "1 of 58 steps are longer"),
}


def test_every_row_of_the_table_is_tried():
    rows = [row[0] for row in table_below("Tables that do not fit")]
    tried = [*REFUSED, *SAID]
    assert len(rows) == len(tried)
    for row in rows:
        assert sum(row.startswith(name) for name in tried) == 1, row


@pytest.mark.parametrize("name", REFUSED)
def test_tables_that_are_refused(name, tmp_path):
    content, settings, match = REFUSED[name]
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ValueError, match=match) as caught:
        Csv(str(tmp_path / "t.csv"), **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "settings"),
    [
        ("g1,3,2", "?,3,2", BY_GROUP),
        ("g1,3,2", "g1,?,2", BY_GROUP),
        ("g1,3,2,train", "g1,3,2,?", BY_CLASS),
        ("g1,3,2,train", "g1,3,2,?", BY_GROUP | {"part": "kind"}),
    ],
)
def test_a_mark_where_no_number_is_asked_for(old, new, settings, tmp_path):
    content = G if old in G else CLASSES.replace(",1\n", ",train\n").replace(",0\n", ",test\n")
    (tmp_path / "t.csv").write_text(content.replace(old, new))
    with pytest.raises(ValueError, match=r"Csv: expected .* in row 10 below the header"):
        Csv(str(tmp_path / "t.csv"), missing="drop", missing_values="?", **settings)


@pytest.mark.parametrize("name", SAID)
def test_what_is_said(name, tmp_path, capsys):
    content, match = SAID[name]
    (tmp_path / "t.csv").write_text(content)
    Csv(str(tmp_path / "t.csv"), target="v", time="t")
    assert re.search(match, capsys.readouterr().err)


# ---- numbers


@pytest.fixture(scope="module")
def sunspots(tmp_path_factory):
    """The folder and the output of the first command of the page, and of what follows it."""
    folder = tmp_path_factory.mktemp("sunspots")
    command = [part.replace("$FILE", str(SUNSPOTS)) for part in commands()[0]]
    done = subprocess.run(
        [PROGRAMS / "lstmlab", *command], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.mark.slow
def test_the_sunspots(sunspots, monkeypatch, capsys):
    folder, done = sunspots
    [said] = re.findall(r"^    (Csv: .*)$", PAGE, re.MULTILINE)
    assert said in done.stderr.splitlines()
    row = results.load(folder / "outputs").iloc[-1]
    for cells in table_below("One series: sunspots"):
        for cell in cells[1:]:
            name, number = re.fullmatch(r"`(\w+)` ([\d.]+)", cell).groups()
            # training depends on the processor, the rules only on the table
            rounding = (
                0.2 * float(number)
                if name.startswith("test")
                else 10.0 ** -len(number.partition(".")[2])
            )
            assert row[name] == pytest.approx(float(number), abs=rounding), name
    assert row["test_loss"] < row["naive_loss"] / 2
    assert f"{row['weights']} weights" in PAGE
    assert row["test_size"] == 2

    monkeypatch.chdir(folder)
    [block] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    exec(compile(block, "your_data.md", "exec"), {})
    assert f"seasonal {row['seasonal_loss']}" in capsys.readouterr().out


def test_the_file_of_the_sunspots():
    with open(SUNSPOTS, newline="") as handle:
        rows = list(csv.reader(handle))
    assert ",".join(rows[0]) == "YEAR,SUNACTIVITY"
    assert len(rows) - 1 == 309
    assert (rows[1][0], rows[-1][0]) == ("1700", "2008")
    for said in ("`YEAR,SUNACTIVITY` and 309 rows", "from 1700 to 2008", "1963 to 2008"):
        assert said in PAGE
    assert int(float(rows[216 + 47 + 1][0])) == 1963


@pytest.mark.slow
def test_the_digits(tmp_path):
    """The second seed of the page: solved, and no more than one digit in twenty is wrong."""
    done = subprocess.run(
        [PROGRAMS / "lstmlab", "experiment=digits", "seed=1", "diagnostic=[]"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = results.load(tmp_path / "outputs").iloc[0]
    assert row["status"] == "solved"
    assert row["test_size"] == 360
    assert row["test_wrong"] <= 18
