"""The sequences of a table: where each begins, what it is called, and which part it belongs to."""

from dataclasses import dataclass

import numpy as np
from lstmlab.tasks.common.table.cleaning import Log
from lstmlab.tasks.common.table.columns import Columns
from lstmlab.tasks.common.table.keys import PARTS
from lstmlab.tasks.common.table.messages import fail
from lstmlab.tasks.common.table.rows import Rows

from lstmlab.checks import number


@dataclass
class Found:
    """The sequences of a table, in the order of its rows.

    Attributes:
        starts: The first row of each.
        lengths: How many rows each has.
        names: What each is called.
        units: Sequences with the same number must stay in one part.
        labels: The class of each, or None.
        parts: The part of each, a number of PARTS, or None.
    """

    starts: np.ndarray
    lengths: np.ndarray
    names: list[str]
    units: np.ndarray
    labels: np.ndarray | None = None
    parts: np.ndarray | None = None

    def keep(self, chosen: np.ndarray) -> None:
        """Keeps only the sequences of a mask."""
        self.names = [self.names[k] for k in np.flatnonzero(chosen)]
        for name in ("starts", "lengths", "units", "labels", "parts"):
            if getattr(self, name) is not None:
                setattr(self, name, getattr(self, name)[chosen])


def one_series(rows: Rows, shares: dict[str, float]) -> Found:
    """One long series as three sequences: first rows to train, next to validate, last to test."""
    cuts = np.rint(np.cumsum([0, *shares.values()]) * len(rows.numbers)).astype(int)
    parts = np.arange(3)
    return Found(cuts[:3], np.diff(cuts), list(PARTS), parts, parts=parts)


def long_enough(
    found: Found, least: int, known: np.ndarray | None, drop: bool, may_drop: bool, log: Log
) -> np.ndarray:
    """Which sequences are long enough for a question, and have a known target, bool.

    Args:
        found: The sequences.
        least: Rows that a sequence needs.
        known: Which rows have a known target, or None for all.
        drop: Whether to leave the others out.
        may_drop: Whether that can be done.
        log: Where to say so.

    Raises:
        ValueError: For a sequence that is too short, unless it is left out.
    """
    asked = found.lengths >= least
    if known is not None:
        first, last = found.starts + least - 1, found.starts + found.lengths
        # known targets among the rows that a sequence may ask for, by running sums
        total = np.r_[0, np.cumsum(known)]
        asked &= total[last] - total[np.minimum(first, last)] > 0
    if asked.all():
        return asked

    k, count = int(np.argmin(asked)), int((~asked).sum())
    what = f"{count} shorter (or without a known target)"
    what += f", the first {found.names[k]!r} with {int(found.lengths[k])}"
    if not (drop and may_drop):
        fail(f"sequences of at least {least} rows{', or task.short=drop' * may_drop}", what)
    log.counts["sequences_dropped"] += count
    log.notes.append(
        f"of {len(found.names)} sequences {what} rows: dropped; expected at least {least}"
    )
    return asked


def check_classes(classes: list[str], labels: np.ndarray, trained: np.ndarray) -> None:
    """Raises for fewer than two classes, and for one that no training sequence has.

    Args:
        classes: Their names.
        labels: The class of each sequence.
        trained: The classes of the training sequences.
    """
    if len(classes) < 2:
        fail("at least two classes", f"{classes}")
    unseen = [classes[k] for k in sorted({*labels.tolist()} - {*trained.tolist()})]
    if unseen:
        received = f"classes that occur only elsewhere: {unseen}"
        fail("every class in the training part", received)


def by_group(rows: Rows, columns: Columns) -> Found:
    """Each run of rows of the same sequence.

    Raises:
        ValueError: For a sequence whose rows have different classes or parts.
    """
    # there may be no row at all, if all were dropped
    first = np.r_[True, np.diff(rows.sequence) != 0] if len(rows.numbers) else np.zeros(0, bool)
    starts = np.flatnonzero(first)
    lengths = np.diff(np.r_[starts, len(rows.numbers)])
    names = [rows.names[k] for k in rows.sequence[starts]]
    units = rows.units[starts] if rows.units is not None else np.arange(len(starts))
    found = Found(starts, lengths, names, units)
    if rows.labels is not None:
        found.labels = _one_each(rows.labels, found, "class", columns.target, rows.classes)
    if rows.parts is not None:
        found.parts = _one_each(rows.parts, found, "part", columns.part, list(PARTS))
    return found


def _one_each(
    codes: np.ndarray, found: Found, what: str, column: str | None, words: list[str]
) -> np.ndarray:
    """The one code that all rows of a sequence share."""
    number = np.repeat(np.arange(len(found.starts)), found.lengths)
    first = codes[found.starts]
    other = np.flatnonzero(codes != first[number])
    if len(other):
        k = number[other[0]]
        both = f"{words[first[k]]!r} and {words[codes[other[0]]]!r}"
        fail(f"one {what} per sequence, column {column!r}", f"{both} in {found.names[k]!r}")
    return first


def deal(found: Found, shares: dict[str, float], split: int) -> np.ndarray:
    """Deals sequences out to the parts.

    Units are dealt out whole and evenly over the classes, and training gets one of each class.

    Args:
        found: The sequences.
        shares: The share of each part, by name.
        split: The seed of the shuffle.

    Returns:
        The part of each sequence, a number of PARTS.

    Raises:
        ValueError: For too few sequences.
    """
    _, first, unit = np.unique(found.units, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(split).permutation(len(first))
    kind = found.labels[first] if found.labels is not None else np.zeros(len(first), int)
    # class after class, shuffled within each: the sort is stable
    order = shuffled[np.argsort(kind[shuffled], kind="stable")]

    # The first of each class is for training; validation and test take theirs evenly from the rest.
    rest = order[np.r_[False, np.diff(kind[order]) == 0]]
    part = np.zeros(len(first), int)
    for name in ("test", "validation"):
        wanted = max(1, round(shares[name] * len(first)))
        if wanted > len(rest):
            received = f"{len(first)} groups, task.shares={shares}"
            beside = "one of each class" if found.labels is not None else "one for training"
            fail(f"enough sequences for {name} beside {beside}", received)
        # the middles of `wanted` equal stretches of `rest`, and so even over the classes
        places = ((np.arange(wanted) + 0.5) * len(rest) / wanted).astype(int)
        part[rest[places]] = PARTS.index(name)
        rest = np.delete(rest, places)
    return part[unit]


def checked_shares(shares: dict[str, float] | None) -> dict[str, float]:
    """The shares of the parts in their order: those given, or 70, 15 and 15 %."""
    shares = {"train": 0.7, "validation": 0.15, "test": 0.15} if shares is None else shares
    expected = f"shares of {PARTS}, each between 0 and 1, that add up to 1"
    if not isinstance(shares, dict) or set(shares) != set(PARTS):
        fail(expected, f"task.shares={shares}")
    checked = {
        part: number("Csv", f"task.shares.{part}", shares[part], above=0, below=1) for part in PARTS
    }
    if abs(sum(checked.values()) - 1) > 1e-6:
        fail(expected, f"task.shares={shares}")
    return checked
