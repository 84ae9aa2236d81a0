"""The command lstmlab-tasks: what it prints, and what it refuses."""

import inspect
import subprocess
import sys

import pytest
from hydra.utils import instantiate

from lstmlab import config, describe
from lstmlab.cells import Staggered
from lstmlab.config import compose as composed
from lstmlab.criterion import criterion
from lstmlab.describe import command


def test_every_task_is_listed(capsys):
    describe.main([])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == config.options("task")
    assert "adding " in lines[0]
    assert all(line[-1] in ".?" for line in lines), "whole sentences"
    assert lines[0].endswith(
        "Two marked numbers, far apart in a stream of noise: give their sum at the end."
    )


def test_docstrings_are_those_of_the_classes():
    for name in config.options("task"):
        target = config.settings("task", name)["_target_"]
        assert command._docstring(target) == inspect.getdoc(config.target("task", name))
    # offered by a package, written in a module of it
    assert command._docstring("lstmlab.cells.Staggered").startswith(Staggered.__doc__[:20])


def test_one_task(capsys, tmp_path):
    describe.main(
        [
            "adding",
            "T=60",
            "--seed",
            "4",
            "criterion.wrong=3",
            "--picture",
            str(tmp_path / "adding.png"),
        ]
    )
    printed = capsys.readouterr().out
    for part in (
        "Two marked numbers",
        "Shown   Pairs",
        "References:\n    Hochreiter",
        "\nT: 100  ",
        "sequence 0 of seed 4: 6",
    ):
        assert part in printed
    assert printed.endswith(f"picture: {tmp_path / 'adding.png'}\n")
    assert (tmp_path / "adding.png").read_bytes().startswith(b"\x89PNG")
    task = describe.build("adding", ["T=60", "criterion.wrong=3"])
    assert (task.T, task.criterion["wrong"]) == (60, 3)
    assert describe.describe(task, 4) in printed


def test_the_seed_reaches_the_task():
    """conf/task/embedded_reber.yaml draws its sets from the seed."""
    first, second = (describe.build("embedded_reber", seed=seed) for seed in (0, 1))
    assert first.training_strings != second.training_strings


@pytest.mark.parametrize(
    "settings",
    [
        ["T=3e1"],
        ["T='30'"],
        ["T=int(30.0)"],
        ["inclusive=no"],
        ["inclusive=off"],
        ["inclusive=False"],
        ["inclusive="],
        ["criterion.error_below=null"],
        ["criterion.error_below=~"],
        ["criterion.error_below=1e-3"],
        ["criterion.wrong=0x3"],
        ["criterion.wrong=1_0", "criterion.sequences=20"],
        ["criterion={wrong: 3, sequences: 30}"],
        ["criterion.measure=foo"],
        ["criterion.rule=budget"],
        ["T=${seed}"],
        ["T=30", "T=40"],
    ],
)
def test_settings_mean_what_they_mean_to_the_other_command(settings):
    def through_hydra():
        config, _ = composed("task=adding", *(f"task.{setting}" for setting in settings))
        task = instantiate(config["task"])
        criterion(**task.criterion)
        return task

    def answer(build):
        try:
            return {name: value for name, value in vars(build()).items() if name != "_seed"}
        except Exception:
            return "refused"

    assert answer(lambda: describe.build("adding", settings)) == answer(through_hydra)


@pytest.mark.parametrize(
    "name", [name for name in config.options("task") if name != "csv"]
)  # which needs a file
def test_every_card_has_a_criterion_that_training_takes(name):
    assert describe.build(name).criterion


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["addin"],
            r"task: expected one of adding, .* \(nearest: adding\)\. Received: task=addin$",
        ),
        (
            ["adding", "t=50"],
            r"adding: expected one of T, inclusive, criterion\.sequences, .*Received: t=50$",
        ),
        (
            ["adding", "criterion.wron=5"],
            r"\(nearest: criterion\.wrong\)\. Received: criterion\.wron=5$",
        ),
        (["adding", "T"], r"adding: expected name=value for a setting\. Received: T$"),
        (
            ["adding", "T=[5"],
            r"adding: expected a value as `lstmlab` reads it, .* Received: T=\[5$",
        ),
        (
            ["adding", "T=30", "T=50,60"],
            r"adding: expected one value, for a list \[value, value\]\. Received: T=50,60$",
        ),
        (["adding", "inclusive=yes"], r"Adding: expected .*Received: task\.inclusive='yes'$"),
        (
            ["adding", "criterion={wron: 5}"],
            r"adding: expected one of .* Received: criterion\.wron=5$",
        ),
        (
            ["adding", "criterion.measure=foo"],
            r"SlidingWindow: expected one of .* Received: criterion\.measure='foo'$",
        ),
        (["adding", "criterion.rule=budget"], r"Received: criterion\.rule=budget$"),
        (
            ["multiplication", "criterion.wrong=3000"],
            r"in 0\.\.1999\. Received: criterion\.wrong=3000$",
        ),
        (
            ["embedded_reber", "criterion.sets=[nope]"],
            r"names among \['test', 'training'\]\. .*criterion\.sets=\['nope'\]$",
        ),
        (["adding", "T=5"], r"Adding: expected an integer >= 24.* Received: task\.T=5$"),
        (["adding", "--seed", "-1"], r"Received: seed=-1$"),
        (["adding", "--position", "-1"], r"Received: position=-1$"),
        (
            ["adding", "--picture", "nowhere/adding.png"],
            r"^lstmlab-tasks: nowhere/adding\.png: expected a file .*: No such file or directory$",
        ),
        (["adding", "--picture", "adding.txt"], r"Format 'txt' is not supported"),
    ],
)
def test_what_it_refuses(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message) as stopped:
        describe.main(arguments)
    assert str(stopped.value).startswith("lstmlab-tasks: ")
    assert "\n" not in str(stopped.value)


def test_the_command_loads_neither_tensorflow_nor_keras():
    code = (
        "import sys; from lstmlab import describe; describe.main(['adding']); "
        "loaded = {name.split('.')[0] for name in sys.modules}; "
        "sys.exit(str(sorted(loaded & {'tensorflow', 'keras'}) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""
    assert "Adding: training sequence 0" in done.stdout
