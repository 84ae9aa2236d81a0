"""The summary of one run, as printed at its end, and its picture."""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from lstmlab.report import pictures
from lstmlab.report.statistics import yardsticks
from lstmlab.report.tables import short, to_beat
from lstmlab.results import Run


def summary(folder: str | Path) -> str:
    """Return the result of one run in a few lines.

    Args:
        folder: The folder of the run.
    """
    row = Run(folder).read_row()
    lines = [
        ("result", _verdict(row)),
        ("test", _test(row)),
        ("test loss", _losses(row)),
        ("published", row.get("published_source")),
        *places(Path(folder), ("picture.png",)),
    ]
    return "\n".join(f"{name:<12} {text}" for name, text in lines if text)


def places(folder: Path, files: Iterable[str]) -> list[tuple[str, str]]:
    """Where a run lies, and those of its files that are there: (name, path or command)."""
    folder = short(folder)
    lines = [("run", f"{folder}/")]
    for name in files:
        if (folder / name).exists():
            lines.append(("picture" if name.endswith(".png") else "report", f"{folder}/{name}"))
    if (events := Run(folder).events).exists():
        lines.append(("TensorBoard", tensorboard(events)))
    return lines


def tensorboard(events: Path) -> str:
    """The command that shows a folder of event files."""
    # the program of this environment, which need not be on the PATH
    program = str(short(Path(sys.executable).parent / "tensorboard"))
    return shlex.join([program, "--logdir", str(short(events))])


def picture(folder: str | Path, row: dict | None = None) -> Path | None:
    """Draw picture.png of one run (see `pictures.of_run`).

    Args:
        folder: The folder of the run.
        row: Its row. Default: result.json, which a run that ends writes after its picture.

    Returns:
        The path of the picture; None if nothing was measured.

    Raises:
        WriteError: The picture cannot be written.
    """
    run = Run(folder)
    row = run.read_row() if row is None else row
    return pictures.of_run(run, row, _verdict(row))


def _verdict(row: dict) -> str:
    """How the run ended, and after how many sequences."""
    published = row.get("published_sequences")
    beside = f" (published mean: {published:,})" if published else ""
    if row["status"] == "solved":
        return f"solved after {row['sequences_to_solution']:,} sequences{beside}"
    if row["status"] == "budget":
        met = row.get("criterion_met_by")
        trivial = f"; the criterion is met without learning, by {met}" if met else ""
        return f"not solved in {row['sequences']:,} sequences{beside}{trivial}"
    return f"{row['status']} after {row.get('sequences') or 0:,} sequences"


def _test(row: dict) -> str | None:
    if row.get("test_wrong") is None:
        return None
    published = row.get("published_test_wrong")
    beside = f" (published: {published} wrong)" if published is not None else ""
    wrong = f"{row['test_wrong']} of {row['test_size']} wrong{beside}"
    return f"{wrong}, mean absolute error {row['test_error']:.4f}"


def _losses(row: dict) -> str | None:
    """The network's mean loss on the test set, and those that it has to beat there."""
    if row.get("test_loss") is None:
        return None
    beat = to_beat({name: row[name] for name in yardsticks(row)})
    return f"{row['test_loss']:.4g}" + (f" (to beat: {beat})" if beat else "")
