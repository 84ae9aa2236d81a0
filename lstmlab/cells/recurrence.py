"""Recurrence.

The weights that lead from the hidden values of the step before, and their products.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

import keras
from keras import ops


class Product(NamedTuple):
    """One weight and the pre-activations that it drives.

    Attributes:
        weight: Its name in the cell.
        kind: As Gate.recurrent; 'gates' also with feedback='gates_to_gates'.
        nets: {name: size} of the pre-activations, in the order of its columns.
        alone: Whether it is only the candidate's, behind a reset gate.
    """

    weight: str
    kind: str
    nets: dict[str, int]
    alone: bool


class Recurrence:
    """The recurrent weights of a GatedCell, by their shapes.

        full            [hidden, nets]                reads every hidden value that is fed back
        cells           [n, nets]                     reads the outputs alone
        gates           [gates, nets]                 reads the gates that are fed back
        block_diagonal  [heads, n/heads, nets/heads]  reads the cells of the own head
        by_element      [pre-activations, n]          reads the own cells, through one weight each

    Args:
        nets: {name: size} of the pre-activations.
        kinds: {name: kind}, as Gate.recurrent.
        feedback, units, heads: As in GatedCell.
        candidate_alone: Whether the candidate's product is taken by itself, behind a reset gate.
    """

    WEIGHTS = {
        "full": "recurrent_kernel",
        "cells": "cell_recurrent_kernel",
        "gates": "gate_recurrent_kernel",
        "block_diagonal": "recurrent_blocks",
        "by_element": "recurrent_elements",
    }

    def __init__(
        self,
        nets: dict[str, int],
        kinds: dict[str, str],
        feedback: str,
        units: int,
        heads: int,
        candidate_alone: bool,
    ):
        self.units, self.heads, self.feedback = units, heads, feedback
        self.products: list[Product] = []
        if feedback == "none":
            return

        # two passes: what waits for the reset gate is another product, by a weight of its own
        for alone in (False, True) if candidate_alone else (False,):
            group = {
                name: size
                for name, size in nets.items()
                if not candidate_alone or (name == "candidate") == alone
            }
            for kind, weight in self.WEIGHTS.items():
                driven = {name: size for name, size in group.items() if kinds[name] == kind}
                if driven:
                    self.products.append(
                        Product(f"candidate_{weight}" if alone else weight, kind, driven, alone)
                    )

        gates = {name: size for name, size in nets.items() if name != "candidate"}
        if feedback == "gates_to_gates" and gates:
            self.products.append(Product(self.WEIGHTS["gates"], "gates", gates, False))

    def shape(self, product: Product, hidden: int) -> tuple[int, ...]:
        """The shape of a product's weight, the hidden layer being `hidden` values wide."""
        width = sum(product.nets.values())
        if product.kind == "full":
            return self.units if self.feedback == "gates_to_gates" else hidden, width
        if product.kind == "cells":
            return self.units, width
        if product.kind == "gates":
            return hidden - self.units, width
        if product.kind == "block_diagonal":
            return self.heads, self.units // self.heads, width // self.heads
        return len(product.nets), self.units

    def __call__(self, product: Product, weight: Any, hidden: Any) -> Any:
        """R hidden for hidden values [B, hidden]: [B, nets], in the order of `product.nets`."""
        if product.kind == "gates":
            return ops.matmul(hidden[:, self.units :], weight)
        if product.kind != "full" or self.feedback == "gates_to_gates":
            hidden = first(hidden, self.units)
        if product.kind in ("full", "cells"):
            return ops.matmul(hidden, weight)
        if product.kind == "by_element":
            rows = zip(product.nets.values(), ops.unstack(weight), strict=True)
            return _side_by_side([within_blocks(hidden * row, size) for size, row in rows])

        # [B, n] -> [B, heads, n/heads]; h: head, i: its cells, j: its pre-activations
        heads = ops.reshape(hidden, (-1, self.heads, self.units // self.heads))
        read = ops.einsum("bhi,hij->bhj", heads, weight)
        # [B, heads, nets/heads] -> for each net [B, heads, size/heads] -> [B, size]
        by_net = split(read, {name: size // self.heads for name, size in product.nets.items()})
        return _side_by_side(
            [ops.reshape(by_net[name], (-1, size)) for name, size in product.nets.items()]
        )


def first(hidden: Any, units: int) -> Any:
    """The outputs among the hidden values: the first `units`."""
    return hidden if hidden.shape[-1] == units else hidden[:, :units]


def _side_by_side(parts: list) -> Any:
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)


def split(value: Any, sizes: dict[str, int]) -> dict:
    """Cut the last axis into named pieces."""
    ends = list(accumulate(sizes.values()))[:-1]
    parts = ops.split(value, ends, axis=-1) if ends else [value]
    return dict(zip(sizes, parts, strict=True))


def within_blocks(values: Any, blocks: int) -> Any:
    """Sum [B, n] over the cells of each block: [B, blocks]."""
    if values.shape[-1] == blocks:
        return values
    return ops.sum(ops.reshape(values, (-1, blocks, values.shape[-1] // blocks)), axis=-1)


def per_head(initializer: Any, heads: int) -> Callable:
    """An initializer for [heads, rows, columns] that draws every head by itself."""

    def draw(shape: tuple, dtype: Any = None) -> Any:
        drawn = isinstance(initializer, keras.initializers.Initializer)
        config = initializer.get_config() if drawn else {}
        seed = config.get("seed")
        # a function, or one with a SeedGenerator, whose config is a dictionary: it goes on drawing
        if not drawn or isinstance(seed, dict):
            return ops.stack([initializer(shape[1:], dtype=dtype) for _ in range(heads)])
        # with one seed for all, the heads would be copies of each other
        own = [{**config, "seed": seed + k} if seed is not None else config for k in range(heads)]
        return ops.stack([type(initializer).from_config(c)(shape[1:], dtype=dtype) for c in own])

    return draw
