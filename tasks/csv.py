"""The user's own table: sequences of numbers, to classify or to forecast."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from lstmlab.tasks.common.rules import most_active, validation_or_budget
from lstmlab.tasks.common.table.cleaning import Log, notes_on_marks, standardise, without_missing
from lstmlab.tasks.common.table.columns import Columns, Named, columns_of
from lstmlab.tasks.common.table.form import form_of
from lstmlab.tasks.common.table.gaps import gaps_in
from lstmlab.tasks.common.table.keys import PARTS
from lstmlab.tasks.common.table.messages import fail
from lstmlab.tasks.common.table.rows import Rows, in_order, read
from lstmlab.tasks.common.table.sequences import (
    by_group,
    check_classes,
    checked_shares,
    deal,
    long_enough,
    one_series,
)
from lstmlab.tasks.common.table.settings import (
    check_columns,
    check_forecasting,
    features_of,
    name_of,
    names_of,
)
from lstmlab.tasks.common.table.text import Text
from lstmlab.tasks.common.table.windows import Windows
from numpy.random import Generator

from lstmlab.checks import integer, number, one_of
from lstmlab.task import Sequences, Task, generator, valid_steps

WINDOW = 100  # steps in a window of one long series, if the user does not say


class Csv(Task):
    """Sequences from a table on disk: say the class of each, or what comes some steps later.

    Shown   One row of the table per step: the target's own value so far (only in forecasting) and
            the features, each minus its mean and divided by its standard deviation over the
            training part. Shorter sequences are padded on the right.
    Asked   forecasting: at every step from `warmup` on, the target `horizon` rows later.
            classification: at the last step of a sequence its class.
    Lag     0: what an answer needs is in the user's data and not known here.
    Right   forecasting: the root mean squared error over the steps asked is below `tolerance`
            standard deviations. classification: the most active output is the class.
    Chance  Not known before the table is. The result row has the losses of simple rules instead: in
            forecasting, naive_loss (the last value seen), seasonal_loss (the value one period
            before, with `period`) and mean_loss (the training mean); in classification, naive_loss
            (the frequencies of the training classes). naive_wrong counts the test sequences that
            the naive rule gets wrong. For a forecast, the row also gives the root
            mean squared errors in the table's own unit: the network's test_rmse next to
            naive_rmse, seasonal_rmse and mean_rmse.
    Solved  At most 5 % of the validation sequences are wrong; never, if a simple rule is as good.
    Published  Nothing: the table is yours.

    Decisions where the text leaves a choice:
    - sequences, never rows, are divided into training, validation and test; with a single
      long series, the first rows are for training, the next for validation, the last for testing;
    - windows: with `window`, training draws windows from any position in a training sequence, all
      positions equally likely; validation and test are cut into windows that overlap by warmup - 1
      steps, so that each step is asked once and no window leaves its part;
    - means, deviations and class frequencies come only from the training part; a column that is
      constant there becomes 0;
    - losses and errors are in standard deviations of the target over the training part,
      `target_std` in the row: multiply by it to get the table's unit (squared losses by its
      square); test_rmse and the like are in that unit already. in_units turns predictions back;
    - whatever is left out or filled in is counted in `notes`, on stderr and in the row;
    - a horizon counts rows: gaps in time are counted in `time_gaps`, but not seen. A target that
      was missing is never asked for, even if it is filled in;
    - dates that can be read month first or day first are refused, unless one of them tells;
    - diagnostics measure on validation sequences.

    Args:
        file: The path of the table, text with one header line, also as .gz, .bz2, .xz or .zip.
        format: 'long', one step per row, or 'wide', one sequence per row with a column per step,
            whose empty cells at the end say that it is shorter.
        kind: 'forecasting' or 'classification'.
        target: The column asked for. Wide forecasting has none: the series is its own target.
        features: The columns shown, or None for all that hold numbers.
        group: The column, or the columns, that say which rows are one sequence (long), or which
            stay in one part (wide).
        time: The column that orders the rows of a sequence: numbers, dates, months or quarters; or
            several that are one time together, as a date and an hour. None for the order in the
            file.
        time_format: How dates are written, as in pandas; None to find it from the dates.
        horizon: How many rows ahead a forecast is.
        warmup: Rows of a window that are seen before the first forecast is asked for.
        window: Rows in a window; None for whole sequences, or for 100 of one long series.
        period: Rows in one season, at most `warmup`, for a seasonal baseline.
        tolerance: See Right; at least 0.
        shares: The shares of training, validation and test, by name.
        split: The seed by which sequences are dealt out.
        part: The column that says train, validation or test, instead of `shares` and `split`.
        missing: 'error', 'drop' the row, or 'fill' with the value before.
        short: 'error' or 'drop', for sequences in which nothing could be asked.
        missing_values: Words and numbers that mark a missing value, beside those of pandas in
            columns of numbers (NA, NaN, null and the like).
        separator: The separator of the text; \\t is a tab.
        decimal: The decimal sign of the text.
        thousands: The sign between thousands, or None.
        encoding: The encoding of the text.
        comment: The sign from which on the rest of a line does not count, or None.
        skip: Lines before the header that do not count.
        header: Whether there is a header; without one the columns are 0, 1, ... None: there is
            one, and it must not be only numbers.
        chunk: Rows read at once.
        limit: Numbers that may be kept in memory, 4 bytes each.
        criterion: Settings of the criterion to change; with rule='budget' the others do not count.

    Raises:
        ValueError: For any other value, and for a table that does not fit them.
    """

    chance = memoryless = None
    lag = 0

    def __init__(
        self,
        file: str | None = None,
        format: str = "long",
        kind: str = "forecasting",
        target: str | None = None,
        features: list[str] | None = None,
        group: str | list[str] | None = None,
        time: str | list[str] | None = None,
        time_format: str | None = None,
        horizon: int = 1,
        warmup: int = 1,
        window: int | None = None,
        period: int | None = None,
        tolerance: float = 0.5,
        shares: dict | None = None,
        split: int = 0,
        part: str | None = None,
        missing: str = "error",
        short: str = "error",
        missing_values: list[str | float] | str | float | None = None,
        separator: str = ",",
        decimal: str = ".",
        thousands: str | None = None,
        encoding: str = "utf-8",
        comment: str | None = None,
        skip: int = 0,
        header: bool | None = None,
        chunk: int = 50_000,
        limit: int = 250_000_000,
        criterion: dict | None = None,
    ):
        owner = "Csv"
        if not isinstance(file, str) or not file:
            fail("the path of a csv file", f"task.file={file!r}")
        self.format = one_of(owner, "task.format", format, ("long", "wide"))
        self.kind = one_of(owner, "task.kind", kind, ("forecasting", "classification"))
        self.missing = one_of(owner, "task.missing", missing, ("error", "drop", "fill"))
        self.short = one_of(owner, "task.short", short, ("error", "drop"))

        self.horizon = integer(owner, "task.horizon", horizon)
        self.warmup = integer(owner, "task.warmup", warmup)
        why = "which is task.warmup"
        self.window = integer(owner, "task.window", window, warmup, why=why, optional=True)
        why = f"at most task.warmup={warmup}: the value one period before must have been seen"
        self.period = integer(owner, "task.period", period, most=warmup, why=why, optional=True)
        self.tolerance = number(owner, "task.tolerance", tolerance, least=0)
        self.split = integer(owner, "task.split", split, least=0)

        self.shares = checked_shares(shares)
        integer(owner, "task.chunk", chunk)
        integer(owner, "task.limit", limit)
        self.forecasts = kind == "forecasting"
        named = Named(
            name_of("target", target),
            features_of(features),
            names_of("group", group),
            names_of("time", time),
            name_of("part", part),
            format == "wide",
            self.forecasts,
        )
        check_columns(named, time_format)
        check_forecasting(self.forecasts, horizon, warmup, window)
        self._series = format == "long" and not named.group
        self.criterion = validation_or_budget(criterion)

        signs = {"decimal": decimal, "thousands": thousands, "comment": comment}
        form = form_of(
            missing_values, separator, encoding=encoding, skip=skip, header=header, **signs
        )
        text = Text(file, form, chunk)
        columns = columns_of(text, named)
        rows = read(text, columns, time_format, limit)
        self._log = Log(columns.notes)
        self._log.counts["table_rows"] = text.rows
        self._take(rows, columns)
        for note in self.notes:
            print(f"Csv: {note}", file=sys.stderr)

    def _take(self, rows: Rows, columns: Columns) -> None:
        """From rows to sequences, parts, standardised numbers and windows."""
        self.notes.extend(in_order(rows, columns))
        self.notes.extend(notes_on_marks(rows, columns))
        known = without_missing(rows, self.missing, columns, self._log)
        known_or_all = None if known.all() else known
        if rows.time is not None:
            self._say_gaps(rows)

        found = one_series(rows, self.shares) if self._series else by_group(rows, columns)
        least = self.warmup + self.horizon if self.forecasts else 2
        drop, may_drop = self.short == "drop", not self._series
        found.keep(long_enough(found, least, known_or_all, drop, may_drop, self._log))
        parts = deal(found, self.shares, self.split) if found.parts is None else found.parts

        self._starts, self._lengths = found.starts, found.lengths
        self._labels = found.labels if found.labels is not None else np.zeros(0, int)
        self.classes = rows.classes
        self._parts = {part: np.flatnonzero(parts == k) for k, part in enumerate(PARTS)}
        for part, chosen in self._parts.items():
            if not len(chosen):
                received = f"{len(parts)} sequences, task.shares={self.shares}"
                fail(f"at least one sequence for {part}", received)
        if not self.forecasts:
            check_classes(self.classes, self._labels, self._labels[self._parts["train"]])

        training = np.zeros(len(rows.numbers), bool)
        for k in self._parts["train"]:
            training[self._starts[k] : self._starts[k] + self._lengths[k]] = True
        means, stds = standardise(rows.numbers, training, columns, self._log)
        # as they were before the numbers were brought nearer to 0, when the table was read
        self.means, self.stds = columns.offsets + columns.scales * means, columns.scales * stds
        self._values = rows.numbers
        self._set_sizes(columns)
        self._set_windows(known_or_all)

    def _say_gaps(self, rows: Rows) -> None:
        """Counts gaps in time, and says so."""
        count, said = gaps_in(rows.time, rows.sequence)
        self.counts["time_gaps"] = count
        self.notes.extend([said] if said else [])

    @property
    def notes(self) -> list[str]:
        """What was left out, filled in or decided, a line each."""
        return self._log.notes

    @property
    def counts(self) -> dict[str, int]:
        """How many rows were read, and how much was left out or filled in."""
        return self._log.counts

    def _set_sizes(self, columns: Columns) -> None:
        """The attributes that every task has."""
        self.inputs, self.features = tuple(columns.lines), len(columns.lines)
        window = self.window or (WINDOW if self._series else None)
        most = int(self._lengths.max()) - (self.horizon if self.forecasts else 0)
        self.steps = most if window is None else min(window, most)
        if self._series:
            numbers = zip(self._lengths, PARTS, strict=True)
            rows = ", ".join(f"{n} rows {part}" for n, part in numbers)
            order = " and ".join(map(repr, columns.time)) or "its rows"
            windows = f"windows of {self.steps} steps"
            self.notes.append(f"one series in the order of {order}: {rows}; {windows}")

        if self.forecasts:
            self.readouts = self.steps - self.warmup + 1
            self.output_activation, self.loss = "linear", "squared"
            self.outputs, self.targets = 1, (columns.lines[0],)
        else:
            self.readouts = 1
            self.output_activation, self.loss = "softmax", "crossentropy"
            self.outputs, self.targets = len(self.classes), tuple(self.classes)
            counts = np.bincount(self._labels[self._parts["train"]], minlength=self.outputs)
            self._frequencies = (counts / counts.sum()).astype("float32")

    def _set_windows(self, known: np.ndarray | None) -> None:
        """Where windows may begin in training, and where they do in the other parts."""
        horizon = self.horizon if self.forecasts else None
        lines = self._starts, self._lengths, self.steps, horizon, self.warmup, known
        self._all = Windows(*lines)
        self._draw = self._all.draw_from(self._parts["train"])
        self._windows = {p: self._all.cut(self._parts[p]) for p in ("validation", "test")}
        self.test_size = len(self._windows["test"][0])

    def encode(self, sequence: np.ndarray, start: np.ndarray) -> Sequences:
        """Windows as x, y, w: each of a sequence [n], from the row `start` [n] of the table on."""
        rows, inside = self._all.rows(sequence, start)
        y, w = np.zeros((*rows.shape, self.outputs), "float32"), np.zeros(rows.shape, "float32")
        if self.forecasts:
            asked = self._all.asked_steps(rows, inside)
            w[asked] = 1.0
            y[asked, 0] = self._values[rows[asked] + self.horizon, 0]
        else:
            n, last = np.arange(len(rows)), inside.sum(axis=1) - 1
            y[n, last, self._labels[sequence]] = w[n, last] = 1.0

        x = self._values[rows]
        x[~valid_steps(w)] = 0.0
        return x, y, w

    def sample(self, rng: Generator, n: int) -> Sequences:
        return self.encode(*self._draw(rng, n))

    def probe(self, seed: int, n: int) -> Sequences:
        sequence, start = self._windows["validation"]
        drawn = generator(seed, "probe").integers(len(start), size=n)
        return self.encode(sequence[drawn], start[drawn])

    def sets(self, seed: int, draw: int = 0) -> dict[str, Iterable[Sequences]]:
        """'validation' and 'test', the same for every seed."""
        return {part: _Blocks(self, *windows) for part, windows in self._windows.items()}

    def correct(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> np.ndarray:
        if self.forecasts:
            squared = np.sum(w[..., None] * (y - prediction) ** 2, axis=(1, 2))
            return squared < self.tolerance**2 * w.sum(axis=1)
        return most_active(y, prediction, w)

    def baselines(self, x: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
        """'naive' and, for a forecast, 'mean' and with a period 'seasonal': see Chance."""
        if not self.forecasts:
            return {"naive": np.broadcast_to(self._frequencies, (*w.shape, self.outputs))}
        # after standardisation the training mean is 0
        rules = {"naive": x[..., :1], "mean": np.zeros_like(x[..., :1])}
        if self.period is not None:
            # Steps from the last row seen back to the one whole periods before the row asked for.
            back = -self.horizon % self.period
            # the first steps are only filled up: none is asked for, as back < period <= warmup
            parts = [x[:, :back, :1], x[:, : x.shape[1] - back, :1]]
            rules["seasonal"] = np.concatenate(parts, axis=1)
        return rules

    def summary(self, correct: np.ndarray, losses: dict[str, float]) -> dict[str, Any]:
        """'naive_wrong', the counts, and for a forecast the errors in the unit of the table."""
        right = [
            self.correct(y, self.baselines(x, w)["naive"], w) for x, y, w in self.sets(0)["test"]
        ]
        naive = {**self.counts, "naive_wrong": int((~np.concatenate(right)).sum())}
        return naive | (self._in_the_unit_of_the_table(losses) if self.forecasts else {})

    def _in_the_unit_of_the_table(self, losses: dict[str, float]) -> dict[str, float]:
        """Root mean squared errors, and the mean and scale that turn losses into them."""
        mean, std = float(self.means[0]), float(self.stds[0])
        errors = {f"{name}_rmse": loss**0.5 * std for name, loss in losses.items()}
        return {"target_mean": mean, "target_std": std, **errors}

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """Turns forecasts or targets into the unit of the table.

        Args:
            values: Numbers in standard deviations around the training mean.
        """
        return values * self.stds[0] + self.means[0]


class _Blocks:
    """A set of windows, encoded block by block at every pass."""

    def __init__(self, task: Csv, sequence: np.ndarray, start: np.ndarray):
        self.task, self.sequence, self.start = task, sequence, start

    def __iter__(self) -> Iterator[Sequences]:
        for first in range(0, len(self.start), self.task.block):
            here = slice(first, first + self.task.block)
            yield self.task.encode(self.sequence[here], self.start[here])
