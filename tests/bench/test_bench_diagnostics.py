"""The cost of measuring: the command's tables, from made-up measurements and from small ones."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lstmlab.bench import command as bench
from lstmlab.bench import diagnostics as bench_diagnostics


def in_this_process(command, **options):
    """What `python -m lstmlab.bench.diagnostics ORDER` answers."""
    assert command[:3] == [sys.executable, "-m", "lstmlab.bench.diagnostics"]
    answer = json.dumps(bench_diagnostics.measure(*json.loads(command[3])))
    return SimpleNamespace(returncode=0, stderr="", stdout=answer)


def test_measures_by_the_command(capsys, monkeypatch):
    monkeypatch.setattr(bench_diagnostics.subprocess, "run", in_this_process)
    chosen = "--measures gates memory --of-cells elman vanilla --steps 20 --batch 3 --rounds 2"
    bench.main(["measures", *chosen.split()])
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines()]
    found = {
        (line[1].strip(), line[2].strip()): [float(value) for value in line[3:6]]
        for line in lines[2:]
    }
    assert set(found) == {
        ("vanilla", "gates"),
        ("vanilla", "memory"),
        ("elman", "memory"),
    }  # elman has no gates
    assert all(first > 0 and again > 0 for first, again, _ in found.values())
    assert found["vanilla", "gates"][2] == 3


def test_a_measure_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no_such"):
        bench_diagnostics.measure("no_such", "vanilla", 20, 3, 1)


def test_presets_take_turns_and_are_compared_within_a_round(capsys, monkeypatch):
    taken, speed = (
        [],
        iter([1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0]),
    )  # the machine is slow in the second round

    def whole_run(preset, budget):
        taken.append((preset, budget))
        slower = next(speed)
        return {"s": slower * {"off": 10, "light": 11, "full": 15}[preset], "cpu s": slower * 7}

    monkeypatch.setattr(bench_diagnostics, "_whole_run", whole_run)
    bench.main(["presets", "--budget", "3000", "--rounds", "3"])
    assert [sorted(name for name, _ in taken[k : k + 3]) for k in (0, 3, 6)] == [
        ["full", "light", "off"]
    ] * 3
    assert {budget for _, budget in taken} == {3000}
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
    ]
    assert lines[0] == [
        "preset",
        "s",
        "cpu s",
        "ratio",
        "lower quartile",
        "upper quartile",
        "cpu ratio",
    ]
    assert [line[0] for line in lines[2:]] == ["off", "light", "full"]
    assert [float(line[3]) for line in lines[2:]] == pytest.approx([1.0, 1.1, 1.5])
    assert [float(line[6]) for line in lines[2:]] == [1.0, 1.0, 1.0]


def test_a_measure_that_cannot_be_taken_is_named(capsys, monkeypatch):
    failed = SimpleNamespace(returncode=1, stdout="", stderr="Traceback:\nValueError: too large\n")
    monkeypatch.setattr(bench_diagnostics.subprocess, "run", lambda *_, **__: failed)
    assert len(bench_diagnostics.measures(["gates"], ["vanilla"], 20, 3, 1)) == 0
    assert capsys.readouterr().err == "left out: gates of vanilla: ValueError: too large\n"


def test_a_whole_run_is_one_of_the_command_with_the_preset_and_the_budget(monkeypatch):
    seen = []

    def command(arguments, **options):
        seen.append(arguments)
        folder = Path(arguments[-1].removeprefix("outputs="))
        (folder / "run").mkdir()
        (folder / "run" / "result.json").write_text('{"seconds": 7.5}', encoding="utf-8")
        return SimpleNamespace(returncode=0, stderr="", stdout="")

    monkeypatch.setattr(bench_diagnostics.subprocess, "run", command)
    found = bench_diagnostics._whole_run("full", 3000)
    assert found["s"] == 7.5
    assert found["cpu s"] >= 0
    assert seen[0][3:5] == ["trainer.budget=3000", "diagnostic=full"]
    failed = SimpleNamespace(returncode=1, stderr="one\nthe reason\n", stdout="")
    monkeypatch.setattr(bench_diagnostics.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        ValueError, match=r"^bench: expected a run that ends\. Received: the reason$"
    ):
        bench_diagnostics._whole_run("full", 3000)


@pytest.mark.slow
def test_a_whole_run():
    found = bench_diagnostics._whole_run("off", 1000)
    assert 0 < found["s"] < 600
    assert found["cpu s"] > 1  # TensorFlow alone takes more
