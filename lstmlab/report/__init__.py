"""Summaries, tables and pictures from plain result files; also the command `lstmlab-report`. Loads no TensorFlow.

What other rooms import: the names below.
"""

from lstmlab.report.tables import main, picture, summary, table, write

__all__ = ["main", "picture", "summary", "table", "write"]
