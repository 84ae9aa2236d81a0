"""The section of a page on the run: how it ended, and what it is measured on."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lstmlab.explain.page import Page
from lstmlab.learners.base import Learner


def title(row: dict) -> str:
    """Return the title of a run's page."""
    what = ((name, row.get(name)) for name in ("cell", "learner", "seed"))
    return ", ".join([f"{row.get('task')}", *(f"{name} {value}" for name, value in what)])


def what_was_run(page: Page, run: Any) -> None:
    """Write how a run ended, on which test set, and the probe.

    Args:
        page: The page.
        run: As lstmlab.runs.build.reopen returns it.
    """
    page.heading("The run")
    row = run.row
    lines = [["ended", ended(row)], ["weights", f"{row.get('weights') or 0:,}"]]
    if row.get("reason"):
        lines.append(["reason", row["reason"]])
    if row.get("test_wrong") is not None:
        lines.append(["test set", _tested(row)])
    steps = int(run.probe.valid.sum(axis=1).max())
    sequences = f"{len(run.probe.x)} sequences of up to {steps} steps"
    lines.append(["probe", f"{sequences}, on which everything below is measured"])
    page.table(["run", ""], lines)

    learner = run.model.learner
    if type(learner).predict is not Learner.predict:  # such as a chunker, which has several nets
        name = type(learner).__name__
        more = f"{name} answers with more than this cell and its head"
        page.paragraph(f"{more}; what follows is about these two only.", note=True)


def ended(row: dict) -> str:
    """Return how a run ended, in words."""
    if row["status"] == "solved":
        return f"solved after {row['sequences_to_solution']:,} training sequences"
    what = {"budget": "not solved within the budget"}.get(row["status"], row["status"])
    return f"{what}, after {row.get('sequences') or 0:,} training sequences"


def not_finite(weights: Iterable) -> str:
    """Return in words which of the weights of a run are not finite; '' if all are."""
    broken = [weight.path for weight in weights if not np.isfinite(weight.numpy()).all()]
    return f"weights of this run are not finite ({', '.join(broken)})" if broken else ""


def _tested(row: dict) -> str:
    wrong = f"{row['test_wrong']:,} of {row['test_size']:,} sequences wrong"
    error = row.get("test_error")
    if error is None:
        return f"{wrong}, no finite mean error"
    return f"{wrong}, mean absolute error {error:.4f} (units of the target)"
