"""The one form in which a value is refused: who complains, what was expected and received."""

from collections.abc import Mapping
from typing import Any


def refusal(owner: str, expected: str, received: Mapping[str, Any] | str) -> ValueError:
    """ValueError('<owner>: expected <expected>. Received: <name>=<value>, ...').

    Args:
        owner: The class, function or command that complains.
        expected: A set, a range, or what to do instead, as the end of a sentence.
        received: Values by name, written as Python writes them; or the text itself.
    """
    return ValueError(f"{owner}: expected {expected}. Received: {listed(received)}")


def listed(received: Mapping[str, Any] | str) -> str:
    """'<name>=<value>, ...', values written as Python writes them; or the text itself."""
    if isinstance(received, str):
        return received
    return ", ".join(f"{name}={value!r}" for name, value in received.items())
