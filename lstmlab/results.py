"""Run folders and pandas: plain files in, one DataFrame out."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd

ROW = "result.json"
STATUSES = ("running", "solved", "budget", "interrupted", "failed", "killed", "unreadable")
FINISHED = ("solved", "budget")
GROUPS = ("task", "cell", "learner", "trainer", "optimizer")


def first_row(config: dict, choices: dict[str, str]) -> dict:
    """The result row of a run that begins: every column that is known or still to come.

    config: the composed config as plain containers. choices: group -> name of the option chosen.
    """
    return {
        **{group: choices.get(group) or "custom" for group in GROUPS},
        "experiment": choices.get("experiment"),
        "seed": config.get("seed"),
        "status": "running",
        "reason": None,
        "solved": False,
        "sequences": 0,
        "sequences_to_solution": None,
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
        **{
            f"version.{name}": version(name) for name in ("lstmlab", "tensorflow", "keras", "numpy")
        },
        "version.python": platform.python_version(),
        **{key: value for key, value in flat(config).items() if key != "seed"},
    }


class Run:
    """The folder of one run. Everything in it can be read without this class: json, csv, TensorBoard events."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def begin(self, row: dict) -> None:
        """Write the first row; the folder is this run's from now on. Raises ValueError where it holds a run already."""
        try:
            (self.folder / ROW).open("x").close()
        except FileExistsError:
            raise ValueError(
                f"results: expected a folder without a run. Received: folder={str(self.folder)!r}"
            ) from None
        self.write_row(row)

    def write_row(self, row: dict) -> None:
        """Replace result.json in one move, so that no reader ever meets half a row."""
        draft = self.folder / f".{ROW}.draft"
        draft.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
        os.replace(draft, self.folder / ROW)

    def read_row(self) -> dict:
        """The row. Where it cannot be read: status 'unreadable' and the reason."""
        try:
            row = json.loads((self.folder / ROW).read_text(encoding="utf-8"))
            if not isinstance(row, dict):
                raise ValueError("not a JSON object")
            if row.get("status") not in STATUSES:
                raise ValueError(
                    f"expected status in {STATUSES}. Received: status={row.get('status')!r}"
                )
            if row["status"] == "solved" and not isinstance(row.get("sequences_to_solution"), int):
                raise ValueError("expected a solved run to say after how many sequences")
        except (OSError, ValueError) as error:
            row = {
                "status": "unreadable",
                "reason": f"{ROW}: {getattr(error, 'strerror', None) or error}",
            }
        return row

    def end_if_running(self, status: str, reason: str) -> dict:
        """The row; of a run whose process ended without a last word, with this status and reason from now on."""
        row = self.read_row()
        if row["status"] in ("running", "unreadable"):
            row.update(status=status, reason=reason)
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


def runs(folder: str | Path) -> list[Run]:
    """Every run folder at any depth under `folder`, sorted: those with a result.json, and those that lack it but began."""
    places = [*Path(folder).rglob(ROW), *Path(folder).rglob(".hydra")]
    return [Run(place) for place in sorted({path.parent for path in places})]


def load(folder: str | Path) -> pd.DataFrame:
    """One row per run found under `folder`, whatever its status; column 'run' is its folder. Sorted by folder.

    A run whose result.json is missing or cannot be read gives a row of status 'unreadable' with the reason: none is dropped.
    Raises FileNotFoundError where there is no such folder or no run in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"results: expected a folder with runs. Received: folder={str(folder)!r}, which is none"
        )
    rows = [{"run": str(run.folder), **run.read_row()} for run in runs(folder)]
    if not rows:
        raise FileNotFoundError(
            f"results: expected runs, folders with a {ROW}. Received: folder={str(folder)!r}, with none"
        )
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
