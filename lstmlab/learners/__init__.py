"""How errors become weight changes: one file per algorithm, all answering gradients(cell, head, x, y, w)."""

from lstmlab.learners.bptt import BPTT
from lstmlab.learners.elman import Elman
from lstmlab.learners.random_guessing import RandomGuessing
from lstmlab.learners.rtrl import RTRL
from lstmlab.learners.truncated1997 import Truncated1997
from lstmlab.learners.truncated_bptt import TruncatedBPTT

__all__ = ["BPTT", "RTRL", "Elman", "RandomGuessing", "Truncated1997", "TruncatedBPTT"]
