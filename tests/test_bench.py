"""lstmlab-bench: every benchmark runs, measures what it says, and refuses what it does not know. No time is asserted."""

import numpy as np
import pytest

from lstmlab import GatedRNN, bench, describe, variants

SHAPE = (2, 3, 2, 4)


def test_a_table_of_ratios():
    layers = {"slow": GatedRNN(4), "fast": GatedRNN(4, "elman")}
    table = bench.measured(layers, SHAPE, rounds=3, seconds=0.0)
    assert list(table["layer"]) == ["slow", "fast"]
    assert table["ratio"][0] == table["lower quartile"][0] == table["upper quartile"][0] == table["cpu ratio"][0] == 1
    assert (table["ms"] > 0).all()
    assert table["lower quartile"][1] <= table["ratio"][1] <= table["upper quartile"][1]


def test_layers_of_each_benchmark():
    assert {name: next(iter(make(*SHAPE))) for name, make in bench.BENCHMARKS.items()} == {
        "keras": "keras.layers.LSTM",
        "variants": "vanilla",
        "traces": "no traces",
    }
    assert sorted(bench.every_variant(*SHAPE)) == variants()


def test_traces_are_part_of_what_is_timed(rng):
    layers = bench.with_traces(*SHAPE)
    x = rng.normal(size=SHAPE[:3]).astype("float32")
    traced = layers["traces"](x)
    assert traced.shape == layers["no traces"](x).shape
    assert bench.measured(layers, SHAPE, rounds=1, seconds=0.0).shape == (4, 6)


def test_the_command(capsys, monkeypatch):
    monkeypatch.setitem(bench.SHAPES, "tiny", SHAPE)
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    bench.main(["keras", "--shapes", "tiny", "--rounds", "1"])
    printed = capsys.readouterr().out
    assert printed.startswith("tiny: batch, steps, features, units = (2, 3, 2, 4)\n| layer")
    assert "| GatedRNN vanilla" in printed


class Counted(describe.Task):
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
    """By a clock that says that every block of 1000 sequences takes 2 ms: 4 steps each on average, so 2 million per second."""
    ticks = iter(np.arange(0, 1, 0.002))
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(ticks))
    tasks = {"first": Counted(), "second": Counted()}
    table = bench.sampling(tasks, rounds=3, seconds=0.005)
    assert list(table["task"]) == ["first", "second"]
    assert table["steps"].tolist() == [4, 4]
    for column in ("million steps/s", "lower quartile", "upper quartile"):
        assert table[column].tolist() == pytest.approx([2, 2])
    assert [task.calls for task in tasks.values()] == [1 + 3 * 3] * 2, "once before, then until the seconds are over"


def test_sampling_of_tasks(capsys, monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    bench.main(["sampling", "--tasks", "adding", "copy_memory", "--rounds", "2"])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["task", "steps", "million steps/s", "lower quartile", "upper quartile"]
    assert [row[0] for row in rows[2:]] == ["adding", "copy_memory"]
    assert 104 < float(rows[2][1]) < 106
    assert float(rows[3][1]) == 120
    assert all(float(cell) > 0 for row in rows[2:] for cell in row[1:])


def test_sampling_of_all_tasks(capsys, monkeypatch):
    """Those that cannot be built without a setting, such as the user's table, are named."""
    made = bench._tasks(None)
    left_out = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert sorted([*made, *left_out]) == describe.names()
    assert set(left_out) <= {"csv"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layers"], "argument what: invalid choice: 'layers' (choose from"),
        (["keras", "--shapes", "huge"], "argument --shapes: invalid choice: 'huge' (choose from"),
        (["sampling", "--tasks", "addin"], "expected a task of adding, "),
        (["keras", "--rounds", "0"], "argument --rounds: expected a positive integer. Received: '0'"),
    ],
)
def test_what_it_does_not_know(arguments, message, capsys):
    with pytest.raises(SystemExit):
        bench.main(arguments)
    assert message in capsys.readouterr().err
