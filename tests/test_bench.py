"""lstmlab-bench: every benchmark runs, measures what it says, and refuses what it does not know. No time is asserted."""

import pytest

from lstmlab import GatedRNN, bench, variants

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layers"], "argument what: invalid choice: 'layers' (choose from"),
        (["keras", "--shapes", "huge"], "argument --shapes: invalid choice: 'huge' (choose from"),
        (["keras", "--rounds", "0"], "argument --rounds: expected a positive integer. Received: '0'"),
    ],
)
def test_what_it_does_not_know(arguments, message, capsys):
    with pytest.raises(SystemExit):
        bench.main(arguments)
    assert message in capsys.readouterr().err
