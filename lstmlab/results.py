"""Run folders and pandas: plain files in, one DataFrame out."""

import json
import os
import platform
import re
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from lstmlab import files
from lstmlab.errors import refusal

ROW = "result.json"
SETTINGS = "run.yaml"  # what the run was made from, see lstmlab.runs.kept
CELLS = "cells.json"  # the cell of each layer that GateTensorBoard measures, as Keras saves it
EVENTS = "tb"  # the folder of a run's event files
POINTER = "tb.txt"  # in a run of a sweep, in place of that folder: where it is
NAMES = "names.json"  # in the tb/ of a sweep: the names of its runs in TensorBoard
STATUSES = ("running", "solved", "budget", "interrupted", "failed", "killed", "unreadable")
FINISHED = ("solved", "budget")
GROUPS = ("task", "cell", "learner", "trainer", "optimizer")


def first_row(config: dict, choices: dict[str, str]) -> dict:
    """Return the result row of a run that begins, with every column that all runs have.

    `lstmlab.runs.train` fills it in, and adds the columns of the task and of the learner; the table
    of columns is in docs/results.md.

    Args:
        config: The composed config as plain containers.
        choices: For each group, the name of the chosen option.
    """
    packages = ("lstmlab", "tensorflow", "keras", "numpy")
    return {
        **{group: choices.get(group) or "custom" for group in GROUPS},
        "experiment": choices.get("experiment"),
        "seed": config.get("seed"),
        "status": "running",
        "reason": None,
        "solved": False,
        "sequences": 0,
        "sequences_to_solution": None,
        "sequences_to_few_wrong": None,
        "criterion_met_by": None,
        "published_sequences": None,
        "published_solved": None,
        "published_test_wrong": None,
        "published_source": None,
        "test_wrong": None,
        "test_size": None,
        "test_error": None,
        "test_loss": None,
        "chance_loss": None,
        "memoryless_loss": None,
        "seconds": None,
        "peak_memory_mb": None,
        "weights": None,
        "inputs": None,
        **{f"version.{name}": version(name) for name in packages},
        "version.python": platform.python_version(),
        **{key: value for key, value in flat(config).items() if key != "seed"},
    }


class Run:
    """The folder of one run.

    Everything in it can be read without this class: json, csv, TensorBoard events.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    @property
    def events(self) -> Path:
        """The folder of its event files; that of a run in a sweep is tb/NAME in the sweep's."""
        try:
            there = (self.folder / POINTER).read_text(encoding="utf-8").strip()
        except OSError:
            return self.folder / EVENTS
        return Path(os.path.normpath(self.folder / there))

    def keep_events_in(self, folder: Path) -> None:
        """Write where the event files are, if not in the run's own tb/. Raises WriteError."""
        there = Path(os.path.relpath(folder, self.folder)).as_posix()
        files.write(self.folder / POINTER, there + "\n")

    def begin(self, row: dict) -> None:
        """Write the first row; the folder belongs to this run from now on.

        Raises:
            ValueError: The folder holds a run already.
        """
        path = self.folder / ROW
        try:
            with files.writing(path):
                path.open("x").close()  # fails if another process was faster
        except files.WriteError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            received = {"folder": str(self.folder)}
            raise refusal("results", "a folder without a run", received) from None
        try:
            self.write_row(row)
        except files.WriteError:
            path.unlink()  # empty, it would be a run that cannot be read
            raise

    def write_row(self, row: dict, last: bool = False) -> None:
        """Replace result.json in one move, so that no reader ever meets half a row.

        Args:
            row: The row.
            last: Whether the run ends with it. It is on the disk when this returns; if a full disk
                has no room for a second file, it is written over the row that is there.

        Raises:
            WriteError: It cannot be written; the row that was there stays.
        """
        path = self.folder / ROW
        try:
            files.write(path, json.dumps(row, indent=1) + "\n", sync=last)
        except files.WriteError as error:
            if not last or not path.is_file():
                raise
            # compact, so that the reason still fits into the room of the first row
            with suppress(files.WriteError):
                files.overwrite(path, json.dumps(row, separators=(",", ":")) + "\n")
                return
            raise error

    def read_row(self) -> dict:
        """Return the row; one that cannot be read has the status 'unreadable' and the reason."""
        try:
            row = json.loads((self.folder / ROW).read_text(encoding="utf-8"))
            _check(row)
        except (OSError, ValueError) as error:
            # strerror: without the number and the path
            reason = getattr(error, "strerror", None) or error
            return {"status": "unreadable", "reason": f"{ROW}: {reason}"}
        return row

    def end_if_running(self, status: str, reason: str) -> dict:
        """End the row of a run whose process ended without doing so.

        Args:
            status: For a row that is 'running' or cannot be read. Other rows stay as they are.
            reason: Goes with the status.

        Returns:
            The row. If it cannot be written, its reason says so.
        """
        row = self.read_row()
        if row["status"] in ("running", "unreadable"):
            row.update(status=status, reason=reason)
            try:
                self.write_row(row, last=True)
            except files.WriteError as error:
                row.update(reason=f"{reason}; {error}")
        return row

    def append(self, name: str, table: pd.DataFrame) -> None:
        """Add rows to <name>.csv, in one piece. Raises WriteError; the file is then as before."""
        path = self.folder / f"{name}.csv"
        files.append(path, table.to_csv(header=not path.exists(), index=False))

    def read(self, name: str) -> pd.DataFrame:
        """Return <name>.csv; empty if there is none."""
        path = self.folder / f"{name}.csv"
        return pd.read_csv(path) if path.exists() else pd.DataFrame()


