"""lstmlab-bench: every benchmark runs, measures what it says, and refuses what it does not know.

No time is asserted.
"""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lstmlab import GatedRNN, config, variants
from lstmlab.bench import command as bench
from lstmlab.bench import layers as bench_layers
from lstmlab.bench import learners as bench_learners
from lstmlab.bench import sampling
from lstmlab.task import Task

UNITS = 4
SHAPE = (2, 3, 2, UNITS)  # batch, steps, features, units


@pytest.mark.slow
def test_a_table_of_ratios():
    layers = {"slow": GatedRNN(4), "fast": GatedRNN(4, "elman")}
    table = bench_layers.measured(layers, SHAPE, rounds=3, seconds=0.0)
    assert list(table["layer"]) == ["slow", "fast"]
    assert (
        table["ratio"][0]
        == table["lower quartile"][0]
        == table["upper quartile"][0]
        == table["cpu ratio"][0]
        == 1
    )
    assert (table["ms"] > 0).all()
    assert table["lower quartile"][1] <= table["ratio"][1] <= table["upper quartile"][1]


@pytest.mark.slow
def test_layers_of_each_benchmark():
    assert {name: next(iter(make(UNITS))) for name, make in bench_layers.BENCHMARKS.items()} == {
        "keras": "keras.layers.LSTM",
        "variants": "vanilla",
        "traces": "no traces",
    }
    assert sorted(bench_layers.every_variant(UNITS)) == variants()


def first_two(benchmark):
    """A benchmark with its first two layers: each layer is compiled."""
    return lambda units: dict(list(benchmark(units).items())[:2])


@pytest.mark.slow
def test_traces_are_part_of_what_is_timed(rng):
    layers = bench_layers.with_traces(UNITS)
    x = rng.normal(size=SHAPE[:3]).astype("float32")
    traced = layers["traces"](x)
    assert traced.shape == layers["no traces"](x).shape
    two = {name: layers[name] for name in ("no traces", "traces")}
    assert bench_layers.measured(two, SHAPE, rounds=1, seconds=0.0).shape == (2, 6)


@pytest.mark.slow
def test_the_command(capsys, monkeypatch):
    monkeypatch.setitem(bench.SHAPES, "tiny", SHAPE)
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    monkeypatch.setitem(
        bench_layers.BENCHMARKS, "keras", first_two(bench_layers.BENCHMARKS["keras"])
    )
    bench.main(["keras", "--shapes", "tiny", "--rounds", "1"])
    printed = capsys.readouterr().out
    assert printed.startswith("tiny: batch, steps, features, units = (2, 3, 2, 4)\n| layer")
    assert "| GatedRNN vanilla" in printed


class Counted(Task):
    """A task that counts its calls; sequences of 3 and 5 steps, padded to 9."""

    features = outputs = 1
    steps, calls = 9, 0

    def sample(self, rng, n):
        self.calls += 1
        w = np.zeros((n, 9), "float32")
        w[::2, 2] = w[1::2, 4] = 1
        return np.zeros((n, 9, 1), "float32"), np.zeros((n, 9, 1), "float32"), w

    def correct(self, y, prediction, w):
        return np.ones(len(y), bool)


def test_padding_is_not_counted(monkeypatch):
    """By a clock that says that every block of 1000 sequences takes 2 ms.

    4 steps each on average, so 2 million per second.
    """
    ticks = iter(np.arange(0, 1, 0.002))
    monkeypatch.setattr(sampling.time, "perf_counter", lambda: next(ticks))
    tasks = {"first": Counted(), "second": Counted()}
    table = sampling.sampling(tasks, rounds=3, seconds=0.005)
    assert list(table["task"]) == ["first", "second"]
    assert table["steps"].tolist() == [4, 4]
    for column in ("million steps/s", "lower quartile", "upper quartile"):
        assert table[column].tolist() == pytest.approx([2, 2])
    assert [task.calls for task in tasks.values()] == [1 + 3 * 3] * 2, (
        "once before, then until the seconds are over"
    )


