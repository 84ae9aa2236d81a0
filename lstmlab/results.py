"""Run folders and pandas: plain files in, one DataFrame out."""

import json
import os
from pathlib import Path

import pandas as pd

ROW = "result.json"
STATUSES = ("running", "solved", "budget", "interrupted", "failed", "killed", "unreadable")
FINISHED = ("solved", "budget")


class Run:
    """The folder of one run. Everything in it can be read without this class: json, csv, TensorBoard events."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def write_row(self, row: dict) -> None:
        """Replace result.json in one move, so that no reader ever meets half a row."""
        draft = self.folder / f".{ROW}.draft"
        draft.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
        os.replace(draft, self.folder / ROW)

    def read_row(self) -> dict:
        return json.loads((self.folder / ROW).read_text(encoding="utf-8"))

    def row_or_killed(self, exit_code: int) -> dict:
        """The row that the run's process left. If it ended without a last word, the row says so from now on: 'killed'."""
        row = _row(self.folder / ROW)
        if row["status"] in ("running", "unreadable"):
            row.update(status="killed", reason=f"the process ended with exit code {exit_code} before it could write its end")
            row.pop("run")
            self.write_row(row)
        return row

    def append(self, name: str, table: pd.DataFrame) -> None:
        """Add rows to <name>.csv; they are on disk when this returns."""
        path = self.folder / f"{name}.csv"
        table.to_csv(path, mode="a", header=not path.exists(), index=False)

    def read(self, name: str) -> pd.DataFrame:
        """<name>.csv, empty if there is none."""
        path = self.folder / f"{name}.csv"
        return pd.read_csv(path) if path.exists() else pd.DataFrame()


def load(folder: str | Path) -> pd.DataFrame:
    """One row per run found under `folder`, whatever its status; column 'run' is its folder. Sorted by folder.

    A result.json that cannot be read gives a row of status 'unreadable' with the reason; nothing is dropped.
    Raises FileNotFoundError where there is no such folder or no run in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"results: expected a folder with runs. Received: folder={str(folder)!r}, which is none")
    rows = [_row(path) for path in sorted(folder.rglob(ROW))]
    if not rows:
        raise FileNotFoundError(f"results: expected runs, folders with a {ROW}. Received: folder={str(folder)!r}, with none")
    return pd.DataFrame(rows)


def flat(config: dict, prefix: str = "") -> dict:
    """The leaves of a nested config under dotted names; lists as JSON text, so that a row stays one row in csv."""
    leaves = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            leaves.update(flat(value, f"{name}."))
        else:
            leaves[name] = json.dumps(value) if isinstance(value, list) else value
    return leaves


def _row(path: Path) -> dict:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(row, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        row = {"status": "unreadable", "reason": f"{path.name}: {error}"}
    return {"run": str(path.parent), **row}
