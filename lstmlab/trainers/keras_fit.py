"""KerasFit: stock `Model.fit` with XLA, one epoch per window."""

from collections.abc import Callable
from typing import Any

import keras

from lstmlab import checks
from lstmlab.errors import refusal
from lstmlab.heads import Head
from lstmlab.learners.base import Learner
from lstmlab.model import Recurrent, SequenceLog
from lstmlab.task import Task
from lstmlab.trainers import data


class KerasFit:
    """Trains on any device with any learner, through `Model.fit`.

    Args:
        window: Sequences between two checks of the criterion; one epoch of fit.
        budget: Sequences after which to give up, rounded up to whole windows.
        batch_size: Sequences per weight change (1: on-line, as in 1997).
        steps_per_execution: As in `Model.compile`.
        jit_compile: As in `Model.compile`; without XLA a small network is about 20 times slower.
        training_set: None to draw new sequences all the time, or the size of a fixed set that is
            presented in turn, again and again: the task's training set if it has one of that size,
            else the first sequences of its stream.
        chunk: None, or the number of steps in a piece: sequences then come piece by piece as one
            stream, the learner carries its memory from one piece to the next, and every piece
            counts as one sequence; for endless tasks, and for sequences too long for memory.

    Raises:
        ValueError: Values that are not positive integers; a window that is not a multiple of
            batch_size * steps_per_execution; a training set that does not fit batch_size or chunk.
    """

    side_by_side = False  # whether it has run_many, see Native
    note = ""  # what a user should know of how it trains

    def __init__(
        self,
        window: int = 1000,
        budget: int = 300_000,
        batch_size: int = 1,
        steps_per_execution: int = 50,
        jit_compile: bool = True,
        training_set: int | None = None,
        chunk: int | None = None,
    ):
        owner = type(self).__name__

        def count(name: str, value: int | None, optional: bool = False) -> Any:
            return checks.integer(owner, f"trainer.{name}", value, optional=optional)

        self.window = count("window", window)
        self.budget = -(-count("budget", budget) // window) * window
        self.batch_size = count("batch_size", batch_size)
        self.training_set = count("training_set", training_set, optional=True)
        self.chunk = count("chunk", chunk, optional=True)
        self.jit_compile = checks.flag(owner, "trainer.jit_compile", jit_compile)
        if window % batch_size:
            expected = f"a multiple of trainer.batch_size={batch_size}"
            raise refusal(owner, expected, {"trainer.window": window})
        self.steps_per_execution = self._at_once(count("steps_per_execution", steps_per_execution))
        if training_set is not None and (chunk is not None or training_set % batch_size):
            expected = f"a multiple of trainer.batch_size={batch_size}, and trainer.chunk=null"
            received = {"trainer.training_set": training_set, "trainer.chunk": chunk}
            raise refusal(owner, expected, received)

    def _at_once(self, steps: int) -> int:
        """Weight changes in one call of the compiled training."""
        if self.window % (self.batch_size * steps):
            together = self.batch_size * steps
            expected = "a multiple of trainer.batch_size * trainer.steps_per_execution = "
            received = {"trainer.window": self.window}
            raise refusal(type(self).__name__, f"{expected}{together}", received)
        return steps

    def prepare(
        self, task: Task, cell: Any, head: Head, learner: Learner, optimizer: Any
    ) -> Recurrent:
        """Return the model, built and compiled, with a log that holds one window.

        Raises:
            ValueError: The learner cannot learn the task, or not from such batches.
        """
        learner.check_task(task)
        if learner.traits.whole_set and self.training_set != self.batch_size:
            expected = (
                "trainer.training_set = trainer.batch_size, since "
                f"{type(learner).__name__} learns from a whole set at a time"
            )
            received = {
                "trainer.training_set": self.training_set,
                "trainer.batch_size": self.batch_size,
            }
            raise refusal(type(self).__name__, expected, received)

        readouts = task.readouts if self.chunk is None else min(task.readouts, self.chunk)
        log = SequenceLog(self.window, readouts, task.outputs)
        model = Recurrent(cell, head, learner, task.features, log)
        model.compile(
            optimizer=optimizer,
            jit_compile=self.jit_compile,
            steps_per_execution=self.steps_per_execution,
        )
        optimizer.build(model.trainable_variables)  # here: learners change weights inside of loops
        if self.chunk is not None:
            model.carry(self.batch_size, self.chunk)
        return model

    def run(
        self,
        model: Recurrent,
        task: Task,
        seed: int,
        after_window: Callable[[], bool],
        threads: int = 1,
    ) -> None:
        """Train window by window on the task's stream.

        After each window after_window() looks at model.log and says whether to stop. `threads` is
        how many cores to use; here TensorFlow was told of them before.
        """
        if self.training_set is None:
            batches = data.stream(task, seed, self.batch_size, self.chunk)
        else:
            batches = data.repeated(task, seed, self.batch_size, self.training_set)
        model.fit(
            batches,
            epochs=self.budget // self.window,
            steps_per_epoch=self.window // self.batch_size,
            callbacks=[_AfterWindow(after_window)],
            shuffle=False,  # the stream is random already, and its order is part of the seed
            verbose=0,
        )


class _AfterWindow(keras.callbacks.Callback):
    """Hands back control at the end of every window."""

    def __init__(self, after_window: Callable[[], bool]):
        super().__init__()
        self.after_window = after_window

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.model.stop_training = self.after_window()