def _check(row: Any) -> None:
    """Raise ValueError, without an owner, for what is not the row of a run."""
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    status = row.get("status")
    if status not in STATUSES:
        raise ValueError(f"expected status in {STATUSES}. Received: status={status!r}")
    if status == "solved" and not isinstance(row.get("sequences_to_solution"), int):
        raise ValueError("expected a solved run to say after how many sequences")


def runs(folder: str | Path) -> list[Run]:
    """Return every run at any depth under a folder, sorted by path, numbers in it by their value.

    A run is a folder with a result.json, or one that lacks it but has begun and so holds run.yaml
    or .hydra.
    """
    # one walk: with thousands of runs it takes most of the time
    found = [
        at
        for at, folders, names in os.walk(folder)
        if ROW in names or SETTINGS in names or ".hydra" in folders
    ]
    return [Run(place) for place in sorted(found, key=_in_order)]


def _in_order(path: str) -> list[list[tuple[bool, int, str]]]:
    """A key by which 9-adding stands before 10-adding, and a folder before what lies in it."""
    return [
        [
            (not part.isdecimal(), int(part) if part.isdecimal() else 0, part)
            for part in parts
            if part
        ]
        for parts in (re.split(r"(\d+)", name) for name in Path(path).parts)
    ]


def load(folder: str | Path) -> pd.DataFrame:
    """Return one row for each run, whatever its status, sorted by folder, 9 before 10.

    A run whose result.json is missing or cannot be read gets a row with the status 'unreadable'
    and the reason: no run is dropped.

    Args:
        folder: A folder with runs at any depth.

    Returns:
        The rows; the column 'run' holds the folder of each. Whole numbers stay whole where some
        rows lack them: such a column has the type Int64.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        received = f"folder={str(folder)!r}, which is not a folder"
        raise FileNotFoundError(str(refusal("results", "a folder with runs", received)))
    rows = [{"run": str(run.folder), **run.read_row()} for run in runs(folder)]
    if not rows:
        expected, received = f"runs, folders with a {ROW}", f"folder={str(folder)!r}, with none"
        raise FileNotFoundError(str(refusal("results", expected, received)))
    return _table(rows)


def _table(rows: list[dict]) -> pd.DataFrame:
    """The rows as a table in which whole numbers stay whole where some rows lack them."""
    table = pd.DataFrame(rows)
    for name in table.select_dtypes(float).columns:
        known = [row[name] for row in rows if row.get(name) is not None]
        if all(type(value) is int for value in known):
            table[name] = pd.array([row.get(name) for row in rows], dtype="Int64")
    return table


def flat(config: dict, prefix: str = "") -> dict:
    """Return the leaves of a nested config under dotted names.

    Lists become JSON text, so that a row stays one row in csv.
    """
    leaves = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            leaves.update(flat(value, f"{name}."))
        else:
            leaves[name] = json.dumps(value) if isinstance(value, list) else value
    return leaves
