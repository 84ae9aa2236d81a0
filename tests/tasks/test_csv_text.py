"""Tables as people's programs write them: the right numbers, or one line that says what to do."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from importlib.metadata import distribution

import numpy as np
import pandas as pd
import pytest
from lstmlab.tasks.common.table.form import MISSING
from lstmlab.tasks.csv import Csv
from refusals import refused

from lstmlab import describe

N = 60
V = [float(k % 7) for k in range(N)]


@pytest.fixture
def read(tmp_path):
    """Writes text or bytes to a file and makes the task of it."""

    def made(content, name="table.csv", **settings) -> Csv:
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(content)
        return Csv(str(tmp_path / name), **{"target": "v", "time": "t"} | settings)

    return made


def table(cells=V, separator=",", header=("t", "v"), end="\n") -> str:
    """Two columns, t and v."""
    lines = [separator.join(header), *(f"{t}{separator}{cell}" for t, cell in enumerate(cells))]
    return "".join(line + end for line in lines)


def numbers(task, line=0) -> list[float]:
    """A column as the table has it, in its order."""
    return (task._values[:, line] * task.stds[line] + task.means[line]).round(4).tolist()


# ---- files and encodings


def zipped(**members: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv.gz", gzip.compress(table().encode())),
        ("t.csv.bz2", bz2.compress(table().encode())),
        ("t.csv.xz", lzma.compress(table().encode())),
        ("t.zip", zipped(**{"data/t.csv": table(), "__MACOSX/t.csv": "x"})),
    ],
)
def test_packed_files(read, name, content):
    assert numbers(read(content, name)) == V


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("t.zip", zipped(a=table(), b=table()), "one file in the archive. Received: 2 in .*: a, b"),
        ("t.zip", b"PK garbage", "a file that can be read.*t.zip' "),
        ("t.xz", b"garbage", "a file that can be read.*t.xz' "),
        ("t.csv", gzip.compress(table().encode()), "or a name that ends in .gz"),
        ("t.csv", zipped(a=table()), r"or a name that ends in .zip|a byte of 0"),
        ("t.xlsx", zipped(a=table()), "a table as text; a spreadsheet or pandas can save one"),
    ],
)
def test_files_that_are_no_text(read, name, content, match):
    refused(match, read, content, name)


@pytest.mark.parametrize(
    ("written", "encoding", "hint"),
    [
        ("utf-16", "utf-16", "or task.encoding=utf-16. Received: byte 0xf"),
        ("latin-1", "latin-1", "or perhaps task.encoding=cp1252 or latin-1. Received: byte 0xf6"),
        ("utf-16-le", "utf-16-le", "or perhaps task.encoding=utf-16-le. Received: a byte of 0"),
        ("utf-8-sig", "utf-8", None),
    ],
)
def test_encodings(read, written, encoding, hint):
    name = "v" if written == "utf-16-le" else "Höhe"
    content = table(header=("t", name)).encode(written)
    assert numbers(read(content, target=name, encoding=encoding)) == V
    if hint is not None:
        refused(hint, read, content, target=name)


def test_ends_of_lines(read):
    for end in ("\n", "\r\n", "\r"):
        assert numbers(read(table(end=end))) == V


# ---- separators, quotes, lines that are no rows


def test_a_spreadsheet_in_german(read):
    text = table([f"{v + 1000:.2f}".replace(".", ",") for v in V], ";", end="\r\n")
    task = read(text.encode("utf-8-sig"), separator=";", decimal=",")
    assert numbers(task) == [v + 1000 for v in V]
    thousands = table([f"1.00{v:.0f},50" for v in V], ";")
    task = read(thousands, separator=";", decimal=",", thousands=".")
    assert numbers(task) == [1000.5 + v for v in V]


@pytest.mark.parametrize(("sign", "typed"), [("\t", r"\t"), ("|", "|"), (" ", " "), (", ", ",")])
def test_separators(read, sign, typed):
    assert numbers(read(table(separator=sign), separator=typed)) == V


def test_quoted_cells_with_separators_quotes_and_lines(read):
    cells = [f'{v},"a, ""b""\nc, {k}"' for k, v in enumerate(V)]
    assert numbers(read(table(cells, header=("t", "v,words")))) == V
    cells[8] = cells[8].replace("1.0", "x")
    refused("'x' in row 9 below the header", read, table(cells, header=("t", "v,words")))
    task = read(table(cells, header=("t", '"v",words')), missing_values=["x"], missing="drop")
    assert task.counts["rows_dropped"] == 1


def test_separators_at_the_end_of_lines(read):
    rows = table([f"{v}," for v in V])
    task = read(rows)
    assert numbers(task) == V
    assert "60 rows end with a separator, which does not count" in task.notes
    header = read(table(header=("t", "v,")))
    both = read(table([f"{v}," for v in V], header=("t", "v,")))
    assert numbers(header) == numbers(both) == V
    assert header.inputs == both.inputs == ("v",)


def test_empty_lines_and_rows_at_the_end(read):
    assert numbers(read(table() + "\n\n")) == V
    task = read(table() + ",\n,\n\n")
    assert numbers(task) == V
    assert task.counts["table_rows"] == N
    assert "2 empty rows at the end left out" in task.notes
    inside = table().replace("\n9,", "\n,\n9,")
    refused("numbers in column 't'.*an empty cell in row 10", read, inside)


def test_lines_above_the_header(read):
    text = "Station 7\nmade in 2020\n\n" + table()
    refused("perhaps task.skip=3, if the header is in this line.* in line 4", read, text)
    assert numbers(read(text, skip=3)) == V
    refused("Received: 1 in line 65", read, text + "3\n", skip=3)


def test_comments(read):
    text = "# made by a logger\n#\n# 2020, x\n" + table()
    text = text.replace("\n7,", "\n# stop\n\n7,").replace("30,2.0", "30,2.0 # checked")
    refused("perhaps \"task.comment='#'\", for the header is '# made by a logger'", read, text)
    task = read(text, comment="#")
    assert numbers(task) == V
    assert "2 blank lines and comments left out" in task.notes
    quoted = table([f'{v},"# {v}"' for v in V], header=("t", "v,words"))
    assert numbers(read(quoted, comment="#")) == V
    bad = table().replace("30,2.0", "# stop\n30,x")
    refused("'x' in row 31 below the header", read, bad, comment="#")
    refused("Received: 1 in line 33", read, bad.replace("30,x", "30"), comment="#")


# ---- headers


def test_an_index_that_pandas_wrote(read):
    frame = pd.DataFrame({"t": np.arange(N), "v": V})
    task = read(frame.to_csv())
    assert numbers(task) == V
    assert task.inputs == ("v",)
    assert (
        "columns without a name left out: 'Unnamed: 0'; task.features may name them" in task.notes
    )
    assert read(frame.to_csv(), features=["Unnamed: 0"]).inputs == ("v", "Unnamed: 0")
    again = pd.read_csv(io.StringIO(frame.to_csv())).to_csv()
    assert read(again).inputs == ("v",)
    dates = pd.Series(V, pd.date_range("1650-01-01", periods=N), name="v").to_csv()
    assert numbers(read(dates, time="Unnamed: 0")) == V
    wide = pd.DataFrame(np.arange(120).reshape(20, 6) % 7.0).to_csv()
    assert read(wide, format="wide", target=None, time=None).steps == 5


def test_a_table_without_a_header(read):
    rows = table().partition("\n")[2]
    refused("task.header=false if there is none", read, rows)
    refused("task.header=false names the columns 0, 1", read, rows.replace("0,0.0", "a,0.0"))
    assert numbers(read(rows, header=False, time="0", target="1")) == V
    task = read(rows, header=False, time=0, target=1)
    assert numbers(task) == V
    assert task.counts["table_rows"] == N


def test_a_header_of_numbers(read):
    wide = pd.DataFrame(np.arange(120).reshape(20, 6) % 7.0).to_csv(index=False)
    settings = {"format": "wide", "target": None, "time": None}
    refused("task.header=true if these are names", read, wide, **settings)
    assert read(wide, header=True, **settings).counts["table_rows"] == 20
    assert numbers(read(table(header=("t", "2008")), target=2008)) == V


def test_two_columns_of_one_name(read):
    text = table([f"{v},1" for v in V], header=("t", "v,v"))
    refused(r"different names in the header. Received: 'v' in the columns \[2, 3\]", read, text)


# ---- cells


@pytest.mark.parametrize("mark", ["?", "-", "-9999", "-9999.0", "n. a."])
def test_marks_of_missing_values(read, mark):
    text = table([mark if k == 30 else v for k, v in enumerate(V)])
    marks = ["?", "-", -9999, "n. a."]
    refused("1 missing, the first in step 31", read, text, missing_values=marks)
    task = read(text, missing_values=marks, missing="fill")
    assert task.counts["cells_filled"] == 1
    assert numbers(task) == [*V[:30], V[29], *V[31:]]
    if not mark.startswith("-9"):
        refused(f"missing_values=.*{mark[0]}.*row 31 below the header", read, text)


def test_marks_among_numbers_with_signs(read):
    text = table(["-9999.00" if k == 30 else f'"1,00{v:.0f}"' for k, v in enumerate(V)])
    task = read(text, missing_values=[-9999], thousands=",", missing="drop")
    assert task.counts["rows_dropped"] == 1
    assert numbers(task) == [1000 + v for k, v in enumerate(V) if k != 30]


def test_the_marks_of_pandas(read):
    """Our list is that of pandas.read_csv; in a column of numbers each of them is missing."""
    text = "".join(f"{word},1\n" for word in MISSING)
    frame = pd.read_csv(io.StringIO("a,b\n" + text))
    assert frame["a"].isna().all()
    cells = [*MISSING, *V[len(MISSING) :]]
    assert read(table(cells), missing="drop").counts["rows_dropped"] == len(MISSING)


def test_the_country_of_namibia(read):
    rows = [(name, t, 10 * k + t % 7) for k, name in enumerate(["DE", "NA", "US", "nan", "IT"] * 2)
            for t in range(6)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["country", "t", "v"]).assign(
        t=lambda f: f.groupby("country").cumcount()
    )
    task = read(frame.to_csv(index=False), group="country")
    assert len(task._starts) == 5
    assert "column 'country': 'NA', 'nan' taken as a word" in task.notes
    refused("no empty cells in column 'country'. Received: one in row 7", read,
            frame.to_csv(index=False), group="country", missing_values=["NA"])  # fmt: skip
    classes = frame.assign(id=np.arange(60) // 6)
    settings = {"group": "id", "kind": "classification", "target": "country", "time": None}
    counts = {"train": 0.6, "validation": 0.2, "test": 0.2}
    task = read(classes.to_csv(index=False), shares=counts, **settings)
    assert task.classes == ["DE", "IT", "NA", "US", "nan"]


@pytest.mark.parametrize(
    ("cell", "settings", "hint"),
    [
        ("{v}%", {}, None),
        ("-{v} %", {"negative": True}, None),
        ("${v}", {}, None),
        ("-${v}", {"negative": True}, None),
        ("{v} €", {}, None),
        ('"{v:,}"', {"thousands": ","}, "thousands=','"),
        ("{v:,}", {"thousands": "'"}, "thousands="),
        ("{v:,}", {"thousands": " "}, "task.thousands=' '"),
        ('"${v:,}"', {"thousands": ","}, "thousands=','"),
    ],
)
def test_signs_in_numbers(read, cell, settings, hint):
    """Numbers from 900 to 1495.5, so that some have a sign between thousands."""
    settings = dict(settings)
    sign = -1 if settings.pop("negative", False) else 1
    values = [900 + 99.25 * (k % 7) for k in range(N)]
    cells = [cell.format(v=value) for value in values]
    if settings.get("thousands", ",") != ",":
        between = {" ": "\u202f"}.get(settings["thousands"], settings["thousands"])
        cells = [text.replace(",", between) for text in cells]
    task = read(table(cells), **settings)
    assert numbers(task) == pytest.approx([sign * value for value in values])
    unit = next((unit for unit in "%$€" if unit in cell), None)
    assert (f"column 'v': numbers read without their sign {unit!r}" in task.notes) == bool(unit)
    if hint is not None:
        refused(hint, read, table(cells))
    if unit:
        mixed = [str(values[k]) if k == 30 else cells[k] for k in range(N)]
        refused("row 31 below the header", read, table(mixed), **settings)


@pytest.mark.parametrize(
    ("cells", "settings", "match"),
    [
        ([f"{v},5" for v in range(59)] + ["1.5"], {"decimal": ","}, "task.decimal='.'.*'1.5' in"),
        (["1.5"] * N, {"decimal": ","}, "numbers in the target.*task.decimal='.'.*'1.5' in row 1"),
        (["1,5"] * N, {}, "numbers in the target.*task.decimal=','.*'1,5' in row 1"),
        ([f"{v},5" for v in range(59)] + ["1.5"], {"decimal": ",", "thousands": "."}, "'1.5' in"),
        ([f"{v}.5%" for v in range(N - 1)] + ["1.5"], {}, "with '%', as in the first.*row 60"),
        ([f"{v}.5" for v in range(N - 1)] + ["1.5%"], {}, "the same sign in every row.*row 60"),
        ([f"{v}_000" for v in range(N)], {}, "'0_000' in row 1"),
        (["True"] * (N - 1) + ["maybe"], {}, "numbers in the target.*'maybe' in row 60"),
    ],
)  # fmt: skip
def test_signs_that_do_not_fit(read, cells, settings, match):
    refused(match, read, table(cells, ";"), separator=";", **settings)


def test_a_hint_for_a_column_that_is_left_out(read):
    task = read(table([f'{v},"1,00{v:.0f}.5"' for v in V], header=("t", "v,money")))
    [note] = [note for note in task.notes if "hold no numbers" in note]
    assert "money ('1,000.5'; perhaps \"task.thousands=','\")" in note


def test_true_and_false_wherever_they_are_named(read):
    rows = [(k // 6, k % 6, float(k % 7), k // 6 % 3 > 0, k % 2 > 0) for k in range(240)]
    frame = pd.DataFrame(rows, columns=["id", "t", "v", "kind", "flag"])
    for text in (frame.to_csv(index=False), frame.to_csv(index=False).replace("True", "TRUE")):
        for features in (None, ["kind", "flag"]):
            task = read(text, group="id", features=features)
            assert task.inputs == ("v", "kind", "flag")
            assert numbers(task, 2) == frame["flag"].astype(float).tolist()
            assert "columns ['kind', 'flag']: true is read as 1, false as 0" in task.notes
        assert (
            numbers(read(text, group="id", target="flag")) == frame["flag"].astype(float).tolist()
        )
        task = read(text, group="id", target="kind", kind="classification")
        assert [word.lower() for word in task.classes] == ["false", "true"]
        assert len(read(text, group=["kind", "id"])._starts) == 40


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"missing_values": {"?": 1}},
            "words or numbers. Received: task.missing_values=.",
        ),
        ({"comment": "//"}, "one character. Received: task.comment='//'"),
        ({"thousands": ""}, "one character. Received: task.thousands=''"),
        ({"thousands": "."}, "two different signs"),
        ({"skip": -1}, "an integer >= 0"),
        ({"header": "no"}, "true, false or null. Received: task.header='no'"),
        ({"group": [["t"]]}, "the name of a column, a list of names, or null"),
        ({"group": ["t", "t"]}, r"different columns. Received: task.group=\['t', 't'\]"),
    ],
)
def test_bad_settings(read, settings, match):
    refused(match, read, table(), **settings)


# ---- keys of two columns, wide tables


def keyed() -> pd.DataFrame:
    rows = [(f"s{s}", f"i{i}", t, 100 * s + 10 * i + t) for s in range(4) for i in range(3)
            for t in range(7)]  # fmt: skip
    return pd.DataFrame(rows, columns=["store", "item", "t", "v"])


def test_a_series_that_two_columns_identify(read):
    frame = keyed().sample(frac=1, random_state=0)
    text = frame.to_csv(index=False)
    task = read(text, group=["store", "item"], chunk=10)
    assert len(task._starts) == 12
    assert (task._lengths == 7).all()
    assert (np.diff(np.array(numbers(task)).reshape(12, 7), axis=1) == 1).all()
    said = "the rows were not in order: sorted by 'store' and 'item', then 't'"
    assert said in task.notes
    refused(r"a second column .* task.group=\[store, ...\].*56 repeated", read, text, group="store")
    refused("task.group names the column that tells them apart", read, text)


def test_two_keys_whose_words_look_alike_together(read):
    frame = keyed().replace({"store": {"s0": "a, b", "s1": "a"}, "item": {"i0": "b, c", "i1": "c"}})
    assert len(read(frame.to_csv(index=False), group=["store", "item"])._starts) == 12


def test_the_steps_of_el_nino():
    """The year that statsmodels' table begins with is no sea temperature."""
    file = distribution("statsmodels").locate_file("statsmodels/datasets/elnino/elnino.csv")
    task = Csv(str(file), format="wide")
    steps = "each row is a sequence of up to 13 steps: YEAR, JAN, FEB, MAR, ..., SEP, OCT, NOV, DEC"
    off = "step 1, column 'YEAR', is far off the other columns"
    assert task.notes == [steps, f"{off}: if it is no step, name the others in task.features"]
    with open(file, newline="") as handle:
        months = next(csv.reader(handle))[1:]
    alone = Csv(str(file), format="wide", features=months)
    assert [note for note in alone.notes if "far off" in note] == []
    assert alone.stds[0] < 5 < 100 < task.stds[0]


