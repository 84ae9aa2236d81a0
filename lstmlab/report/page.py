"""The report on a folder of runs, in files: Markdown, csv, LaTeX, HTML, PNG and SVG."""

from collections.abc import Sequence
from pathlib import Path

from lstmlab.files import write as write_file
from lstmlab.report import (
    aggregate,
    bands,
    formats,
    html,
    many_trials,
    one_run,
    pictures,
    statistics,
    tables,
)
from lstmlab.report.sections import sections
from lstmlab.results import Run, load

LABEL = 56  # characters of a line beside the points of report.png


def write(
    folder: str | Path, by: Sequence[str] = (), against: str = "", tensorboard: bool = False
) -> str:
    """Write the report on all runs under a folder into that folder.

    Args:
        folder: A folder with runs at any depth, or that of one run, whose picture.png is drawn;
            of the first of many trials trials.png, too.
        by: Columns of the result rows; each combination of their values is a line. Default: task,
            cell, learner, and every setting that differs within these.
        against: A piece of the name of the line with which all others are compared. Default: the
            first line, or each with each where they are few.
        tensorboard: Whether mean and interval of every scalar are written for TensorBoard, too
            (see `aggregate.write`).

    Returns:
        The tables, for a terminal of 100 columns, with notes and the names of the files.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
        ValueError: There is no such column, or no such line.
        WriteError: One of the files cannot be written.
    """
    folder = Path(folder)
    rows = load(folder)
    groups = statistics.groups(rows, by)
    parts = sections(rows, groups, by, against)
    notes, title = tables.notes(rows), f"Runs in {folder.resolve().name}"
    write_file(folder / "report.csv", statistics.lines(groups).to_csv(index=False))
    write_file(folder / "report.tex", formats.latex(parts))
    shown = "\n\n".join(map(formats.markdown, parts))
    write_file(folder / "report.md", f"# {title}\n\n{shown}\n\n## Notes\n\n{notes}\n")

    # a line without a name says nothing, but a folder of damaged rows alone has its picture, too
    known = [group for group in groups if not statistics.nameless(*group)] or groups
    labelled = [(tables.label(names), statistics.trials(part)) for names, part in known]
    published = [part["published_sequences"] for _, part in known]
    drawn = [("Trials", folder / "report.svg")]
    curves = bands.draw(labelled, folder / "curves.png")
    if curves is not None:
        drawn.append(("Share not solved yet, and learning curves", curves.with_suffix(".svg")))
    lines = [
        (tables.wrapped(label, LABEL), trials, means)
        for (label, trials), means in zip(labelled, published, strict=True)
    ]
    pictures.of_trials(lines, folder / "report.png")
    write_file(folder / "report.html", html.page(title, parts, notes, rows, drawn))

    names = ["report.md", "report.csv", "report.tex", "report.html"]
    names += ["curves.png"] if curves is not None else []
    names += ["report.png"]
    if Run(folder).read_row().get("sequences") and one_run.picture(folder):
        names.append("picture.png")
    if many_trials.many(folder) and many_trials.picture(folder):
        names.append(many_trials.PICTURE)
    if tensorboard:
        trials = [(line, statistics.trials(part)) for line, part in groups]
        names.append(f"{aggregate.FOLDER}/ ({len(aggregate.write(folder, trials))} runs)")
    text = "\n\n".join(f"{formats.terminal(part)}\n\n{formats.note(part)}" for part in parts)
    return f"{text}\n\n{notes}\nwritten: {tables.short(folder)}/{', '.join(names)}"
