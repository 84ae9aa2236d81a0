"""GateTensorBoard: the diagnostics as a Keras callback, for any Keras model that has a GatedRNN."""

from typing import Any

import keras
import pandas as pd

from lstmlab.cells.layer import GatedRNN
from lstmlab.diagnostics import Diagnostic, Probe, kinds
from lstmlab.recording.board import Board
from lstmlab.recording.layers import checked
from lstmlab.recording.recorder import Recorder


class GateTensorBoard(keras.callbacks.Callback):
    """What the gates of every GatedRNN do and where the error goes, while a Keras model is trained by stock `fit`.

        model.fit(x, y, callbacks=[GateTensorBoard("logs/run1", probe=(x[:32], y[:32]))])

    log_dir: for the csv files, count column `step` = optimizer steps so far, and the event files; it may lie beside the folders
    of keras.callbacks.TensorBoard. Read the former with lstmlab.diagnostics.read.
    probe: (x, y) or (x, y, sample_weight) as model.fit takes them, a fixed batch of a few dozen sequences; for a
    lstmlab.Recurrent also a Probe. Nothing is trained on it, and measuring changes neither weights nor random state.
    every: 'epoch', or a number of batches; besides, before the first and after the last of them. Diagnostics whose own `every`
    is 'doubling', in the presets those that are wide to look at, are measured at measurements 1, 2, 4, 8, ... of these alone.
    diagnostics: 'light' (gates, error flow, memory), 'full' (all that need no argument), or a list of Diagnostics.
    hparams: the settings {name: number, string, bool} of this run, for the page HParams, beside the last epoch's metrics.

    Where there are several GatedRNN layers, each is a sub-run named like it. Training goes on, with one line on stderr, where
    log_dir is full or not writable, and where a diagnostic of a preset fails.
    Raises ValueError for other arguments and an empty probe; when training begins also for a model without a GatedRNN or
    without a loss, a probe that the model does not take, and whatever a diagnostic of a list raises at its first measurement.
    """

    def __init__(
        self,
        log_dir,
        probe,
        every: int | str = "epoch",
        diagnostics: str | list = "light",
        hparams: dict | None = None,
    ):
        super().__init__()
        if every != "epoch" and (
            isinstance(every, bool) or not isinstance(every, int) or every < 1
        ):
            raise ValueError(
                f"GateTensorBoard: expected 'epoch' or a positive integer. Received: every={every!r}"
            )
        if hparams is not None and not isinstance(hparams, dict):
            raise ValueError(
                f"GateTensorBoard: expected a dictionary or None. Received: hparams={hparams!r}"
            )
        if not isinstance(probe, Probe):
            checked(probe)
        self.log_dir, self.probe, self.every, self.hparams = log_dir, probe, every, hparams
        self.diagnostics, self._chosen = _diagnostics(diagnostics), not isinstance(diagnostics, str)
        self._recorder: Any = None
        self._of = None

    def on_train_begin(self, logs=None):
        if not any(
            isinstance(layer, GatedRNN) for layer in self.model._flatten_layers()
        ) and not hasattr(self.model, "learner"):
            raise ValueError(
                f"GateTensorBoard: expected a model with at least one GatedRNN. Received: model={self.model.name!r}"
            )
        if (
            self._of is not self.model
        ):  # a second fit of the same model goes on where the first one ended
            board = Board(self.log_dir)
            self._recorder = Recorder(
                self.log_dir, self.diagnostics, self.probe, "step", board, strict=self._chosen
            )
            self._recorder.start(self.model)
            self._of, self._count, self._logs = self.model, 0, {}
            board.layout(self.diagnostics.values())
            board.text("model", _summary(self.model), 0)
            if self.hparams is not None:
                board.hparams(self.hparams)
        self._before = self._step()
        self._measure(whole=True)

    def on_train_batch_end(self, batch, logs=None):
        if self.every == "epoch":
            return
        before, self._before = self._before, self._step()
        if before // self.every != self._before // self.every:
            self._measure()

    def on_epoch_end(self, epoch, logs=None):
        self._logs, step = (
            {name: float(value) for name, value in (logs or {}).items()},
            self._step(),
        )
        for name, value in self._logs.items():
            self._recorder.board.scalar(f"training/{name}", value, step)
        rows = [
            {"step": step, "epoch": epoch + 1, "metric": name, "value": value}
            for name, value in self._logs.items()
        ]
        self._recorder.append(
            "history", pd.DataFrame(rows, columns=["step", "epoch", "metric", "value"])
        )
        if self.every == "epoch":
            self._measure()
        self._recorder.flush()

    def on_train_end(self, logs=None):
        self._measure(whole=True)
        if self.hparams is not None:
            self._recorder.board.final(
                {f"final/{name}": value for name, value in self._logs.items()}, self._step()
            )
        self._recorder.close()

    def _step(self) -> int:
        return int(self.model.optimizer.iterations)

    def _measure(self, whole: bool = False) -> None:
        """whole: also what is wide to look at."""
        whole = whole or self._count & (self._count - 1) == 0
        among = [
            name
            for name, one in self._recorder.diagnostics.items()
            if whole or one.every != "doubling"
        ]
        self._recorder.measure(self.model, self._step(), among=among)
        self._count += 1


def _diagnostics(chosen) -> dict[str, Diagnostic]:
    """{name: Diagnostic} of a preset or a list."""
    if isinstance(chosen, str) and chosen in ("light", "full"):
        among = [kind for kind in kinds().values() if kind.light or chosen == "full"]
        chosen = [one for one in map(_built, among) if one is not None]
    if (
        not isinstance(chosen, (list, tuple))
        or not chosen
        or not all(isinstance(one, Diagnostic) for one in chosen)
    ):
        raise ValueError(
            f"GateTensorBoard: expected 'light', 'full' or a list of diagnostics. Received: diagnostics={chosen!r}"
        )
    names = [one.name for one in chosen]
    if len(set(names)) < len(names):
        raise ValueError(
            f"GateTensorBoard: expected diagnostics of different names. Received: diagnostics={names}"
        )
    return dict(zip(names, chosen, strict=True))


def _built(kind: type[Diagnostic]) -> Diagnostic | None:
    """A Diagnostic with its default settings; None where it needs others."""
    try:
        return kind(every="doubling") if kind.wide else kind()
    except ValueError:
        return None


def _summary(model) -> str:
    lines: list[str] = []
    model.summary(print_fn=lambda line, **_: lines.append(line), line_length=100)
    return "```\n" + "\n".join(lines) + "\n```"