def test_sampling_of_tasks(capsys, monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    bench.main(["sampling", "--tasks", "adding", "copy_memory", "--rounds", "2"])
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert rows[0] == ["task", "steps", "million steps/s", "lower quartile", "upper quartile"]
    assert [row[0] for row in rows[2:]] == ["adding", "copy_memory"]
    assert 104 < float(rows[2][1]) < 106
    assert float(rows[3][1]) == 120
    assert all(float(cell) > 0 for row in rows[2:] for cell in row[1:])


def test_sampling_of_all_tasks(capsys, monkeypatch):
    """Those that cannot be built without a setting, such as the user's table, are named."""
    made = sampling.chosen(None)
    left_out = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert sorted([*made, *left_out]) == config.options("task")
    assert set(left_out) <= {"csv"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layers"], "argument what: invalid choice: 'layers' (choose from"),
        (["keras", "--shapes", "huge"], "argument --shapes: invalid choice: 'huge' (choose from"),
        (["sampling", "--tasks", "addin"], "task: expected one of adding, "),
        (
            ["keras", "--rounds", "0"],
            "argument --rounds: expected a positive integer. Received: '0'",
        ),
    ],
)
def test_what_it_does_not_know(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        bench.main(arguments)
    assert message in f"{stopped.value}{capsys.readouterr().err}"


LINES = {"vanilla": {"truncated1997_forward": 2.0, "rtrl": 4.0}}  # cell -> learner -> exponent


def raw_of_learners() -> pd.DataFrame:
    """Measurements as they would be: 3 us overhead of a call, 2 us a step.

    Widths by a power law, but not the small ones.
    """
    rows = []
    for learner, power in LINES["vanilla"].items():
        for k in range(3):
            slow = [1.0, 1.5, 1.1][k]  # one round in which the machine is slow
            for steps in (100, 1000, 10_000):
                rows.append(
                    ("length", "vanilla", learner, 4, steps, k, slow * (3e-6 + 2e-6 * steps), 500.0)
                )
            for units in (4, 8, 16, 32):
                rows.append(
                    (
                        "width",
                        "vanilla",
                        learner,
                        units,
                        200,
                        k,
                        slow * 200e-6 * max(units, 8) ** power,
                        500.0,
                    )
                )
        rows += [
            ("memory", "vanilla", learner, 4, steps, 0, 1.0, 400 + steps / 100)
            for steps in (100, 1000, 10_000)
        ]
    rows += [
        ("ratio", "vanilla", name, 4, 1000, k, (k + 1) * time, 500.0)
        for name, time in (("truncated1997_forward", 1.1), ("bptt", 1.0))
        for k in range(3)
    ]
    return pd.DataFrame(rows, columns=list(bench_learners.COLUMNS))


def test_tables_of_learners():
    raw = raw_of_learners()
    length = bench_learners.against_length(raw).query("learner == 'rtrl'")
    assert length["steps"].tolist() == [100, 1000, 10_000]
    np.testing.assert_allclose(length["peak MB"], [401, 410, 500])
    np.testing.assert_allclose(length["growth %"], [0, 100 * 9 / 401, 100 * 99 / 401])
    np.testing.assert_allclose(length["bytes per step"], [0, 2**20 / 100, 2**20 / 100])
    np.testing.assert_allclose(length["us per step"], 1.1 * np.array([2.03, 2.003, 2.0003]))
    np.testing.assert_allclose(length["to the longest"], np.array([2.03, 2.003, 2.0003]) / 2.0003)
    np.testing.assert_allclose(length["off line %"], 0, atol=1e-6)
    width = bench_learners.against_width(raw).set_index("learner")
    for learner, power in LINES["vanilla"].items():
        assert width.loc[learner, "measured"] == pytest.approx(power)
        assert width.loc[learner, "theory"] == power
        assert width.loc[learner, "16 cells"] == pytest.approx(1.1 * 16**power)
    assert bench_learners.ratios(raw)["vanilla"] == pytest.approx([1.1] * 3)
    text = bench_learners.tables(raw)
    assert (
        "vanilla, 4 cells, 1000 steps: a step of truncated1997_forward costs 1.10 x that of bptt"
        in text
    )
    assert text.count("| cell") == 2


def test_a_time_that_grows_with_the_square_is_off_the_line():
    raw = raw_of_learners()
    raw.loc[raw["part"] == "length", "seconds"] = 1e-9 * raw["steps"] ** 2
    assert bench_learners.against_length(raw)["off line %"].abs().max() > 50


def test_exponent_needs_two_widths():
    assert np.isnan(bench_learners.exponent(pd.Series({4: 1.0})))
    assert bench_learners.exponent(pd.Series({8: 8.0, 4: 1.0})) == pytest.approx(3)


def test_what_each_process_measures():
    listed = list(
        bench_learners._processes(["truncated1997_forward", "bptt"], ["vanilla"], [30, 20], [8, 4])
    )
    assert [part for part, _ in listed] == [
        "ratio",
        "memory",
        "memory",
        "length",
        "width",
        "memory",
        "memory",
        "length",
        "width",
    ]
    assert [item["steps"] for item in listed[3][1]] == [20, 30]
    assert [(item["units"], item["steps"]) for item in listed[4][1]] == [(4, 200), (8, 200)]
    assert [item["learner"] for item in listed[0][1]] == ["bptt", "truncated1997_forward"]
    assert "ratio" not in [
        part for part, _ in bench_learners._processes(["bptt"], ["vanilla"], [20], [4])
    ]


@pytest.mark.slow
def test_items_take_turns_and_what_cannot_be_built_is_named():
    items = [bench_learners._item("vanilla", "bptt", units, 5) for units in (2, 4)]
    items.append(bench_learners._item("lstm1997", "bptt", 3, 5))
    answer = bench_learners.measure(items, rounds=2, seconds=0.0)
    assert sorted((row["round"], row["units"]) for row in answer["rows"]) == [
        (0, 2),
        (0, 4),
        (1, 2),
        (1, 4),
    ]
    assert all(row["seconds"] > 0 for row in answer["rows"])
    assert len(answer["left_out"]) == 1
    assert answer["left_out"][0].startswith("bptt (lstm1997, 3 cells, 5 steps): ")
    assert answer["peak_mb"] > 100


@pytest.mark.slow
def test_learners_by_the_command(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    monkeypatch.setattr(bench_learners, "STEPS", 7)
    path = tmp_path / "learners.csv"
    monkeypatch.setattr(bench_learners.subprocess, "run", in_this_process)
    bench.main(
        [
            "learners",
            "--learners",
            "bptt",
            "--cells",
            "vanilla",
            "--lengths",
            "5",
            "6",
            "--widths",
            "2",
            "4",
            "--rounds",
            "2",
            "--csv",
            str(path),
        ]
    )
    printed = capsys.readouterr().out
    assert printed.count("| vanilla") == 3
    raw = pd.read_csv(path)
    assert list(raw.columns) == list(bench_learners.COLUMNS)
    assert raw.groupby("part").size().to_dict() == {"length": 4, "memory": 2, "width": 4}
    assert set(raw[raw["part"] == "width"]["steps"]) == {7}


def in_this_process(command, **options):
    """What `python -m lstmlab.bench.learners ORDER` answers."""
    assert command[:3] == [sys.executable, "-m", "lstmlab.bench.learners"]
    return SimpleNamespace(
        returncode=0, stderr="", stdout=json.dumps(bench_learners.measure(**json.loads(command[3])))
    )


def test_a_process_that_fails_is_named(capsys, monkeypatch):
    failed = SimpleNamespace(returncode=1, stdout="", stderr="Traceback:\nMemoryError: no room\n")
    monkeypatch.setattr(bench_learners.subprocess, "run", lambda *_, **__: failed)
    items = [bench_learners._item("vanilla", "bptt", 4, 5)]
    assert bench_learners._apart("width", items, 1, 0.0) == []
    said = "left out: width of bptt (vanilla, 4 cells, 5 steps): MemoryError: no room\n"
    assert capsys.readouterr().err == said


@pytest.mark.slow
def test_a_process_of_its_own(capsys):
    """It names what cannot be built, goes on, and holds the memory of its own only."""
    ballast = np.ones(3 * 2**26)  # 1.6 GB in this process
    items = [bench_learners._item(cell, "bptt", 4, 5) for cell in ("no_such", "vanilla")]
    [row] = bench_learners._apart("memory", items, 0, 0.0)
    assert "left out: memory of bptt (no_such, 4 cells, 5 steps): " in capsys.readouterr().err
    assert (row["part"], row["steps"], row["round"]) == ("memory", 5, 0)
    assert 100 < row["peak_mb"] < ballast.nbytes / 2**20
