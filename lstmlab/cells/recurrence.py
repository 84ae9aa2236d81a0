"""Recurrence: which weights lead from the hidden values of the step before to the nets, and their products."""

from itertools import accumulate
from typing import NamedTuple

import keras
from keras import ops


class Product(NamedTuple):
    """One weight and the nets it drives, in the order of its columns.

    kind: as Gate.recurrent, or 'gates': from fed-back gates alone. alone: for the candidate behind a reset gate.
    """

    weight: str
    kind: str
    nets: dict[str, int]
    alone: bool


class Recurrence:
    """The recurrent weights of a GatedCell, by their shapes:

        full            [hidden, nets]               reads every value of the hidden layer that is fed back
        block_diagonal  [heads, n/heads, nets/heads] reads the cells of the net's own head
        by_element      [kinds of net, n]            reads the net's own cells, through one weight each
        gates           [gates, gate nets]           feedback 'gates_to_gates': gates read the gates of the step before

    nets: {name: size}; kinds: {name: kind}. candidate_alone: its product is taken by itself, behind a reset gate.
    """

    WEIGHTS = {
        "full": "recurrent_kernel",
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
        for alone in (False, True) if candidate_alone else (False,):
            group = {
                n: size
                for n, size in nets.items()
                if not candidate_alone or (n == "candidate") == alone
            }
            for kind, weight in self.WEIGHTS.items():
                driven = {name: size for name, size in group.items() if kinds[name] == kind}
                if driven:
                    self.products.append(
                        Product(f"candidate_{weight}" if alone else weight, kind, driven, alone)
                    )
        gates = {name: size for name, size in nets.items() if name != "candidate"}
        if feedback == "gates_to_gates" and gates:
            self.products.append(Product("gate_recurrent_kernel", "gates", gates, False))

    def shape(self, product: Product, hidden: int) -> tuple[int, ...]:
        """The shape of a product's weight, the hidden layer being `hidden` values wide."""
        width = sum(product.nets.values())
        if product.kind == "full":
            return self.units if self.feedback == "gates_to_gates" else hidden, width
        if product.kind == "gates":
            return hidden - self.units, width
        if product.kind == "block_diagonal":
            return self.heads, self.units // self.heads, width // self.heads
        return len(product.nets), self.units

    def __call__(self, product: Product, weight, hidden):
        """What the hidden values [B, hidden] contribute to the nets of the product, one after the other: [B, nets]."""
        if product.kind == "gates":
            return ops.matmul(hidden[:, self.units :], weight)
        if product.kind != "full" or self.feedback == "gates_to_gates":
            hidden = first(hidden, self.units)
        if product.kind == "full":
            return ops.matmul(hidden, weight)
        if product.kind == "by_element":
            rows = zip(product.nets.values(), ops.unstack(weight), strict=True)
            return _side_by_side([within_blocks(hidden * row, size) for size, row in rows])
        heads = ops.reshape(hidden, (-1, self.heads, self.units // self.heads))
        read = ops.einsum("bhi,hij->bhj", heads, weight)
        by_net = split(read, {name: size // self.heads for name, size in product.nets.items()})
        return _side_by_side(
            [ops.reshape(by_net[name], (-1, size)) for name, size in product.nets.items()]
        )


def first(hidden, units: int):
    """The outputs among the hidden values: the first `units`."""
    return hidden if hidden.shape[-1] == units else hidden[:, :units]


def _side_by_side(parts: list):
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)


def split(value, sizes: dict[str, int]) -> dict:
    """The last axis cut into named pieces."""
    ends = list(accumulate(sizes.values()))[:-1]
    parts = ops.split(value, ends, axis=-1) if ends else [value]
    return dict(zip(sizes, parts, strict=True))


def within_blocks(values, blocks: int):
    """[B, n] summed over the cells of each block: [B, blocks]."""
    if values.shape[-1] == blocks:
        return values
    return ops.sum(ops.reshape(values, (-1, blocks, values.shape[-1] // blocks)), axis=-1)


def per_head(initializer, heads: int):
    """An initializer for [heads, rows, columns] that draws every head by itself, as if it stood alone."""

    def draw(shape, dtype=None):
        if not isinstance(
            initializer, keras.initializers.Initializer
        ):  # a function: as often as there are heads
            return ops.stack([initializer(shape[1:], dtype=dtype) for _ in range(heads)])
        config = initializer.get_config()
        own = [
            {**config, "seed": config["seed"] + k} if config.get("seed") is not None else config
            for k in range(heads)
        ]
        return ops.stack([type(initializer).from_config(c)(shape[1:], dtype=dtype) for c in own])

    return draw
