"""How errors become weight changes: one file per algorithm, separate from the cell.

`base` has the two interfaces: a `Learner` updates a network and keeps its state; a
`GradientLearner` only gives gradients. Other rooms may import `base`, the learners offered here,
`bptt`, and `states.Kept`. The rest is shared by learners: `backward` (reverse differentiation),
`forward` and `stepwise` (learning on the way, with a memory), `chunking`, and small files of
functions.
"""

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
from lstmlab.learners.truncated1997_forward import Truncated1997Forward
from lstmlab.learners.truncated_bptt import TruncatedBPTT
from lstmlab.learners.uoro import UORO

__all__ = [
    "BPTT",
    "RTRL",
    "UORO",
    "CascadeCorrelation",
    "ChunkerLevels",
    "Elman",
    "Growing",
    "HDetach",
    "RandomGuessing",
    "SequenceChunker",
    "SnAp",
    "Truncated1997",
    "Truncated1997Forward",
    "TruncatedBPTT",
]
