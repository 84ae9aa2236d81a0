"""Shows what a task shows and asks: a drawn sequence as text or as a picture; also `lstmlab-tasks`.

Loads no TensorFlow. What other rooms import: the names below.
"""

from lstmlab.describe.command import build, main
from lstmlab.describe.figure import picture
from lstmlab.describe.text import describe

__all__ = ["build", "describe", "main", "picture"]
