"""The words of columns as numbers: groups, classes, parts."""

import numpy as np
import pandas as pd
from lstmlab.tasks.common.table.form import MISSING, Form
from lstmlab.tasks.common.table.messages import below_header, columns_said, fail

PARTS = ("train", "validation", "test")


class Codes:
    """The words of a column, or the words side by side of several, as numbers; chunk by chunk.

    Args:
        names: The columns.
        form: How the table is written.
    """

    def __init__(self, names: list[str], form: Form):
        self.columns, self.form = names, form
        self.known: dict[tuple[str, ...], int] = {}
        self.chunks: list[np.ndarray] = []

    def add(self, frame: pd.DataFrame, done: int) -> None:
        words = frame[self.columns]
        empty = words.isna().any(axis=1).to_numpy()
        if empty.any():
            where = below_header(done + int(empty.argmax()))
            fail(f"no empty cells in {columns_said(self.columns)}", f"one in {where}")
        codes, found = pd.MultiIndex.from_frame(words).factorize()
        numbers = [self.known.setdefault(words, len(self.known)) for words in found]
        # codes of this chunk -> codes of the whole table
        self.chunks.append(np.array(numbers, "int32")[codes])

    def values(self) -> np.ndarray:
        return np.concatenate(self.chunks)

    def names(self) -> list[str]:
        return [", ".join(words) for words in self.known]

    def in_order(self) -> tuple[np.ndarray, list[str]]:
        """Codes by the order of the words; of numbers, by their size."""
        words = self.names()
        sizes = self.form.numbers(pd.Series(words))
        if sizes.isna().any():
            order = np.argsort(words)
        else:
            order = np.argsort(sizes.to_numpy(), kind="stable")
        place = np.empty(len(words), "int32")
        # the inverse of `order`: where each old code comes in it
        place[order] = np.arange(len(words))
        return place[self.values()], [words[k] for k in order]

    def notes(self) -> list[str]:
        """What is a word here and marks a missing value in a column of numbers."""
        like = sorted({word for words in self.known for word in words} & {*MISSING})
        said = columns_said(self.columns)
        return [f"{said}: {', '.join(map(repr, like))} taken as a word"] if like else []


def parts_of(words: pd.Series, name: str, done: int) -> np.ndarray:
    """The numbers of the parts that a column names."""
    codes = words.str.strip().map({part: k for k, part in enumerate(PARTS)})
    if codes.isna().any():
        row = int(codes.isna().to_numpy().argmax())
        where = f"{words.iloc[row]!r} in {below_header(done + row)}"
        fail(f"one of {PARTS} in column {name!r}", where)
    return codes.to_numpy("int8")
