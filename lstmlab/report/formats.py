"""Sections as text for a terminal, as Markdown and as LaTeX."""

import textwrap
from collections.abc import Sequence

import pandas as pd
from tabulate import tabulate

from lstmlab.report.sections import Section

WIDTH = 100  # columns of a terminal
LEAST = 24  # columns of a terminal that names keep at least
HEAD = 2  # columns that tabulate adds to a heading
MOST = 60  # columns that one other column may take before its text is broken
SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "%&_#$"})  # in LaTeX


def terminal(section: Section) -> str:
    """Return a section in tables of at most 100 columns.

    What names all lines alike stands above; where not all columns have room side by side, the
    others follow in a second table with the same names.
    """
    table = section.table.astype(str)
    names = list(table.columns[: section.names])
    alike = [name for name in names if len(table) > 1 and table[name].nunique() == 1]
    above = ", ".join(f"{name} {table[name].iloc[0]}" for name in alike if table[name].iloc[0])
    names = [name for name in names if name not in alike] or names[:1]
    first = table[names].agg(lambda line: ", ".join(part for part in line if part), axis=1)
    heading = ", ".join(names)
    others = table.drop(columns=section.table.columns[: section.names])
    others = others[[name for name in others if (others[name] != "").any()]]
    wide = {name: min(max(len(name) + HEAD, *others[name].str.len()), MOST) for name in others}

    room = min(max(len(heading) + HEAD, *first.str.len()), LEAST)
    parts: list[list[str]] = [[]]
    left = WIDTH - room
    for name, width in wide.items():
        if width + 2 > left and parts[-1]:
            parts.append([])
            left = WIDTH - room
        parts[-1].append(name)
        left -= width + 2
    title = section.title + (f" ({above})" if above else "")
    drawn = [_simple(heading, first, others[part], wide) for part in parts]
    wrapped = textwrap.wrap(title, WIDTH)
    return "\n\n".join(["\n".join(wrapped), *drawn])


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
        table = section.table.astype(str)
        table = table[[name for name in table if (table[name] != "").any()]]
        body = tabulate(
            table.to_dict("list"),
            headers="keys",
            tablefmt="latex_booktabs",
            disable_numparse=True,
        )
        drawn.append(
            f"\\begin{{table}}\n\\caption{{{section.note.translate(SPECIAL)}}}\n"
            "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
            f"{body}%\n}}\n\\end{{table}}\n"
        )
    head = "% \\usepackage{booktabs} \\usepackage{graphicx}\n"
    return head + "\n".join(drawn)


def _simple(heading: str, first: pd.Series, others: pd.DataFrame, wide: dict[str, int]) -> str:
    """One table whose first column gets what room the others leave."""
    rest = sum(wide[name] + 2 for name in others)
    limits = [WIDTH - rest, *[wide[name] for name in others]]
    columns = {heading: first, **{name: others[name] for name in others}}
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
