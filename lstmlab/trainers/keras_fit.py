"""KerasFit: stock `Model.fit` with XLA, one epoch per window."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from lstmlab.learners.base import Learner
from lstmlab.model import Head, Recurrent, SequenceLog
from lstmlab.task import Task


class KerasFit:
    """Trains on any device with any learner, through `Model.fit`.

    window: sequences between two looks at the criterion; one epoch of fit. budget: sequences after which to give up, rounded
    up to whole windows. batch_size: sequences per weight change (1: on-line, as in 1997). steps_per_execution, jit_compile:
    as in `Model.compile`; without XLA a small net is about 20 times slower.
    training_set: None for ever fresh sequences, or the number of those that are presented in turn, again and again: the task's
    training set where it has one of that size, else the first of its stream.
    chunk: None, or steps of a piece: sequences then come piece by piece as one stream, the learner carries its memory from one
    piece to the next, and every piece counts as one sequence; for endless tasks, and for sequences too long for memory.
    Raises ValueError for values that are no positive integers, and for a window that is no multiple of
    batch_size * steps_per_execution.
    """

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
        counts = {
            "window": window,
            "budget": budget,
            "batch_size": batch_size,
            "steps_per_execution": steps_per_execution,
        }
        counts |= {
            name: value
            for name, value in {"training_set": training_set, "chunk": chunk}.items()
            if value is not None
        }
        for name, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"KerasFit: expected a positive integer. Received: trainer.{name}={value!r}"
                )
        if not isinstance(jit_compile, bool):
            raise ValueError(
                f"KerasFit: expected true or false. Received: trainer.jit_compile={jit_compile!r}"
            )
        if window % (batch_size * steps_per_execution):
            raise ValueError(
                "KerasFit: expected a multiple of trainer.batch_size * trainer.steps_per_execution = "
                f"{batch_size * steps_per_execution}. Received: trainer.window={window}"
            )
        self.window, self.budget, self.batch_size = (
            window,
            -(-budget // window) * window,
            batch_size,
        )
        if training_set is not None and (chunk is not None or training_set % batch_size):
            raise ValueError(
                f"KerasFit: expected a multiple of trainer.batch_size={batch_size}, and trainer.chunk=null. "
                f"Received: trainer.training_set={training_set}, trainer.chunk={chunk}"
            )
        self.training_set, self.chunk = training_set, chunk
        self.steps_per_execution, self.jit_compile = steps_per_execution, jit_compile

    def prepare(self, task: Task, cell, head: Head, learner: Learner, optimizer) -> Recurrent:
        """The model, built and compiled, with a log that holds one window."""
        learner.check_task(task)
        if learner.whole_set and self.training_set != self.batch_size:
            raise ValueError(
                f"KerasFit: {type(learner).__name__} learns from a whole set at a time; expected trainer.training_set = "
                f"trainer.batch_size. Received: trainer.training_set={self.training_set}, trainer.batch_size={self.batch_size}"
            )
        readouts = task.readouts if self.chunk is None else min(task.readouts, self.chunk)
        model = Recurrent(
            cell, head, learner, task.features, SequenceLog(self.window, readouts, task.outputs)
        )
        model.compile(
            optimizer=optimizer,
            jit_compile=self.jit_compile,
            steps_per_execution=self.steps_per_execution,
        )
        optimizer.build(
            model.trainable_variables
        )  # here, since learners change weights inside of loops
        if self.chunk is not None:
            model.carry(self.batch_size, self.chunk)
        return model

    def run(
        self, model: Recurrent, task: Task, seed: int, after_window: Callable[[], bool]
    ) -> None:
        """Train window by window on the task's stream; after each, after_window() looks at model.log and says if to stop."""
        model.fit(
            self._data(task, seed),
            epochs=self.budget // self.window,
            steps_per_epoch=self.window // self.batch_size,
            callbacks=[_AfterWindow(after_window)],
            shuffle=False,  # the stream is random already, and its order is part of the seed
            verbose=0,
        )

    def _data(self, task: Task, seed: int):
        """Endless batches of training."""
        if self.training_set is None:
            return task.stream(seed, self.batch_size, self.chunk)
        own = list(task.sets(seed).get("training", ()))
        if sum(len(x) for x, _, _ in own) == self.training_set:
            together = tuple(np.concatenate(parts) for parts in zip(*own, strict=True))
            return (
                tf.data.Dataset.from_tensor_slices(together)
                .repeat()
                .batch(self.batch_size, drop_remainder=True)
            )
        return (
            task.stream(seed, self.batch_size)
            .take(self.training_set // self.batch_size)
            .cache()
            .repeat()
        )


class _AfterWindow(keras.callbacks.Callback):
    def __init__(self, after_window: Callable[[], bool]):
        super().__init__()
        self.after_window = after_window

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = self.after_window()
