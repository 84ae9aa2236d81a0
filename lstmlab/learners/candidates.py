"""Candidate units of cascade correlation: what they are to follow, and how well they do."""

from typing import Any

import tensorflow as tf

from lstmlab.typing import Tensor


def draw(start: Tensor, number: Tensor, like: Tensor, weight_range: float) -> Tensor:
    """Return pool `number` [C, P + 1] of the run with the seed `start`; like: of its shape."""
    bound = tf.cast(weight_range, like.dtype)
    seed = tf.stack([start, number])
    return tf.random.stateless_uniform(like.shape, seed, -bound, bound, like.dtype, alg="philox")


def residual(error: Tensor, w: Tensor, cases: Tensor) -> Tensor:
    """Return (2) of CascadeCorrelation, [B, T, K]: 0 at steps without an error."""
    mean = tf.reduce_sum(error) / (cases * error.shape[-1])
    apart = tf.math.divide_no_nan(error - mean, tf.reduce_sum(tf.square(error)))  # (2)
    return tf.where((w != 0)[..., None], apart, tf.zeros_like(apart))


def correlate(
    cell: Any, pool: Tensor, seen: Tensor, residual: Tensor, signs: Tensor
) -> tuple[Tensor, Tensor]:
    """Return how well candidates follow the residual, (3) to (6) of CascadeCorrelation.

    Args:
        cell: The CascadeCell, for its f and the slope of f.
        pool: Weights of the candidates [C, P + 1]; the last one is the self weight.
        seen: What candidates see, I [B, T, P].
        residual: E [B, T, K].
        signs: Of C in (6), [C, K].

    Returns:
        C [C, K], and dS/dw [C, P + 1].
    """
    seen = tf.transpose(seen, [1, 2, 0])  # [T, P, B]
    residual = tf.transpose(residual, [1, 2, 0])  # [T, K, B]
    own, sums = pool[:, -1:], tf.einsum("cp,tpb->tcb", pool[:, :-1], seen)
    pull = tf.einsum("ck,tkb->tcb", signs, residual)
    steps = sums.shape[0]
    values = tf.TensorArray(sums.dtype, size=steps, element_shape=sums.shape[1:])

    def body(t, value, slopes, total, values):  # type: ignore[no-untyped-def]  # of a loop
        new = cell.f(sums[t] + own * value)  # (3)
        inputs = tf.broadcast_to(seen[t], (pool.shape[0], *seen.shape[1:]))
        known = tf.concat([inputs, value[:, None]], axis=1)
        slopes = cell.slope(new)[:, None] * (known + own[..., None] * slopes)  # (5)
        return t + 1, new, slopes, total + pull[t][:, None] * slopes, values.write(t, new)  # (6)

    nothing = tf.zeros((*pool.shape, sums.shape[-1]), sums.dtype)  # [C, P + 1, B]
    start = tf.constant(0), tf.zeros_like(sums[0]), nothing, nothing, values
    *_, total, values = tf.while_loop(
        lambda t, *_: t < steps, body, start, maximum_iterations=steps
    )
    correlation = tf.einsum("tcb,tkb->ck", values.stack(), residual)  # (4)
    return correlation, tf.reduce_sum(total, axis=-1)
