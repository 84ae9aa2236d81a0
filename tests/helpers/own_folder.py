"""A folder of a user: modules, and beside them conf/ with options of their own."""

import sys
from contextlib import contextmanager
from pathlib import Path

from lstmlab import config

ECHO = '''
import numpy as np

from lstmlab.task import Task
from lstmlab.tasks.common.rules import sliding_window, within


class Echo(Task):
    """Say what is shown."""

    features, outputs, lag, test_size = 1, 1, 0, 10
    output_activation = "linear"
    chance, memoryless = 1 / 12, 0.0

    def __init__(self, T: int = 8, criterion=None):
        self.steps = self.readouts = T
        self.criterion = sliding_window(criterion, wrong=1)

    def sample(self, rng, n):
        x = rng.random((n, self.steps, 1), dtype="float32")
        return x, x.copy(), np.ones((n, self.steps), "float32")

    def correct(self, y, prediction, w):
        return within(0.1, y, prediction, w)
'''
SMALL = ("trainer.window=50", "trainer.budget=100", "probe=2", "diagnostic=off")
SMALL = (*SMALL, "optimizer.learning_rate=0.01")


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files, by their paths within the folder; return the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def with_echo(folder: Path, module: str = "own_echo") -> Path:
    """A folder with the task `echo`; return its config folder."""
    files = {f"{module}.py": ECHO, "conf/task/echo.yaml": f"_target_: {module}.Echo\nT: 8\n"}
    return write(folder, files) / "conf"


@contextmanager
def fresh():
    """Undo what a command does to this process: sys.path, modules, the folder in use."""
    path, modules = list(sys.path), set(sys.modules)
    try:
        yield
    finally:
        config.use(None)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if name.startswith("own_"):
                del sys.modules[name]
