"""Recorder: measures what is due, keeps it as csv, and shows it on a Board.

Runs of the lab and the Keras callback use it. It writes <name>.csv files in its folder, and through
its Board; it does not touch the model.
"""

import copy
import difflib
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from lstmlab.diagnostics import kinds
from lstmlab.diagnostics.base import Diagnostic
from lstmlab.errors import refusal
from lstmlab.files import WriteError, append
from lstmlab.recording.board import Board
from lstmlab.recording.layers import MeasuredLayers


def check_diagnostics(diagnostics: dict[str, Any]) -> None:
    """Raise ValueError for one that is not a Diagnostic."""
    for name, diagnostic in diagnostics.items():
        if not isinstance(diagnostic, Diagnostic):
            near = difflib.get_close_matches(name, kinds(), 1)
            expected = f"a diagnostic{f' (nearest: {near[0]})' if near and near != [name] else ''}"
            raise refusal("Recorder", expected, {f"diagnostic.{name}": diagnostic})


class Recorder:
    """Keeps every diagnostic's tables in <folder>/<its name>.csv and shows them on the Board.

    A Keras model has a `layer` column in its tables, and where there are several layers each has
    its name in its tags on the Board. A folder that is full or not writable costs one line on
    stderr, and nothing more is written, unless the Board's Disk is strict (see Disk).

    Args:
        folder: Where the csv files go.
        diagnostics: {name: Diagnostic}.
        probe: The fixed batch, as `measured_layers` takes it.
        unit: The name of the first column, which counts training.
        board: Default: Board(folder / 'tb').
        strict: Whether a ValueError from a diagnostic's first measurement is raised; nothing has
            been trained or lost by then. Whatever a diagnostic raises otherwise costs one line on
            stderr, and that diagnostic is left out from then on.

    Raises:
        ValueError: One of the diagnostics is not a Diagnostic.
    """

    def __init__(
        self,
        folder: str | Path,
        diagnostics: dict[str, Diagnostic],
        probe: Any,
        unit: str = "sequences",
        board: Board | None = None,
        strict: bool = True,
    ):
        check_diagnostics(diagnostics)
        self.folder = Path(folder)
        self.diagnostics = dict(diagnostics)
        self.probe, self.unit, self.strict = probe, unit, strict
        self.board = Board(self.folder / "tb") if board is None else board
        self.measured_at: dict[str, int] = {}
        self._boards: dict[str, Board] = {}

    def start(self, model: Any) -> None:
        """Find the model's layers, and which diagnostics serve them; `cells` has their cells.

        The other diagnostics are left out, with one line on stderr each.

        Raises:
            ValueError: MeasuredLayers refuses the model or the probe.
        """
        self._layers = MeasuredLayers(model)
        found = self._layers(self.probe)
        self.cells = {name: getattr(net.cell, "of", net.cell) for name, (net, _) in found.items()}
        several = len(found) > 1
        self._boards = {name: self.board.sub(name) if several else self.board for name in found}

        self._serving: dict[str, dict[str, Diagnostic]] = {}
        # a copy: _leave_out takes names out of this dictionary
        for name, diagnostic in list(self.diagnostics.items()):
            served = [layer for layer, (net, _) in found.items() if diagnostic.serves(net)]
            # a copy for each layer: a diagnostic keeps what it compiled for one network
            self._serving[name] = {
                layer: copy.copy(diagnostic) if layer else diagnostic for layer in served
            }
            if not served:
                networks = dict.fromkeys(map(_kind, (net for net, _ in found.values())))
                self._leave_out(name, f"{'; '.join(networks)} does not have what it measures")

    def measure(
        self,
        model: Any,
        now: int,
        before: int | None = None,
        among: Collection[str] | None = None,
    ) -> None:
        """Measure every diagnostic that is due.

        Args:
            model: The model that `start` was called with.
            now: How much has been trained.
            before: The last moment at which anything could be due. None: all that were not yet
                measured at `now` are.
            among: The names of the diagnostics that are considered at all. Default: all.

        Raises:
            ValueError: See `strict`.
            WriteError: A file cannot be written, and the Disk of the Board is strict.
        """
        due = [
            name
            for name, diagnostic in self.diagnostics.items()
            if self._is_due(name, diagnostic, now, before) and (among is None or name in among)
        ]
        if not due:
            return

        # anew: the states and the derivatives at each layer follow the training
        found = self._layers(self.probe)
        for name in due:
            first = name not in self.measured_at
            self.measured_at[name] = now
            try:
                self._measure(name, found, now)
            except WriteError:
                raise
            except Exception as error:  # anyone may write a diagnostic, and none may stop a run
                if first and self.strict and isinstance(error, ValueError):
                    raise
                self._leave_out(name, " ".join(str(error).split()) or type(error).__name__)
        self.flush()

    def flush(self) -> None:
        """Make what was written readable for others."""
        for board in self._all_boards():
            board.flush()

    def close(self) -> None:
        """End the event files."""
        for board in self._all_boards():
            board.close()

    def append(self, name: str, table: pd.DataFrame) -> None:
        """Add rows to <name>.csv, in one piece.

        Raises:
            ValueError: The file has other columns.
            WriteError: It cannot be written, and the Disk is strict.
        """
        path = self.folder / f"{name}.csv"
        self.board.disk.write(path, self._append, path, table)

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
            columns = ", ".join(whole.columns)
            raise refusal("Recorder", f"a table without a column {self.unit!r}", columns)
        # what is kept on disk comes first: a picture may fail
        counted = whole.assign(**{self.unit: now})[[self.unit, *whole.columns]]
        self.append(self.diagnostics[name].name, counted)

        for layer, diagnostic in serving.items():
            diagnostic.show(self._boards[layer], tables[layer], now)

    def _leave_out(self, name: str, why: str) -> None:
        print(f"diagnostic.{name}: left out, {why}", file=sys.stderr)
        del self.diagnostics[name]

    def _all_boards(self) -> list[Board]:
        """Each Board once: that of a single layer is the Recorder's own."""
        boards = [self.board, *self._boards.values()]
        return list({id(board): board for board in boards}.values())

    def _append(self, path: Path, table: pd.DataFrame) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not path.exists() or path.stat().st_size == 0
        if not fresh:
            with path.open(encoding="utf-8") as file:
                header = file.readline().rstrip("\n")
            if header != ",".join(map(str, table.columns)):
                expected = f"the columns of {path.name}, {header}"
                raise refusal("Recorder", expected, ", ".join(table.columns))
        append(path, table.to_csv(header=fresh, index=False))


def _kind(network: Any) -> str:
    """The classes of a network's cell and learner."""
    cell, learner = (type(getattr(network, name)).__name__ for name in ("cell", "learner"))
    return f"cell={cell} with learner={learner}"
