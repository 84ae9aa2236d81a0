"""lstmlab-bench trials: the csv and the tables hold what was measured. No time is asserted."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lstmlab.bench import command as bench

pytest.importorskip("numba")

from lstmlab.bench import trials, trials_shown
from lstmlab.trainers import native

pytest.importorskip("numba")


def in_this_process(command, **options):
    """What `python -m lstmlab.bench.trials ORDER` answers."""
    assert command[:3] == [sys.executable, "-m", "lstmlab.bench.trials"]
    answer = json.dumps(trials.over_length(*json.loads(command[3])))
    return SimpleNamespace(returncode=0, stderr="", stdout=answer)


def made_up() -> pd.DataFrame:
    """Two rounds, the machine being half as fast in the second: ratios are the same in both."""
    rows = []
    speeds = {("whole", 1): 10.0, ("whole", 2): 5.0, ("kernel", 1): 8.0, ("keras", 1): 4000.0}
    for number, slow in enumerate((1.0, 2.0)):
        for (what, cores), ns in speeds.items():
            row = {"part": "size", "size": "default", "learner": "bptt", "what": what}
            row |= {"cores": cores, "round": number, "ns": slow * ns, "cpu_ns": slow * ns}
            rows.append(row)
        for length in (1000, 100):
            for what, ns in (("whole", 9.0), ("kernel", 7.0), ("sampling", 2.0)):
                row = {"part": "length", "size": length, "what": what, "round": number}
                rows.append(row | {"cpu_ns": ns, "peak_mb": 20.0 if what == "whole" else np.nan})
    return pd.DataFrame(rows, columns=list(trials.COLUMNS))


def test_ratios_are_taken_within_rounds():
    table = trials_shown.by_size(made_up()).set_index(["what", "cores"])
    assert list(table.index) == [
        ("Native", 1),
        ("Native", 2),
        ("kernel alone", 1),
        ("KerasFit", 1),
    ]
    assert table["x KerasFit"].tolist() == [400, 800, 500, 1]
    assert table["x cpu"].tolist() == [400, 800, 500, 1]
    assert table["x one core"].tolist() == [1, 2, 1, 1]
    assert table["ns"].tolist() == [15, 7.5, 12, 6000]


def test_a_table_over_length():
    table = trials_shown.by_length(made_up())
    assert list(table.columns) == ["steps", "Native", "kernel alone", "sampling alone", "MB"]
    assert table.to_numpy().tolist() == [[100, 9, 7, 2, 20], [1000, 9, 7, 2, 20]]


@pytest.mark.slow
def test_the_command(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(trials.subprocess, "run", in_this_process)
    monkeypatch.setattr(trials, "KERAS_STEPS", {True: 10})
    csv, picture = tmp_path / "trials.csv", tmp_path / "trials.png"
    words = "trials --quick --rounds 2 --sizes default --trials 2 --lengths 30 90 --trained-by bptt"
    bench.main([*words.split(), "--csv", str(csv), "--picture", str(picture)])
    printed = capsys.readouterr().out
    assert printed.startswith("processor: ")
    assert f"{trials.cores()} cores for this process\nvectors: " in printed
    assert "default: 2 inputs, 2 blocks of 2 cells of 1997" in printed
    raw = pd.read_csv(csv)
    assert list(raw.columns) == list(trials.COLUMNS)
    many = len({1, trials.cores()})
    assert raw.groupby("what").size().to_dict() == {
        "whole": 2 * many + 4,
        "kernel": 2 * many + 4,
        "sampling": 2 + 4,
        "keras": 2,
    }
    assert set(raw["round"]) == {0, 1}
    numbers = raw[["cores", "trials", "steps", "seconds", "cpu_seconds", "ns", "cpu_ns"]]
    assert (numbers.drop(columns="cpu_seconds").drop(columns="cpu_ns") > 0).all(axis=None)
    np.testing.assert_allclose(raw["ns"], 1e9 * raw["seconds"] / raw["steps"])
    np.testing.assert_allclose(raw["cpu_ns"], 1e9 * raw["cpu_seconds"] / raw["steps"])
    told = raw["peak_mb"].notna()
    assert (told == ((raw["part"] == "length") & (raw["what"] == "whole"))).all()
    assert (raw["peak_mb"][told] >= 0).all()
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_steps_of_the_kernel_are_those_up_to_the_last_error():
    asked = trials.Asked(["default"], ["truncated1997"], [], trials=1, rounds=1, quick=True)
    made = trials._native("default", "truncated1997", asked)
    call = made._lanes(3)
    feeds = [made.built.task.sample(native.generator(3 + lane, "train"), made.built.task.block)
             for lane in range(native.LANES)]  # fmt: skip
    n = max(2, trials.READY // (110 * 2))
    expected = sum(w[:n].argmax(axis=1).sum() + n for _, _, w in feeds)
    steps = call()
    assert steps > 0
    assert steps % expected == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "huge"], "argument --sizes: invalid choice: 'huge' (choose from"),
        (["--trials", "0"], "argument --trials: expected a positive integer. Received: '0'"),
        (["--trained-by", "uoro"], "argument --trained-by: invalid choice: 'uoro' (choose from"),
        (["--csv", "no/such/t.csv"], "no/such/t.csv: expected a file that can be written."),
        (["--picture", "no/such/t.png"], "no/such/t.png: expected a file that can be written."),
    ],
)
def test_what_it_does_not_know(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        bench.main(["trials", *arguments])
    told = f"{stopped.value}{capsys.readouterr().err}"
    assert message in told


def test_without_numba_it_says_so_in_one_line(monkeypatch):
    monkeypatch.setattr(native, "missing", lambda: "No module named 'numba'")
    with pytest.raises(SystemExit) as stopped:
        bench.main(["trials", "--quick"])
    assert str(stopped.value) == (
        "lstmlab-bench: trials: expected Numba, which kernels need: pip install numba. "
        "Received: No module named 'numba'"
    )


def test_a_process_that_fails_is_named_in_one_line(monkeypatch):
    failed = SimpleNamespace(returncode=1, stdout="", stderr="Traceback:\nValueError: too long\n")
    monkeypatch.setattr(trials.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit) as stopped:
        bench.main(["trials", "--quick", "--sizes"])
    assert str(stopped.value).endswith(
        "expected a process that learns sequences of 100 steps. Received: ValueError: too long"
    )
