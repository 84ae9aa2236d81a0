"""What a GatedRNN tells of its values while somebody in the same thread watches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class _Here(threading.local):
    """The watchers of one thread, innermost last: others go on as if nobody watched."""

    def __init__(self) -> None:
        self.collectors: list[dict] = []  # the dictionaries that `collected` fills
        self.listeners: list[Callable] = []  # called with what layers get and answer
        self.values: dict[int, dict] = {}  # {id of a layer: the values of its call}


_here = _Here()


def collecting() -> bool:
    """Whether a layer that is called now is asked for its values."""
    return bool(_here.collectors)


@contextmanager
def collected() -> Iterator[dict]:
    """Give {layer name: values} of the layers that are called meanwhile."""
    _here.collectors.append({})
    try:
        yield _here.collectors[-1]
    finally:
        _here.collectors.pop()


def collect(name: str, values: dict) -> None:
    """Keep a layer's values for the caller of `collected`; a layer called again gets a number."""
    if not _here.collectors:
        return
    found, again, unique = _here.collectors[-1], 1, name
    while unique in found:
        unique, again = f"{name}_{again}", again + 1
    found[unique] = values


def hold(layer: Any, values: dict) -> None:
    """Put aside the values of a layer's call until the layer takes them with `held`."""
    _here.values[id(layer)] = values


def held(layer: Any) -> dict:
    """The values that the layer put aside, which it takes away with it."""
    return _here.values.pop(id(layer), {})


@contextmanager
def listening(listener: Callable) -> Iterator[None]:
    """Let a listener hear, and perhaps change, what every GatedRNN answers meanwhile.

    Args:
        listener: (layer, given, output, states) -> (output, states) of the same shapes, with which
            the layer goes on. given: (sequences [B, T, F], initial states, mask or None) as they
            reach the loop; output: [B, T, n] in the order of processing, or [B, n]; states: the
            list of the last ones.
    """
    _here.listeners.append(listener)
    try:
        yield
    finally:
        _here.listeners.remove(listener)


def passed(layer: Any, given: tuple, output: Any, states: list) -> tuple:
    """The output and last states of a layer, after the innermost listener."""
    listeners = _here.listeners
    return listeners[-1](layer, given, output, states) if listeners else (output, states)
