"""Tables, figures and summaries from rows alone."""

import json

import pandas as pd
import pytest

from lstmlab import report
from lstmlab.report import pictures
from lstmlab.results import Run

BASE = {
    "task": "adding",
    "cell": "lstm1997",
    "learner": "truncated1997",
    "seed": 0,
    "status": "solved",
    "reason": None,
    "sequences": 50_000,
    "sequences_to_solution": 48_123,
    "test_wrong": 1,
    "test_size": 2560,
    "test_error": 0.01,
    "seconds": 10.0,
    "task.T": 100,
    "optimizer.learning_rate": 0.5,
    "version.keras": "3",
    "published_sequences": None,
    "published_test_wrong": None,
    "published_source": None,
}
UNSOLVED = {"status": "budget", "sequences_to_solution": None, "test_wrong": 900}
LOSSES = {"test_loss": 0.0125, "chance_loss": 0.04, "memoryless_loss": 0.03}
FORECAST = {
    "task": "csv",
    "test_loss": 0.5,
    "chance_loss": None,
    "memoryless_loss": None,
    "naive_loss": 1.25,
    "mean_loss": 2.0,
}
PUBLISHED = {
    "published_sequences": 70_000,
    "published_test_wrong": 1,
    "published_source": "Table 7",
}


def rows(*changes):
    return pd.DataFrame(
        [{"run": f"r{n}", **BASE, "seed": n, **change} for n, change in enumerate(changes)]
    )


def folder_of(tmp_path, *changes):
    for n, change in enumerate(changes):
        (tmp_path / str(n)).mkdir()
        Run(tmp_path / str(n)).write_row({**BASE, "seed": n, **change})
    return tmp_path


@pytest.mark.parametrize(
    ("solved", "trials", "low", "high"),
    # by hand: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z = 1.959964
    [
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (1, 29, 0.006113, 0.171755),
    ],
)
def test_wilson_interval(solved, trials, low, high):
    line = report.table(rows(*[{}] * solved, *[UNSOLVED] * (trials - solved))).iloc[0]
    assert (line["trials"], line["solved"]) == (trials, solved)
    assert (line["low"], line["high"]) == (
        pytest.approx(low, abs=1e-6),
        pytest.approx(high, abs=1e-6),
    )


def test_statistics_are_over_the_solved_trials():
    n = [{"sequences_to_solution": value} for value in (10, 20, 60)]
    line = report.table(rows(*n, UNSOLVED)).iloc[0]
    wanted = {
        "sequences_mean": 30,
        "sequences_median": 20,
        "sequences_min": 10,
        "sequences_max": 60,
        "test_wrong_mean": 225.75,
    }
    assert {name: line[name] for name in wanted} == wanted


def test_what_counts_as_a_trial():
    diverged = {"status": "failed", "sequences": 4000, "sequences_to_solution": None}
    others = [
        {"status": s, "sequences": 0, "sequences_to_solution": None}
        for s in ("failed", "killed", "interrupted", "running")
    ]
    line = report.table(rows({}, diverged, *others)).iloc[0]
    assert (line["trials"], line["unfinished"], line["solved"]) == (2, 4, 1)


def test_one_line_per_task_cell_learner_and_differing_setting():
    table = report.table(
        rows(
            {},
            {"cell": "vanilla"},
            {"learner": "bptt"},
            {"optimizer.learning_rate": 0.1},
            {"version.keras": "4"},
        )
    )
    assert table["trials"].tolist() == [1, 1, 2, 1]
    assert set(table["settings"]) == {
        "",
        "optimizer.learning_rate=0.1",
        "optimizer.learning_rate=0.5",
    }


@pytest.mark.parametrize(("setting", "groups"), [("task.pair", 1), ("task.pairs", 2)])
def test_only_the_number_of_the_pair_of_sets_may_differ_within_a_group(setting, groups):
    """task.pair follows the seed; task.pairs is a setting of associative_recall."""
    assert len(report.table(rows({setting: 1}, {setting: 2}))) == groups


def test_rows_without_settings_make_no_difference():
    broken = {
        **dict.fromkeys(BASE),
        "status": "killed",
        "task": "adding",
        "cell": "lstm1997",
        "learner": "truncated1997",
    }
    table = report.table(rows({}, broken))
    assert table[["trials", "unfinished"]].to_numpy().sum() == 2
    assert table["settings"].tolist() in ([""], ["", ""])


def test_a_net_that_was_never_built_is_no_other_setting(tmp_path):
    killed = {
        "status": "killed",
        "head.activation": None,
        "sequences": 0,
        "sequences_to_solution": None,
    }
    folder_of(tmp_path, {"head.activation": "linear"}, killed)
    report.write(tmp_path)
    [line] = pd.read_csv(tmp_path / "report.csv").to_dict("records")
    assert (line["trials"], line["unfinished"]) == (1, 1)


