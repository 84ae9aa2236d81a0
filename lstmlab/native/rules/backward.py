"""Back-propagation through time: learners/bptt.py, truncated1997.py."""

from __future__ import annotations

from lstmlab.native.layout import Group
from lstmlab.native.phases import Phases
from lstmlab.native.rules.one_step import OneStep
from lstmlab.native.writing import Lines


class Backward(OneStep):
    """Derivatives go back through all steps: of everything, or as the rule of 1997 cuts them.

    scope: 'none' cuts nothing (BPTT); 'all' and 'gates' as in learners/truncated1997.py.
    """

    def make(self) -> None:
        cell = self.layout.cell
        self.cut = self.scope != "none"
        self.parts = ("hidden", *cell.state_names)
        super().make()

    def _reaches(self, part: str) -> bool:
        return True if part != "current" else not self.cut

    def back_to(self, group: Group) -> tuple[str, ...]:
        everything = ("hidden", "cell_state", "kept", "current")
        if self.scope == "none" or (
            self.scope == "gates" and group.name in ("candidate", "waiting")
        ):
            return everything
        return ("kept",)

    def at_readout(self, phases: Phases) -> Lines:
        return []
