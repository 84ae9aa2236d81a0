"""What a Board wrote, read back with TensorBoard's own reader."""

from pathlib import Path

import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def events(folder: str | Path) -> EventAccumulator:
    """Everything in the event files of one folder."""
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def scalars(accumulator: EventAccumulator, tag: str) -> dict[int, float]:
    """{step: value} of one tag."""
    return {
        event.step: float(tf.make_ndarray(event.tensor_proto)) for event in accumulator.Tensors(tag)
    }
