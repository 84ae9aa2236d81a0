"""The report on a folder of runs: report.md, report.csv and report.png."""

from pathlib import Path

from lstmlab.files import write as write_file
from lstmlab.report import many_trials, one_run, pictures, statistics, tables
from lstmlab.results import Run, load


def write(folder: str | Path) -> str:
    """Write the report on all runs under a folder into that folder.

    Args:
        folder: A folder with runs at any depth, or that of one run, whose picture.png is drawn;
            of the first of many trials trials.png, too.

    Returns:
        The table as Markdown, with notes and the names of the files.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
        WriteError: One of the files cannot be written.
    """
    folder = Path(folder)
    rows = load(folder)
    lines = statistics.table(rows)
    write_file(folder / "report.csv", lines.to_csv(index=False))

    text = f"{tables.markdown(lines)}\n\n{tables.notes(rows)}"
    write_file(folder / "report.md", f"# Runs in {folder.name}\n\n{text}\n")

    labelled = [
        (tables.label(names), statistics.trials(part), part["published_sequences"])
        for names, part in statistics.groups(rows)
    ]
    pictures.of_trials(labelled, folder / "report.png")
    written = f"written: {tables.short(folder)}/report.md, report.csv, report.png"
    if Run(folder).read_row().get("sequences") and one_run.picture(folder):
        written += ", picture.png"
    if many_trials.many(folder) and many_trials.picture(folder):
        written += f", {many_trials.PICTURE}"
    return f"{text}\n{written}"
