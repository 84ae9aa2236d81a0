"""The report on a folder of runs: report.md, report.csv and report.png."""

from pathlib import Path

from lstmlab.report import pictures, statistics, tables
from lstmlab.results import load


def write(folder: str | Path) -> str:
    """Write the report on all runs under a folder into that folder.

    Args:
        folder: A folder with runs at any depth.

    Returns:
        The table as Markdown, with notes and the names of the three files.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
    """
    folder = Path(folder)
    rows = load(folder)
    lines = statistics.table(rows)
    lines.to_csv(folder / "report.csv", index=False)

    text = f"{tables.markdown(lines)}\n\n{tables.notes(rows)}"
    (folder / "report.md").write_text(f"# Runs in {folder.name}\n\n{text}\n", encoding="utf-8")

    labelled = [
        (tables.label(names), statistics.trials(part), part["published_sequences"])
        for names, part in statistics.groups(rows)
    ]
    pictures.of_trials(labelled, folder / "report.png")
    return f"{text}\nwritten: {tables.short(folder)}/report.md, report.csv, report.png"
