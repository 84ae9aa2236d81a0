"""The real config, composed as the command does it, and runs so small that they take a moment."""

from lstmlab import config
from lstmlab.runs import train

SMALL = (
    "task.T=24",
    "trainer.window=100",
    "trainer.budget=200",
    "task.criterion.sequences=100",
    "probe=2",
)
NO_DIAGNOSTICS = ("diagnostic=[]",)


def run(folder, *overrides: str) -> dict:
    """One small run in `folder`; its row."""
    composed, choices = config.compose(*SMALL, *overrides)
    return train.run(composed, folder, choices, progress=False)
