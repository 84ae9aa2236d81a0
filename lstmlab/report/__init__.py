"""Summaries, tables and pictures from plain result files; nothing here loads TensorFlow.

    one_run      the summary and the picture of one run
    statistics   from the rows of many runs to one line for each group of trials
    tables       these lines as Markdown, and numbers and paths as text
    pictures     every picture, as PNG files
    page         report.md, report.csv and report.png of a folder of runs
    command      `lstmlab-report`

Other rooms may import the names below.
"""

from lstmlab.report.command import main
from lstmlab.report.one_run import picture, summary
from lstmlab.report.page import write
from lstmlab.report.statistics import table

__all__ = ["main", "picture", "summary", "table", "write"]
