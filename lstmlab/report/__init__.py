"""Summaries, tables and pictures from plain result files; nothing here loads TensorFlow.

    one_run      the summary and the picture of one run
    many_trials  the summary and the picture of many trials of one setting
    statistics   from the rows of many runs to one line for each group of trials
    survival     sequences to solution, trials that used up their budget being censored
    paired       two settings compared on equal seeds
    ladders      the largest lag that each setting solves
    unlike       the settings in which lines differ beyond the swept ones
    tables       lines of statistics, numbers and paths as text
    sections     the parts of a report: tables in words, and how to read them
    formats      sections for a terminal, in Markdown and in LaTeX
    html         sections, pictures and all runs as one page that sorts and filters
    pictures     a run, and the trials of many settings, as PNG and SVG files
    curves       the learning curves of many trials, as a PNG file
    bands        learning curves of groups with bands, and the shares not solved yet
    aggregate    mean and interval over seeds of every scalar, as runs for TensorBoard
    reproduction trials beside the rows that were published
    page         all files of the report on a folder of runs
    command      `lstmlab-report`

Other rooms may import the names below.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstmlab.report.command import main
    from lstmlab.report.many_trials import many, summary_of_trials
    from lstmlab.report.one_run import picture, summary
    from lstmlab.report.page import write
    from lstmlab.report.reproduction import beside_published
    from lstmlab.report.statistics import table

_HOMES = {
    "beside_published": "reproduction", "main": "command", "many": "many_trials",
    "picture": "one_run", "summary": "one_run",
    "summary_of_trials": "many_trials", "table": "statistics", "write": "page",
}  # fmt: skip
__all__ = [
    "beside_published", "main", "many", "picture", "summary", "summary_of_trials", "table", "write",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: pandas and matplotlib take their time."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
