"""One network explained: what its gates do, in symbols and, after a run, measured next to them.

    command       `lstmlab-explain`
    explanation   one page for a cell, or for a run
    run           its section on how the run ended
    symbols       its sections in symbols        why    in words, which gate forgets
    answer        what it keeps, and by which gate: the top of its page
    measured      its sections with measurements
    claims, held  what is claimed of a network, and whether its measurements confirm it
    page          the page as HTML               pictures   its pictures
    theorems      what a page states of them     progress   what is shown meanwhile

Other rooms may import the names below. Importing them loads neither TensorFlow nor Hydra.
"""

from lstmlab.explain.command import main
from lstmlab.explain.explanation import PAGE, of_cell, of_run

__all__ = ["PAGE", "main", "of_cell", "of_run"]
