"""The user's own table: sequences of numbers, to classify or to forecast."""

import sys
from collections.abc import Iterator

import numpy as np
from lstmlab.tasks.common.rules import most_active, validation_or_budget
from lstmlab.tasks.common.table import (
    PARTS,
    Columns,
    Rows,
    Text,
    columns_of,
    fail,
    fill,
    in_order,
    one_each,
    read,
)

from lstmlab.checks import integer, number, one_of
from lstmlab.task import Task, generator, valid_steps

WINDOW = 100  # steps, of one long series whose windows nobody stated


class Csv(Task):
    """Sequences from a table on disk: say the class of each, or what comes some steps later.

    Shown   One row of the table per step: the target's own value so far (only in forecasting) and
            the features, each minus its mean and divided by its standard deviation over the
            training part. Shorter sequences are padded at the right.
    Asked   forecasting: at every step from `warmup` on, the target `horizon` rows later.
            classification: at the last step of a sequence its class.
    Lag     0: what an answer needs is in the user's data and not known here.
    Right   forecasting: the root mean squared error over the steps asked is below `tolerance`
            standard deviations. classification: the most active output is the class.
    Chance  Not known before the table is. The result row has the losses of simple rules instead: in
            forecasting, naive_loss (the last value seen), seasonal_loss (the value one period
            before, with `period`) and mean_loss (the training mean); in classification, naive_loss
            (the frequencies of the training classes). naive_wrong counts the test sequences that
            the naive rule gets wrong. The root mean squared errors of a forecast are there in the
            unit of the table too: test_rmse of the network beside naive_rmse, seasonal_rmse and
            mean_rmse.
    Solved  At most 5 % of the validation sequences are wrong.
    Published  Nothing: the table is yours.

    Decisions where the text leaves a choice:
    - sequences, never rows, are divided into training, validation and test; of one long series the
      first rows train, the next validate, the last test;
    - windows: with `window`, training draws windows at any place of a training sequence, all places
      equally likely; validation and test are cut into windows that overlap by warmup - 1 steps, so
      that each step is asked once and no window leaves its part;
    - means, deviations and class frequencies come only from the training part; a column that is
      constant there becomes 0;
    - losses and errors are in standard deviations of the target over the training part,
      `target_std` in the row: times it they are in the table's unit (squared losses times its
      square); test_rmse and the like are so already. in_units turns predictions back;
    - whatever is left out or filled in is counted in `notes`, on stderr and in the row;
    - a horizon counts rows: gaps in time are not seen. A target that was missing is never asked
      for, even where it is filled;
    - diagnostics measure on validation sequences.

    Args:
        file: The path of the table, text with one header line, also as .gz.
        format: 'long', one step per row, or 'wide', one sequence per row with a column per step,
            whose empty cells at the end say that it is shorter.
        kind: 'forecasting' or 'classification'.
        target: The column asked for. Wide forecasting has none: the series is its own target.
        features: The columns shown, or None for all that hold numbers.
        group: The column that says which rows are one sequence (long), or which stay in one part
            (wide).
        time: The column that orders the rows of a sequence, numbers or dates; None for their order
            in the file.
        time_format: How dates are written, as in pandas; None to guess it from the first.
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
        separator: The separator of the text; \\t is a tab.
        decimal: The decimal sign of the text.
        encoding: The encoding of the text.
        chunk: Rows read at once.
        limit: Numbers that may be kept in memory, 4 bytes each.
        criterion: Settings of the criterion to change; with rule='budget' the others do not count.

    Raises:
        ValueError: For other values, and for a table that does not fit them.
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
        group: str | None = None,
        time: str | None = None,
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
        separator: str = ",",
        decimal: str = ".",
        encoding: str = "utf-8",
        chunk: int = 50_000,
        limit: int = 250_000_000,
        criterion: dict | None = None,
    ):
        if not isinstance(file, str) or not file:
            fail("the path of a csv file", f"task.file={file!r}")
        self.format = one_of("Csv", "task.format", format, ("long", "wide"))
        self.kind = one_of("Csv", "task.kind", kind, ("forecasting", "classification"))
        self.missing = one_of("Csv", "task.missing", missing, ("error", "drop", "fill"))
        self.short = one_of("Csv", "task.short", short, ("error", "drop"))
        self.horizon, self.warmup = (
            integer("Csv", "task.horizon", horizon),
            integer("Csv", "task.warmup", warmup),
        )
        self.window = (
            None
            if window is None
            else integer(
                "Csv", "task.window", window, least=self.warmup, why="which is task.warmup"
            )
        )
        why = f"at most task.warmup={self.warmup}: the value one period before must have been seen"
        self.period = (
            None
            if period is None
            else integer("Csv", "task.period", period, most=self.warmup, why=why)
        )
        self.tolerance, self.split = (
            number("Csv", "task.tolerance", tolerance, least=0),
            integer("Csv", "task.split", split, least=0),
        )
        self.shares = _shares(
            {"train": 0.7, "validation": 0.15, "test": 0.15} if shares is None else shares
        )
        self.forecasts, self._series = kind == "forecasting", format == "long" and group is None
        self._check(target=target, group=group, time=time, part=part)
        self.criterion = validation_or_budget(criterion)
        self.notes: list[str] = []
        self.counts = {
            "table_rows": 0,
            "rows_dropped": 0,
            "cells_filled": 0,
            "sequences_dropped": 0,
        }
        text = Text(file, separator, decimal, encoding, integer("Csv", "task.chunk", chunk))
        columns = columns_of(
            text,
            target,
            features,
            group,
            time,
            part,
            wide=format == "wide",
            forecasts=self.forecasts,
        )
        self.notes += columns.notes
        rows = read(text, columns, time_format, integer("Csv", "task.limit", limit))
        self.counts["table_rows"] = text.rows
        self._take(rows, columns)
        for note in self.notes:
            print(f"Csv: {note}", file=sys.stderr)

    def _check(self, **names) -> None:
        """Settings that contradict each other."""
        wide = self.format == "wide"
        for name, value in names.items():
            if value is not None and not isinstance(value, str):
                fail("the name of a column, or null", f"task.{name}={value!r}")
        if (names["target"] is None) != (wide and self.forecasts):
            fail(
                "a target, but for a wide table that is forecast, which has none",
                f"task.target={names['target']!r}",
            )
        if wide and names["time"] is not None:
            fail(
                "no time column: the columns of a wide table are its steps",
                f"task.time={names['time']!r}",
            )
        if (
            not wide
            and names["group"] is None
            and (not self.forecasts or names["part"] is not None)
        ):
            fail("a group column, which says what one sequence is", "task.group=None")
        for name, default in (("horizon", 1), ("warmup", 1), ("window", None)):
            if not self.forecasts and getattr(self, name) != default:
                fail(
                    f"task.{name} with task.kind=forecasting alone",
                    f"task.{name}={getattr(self, name)}",
                )

    def _take(self, rows: Rows, columns: Columns) -> None:
        """From rows to sequences, parts, standardised numbers and windows."""
        in_order(rows)
        known = (
            ~np.isnan(rows.numbers[:, 0]) if self.forecasts else np.ones(len(rows.numbers), bool)
        )
        known = self._without_missing(rows, known, columns)
        self._known = None if known.all() else known
        labels = np.zeros(0, int)
        if self._series:
            cuts = np.rint(np.cumsum([0, *self.shares.values()]) * len(rows.numbers)).astype(int)
            self._starts, lengths, parts, names = cuts[:3], np.diff(cuts), np.arange(3), list(PARTS)
        else:
            self._starts = (
                np.flatnonzero(np.r_[True, np.diff(rows.sequence) != 0])
                if len(rows.numbers)
                else np.zeros(0, int)
            )
            lengths = np.diff(np.r_[self._starts, len(rows.numbers)])
            names = [rows.names[k] for k in rows.sequence[self._starts]]
            if rows.labels is not None:
                labels = one_each(
                    rows.labels, self._starts, "class", columns.target, rows.classes, names
                )
        keep = self._long_enough(lengths, names)
        self._starts, lengths, names = (
            self._starts[keep],
            lengths[keep],
            [names[k] for k in np.flatnonzero(keep)],
        )
        labels = labels[keep] if len(labels) else labels
        if not self._series:
            units = rows.units[self._starts] if rows.units is not None else np.arange(len(lengths))
            if rows.parts is not None:
                parts = one_each(rows.parts, self._starts, "part", columns.part, list(PARTS), names)
            else:
                parts = self._deal(units, labels)
        self._lengths, self._labels, self.classes = lengths, labels, rows.classes
        self._parts = {part: np.flatnonzero(parts == k) for k, part in enumerate(PARTS)}
        for part, chosen in self._parts.items():
            if not len(chosen):
                fail(
                    f"at least one sequence for {part}",
                    f"{len(lengths)} sequences, task.shares={self.shares}",
                )
        self._check_classes()
        self._standardise(rows.numbers, columns)
        self._describe(columns)

    def _without_missing(self, rows: Rows, known: np.ndarray, columns: Columns) -> np.ndarray:
        """Treat missing numbers in place; which targets are known among the rows that are left."""
        absent = np.isnan(rows.numbers)
        if not absent.any():
            return known
        if self.missing == "error":
            row, column = (int(k[0]) for k in np.nonzero(absent))
            where = f"sequence {rows.names[rows.sequence[row]]!r}, " if len(rows.names) > 1 else ""
            step = row - int(np.searchsorted(rows.sequence, rows.sequence[row])) + 1
            name = columns.lines[column]
            fail(
                "no missing values, or task.missing=drop or fill",
                f"{int(absent.sum())} missing, the first in {where}step {step}, column {name!r}",
            )
        if self.missing == "fill":
            fill(rows)
        keep = ~np.isnan(rows.numbers).any(axis=1)
        self.counts["cells_filled"] = int(absent[keep].sum())
        self.counts["rows_dropped"] = int((~keep).sum())
        if self.counts["cells_filled"]:
            self.notes.append(
                f"{self.counts['cells_filled']} missing values filled with the value before"
            )
        if self.counts["rows_dropped"]:
            why = "that no value precedes " if self.missing == "fill" else ""
            self.notes.append(
                f"{self.counts['rows_dropped']} rows with missing values {why}dropped"
            )
        gone = len(np.unique(rows.sequence)) - len(np.unique(rows.sequence[keep]))
        if gone:
            self.counts["sequences_dropped"] = gone
            self.notes.append(f"{gone} sequences dropped with them, of which no row was left")
        rows.keep(keep)
        return known[keep]

    def _long_enough(self, lengths: np.ndarray, names: list[str]) -> np.ndarray:
        least = self.warmup + self.horizon if self.forecasts else 2
        asked = lengths >= least
        if self.forecasts and self._known is not None:
            first, last = self._starts + least - 1, self._starts + lengths
            total = np.r_[0, np.cumsum(self._known)]
            asked &= total[last] - total[np.minimum(first, last)] > 0
        if not asked.all():
            k = int(np.argmin(asked))
            what = f"{int((~asked).sum())} shorter (or without a known target), the first {names[k]!r} with {int(lengths[k])}"
            if self.short == "error" or self._series:
                drop = "" if self._series else ", or task.short=drop"
                fail(f"sequences of at least {least} rows{drop}", what)
            self.counts["sequences_dropped"] += int((~asked).sum())
            self.notes.append(
                f"of {len(names)} sequences {what} rows: dropped; expected at least {least}"
            )
        return asked

    def _deal(self, units: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The part of each sequence, 0 to 2: units are dealt out whole, evenly over the classes, one of each class to train."""
        _, first, unit = np.unique(units, return_index=True, return_inverse=True)
        shuffled = np.random.default_rng(self.split).permutation(len(first))
        kind = labels[first] if len(labels) else np.zeros(len(first), int)
        order = shuffled[np.argsort(kind[shuffled], kind="stable")]
        rest = order[np.r_[False, np.diff(kind[order]) == 0]]
        part = np.zeros(len(first), int)
        for code, name in ((2, "test"), (1, "validation")):
            wanted = max(1, round(self.shares[name] * len(first)))
            if wanted > len(rest):
                fail(
                    f"enough sequences for {name} beside one of each class",
                    f"{len(first)} groups, task.shares={self.shares}",
                )
            places = ((np.arange(wanted) + 0.5) * len(rest) / wanted).astype(int)
            part[rest[places]] = code
            rest = np.delete(rest, places)
        return part[unit]

    def _check_classes(self) -> None:
        if self.forecasts:
            return
        if len(self.classes) < 2:
            fail("at least two classes", f"{self.classes}")
        unseen = sorted(
            set(self._labels.tolist()) - set(self._labels[self._parts["train"]].tolist())
        )
        if unseen:
            fail(
                "every class in the training part",
                f"classes that occur elsewhere alone: {[self.classes[k] for k in unseen]}",
            )

    def _standardise(self, values: np.ndarray, columns: Columns) -> None:
        training = np.zeros(len(values), bool)
        for sequence in self._parts["train"]:
            training[self._starts[sequence] : self._starts[sequence] + self._lengths[sequence]] = (
                True
            )
        self.means, self.stds = np.zeros(values.shape[1]), np.ones(values.shape[1])
        for k, name in enumerate(columns.lines):
            column = values[training, k].astype("float64")
            self.means[k], spread = column.mean(), column.std()
            if spread > 1e-7 * np.abs(column).max():
                self.stds[k] = spread
            elif self.forecasts and k == 0:
                fail("a target that varies in the training part", f"the constant {name!r}")
            else:
                self.notes.append(
                    f"column {name!r} is constant in the training part: it says nothing there"
                )
            values[:, k] -= self.means[k]
            values[:, k] /= self.stds[k]
        self.means += columns.offsets
        self._values = values

    def _describe(self, columns: Columns) -> None:
        self.inputs, self.features = tuple(columns.lines), len(columns.lines)
        window = self.window or (WINDOW if self._series else None)
        most = int(self._lengths.max()) - (self.horizon if self.forecasts else 0)
        self.steps = most if window is None else min(window, most)
        self.readouts = self.steps - self.warmup + 1 if self.forecasts else 1
        if self._series:
            rows = ", ".join(
                f"{n} rows {part}" for n, part in zip(self._lengths, PARTS, strict=True)
            )
            self.notes.append(
                f"one series in the order of its rows: {rows}; windows of {self.steps} steps"
            )
        if self.forecasts:
            self.output_activation, self.loss, self.outputs, self.targets = (
                "linear",
                "squared",
                1,
                (columns.lines[0],),
            )
        else:
            self.output_activation, self.loss, self.outputs = (
                "softmax",
                "crossentropy",
                len(self.classes),
            )
            self.targets = tuple(self.classes)
            counts = np.bincount(self._labels[self._parts["train"]], minlength=self.outputs)
            self._frequencies = (counts / counts.sum()).astype("float32")
        chosen = self._parts["train"]
        # places at which a training window may begin, added up over the training sequences
        places = (
            self._lengths[chosen] - self.horizon - self.steps + 1
            if self.forecasts
            else np.ones(len(chosen), int)
        )
        self._places = np.cumsum(np.maximum(1, places))
        self._windows = {part: self._cut(self._parts[part]) for part in ("validation", "test")}
        self.test_size = len(self._windows["test"][0])

    def _cut(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sequence and first row of each window of the sequences `chosen`, every step asked once."""
        if not self.forecasts:
            return chosen, self._starts[chosen]
        stride = self.steps - self.warmup + 1
        numbers = -(-(self._lengths[chosen] - self.horizon - self.warmup + 1) // stride)
        sequence = np.repeat(chosen, numbers)
        within = np.arange(len(sequence)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        start = self._starts[sequence] + within * stride
        asked = self._asked(sequence, start)
        return sequence[asked], start[asked]

    def _asked(self, sequence: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Which windows ask for anything: targets that were missing are not asked for."""
        if self._known is None:
            return np.ones(len(start), bool)
        rows, inside = self._rows(sequence, start)
        return (self._known[rows + self.horizon] & inside)[:, self.warmup - 1 :].any(axis=1)

    def _rows(self, sequence: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row of the table at each step of the windows [n, T], and which steps lie inside."""
        last = (
            self._starts[sequence]
            + self._lengths[sequence]
            - 1
            - (self.horizon if self.forecasts else 0)
        )
        rows = start[:, None] + np.arange(self.steps)
        return np.minimum(rows, last[:, None]), rows <= last[:, None]

    def encode(self, sequence: np.ndarray, start: np.ndarray):
        """x, y, w of windows, each of one sequence from the row `start` of the table on."""
        rows, inside = self._rows(sequence, start)
        y, w = np.zeros((*rows.shape, self.outputs), "float32"), np.zeros(rows.shape, "float32")
        if self.forecasts:
            asked = inside & (np.arange(self.steps) >= self.warmup - 1)
            if self._known is not None:
                asked &= self._known[rows + self.horizon]
            w[asked] = 1.0
            y[asked, 0] = self._values[rows[asked] + self.horizon, 0]
        else:
            n, last = np.arange(len(rows)), inside.sum(axis=1) - 1
            y[n, last, self._labels[sequence]] = w[n, last] = 1.0
        x = self._values[rows]
        x[~valid_steps(w)] = 0.0
        return x, y, w

    def sample(self, rng, n):
        sequence, start = self._draw(rng, n)
        again = np.flatnonzero(~self._asked(sequence, start))
        while len(again):
            sequence[again], start[again] = self._draw(rng, len(again))
            again = again[~self._asked(sequence[again], start[again])]
        return self.encode(sequence, start)

    def _draw(self, rng, n: int):
        place = rng.integers(self._places[-1], size=n)
        k = np.searchsorted(self._places, place, side="right")
        sequence = self._parts["train"][k]
        return sequence, self._starts[sequence] + place - np.r_[0, self._places][k]

    def probe(self, seed, n):
        sequence, start = self._windows["validation"]
        drawn = generator(seed, "probe").integers(len(start), size=n)
        return self.encode(sequence[drawn], start[drawn])

    def sets(self, seed, draw=0):
        """'validation' and 'test', the same for every seed."""
        return {part: _Windows(self, *windows) for part, windows in self._windows.items()}

    def correct(self, y, prediction, w):
        if self.forecasts:
            squared = np.sum(w[..., None] * (y - prediction) ** 2, axis=(1, 2))
            return squared < self.tolerance**2 * w.sum(axis=1)
        return most_active(y, prediction, w)

    def baselines(self, x, w):
        """'naive' and, of a forecast, 'mean' and with a period 'seasonal': see Chance."""
        if not self.forecasts:
            return {"naive": np.broadcast_to(self._frequencies, (*w.shape, self.outputs))}
        rules = {"naive": x[..., :1], "mean": np.zeros_like(x[..., :1])}
        if self.period is not None:
            back = (
                -self.horizon % self.period
            )  # the last row seen that lies whole periods before the one asked for
            rules["seasonal"] = np.concatenate(
                [x[:, :back, :1], x[:, : x.shape[1] - back, :1]], axis=1
            )
        return rules

    def summary(self, correct, losses):
        right = [
            self.correct(y, self.baselines(x, w)["naive"], w) for x, y, w in self.sets(0)["test"]
        ]
        naive = {**self.counts, "naive_wrong": int((~np.concatenate(right)).sum())}
        return naive | (self._in_the_unit_of_the_table(losses) if self.forecasts else {})

    def _in_the_unit_of_the_table(self, losses: dict[str, float]) -> dict[str, float]:
        """Root mean squared errors of the net and the baselines, and the scale by which they come from the losses."""
        mean, std = float(self.means[0]), float(self.stds[0])
        return {
            "target_mean": mean,
            "target_std": std,
            **{f"{name}_rmse": loss**0.5 * std for name, loss in losses.items()},
        }

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """Forecasts or targets in the unit of the table, from standard deviations around the training mean."""
        return values * self.stds[0] + self.means[0]


class _Windows:
    """A set, drawn up block by block at every pass."""

    def __init__(self, task: Csv, sequence: np.ndarray, start: np.ndarray):
        self.task, self.sequence, self.start = task, sequence, start

    def __iter__(self) -> Iterator:
        for first in range(0, len(self.start), self.task.block):
            here = slice(first, first + self.task.block)
            yield self.task.encode(self.sequence[here], self.start[here])


def _shares(shares: dict) -> dict:
    numbers = (
        list(shares.values()) if isinstance(shares, dict) and set(shares) == set(PARTS) else []
    )
    right = all(
        isinstance(share, (int, float)) and not isinstance(share, bool) and 0 < share < 1
        for share in numbers
    )
    if not numbers or not right or abs(sum(numbers) - 1) > 1e-6:
        fail(f"shares of {PARTS}, each between 0 and 1, that add up to 1", f"task.shares={shares}")
    return {part: float(shares[part]) for part in PARTS}
