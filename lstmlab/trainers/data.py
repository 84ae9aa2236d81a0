"""Batches of training as a tf.data.Dataset.

A task's stream, whole or in pieces, or a finite set.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np
import tensorflow as tf

from lstmlab import checks
from lstmlab.task import Sequences, Task, generator


def stream(task: Task, seed: int, batch_size: int = 1, chunk: int | None = None) -> tf.data.Dataset:
    """Return endless batches of training; block k holds sequences k*block to (k+1)*block - 1.

    Args:
        task: The task.
        seed: Seed of the run.
        batch_size: B.
        chunk: None for whole sequences. A number cuts them into consecutive pieces of this many
            steps. Then each sequence is drawn by itself, so that memory does not grow with T: batch
            k holds sequences k*B to (k+1)*B - 1 of the stream 'chunks', which has others than the
            whole sequences of training. The last piece of a sequence is padded by steps without
            error; an endless task stays in its first sequences.

    Returns:
        x [B, T, F], y [B, T, K], w [B, T]; with a chunk also begins [B], true for the piece with
        which a sequence begins.

    Raises:
        ValueError: A batch_size or a chunk that is not a positive integer.
    """
    checks.integer("stream", "batch_size", batch_size)
    checks.integer("stream", "chunk", chunk, optional=True)
    shapes = [(task.features,), (task.outputs,), ()]

    if chunk is None:
        signature = [tf.TensorSpec((task.block, task.steps, *shape), "float32") for shape in shapes]
        sequences = tf.data.Dataset.from_generator(
            lambda: _blocks(task, seed), output_signature=tuple(signature)
        )
        return sequences.unbatch().batch(batch_size, drop_remainder=True).prefetch(64)

    signature = [tf.TensorSpec((batch_size, chunk, *shape), "float32") for shape in shapes]
    signature.append(tf.TensorSpec((batch_size,), "bool"))
    chunks = tf.data.Dataset.from_generator(
        lambda: task.chunks(seed, batch_size, chunk), output_signature=tuple(signature)
    )
    return chunks.prefetch(2)


def repeated(task: Task, seed: int, batch_size: int, size: int) -> tf.data.Dataset:
    """Return the same `size` sequences again and again, in order.

    They are the task's training set where it has one of that size, else the first of its stream.
    """
    own = list(task.sets(seed).get("training", ()))
    if sum(len(x) for x, _, _ in own) == size:
        together = tuple(np.concatenate(parts) for parts in zip(*own, strict=True))
        sequences = tf.data.Dataset.from_tensor_slices(together)
        return sequences.repeat().batch(batch_size, drop_remainder=True)
    return stream(task, seed, batch_size).take(size // batch_size).cache().repeat()


def _blocks(task: Task, seed: int) -> Iterator[Sequences]:
    """The blocks of the stream 'train', as NumPy arrays."""
    for k in count():
        yield task.sample(generator(seed, "train", k), task.block)
