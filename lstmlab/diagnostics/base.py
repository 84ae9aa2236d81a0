"""The interface of a diagnostic, the probe it measures on, and the charts it asks for."""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd

from lstmlab import checks
from lstmlab.diagnostics.common.graphs import compiled

# The chapters of TensorBoard's page Custom Scalars, in the order of the story
LEARNING = "1 Does it learn?"
GATES = "2 What do the gates do?"
ERRORS = "3 Where does the error go?"
MEMORY = "4 What is remembered?"
CAUSES = "5 Which gate does it?"


class Probe(NamedTuple):
    """The fixed batch: x [B, T, F], y [B, T, K], w [B, T]; valid and events, bool [B, T].

    valid: the steps that are not padding. events: the steps that the task marks as events.
    """

    x: np.ndarray
    y: np.ndarray
    w: np.ndarray
    valid: np.ndarray
    events: np.ndarray


class Chart(NamedTuple):
    """A chart on the page Custom Scalars: every tag that the regular expression `tags` matches.

    Charts of a chapter are sorted by `place`.
    """

    chapter: str
    title: str
    tags: str
    place: int = 9


class Diagnostic(abc.ABC):
    """A quantity measured on the probe batch; each measurement is a table.

    Measuring changes neither weights nor random state. A run keeps all tables of a diagnostic in
    <name>.csv, with the number of training sequences in the first column.

    Attributes:
        name: Name of the module, of the csv file and of the option in conf/diagnostic/.
        every: Training sequences between two measurements, or 'window': after each window, or
            'doubling': after 1000, 2000, 4000, ... sequences. A run also measures before its
            first window and after its last one.
        charts: Charts on TensorBoard's page Custom Scalars.
        light: Whether GateTensorBoard measures it by default.
        wide: Whether it is costly or fills a page, so that GateTensorBoard's presets measure it
            at measurements 1, 2, 4, 8, ... only.
    """

    name: ClassVar[str]
    every: int | str = 10_000
    charts: ClassVar[tuple[Chart, ...]] = ()
    light: ClassVar[bool] = False
    wide: ClassVar[bool] = False
    _model: Any = None

    def __init__(self, every: int | str | None = None):
        """Set the cadence; None keeps that of the class. Raises ValueError for another value."""
        if every is None:
            return
        if every not in ("window", "doubling"):
            owner, others = type(self).__name__, "'window' or 'doubling'"
            every = checks.integer(owner, "every", every, why=others)
        self.every = every

    def serves(self, model: Any) -> bool:
        """Whether the model has what is measured. If not, a run says so and goes on without it."""
        return hasattr(model.cell, "step")

    @abc.abstractmethod
    def measure(self, model: Any, probe: Probe) -> pd.DataFrame:
        """Measure once. May keep for `show` what a picture needs beyond the table."""

    @abc.abstractmethod
    def show(self, board: Any, table: pd.DataFrame, sequences: int) -> None:
        """Write the measurement to a lstmlab.recording.board.Board."""

    def due(self, before: int, now: int) -> bool:
        """Whether a measurement is due between `before` and `now` training sequences."""
        if isinstance(self.every, int):
            return before // self.every != now // self.every
        if self.every == "doubling":
            # bit_length grows by one at every power of two
            return (before // 1000).bit_length() != (now // 1000).bit_length()
        return True

    def compiled(self, model: Any, function: Callable) -> Callable:
        """function(model, *tensors) as a graph that is kept for the model measured last."""
        if self._model is not model:
            self._model = model
            self._compiled = compiled(partial(function, model))
        return self._compiled