def test_a_column_that_counts_the_rows_of_a_wide_table(read):
    noise = np.random.default_rng(0).normal(50, 30, size=(40, 5))
    frame = pd.DataFrame(noise, columns=list("abcde"))
    frame.insert(2, "number", np.arange(40) + 1)
    settings = {"format": "wide", "target": None, "time": None}
    task = read(frame.to_csv(index=False), **settings)
    assert any(note.startswith("step 3, column 'number', counts the rows") for note in task.notes)
    growing = pd.DataFrame(np.arange(20)[:, None] + np.arange(5)).add_prefix("c")
    assert len(read(growing.to_csv(index=False), **settings).notes) == 1


def test_the_settings_as_they_are_typed(read, tmp_path):
    """Each sign in the form that a hint shows, through the command's own parser."""
    (tmp_path / "t.csv").write_text("% made\n" + table([f'"1,00{v:.0f}"' for v in V]))
    settings = [
        "target=v",
        "time=[t]",
        "comment='%'",
        "thousands=','",
        "missing_values=['?',-9999]",
    ]
    task = describe.build("csv", [f"file={tmp_path}/t.csv", *settings])
    assert numbers(task) == [1000 + v for v in V]


def test_true_and_false_in_a_wide_table(read):
    """A column of them is no step, unless it is named as one."""
    frame = pd.DataFrame(np.arange(200).reshape(40, 5) % 7 / 10).add_prefix("c").astype(str) + "%"
    frame["healthy"] = np.arange(40) % 2 > 0
    settings = {"format": "wide", "target": None, "time": None}
    task = read(frame.to_csv(index=False), **settings)
    assert task.steps == 4
    assert "columns left out, as they hold no numbers: healthy" in task.notes
    names = ["c0", "c1", "c2", "c3", "c4"]
    assert f"columns {names}: numbers read without their sign '%'" in task.notes
    assert read(frame.to_csv(index=False), features=[*names, "healthy"], **settings).steps == 5
    classes = settings | {"target": "healthy", "kind": "classification"}
    assert read(frame.to_csv(index=False), **classes).classes == ["False", "True"]


