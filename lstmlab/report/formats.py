"""Sections as text for a terminal, as Markdown and as LaTeX."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from tabulate import tabulate

from lstmlab.report.sections import Section

WIDTH = 100  # columns of a terminal
LEAST = 24  # columns of a terminal that names keep at least
HEAD = 2  # columns that tabulate adds to a heading
MOST = 60  # columns that one other column may take before its text is broken
SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "%&_#$"})  # in LaTeX


class _Narrow(NamedTuple):
    """A section whose columns are parted so that each part has room in 100 columns.

    Attributes:
        above: What names all lines alike.
        first: What names a line, under a heading of its own.
        parts: The other columns; those that are empty are left out.
        wide: How wide each of them is.
    """

    above: str
    first: pd.Series
    parts: list[pd.DataFrame]
    wide: dict[str, int]


def terminal(section: Section) -> str:
    """Return a section in tables of at most 100 columns.

    What names all lines alike stands above; where not all columns have room side by side, the
    others follow in a second table with the same names.
    """
    narrow = _narrow(section)
    title = section.title + (f" ({narrow.above})" if narrow.above else "")
    drawn = [_simple(narrow.first, part, narrow.wide) for part in narrow.parts]
    return "\n\n".join(["\n".join(textwrap.wrap(title, WIDTH)), *drawn])


def _narrow(section: Section) -> _Narrow:
    table = section.table.astype(str)
    names = list(table.columns[: section.names])
    alike = [name for name in names if len(table) > 1 and table[name].nunique() == 1]
    above = ", ".join(f"{name} {table[name].iloc[0]}" for name in alike if table[name].iloc[0])
    names = [name for name in names if name not in alike] or names[:1]
    first = table[names].agg(lambda line: ", ".join(part for part in line if part), axis=1)
    first = first.rename(", ".join(names))
    others = table.drop(columns=section.table.columns[: section.names])
    others = others[[name for name in others if (others[name] != "").any()]]
    wide = {name: min(max(len(name) + HEAD, *others[name].str.len()), MOST) for name in others}

    room = WIDTH - min(max(len(str(first.name)) + HEAD, *first.str.len()), LEAST)
    parts: list[list[str]] = [[]]
    left = room
    for name, width in wide.items():
        if width + 2 > left and parts[-1]:
            parts.append([])
            left = room
        parts[-1].append(name)
        left -= width + 2
    return _Narrow(above, first, [others[part] for part in parts], wide)


def note(section: Section) -> str:
    """Return how to read a section, in lines of at most 100 columns."""
    return textwrap.fill(section.note, WIDTH)


def markdown(section: Section) -> str:
    """Return a section in Markdown: heading, table, note."""
    table = section.table.map(lambda text: str(text).replace("|", "\\|"))
    drawn = tabulate(table.to_dict("list"), headers="keys", tablefmt="pipe", disable_numparse=True)
    return f"## {section.title}\n\n{drawn}\n\n{section.note}"


def latex(sections: Sequence[Section]) -> str:
    r"""Return sections as LaTeX tables with the rules of booktabs.

    The file is for \input; the preamble needs \usepackage{booktabs} and, for tables that are wider
    than the page, \usepackage{graphicx}.
    """
    drawn = []
    for section in sections:
        narrow = _narrow(section)
        note = f"{narrow.above}. {section.note}" if narrow.above else section.note
        for number, part in enumerate(narrow.parts):
            # each in a float of its own: all of them together may be longer than a page
            caption = note.translate(SPECIAL) if number == 0 else f"{section.title}, continued."
            body = _tabular(narrow.first, part)
            drawn.append(
                f"\\begin{{table}}\n\\caption{{{caption}}}\n\\centering\n{body}\n\\end{{table}}\n"
            )
    head = "% \\usepackage{booktabs} \\usepackage{graphicx}\n"
    return head + "\n".join(drawn)


def _tabular(first: pd.Series, others: pd.DataFrame) -> str:
    """One tabular, made as narrow as the page if it is wider."""
    body = tabulate(
        {first.name: list(first), **others.to_dict("list")},
        headers="keys",
        tablefmt="latex_booktabs",
        disable_numparse=True,
    )
    return (
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"{body}%\n}}"
    )


def _simple(first: pd.Series, others: pd.DataFrame, wide: dict[str, int]) -> str:
    """One table whose first column gets what room the others leave."""
    rest = sum(wide[name] + 2 for name in others)
    limits = [WIDTH - rest, *[wide[name] for name in others]]
    columns = {str(first.name): first, **{name: others[name] for name in others}}
    cells = {
        name: ["\n".join(textwrap.wrap(text, limit)) for text in column]
        for (name, column), limit in zip(columns.items(), limits, strict=True)
    }
    headers = [
        "\n".join(textwrap.wrap(name, limit - HEAD))
        for name, limit in zip(cells, limits, strict=True)
    ]
    align = ["left", *["left" if wide[name] == MOST else "right" for name in others]]
    drawn = tabulate(
        list(zip(*cells.values(), strict=True)),
        headers=headers,
        tablefmt="simple",
        disable_numparse=True,
        colalign=align,
    )
    return "\n".join(line.rstrip() for line in drawn.splitlines())
