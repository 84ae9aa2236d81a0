"""How errors become weight changes: one file per algorithm; most answer gradients(cell, head, x, y, w)."""

from lstmlab.learners.bptt import BPTT
from lstmlab.learners.cascade_correlation import CascadeCorrelation
from lstmlab.learners.chunker import SequenceChunker
from lstmlab.learners.chunker_levels import ChunkerLevels
from lstmlab.learners.elman import Elman
from lstmlab.learners.growing import Growing
from lstmlab.learners.hdetach import HDetach
from lstmlab.learners.random_guessing import RandomGuessing
from lstmlab.learners.rtrl import RTRL
from lstmlab.learners.snap import SnAp
from lstmlab.learners.truncated1997 import Truncated1997
from lstmlab.learners.truncated_bptt import TruncatedBPTT
from lstmlab.learners.uoro import UORO

__all__ = [
    "BPTT", "RTRL", "UORO", "CascadeCorrelation", "ChunkerLevels", "Elman", "Growing", "HDetach", "RandomGuessing",
    "SequenceChunker", "SnAp", "Truncated1997", "TruncatedBPTT",
]  # fmt: skip