def test_published_only_where_the_settings_match(tmp_path):
    folder_of(tmp_path, PUBLISHED, {"optimizer.learning_rate": 0.1})
    text = report.write(tmp_path)
    table = pd.read_csv(tmp_path / "report.csv").set_index("settings")["published_sequences"]
    assert table["optimizer.learning_rate=0.5"] == 70_000
    assert pd.isna(table["optimizer.learning_rate=0.1"])
    assert text.count("70,000") == 1
    assert "Published: Table 7." in text


def settings(folder):
    """The first table in a folder's report.md, one dict per line."""
    text = (folder / "report.md").read_text().partition("## Settings")[2].partition("## ")[0]
    names, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line[:1] == "|"
    ]
    return [dict(zip(names, line, strict=True)) for line in lines]


def test_losses_beside_those_to_beat(tmp_path):
    """Means over the tested trials of each line; each task has what its own rows know."""
    diverged = {
        "status": "failed",
        "sequences": 4000,
        "test_size": None,
        "chance_loss": 100.0,
        "memoryless_loss": 100.0,
    }
    stopped = {**LOSSES, "status": "interrupted", "test_loss": 100.0}
    adding = [
        LOSSES,
        {**LOSSES, "test_loss": 0.0375, "memoryless_loss": 0.02, **UNSOLVED},
        diverged,
        stopped,
    ]
    text = report.write(
        folder_of(tmp_path, *adding, FORECAST, {**FORECAST, "test_loss": 0.7, "naive_loss": 1.35})
    )
    one, two = pd.read_csv(tmp_path / "report.csv").to_dict("records")
    wanted = {
        "trials": 3,
        "test_loss_mean": 0.025,
        "chance_loss_mean": 0.04,
        "memoryless_loss_mean": 0.025,
    }
    assert {name: one[name] for name in wanted} == pytest.approx(wanted)
    assert {name: two[f"{name}_loss_mean"] for name in ("test", "naive", "mean")} == pytest.approx(
        {"test": 0.6, "naive": 1.3, "mean": 2.0}
    )
    assert all(
        pd.isna(value)
        for value in (one["naive_loss_mean"], one["mean_loss_mean"], two["chance_loss_mean"])
    )
    assert [(line["test loss, mean"], line["to beat"]) for line in settings(tmp_path)] == [
        ("0.025", "chance 0.04, memoryless 0.025"),
        ("0.6", "naive 1.3, mean 2"),
    ]
    assert "naive 1.3, mean 2" in text


def test_columns_of_the_shown_table(tmp_path):
    plain = [
        "task",
        "cell",
        "learner",
        "trials",
        "solved (95 % Wilson)",
        "mean to horizon (95 %)",
        "median (95 %)",
        "sequences, mean",
        "median",
        "range",
        "test wrong, mean",
        "seconds, median",
        "published",
    ]
    report.write(folder_of(tmp_path, {}))
    [line] = settings(tmp_path)
    assert list(line) == plain, "nothing was measured to beat or to be beaten"
    Run(tmp_path / "0").write_row({**BASE, **LOSSES})
    report.write(tmp_path)
    [line] = settings(tmp_path)
    assert list(line) == [*plain[:11], "test loss, mean", "to beat", *plain[11:]]


def test_a_loss_that_is_no_number_is_left_out(tmp_path):
    report.write(folder_of(tmp_path, FORECAST, {**FORECAST, "naive_loss": "?"}))
    [line] = settings(tmp_path)
    assert line["to beat"] == "naive 1.25, mean 2"


def test_settings_are_no_losses_to_beat(tmp_path):
    folder = folder_of(tmp_path, {**LOSSES, "head.loss": "squared", "task.final_loss": 3.0})
    assert "final" not in report.write(folder)
    assert "final" not in report.summary(folder / "0")


def test_half_written_rows_are_named(tmp_path):
    folder_of(tmp_path, {}, {"status": "killed", "reason": "exit code -9"})
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "result.json").write_text(json.dumps(BASE)[:40])
    text = report.write(tmp_path)
    assert "unreadable: " in text
    assert "killed: " in text
    assert "exit code -9" in text
    assert (tmp_path / "report.md").read_text().count("\n- ") == 2


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_only_unreadable_rows(tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    assert "unreadable" in report.write(tmp_path)
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["lstmlab-report", *map(str, arguments)])
    report.main()


