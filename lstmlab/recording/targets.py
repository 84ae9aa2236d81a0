"""Targets of the shape that a model answers with, where its losses are those of Keras."""

from typing import Any

from keras import tree

from lstmlab.errors import refusal


def check_targets(owner: str, loss: Any, y: Any, prediction: Any) -> None:
    """Refuse targets that a loss of Keras would stretch to the shape of the prediction.

    Args:
        owner: The function that complains.
        loss: What the model was compiled with.
        y: Targets, tensors in any structure.
        prediction: What the model answers.

    Raises:
        ValueError: A target has another shape. Not for a loss that is not Keras' own.
    """
    given, answers = (tree.flatten(part) for part in (y, prediction))
    losses = _of_keras(loss)
    if losses is None or len(given) != len(answers):
        return
    classes = any("sparse" in name.lower() for name in losses)
    for target, answer in zip(given, answers, strict=True):
        if target is None or answer.shape.rank is None:
            continue
        if not _fits(tuple(target.shape), tuple(answer.shape), classes):
            expected = f"y of the shape that the model answers with, {tuple(answer.shape)}"
            raise refusal(owner, expected, f"y={tuple(target.shape)}")


def _of_keras(loss: Any) -> list[str] | None:
    """The names of a model's losses; None if one of them is not Keras' own, whose y is open."""
    names = []
    for one in tree.flatten(loss):
        if isinstance(one, str):
            names.append(one)
        elif one is not None:
            if not getattr(one, "__module__", "").startswith("keras."):
                return None
            names.append(getattr(one, "__name__", type(one).__name__))
    # CTC compares sequences of different lengths
    return None if any("ctc" in name.lower() for name in names) else names


def _fits(target: tuple, answer: tuple, classes: bool) -> bool:
    """Whether shapes are equal, up to a last axis of length 1; or without that of the classes."""
    if _same(target, answer):
        return True
    asked = answer[:-1] if classes else _squeezed(answer)
    return _same(_squeezed(target), asked)


def _squeezed(shape: tuple) -> tuple:
    return shape[:-1] if shape[-1:] == (1,) else shape


def _same(target: tuple, answer: tuple) -> bool:
    """Whether shapes are equal as far as they are known."""
    alike = len(target) == len(answer)
    return alike and all(
        None in pair or pair[0] == pair[1] for pair in zip(target, answer, strict=True)
    )
