"""The runs below a log folder: their rows, their tables, as they are on disk now.

A run is any folder with a result row or with a table of a diagnostic, so also the log folder of a
GateTensorBoard; or one with nothing but the event files of such. Everything is read anew when its
file has changed; nothing is written.
"""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstmlab.results import GROUPS, ROW, STATUSES
from lstmlab.tensorboard import events

TABLES = (  # what the page draws; the first column of each counts training
    "history",
    "gates",
    "example",
    "error_flow",
    "bound",
    "memory",
    "interventions",
    "gradients",
    "jacobians",
)
SHOWN = (*GROUPS, "seed", "status", "sequences", "sequences_to_solution", "test_loss", "task.T")
SKIPPED = {"tb", ".hydra", ".git", "__pycache__", ".ipynb_checkpoints"}
VARIED = 8  # at most so many settings that differ between runs have a column
SETTINGS = ("task.", "cell.", "learner.", "head.", "optimizer.", "trainer.")


class Runs:
    """What is below one or several log folders.

    Args:
        roots: {name: folder}; a run is called by its path below its root, behind the root's name
            if that is not empty.
    """

    def __init__(self, roots: dict[str, Path]):
        self.roots = {name: Path(folder) for name, folder in roots.items()}
        self._rows: dict[Path, tuple[tuple, dict]] = {}
        self._found: dict[str, Path] = {}
        self._told: dict[Path, tuple[str, dict[str, str]]] = {}  # by event files alone

    def any(self) -> bool:
        """Whether there is a run at all."""
        return next(self._walk(), None) is not None

    def listed(self) -> dict[str, Any]:
        """Return what the list on the page shows.

        Returns:
            runs: A list with `run`, `row` (what is known of it), `tables` ({name: stamp}; another
            stamp means that the file has changed). varied: the settings that differ between runs.
        """
        listed: list[dict[str, Any]] = []
        rows: dict[str, dict] = {}
        self._found = {}
        for name, folder, tables in self._walk():
            self._found[name] = folder
            rows[name] = self._row(folder)
            listed.append({"run": name, "tables": tables})
        varied = _varied(list(rows.values()))
        for one in listed:
            row = rows[one["run"]]
            one["row"] = {key: row[key] for key in (*SHOWN, *varied) if row.get(key) is not None}
        listed.sort(key=lambda one: str(one["run"]))
        return {"runs": listed, "varied": varied}

    def table(self, run: str, name: str) -> str:
        """Return a table of a run as csv, without a damaged line or an unfinished last moment.

        Raises:
            KeyError: There is no such run, or it has no such table.
        """
        if name not in TABLES:
            raise KeyError(name)
        folder = self.folder(run)
        if folder in self._told:
            return self._told[folder][1][name]
        try:
            text = (folder / f"{name}.csv").read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise KeyError(f"{run}/{name}.csv") from error
        return _whole(text)

    def folder(self, run: str) -> Path:
        """Return the folder of a run that was listed.

        Raises:
            KeyError: No run of that name was found below the log folder.
        """
        if run not in self._found:
            self._found = {name: folder for name, folder, _ in self._walk()}
        return self._found[run]

    def _walk(self) -> Iterator[tuple[str, Path, dict[str, str]]]:
        """Name, folder and tables of each run; a folder that vanishes meanwhile is left out."""
        for root, top in self.roots.items():
            for place, folders, files in os.walk(top):
                folders[:] = sorted(name for name in folders if name not in SKIPPED)
                known = [name for name in TABLES if f"{name}.csv" in files]
                folder = Path(place)
                stamps = None
                if ROW not in files and not set(known) - {"history"}:
                    stamps = self._of_events(folder, files)
                    if not stamps:
                        continue
                else:
                    self._told.pop(folder, None)
                path = folder.relative_to(top).as_posix()
                name = "/".join(part for part in (root, path) if part)
                yield name, folder, _stamps(folder, known) if stamps is None else stamps

    def _of_events(self, folder: Path, files: list[str]) -> dict[str, str]:
        """The tables that event files tell, with their stamps; none where they are not ours."""
        stamp = events.ours(folder, files)
        if not stamp:
            return {}
        if self._told.get(folder, ("",))[0] != stamp:
            self._told[folder] = stamp, events.tables(folder)
        return dict.fromkeys(self._told[folder][1], stamp)

    def _row(self, folder: Path) -> dict:
        """The row of a run; empty where there is none or it cannot be read."""
        path = folder / ROW
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if self._rows.get(folder, (None,))[0] != stamp:
                row = json.loads(path.read_text(encoding="utf-8"))
                self._rows[folder] = stamp, row if isinstance(row, dict) else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            return {"status": STATUSES[-1]}
        return self._rows[folder][1]


def _stamps(folder: Path, names: list[str]) -> dict[str, str]:
    stamps = {}
    for name in names:
        try:
            found = (folder / f"{name}.csv").stat()
        except OSError:
            continue
        stamps[name] = f"{found.st_mtime_ns}-{found.st_size}"
    return stamps


def _varied(rows: list[dict]) -> list[str]:
    """The settings that differ between runs of the same options, those with fewest values first.

    What differs because the option of its group does says nothing more than the option's name.
    """
    values: dict[str, dict[str, set]] = {}
    for row in rows:
        for key, value in row.items():
            if key.startswith(SETTINGS) and not key.endswith("_target_") and key not in SHOWN:
                option = str(row.get(key.partition(".")[0]))
                values.setdefault(key, {}).setdefault(option, set()).add(json.dumps(value))
    counts = {key: max(map(len, found.values())) for key, found in values.items()}
    several = [key for key, count in counts.items() if count > 1]
    return sorted(several, key=lambda key: counts[key])[:VARIED]


def _whole(text: str) -> str:
    """A csv without lines of another width, and without a moment whose last line is unfinished."""
    whole, end, cut = text.rpartition("\n")
    lines = (whole + end).splitlines(keepends=True)
    if not lines:
        return ""
    plain = '"' not in text
    width = _width(lines[0], plain)
    head, *rows = [line for line in lines if _width(line, plain) == width]
    last = rows[-1].partition(",")[0] if rows else ""
    moment, comma, _ = cut.partition(",")
    # a moment that is cut off itself may be the last one
    if cut and (moment == last if comma else last.startswith(moment)):
        rows = [line for line in rows if line.partition(",")[0] != last]
    return "".join([head, *rows])


def _width(line: str, plain: bool) -> int:
    """How many values a line has."""
    return line.count(",") + 1 if plain else len(next(csv.reader(io.StringIO(line)), []))