@pytest.mark.parametrize("mark", ["?", -9999])
def test_one_mark_of_missing_values_needs_no_list(read, mark):
    assert numbers(read(table([mark, *V]), missing="drop", missing_values=mark)) == V


def test_too_few_sequences_to_forecast(read):
    content = "g,t,v\n" + "".join(f"{g},{t},{t % 3}\n" for g in "ab" for t in range(9))
    refused("for validation beside one for training", read, content, group="g")


YES = ["yes", "no"] * (N // 2)


@pytest.mark.parametrize(
    ("cells", "match"),
    [
        (["?", *V[1:30], "?", *V[31:]], r"missing_values=\['\?'\].* in row 1 below"),
        ([*V[:-1], "Total"], "a last row of totals or notes must be taken out.*'Total' in row 60"),
        (["mm", *V], "a second line of the header, as one of units, .*'mm' in row 1 below"),
        (YES, "words are no numbers: task.group may name the column, task.features the others"),
        ([*V[:50], "a", "b", "c", "d"], "words are no numbers"),
    ],
)
def test_what_a_word_may_be(read, cells, match):
    text = table([f"{k},{cell}" for k, cell in enumerate(cells)], header=("t", "v", "w"))
    refused(match, read, text, features=["v", "w"])


@pytest.mark.parametrize(
    ("title", "count"), [("Rain in mm\n", 1), ("Rain in mm\n2008\n", 2), ("Rain in mm,\n", 1)]
)
def test_lines_of_a_title(read, title, count):
    refused(f"; perhaps task.skip={count}, if", read, title + table())
    assert numbers(read(title + table(), skip=count)) == V


def test_a_line_that_names_the_separator(read):
    text = "sep=;\n" + table(separator=";")
    refused("perhaps .*separator=';'.* and task.skip=1", read, text)
    assert numbers(read(text, separator=";", skip=1)) == V