def test_command(tmp_path, monkeypatch, capsys):
    command(monkeypatch, folder_of(tmp_path, {}, UNSOLVED))
    assert "1 (50%; 9%-91%)" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} >= {"report.md", "report.csv", "report.png"}


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_command_without_runs(tmp_path, monkeypatch, name):
    with pytest.raises(
        SystemExit, match=r"^lstmlab-report: results: expected .*Received: folder=.*"
    ) as error:
        command(monkeypatch, tmp_path / name)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {**PUBLISHED},
            [
                "solved after 48,123 sequences (published mean: 70,000)",
                "1 of 2560 wrong (published: 1 wrong)",
            ],
        ),
        (
            {**UNSOLVED},
            ["not solved in 50,000 sequences\n", "900 of 2560 wrong, mean absolute error 0.0100"],
        ),
        ({**UNSOLVED, "status": "failed", "test_wrong": None}, ["failed after 50,000 sequences\n"]),
        (LOSSES, ["\ntest loss    0.0125 (to beat: chance 0.04, memoryless 0.03)\n"]),
        (FORECAST, ["\ntest loss    0.5 (to beat: naive 1.25, mean 2)\n"]),
        ({"test_loss": 1e-5, "chance_loss": None}, ["\ntest loss    1e-05\n"]),
    ],
)
def test_summary(tmp_path, row, words):
    text = report.summary(folder_of(tmp_path, row) / "0")
    assert all(word in text for word in words), text
    assert ("test  " in text) == (row.get("test_wrong", 1) is not None)
    assert ("test loss" in text) == ("test_loss" in row)


def measured(folder, cells=4):
    run = Run(folder)
    t = range(1, 31)
    run.append(
        "history",
        pd.DataFrame(
            {"sequences": [1000, 2000], "absolute_error": [0.2, 0.1], "recent_wrong": [900, 0]}
        ),
    )
    names = [
        f"{n}_{k + 1}"
        for n in ("input_gate", "reset_gate", "candidate", "cell_state", "output")
        for k in range(cells)
    ]
    values = {
        "input_1": 0.5,
        "input_2": 0.0,
        "target_1": 0.3,
        "prediction_1": 0.2,
        **dict.fromkeys(names, 0.4),
    }
    last = [int(k == 30) for k in t]
    run.append(
        "example",
        pd.DataFrame({"sequences": 2000, "t": t, "weight": last, "event": last, **values}),
    )
    flow = [
        (s, lag, path, 0.5**lag)
        for s in (0, 2000)
        for lag in range(30)
        for path in ("cell_state", "carousel")
    ]
    run.append("error_flow", pd.DataFrame(flow, columns=["sequences", "lag", "path", "norm"]))
    return folder


@pytest.mark.parametrize("cells", [1, 4, 40])
def test_picture(tmp_path, cells):
    folder = measured(folder_of(tmp_path, PUBLISHED) / "0", cells)
    path = report.picture(folder)
    assert path == folder / "picture.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "picture.png" in report.summary(folder)


def drawn(folder, monkeypatch) -> list:
    """The axes of the run's picture, from top to bottom."""
    kept: list = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: kept.append(figure) or path)
    report.picture(folder)
    return kept[0].axes


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ("value, marker", ["value", "marker"]),
        (None, ["input 1", "input 2"]),
        ("a column, with a comma, more", ["input 1", "input 2"]),
    ],
)
def test_inputs_bear_the_names_of_the_task(inputs, names, tmp_path, monkeypatch):
    axes = drawn(measured(folder_of(tmp_path, {"inputs": inputs}) / "0"), monkeypatch)
    labels = [[tick.get_text() for tick in panel.get_yticklabels()] for panel in axes]
    assert names in labels


def test_the_legend_of_the_error_flow_is_in_words(tmp_path, monkeypatch):
    """One entry for each path, in its colour, and one for each moment; no names of columns."""
    *_, panel = drawn(measured(folder_of(tmp_path, PUBLISHED) / "0"), monkeypatch)
    legend = panel.get_legend()
    words = [text.get_text() for text in legend.get_texts()]
    assert words == [
        "cell state, by the carousel alone",
        "cell state, by all paths",
        "after 0 sequences",
        "after 2,000 sequences",
    ]
    found = [(line.get_color(), line.get_linestyle()) for line in legend.get_lines()[:2]]
    assert found == [(line.get_color(), line.get_linestyle()) for line in panel.lines[:2]]


def test_picture_of_what_there_is(tmp_path):
    folder = folder_of(tmp_path, {"status": "interrupted"}) / "0"
    assert report.picture(folder) is None
    Run(folder).append(
        "history", pd.DataFrame([{"sequences": 100, "absolute_error": 0.0, "recent_wrong": 0}])
    )
    assert report.picture(folder).exists()


def test_a_setting_that_only_others_have_is_in_no_name(tmp_path):
    report.write(folder_of(tmp_path, {}, {"optimizer.momentum": 0.5}))
    settings = pd.read_csv(tmp_path / "report.csv")["settings"]
    assert sorted(settings.fillna("")) == ["", "optimizer.momentum=0.5"]


def test_figure_puts_each_trial_in_its_own_line(tmp_path, monkeypatch):
    drawn = []
    points = pictures._points
    monkeypatch.setattr(
        pictures,
        "_points",
        lambda axes, height, values, *a: (
            drawn.append((height, list(values))) or points(axes, height, values, *a)
        ),
    )
    stopped = {"status": "interrupted", "sequences": 777, "sequences_to_solution": None}
    report.write(folder_of(tmp_path, {}, {"optimizer.learning_rate": 0.1, **UNSOLVED}, stopped))
    assert [(h, v) for h, v in drawn if v] == [(0, [50_000]), (1, [48_123])]
