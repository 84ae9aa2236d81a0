"""The command `lstmlab-explain`: what it writes, and what it refuses."""

import io
import re

import pytest

from lstmlab import explain, variant
from lstmlab.explain import command
from lstmlab.explain.measured import DIAGNOSTICS
from lstmlab.explain.page import Formula
from lstmlab.explain.progress import PARTS, Progress
from lstmlab.symbolic.equations import equations


def test_the_command_for_a_cell(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    explain.main(["cell=peephole", "units=2", "forget_gate=null", "input_gate.peephole=null"])
    assert capsys.readouterr().out == "written: explain-peephole.html\n"
    text = (tmp_path / "explain-peephole.html").read_text(encoding="utf-8")
    cell = variant("peephole", units=2, forget_gate=None, input_gate="sigmoid")
    for line in equations(cell):
        assert Formula(line.latex).mathml() in text
    assert "There is no forget gate" in text
    explain.main(["cell=gru", "--out", str(tmp_path / "deep" / "er")])
    assert (tmp_path / "deep" / "er" / "explain-gru.html").exists()


def run_folder(tmp_path, *without: str):
    folder = tmp_path / "run"
    (folder / ".hydra").mkdir(parents=True)
    for name in ("result.json", ".hydra/config.yaml", "model.weights.h5"):
        if name not in without:
            (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nowhere"],
            r"explain: expected a folder with a run\. Received: .*nowhere', which is not a folder",
        ),
        (
            ["."],
            r"explain: expected a folder with a run, result\.json\. Received: .*'\.', with none",
        ),
        (
            ["cell=peehole"],
            r"cell: expected one of cascade, .* \(nearest: peephole\)\. Received: cell=peehole",
        ),
        (
            ["cell=gru", "--out", "taken/below"],
            r"explain: expected a folder that .*Received: --out='taken/below': Not a directory",
        ),
        (
            ["cell=gru", "--out", "taken"],
            r"explain: expected a folder that .*Received: --out='taken': File exists",
        ),
        (
            ["cell=cascade"],
            r"equations: expected a GatedCell, .*\. Received: cell=CascadeCell",
        ),
        (
            ["cell=gru", "gate=1"],
            r"gru: expected one of units, .*\. Received: gate=1",
        ),
        (
            ["cell=gru", "units"],
            r"gru: expected name=value for a setting\. Received: units",
        ),
        (
            ["cell=gru", "units=2,3"],
            r"gru: expected one value, for a list \[value, value\]\. Received: units=2,3",
        ),
        (
            ["cell=gru", "units=[2"],
            r"gru: expected a value as `lstmlab` reads it, .* Received: units=\[2",
        ),
        (["cell=gru", "units=0"], r"GatedCell: expected a positive integer\. Received: units=0"),
        (["cell=gru", "forget_gate.bia=1"], r".*bia.*"),
        (
            ["cell=gru", "candidate_activation=softmax"],
            r"equations: .*Received: candidate_activation='softmax'",
        ),
    ],
)
def test_what_it_refuses(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("")
    with pytest.raises(SystemExit) as stopped:
        explain.main(arguments)
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(f"lstmlab-explain: {message}\n", said.err)
    assert list(tmp_path.rglob("*.html")) == []


def test_nothing_to_explain_is_a_wrong_call(capsys):
    with pytest.raises(SystemExit) as stopped:
        explain.main([])
    assert stopped.value.code == 2


def test_a_run_without_weights_and_one_of_another_version(tmp_path, capsys):
    for without, message in (
        (
            ("model.weights.h5",),
            "expected a folder with a run that has ended and saved its weights, model.weights.h5.",
        ),
        ((), "expected a run that lstmlab "),
    ):
        folder = run_folder(tmp_path / str(len(without)), *without)
        with pytest.raises(SystemExit):
            explain.main([str(folder)])
        error = capsys.readouterr().err
        assert re.match(rf"lstmlab-explain: \w+: {re.escape(message)}", error)
        assert error.count("\n") == 1
        assert not (folder / "explain.html").exists()


def test_other_runs_are_written_when_one_cannot_be(tmp_path, monkeypatch, capsys):
    def of_run(folder, out, progress):
        assert progress
        if "nowhere" in folder:
            raise ValueError(f"no {folder}")
        return f"{folder} in {out}"

    monkeypatch.setattr(command, "of_run", of_run)
    explain.main(["a/b", "--out", "here"])
    explain.main(["a/b"])
    with pytest.raises(SystemExit):
        explain.main(["nowhere", "a/b", "a/c", "--out", "here"])
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"written: {one}"
        for one in ("a/b in here", "a/b in None", "a/b in here/b", "a/c in here/c")
    ]
    assert said.err == "lstmlab-explain: no nowhere\n"


def test_runs_of_the_same_name_do_not_overwrite_one_another(tmp_path, monkeypatch, capsys):
    made = []
    monkeypatch.setattr(command, "of_run", lambda folder, out, progress: made.append(out))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(SystemExit, match=r"^lstmlab-explain: explain: expected runs .* a/0 b/0$"):
        explain.main(["a/0", "b/0", "--out", "out"])
    assert not made
    explain.main([".", "../b", "--out", "out"])
    assert [str(path) for path in made] == ["out/here", "out/b"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_is_shown_what_is_done(monkeypatch):
    for stream, said in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        with Progress("run-0") as tell:
            for part in ("loading TensorFlow", "measuring jacobians"):
                tell(part)
        assert ("run-0: loading TensorFlow" in stream.getvalue()) is said
        assert ("run-0: measuring jacobians" in stream.getvalue()) is said
        # the line goes when the page is written
        assert stream.getvalue().endswith("\r") is said
    monkeypatch.setattr("sys.stderr", hidden := Terminal())
    with Progress("run-0", shown=False) as tell:
        tell("measuring")
    assert hidden.getvalue() == ""


def test_parts_are_counted_up_to_the_end(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with Progress("run-0") as tell:
        counts = [tell(f"{k}") or tell.bar.n for k in range(PARTS + 2)]
    assert counts == [*range(PARTS), PARTS, PARTS]
    assert len(DIAGNOSTICS) + 4 == PARTS  # TensorFlow, the run, the terms, drawing
