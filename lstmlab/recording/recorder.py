"""Recorder: measures what is due, keeps it as csv, and shows it on a Board; for the runs of the lab and for the callback."""

import copy
import sys
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lstmlab.diagnostics.base import Diagnostic
from lstmlab.recording.board import Board
from lstmlab.recording.layers import Parts


class Recorder:
    """Every diagnostic's tables in <folder>/<its name>.csv and on the Board.

    diagnostics: {name: Diagnostic}. probe: as `parts` takes it. unit: the column in front, of what is counted in training.
    board: default, Board(folder / 'tb'). strict: a ValueError of a diagnostic's first measurement, before anything is trained
    or lost, is raised; else, as in all later ones, whatever a diagnostic raises costs one line on stderr, and it is left out
    from then on. A folder that is full or not writable costs one line, and nothing more is written (see Disk).

    For a Keras model each row names its `layer`, and where there are several layers each has a sub-run of its own on the Board.
    Raises ValueError for what is no Diagnostic.
    """

    def __init__(
        self,
        folder,
        diagnostics: dict[str, Diagnostic],
        probe,
        unit: str = "sequences",
        board=None,
        strict=True,
    ):
        for name, diagnostic in diagnostics.items():
            if not isinstance(diagnostic, Diagnostic):
                raise ValueError(
                    f"Recorder: expected a diagnostic. Received: diagnostic.{name}={diagnostic!r}"
                )
        self.folder, self.diagnostics, self.probe, self.unit = (
            Path(folder),
            dict(diagnostics),
            probe,
            unit,
        )
        self.board = Board(self.folder / "tb") if board is None else board
        self.strict = strict
        self.measured_at: dict[str, int] = {}

    def start(self, model) -> None:
        """Find the model's parts, and which diagnostics serve them; the others are left out with a line on stderr each.

        Raises ValueError for a model or a probe that `parts` refuses.
        """
        self._parts = Parts(model)
        found = self._parts(self.probe)
        self._boards = {
            layer: self.board.sub(layer) if len(found) > 1 else self.board for layer in found
        }
        self._serving: dict[str, dict[str, Diagnostic]] = {}
        for name, diagnostic in list(self.diagnostics.items()):
            layers = [layer for layer, (part, _) in found.items() if diagnostic.serves(part)]
            # each layer its own: diagnostics keep what they compiled for one model, and what they show
            self._serving[name] = {
                layer: copy.copy(diagnostic) if layer else diagnostic for layer in layers
            }
            if not layers:
                cells = ", ".join(
                    dict.fromkeys(type(part.cell).__name__ for part, _ in found.values())
                )
                self._leave_out(name, f"cell={cells} does not have what it measures")

    def measure(
        self, model, now: int, before: int | None = None, among: Iterable[str] | None = None
    ) -> None:
        """Every diagnostic that is due between `before` and `now`; with before=None all that were not yet measured at `now`.

        among: the names of those that are asked at all; default, all.
        """
        due = [
            name
            for name, diagnostic in self.diagnostics.items()
            if self._is_due(name, diagnostic, now, before)
        ]
        due = [name for name in due if among is None or name in among]
        if not due:
            return
        found = self._parts(self.probe)
        for name in due:
            first = name not in self.measured_at
            self.measured_at[name] = now
            try:
                self._measure(name, found, now)
            except (
                Exception
            ) as error:  # a diagnostic may be of anyone's making, and none is worth a run
                if first and self.strict and isinstance(error, ValueError):
                    raise
                self._leave_out(name, " ".join(str(error).split()) or type(error).__name__)
        self.flush()

    def flush(self) -> None:
        """What was written can be read from now on."""
        for board in self._all_boards():
            board.flush()

    def close(self) -> None:
        for board in self._all_boards():
            board.close()

    def append(self, name: str, table: pd.DataFrame) -> None:
        """Add rows to <name>.csv, in one piece. Raises ValueError where it has other columns."""
        self.board.disk.write(self._append, self.folder / f"{name}.csv", table)

    def _is_due(self, name: str, diagnostic: Diagnostic, now: int, before: int | None) -> bool:
        return self.measured_at.get(name) != now and (before is None or diagnostic.due(before, now))

    def _measure(self, name: str, found: dict, now: int) -> None:
        serving = {layer: one for layer, one in self._serving[name].items() if layer in found}
        tables = {layer: diagnostic.measure(*found[layer]) for layer, diagnostic in serving.items()}
        named = [
            table.assign(layer=layer)[["layer", *table.columns]] if layer else table
            for layer, table in tables.items()
        ]
        if not named:
            return
        whole = pd.concat(named, ignore_index=True) if len(named) > 1 else named[0]
        if self.unit in whole:
            raise ValueError(
                f"Recorder: expected a table without a column {self.unit!r}. Received: {', '.join(whole.columns)}"
            )
        self.append(
            self.diagnostics[name].name,
            whole.assign(**{self.unit: now})[[self.unit, *whole.columns]],
        )
        for layer, diagnostic in serving.items():
            diagnostic.show(self._boards[layer], tables[layer], now)

    def _leave_out(self, name: str, why: str) -> None:
        print(f"diagnostic.{name}: left out, {why}", file=sys.stderr)
        del self.diagnostics[name]

    def _all_boards(self) -> list[Board]:
        boards = [self.board, *getattr(self, "_boards", {}).values()]
        return list({id(board): board for board in boards}.values())

    def _append(self, path: Path, table: pd.DataFrame) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not path.exists() or path.stat().st_size == 0
        if not fresh:
            with path.open(encoding="utf-8") as file:
                header = file.readline().rstrip("\n")
            if header != ",".join(map(str, table.columns)):
                raise ValueError(
                    f"Recorder: expected the columns of {path.name}, {header}. Received: {', '.join(table.columns)}"
                )
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(table.to_csv(header=fresh, index=False))
