"""GateTensorBoard: the diagnostics as a Keras callback, for any Keras model with recurrent layers.

It decides when to measure; a Recorder measures and writes. It does not touch what is trained.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from lstmlab import checks
from lstmlab.cells.gated import GatedCell
from lstmlab.diagnostics import Diagnostic, Probe, kinds
from lstmlab.errors import refusal
from lstmlab.files import write
from lstmlab.recording.board import Board
from lstmlab.recording.layers import checked
from lstmlab.recording.recorder import Recorder
from lstmlab.results import CELLS


class GateTensorBoard(keras.callbacks.Callback):
    """Shows what the gates do and where the error goes, while Keras's own `fit` trains a model.

        model.fit(x, y, callbacks=[GateTensorBoard("logs/run1", probe=(x[:32], y[:32]))])

    It measures before the first batch, after the last, and as often as `every` says in between.
    Diagnostics whose own `every` is 'doubling' (in the presets, those whose output is large) are
    only measured at the 1st, 2nd, 4th, 8th, ... of these. The log folder is one entry in
    TensorBoard's list of runs; of several recurrent layers each has its name in its tags, as in
    gates_mean/LAYER/input_gate. If log_dir is full or not writable, or if a diagnostic of a preset
    fails, training continues, with one line on stderr.

    Args:
        log_dir: The folder for csv files, whose first column `step` counts optimizer steps, and for
            event files. It may also hold the folders of keras.callbacks.TensorBoard. Read the csv
            files with lstmlab.diagnostics.read.
        probe: (x, y) or (x, y, sample_weight) as model.fit takes them, a fixed batch of a few dozen
            sequences; for an lstmlab.Recurrent also a Probe. The model is not trained on it, and
            measuring changes neither weights nor random state.
        every: 'epoch', or a number of batches.
        diagnostics: 'light' (gates, error flow, memory, gradients, one example), 'full' (all that
            need no argument), or a list of Diagnostics.
        hparams: The settings {name: number, string or bool} of this run for TensorBoard's HParams
            page, which shows them next to the metrics of the last epoch. By default the optimizer,
            its learning rate, the loss, the number of weights, and the units of each recurrent
            layer.

    Raises:
        ValueError: Other arguments, or an empty probe. When training begins: a model without a
            recurrent layer or without a loss, a probe that the model does not accept, and whatever
            a diagnostic of a list raises at its first measurement.
    """

    def __init__(
        self,
        log_dir: str | Path,
        probe: Any,
        every: int | str = "epoch",
        diagnostics: str | list = "light",
        hparams: dict | None = None,
    ):
        super().__init__()
        if every != "epoch":
            every = checks.integer("GateTensorBoard", "every", every, why="or 'epoch'")
        if hparams is not None and not isinstance(hparams, dict):
            raise refusal("GateTensorBoard", "a dictionary or None", {"hparams": hparams})
        if not isinstance(probe, Probe):
            # a wrong probe is refused here already, not when training begins
            checked(probe)

        self.log_dir, self.probe, self.every, self.hparams = log_dir, probe, every, hparams
        self.diagnostics, self._chosen = _diagnostics(diagnostics), not isinstance(diagnostics, str)
        self._recorder: Any = None
        self._of: Any = None
        self._told = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Measure once before training; the first time, start the recorder."""
        if self._of is not self.model:  # a second fit of the same model continues the first
            self._start()
        # optimizer steps, not batches: they go on counting in a second fit
        self._before = self._step()
        self._measure(whole=True)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Measure if a multiple of `every` batches has just been passed."""
        if not isinstance(self.every, int):
            return
        before, self._before = self._before, self._step()
        if before // self.every != self._before // self.every:
            self._measure()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keep the metrics of the epoch, and measure with every='epoch'."""
        self._logs, step = (
            {name: float(value) for name, value in (logs or {}).items()},
            self._step(),
        )
        for name, value in self._logs.items():
            self._recorder.board.scalar(f"training/{name}", value, step)
        if not self._told:
            # its columns are the metrics, which only the first epoch names
            metrics = {f"training/{name}": name for name in self._logs}
            given = self.hparams
            shown = _settings(self.model, self._recorder.cells) if given is None else given
            self._recorder.board.hparams(shown, metrics, shown)
            self._told = True
        # a row for each metric: with validation_freq some epochs have fewer
        rows = [(step, epoch + 1, name, value) for name, value in self._logs.items()]
        table = pd.DataFrame(rows, columns=["step", "epoch", "metric", "value"])
        self._recorder.append("history", table)

        if self.every == "epoch":
            self._measure()
        self._recorder.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Measure once more, and end the files."""
        self._measure(whole=True)
        if self._told:
            self._recorder.board.final({}, self._step())
        self._recorder.close()

    def _start(self) -> None:
        """Begin with a model that this callback has not met."""
        board = Board(self.log_dir)
        self._recorder = Recorder(
            self.log_dir, self.diagnostics, self.probe, "step", board, strict=self._chosen
        )
        self._recorder.start(self.model)
        self._of, self._count, self._logs, self._told = self.model, 0, {}, False
        board.layout(self.diagnostics.values())
        board.text("model", _summary(self.model), 0)
        # for the page Gates, which writes their equations
        cells = {name: keras.saving.serialize_keras_object(cell) for name, cell in self._cells()}
        path = Path(self.log_dir) / CELLS
        board.disk.write(path, write, path, json.dumps(cells, default=str))

    def _cells(self) -> Iterable[tuple[str, GatedCell]]:
        """The layers whose cell is a GatedCell, or the one that computes the same."""
        cells = self._recorder.cells.items()
        return ((name, cell) for name, cell in cells if isinstance(cell, GatedCell))

    def _step(self) -> int:
        return int(self.model.optimizer.iterations)

    def _measure(self, whole: bool = False) -> None:
        """Measure; `doubling` diagnostics only if `whole`, and when the count is a power of two."""
        # n & (n - 1) is 0 for powers of two, and for n = 0, the measurement before training
        whole = whole or self._count & (self._count - 1) == 0
        among = [
            name
            for name, one in self._recorder.diagnostics.items()
            if whole or one.every != "doubling"
        ]
        self._recorder.measure(self.model, self._step(), among=among)
        self._count += 1


def _diagnostics(chosen: Any) -> dict[str, Diagnostic]:
    """{name: Diagnostic} of a preset or a list."""
    if isinstance(chosen, str) and chosen in ("light", "full"):
        among = [kind for kind in kinds().values() if kind.light or chosen == "full"]
        chosen = [one for one in map(_built, among) if one is not None]
    if (
        not isinstance(chosen, (list, tuple))
        or not chosen
        or not all(isinstance(one, Diagnostic) for one in chosen)
    ):
        asked = "'light', 'full' or a list of diagnostics"
        raise refusal("GateTensorBoard", asked, {"diagnostics": chosen})

    names = [one.name for one in chosen]
    if len(set(names)) < len(names):
        raise refusal("GateTensorBoard", "diagnostics of different names", {"diagnostics": names})
    return dict(zip(names, chosen, strict=True))


def _built(kind: type[Diagnostic]) -> Diagnostic | None:
    """A Diagnostic with its default settings; None where it needs others."""
    try:
        return kind(every="doubling") if kind.wide else kind()
    except ValueError:
        return None


def _settings(model: keras.Model, cells: dict[str, Any]) -> dict:
    """What a compiled model says of itself, for the page HParams."""
    optimizer, loss = model.optimizer, model.loss
    return {
        "optimizer": type(optimizer).__name__,
        "learning_rate": float(optimizer.learning_rate),
        "loss": loss if isinstance(loss, str) else getattr(loss, "name", type(loss).__name__),
        "weights": model.count_params(),
        **{f"{name or 'cell'}.units": cell.units for name, cell in cells.items()},
    }


def _summary(model: keras.Model) -> str:
    """The model's own summary as Markdown."""
    lines: list[str] = []
    model.summary(print_fn=lambda line, **_: lines.append(line), line_length=100)
    return "```\n" + "\n".join(lines) + "\n```"
