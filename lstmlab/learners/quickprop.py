"""Quickprop and the rule of patience: the two loops of cascade correlation."""

import tensorflow as tf

from lstmlab.typing import Tensor


def quickprop(
    weight: Tensor,
    step: Tensor,
    slope_before: Tensor,
    slope: Tensor,
    rate: Tensor,
    growth: float,
    decay: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Take one step downhill for every weight by itself.

        (1) s(t) = dE/dw + decay w
        (2) d(t) = d(t-1) s(t) / (s(t-1) - s(t))      the minimum of the parabola through the last
                                                      two slopes
        (3) d(t) = growth d(t-1)                      instead, where the parabola has none ahead, or
                                                      one farther away than that: where |s(t)| has
                                                      the sign of s(t-1) and exceeds
                                                      growth / (1 + growth) of it
        (4) d(t) - rate s(t)                          added, where the last step was downhill by
                                                      s(t) too, or was 0

    Args:
        weight: w.
        step: d(t-1), 0 at the start.
        slope_before: s(t-1), 0 at the start.
        slope: dE/dw.
        rate: See (4).
        growth: See (3).
        decay: See (1).

    Returns:
        The weight, the step taken, and the slope it was taken on.

    References:
        Fahlman 1988; the order of the cases as in his program of 1990.
    """
    slope = slope + decay * weight  # (1)
    parabola = tf.math.divide_no_nan(step * slope, slope_before - slope)  # (2)

    shrink = growth / (1 + growth)
    far = tf.where(step < 0, slope >= shrink * slope_before, slope <= shrink * slope_before)
    moved = tf.where(far, growth * step, parabola)  # (3)
    moved = tf.where(step == 0, tf.zeros_like(step), moved)  # both are 0 there, but for rounding

    downhill = (step == 0) | (step * slope < 0)
    moved = moved - tf.where(downhill, rate * slope, tf.zeros_like(slope))  # (4)
    return weight + moved, moved, slope


def patience(
    value: Tensor, last: Tensor, quit: Tensor, epoch: Tensor, patience: int, change: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Tell whether a phase has come to a standstill.

    It has where `value` stayed within the share `change` of `last` for `patience` epochs.

    Args:
        value: The value of this epoch, >= 0.
        last: The value it is compared with, negative before the first.
        quit: The epoch at which to stop.
        epoch: Number of the epoch in the phase, from 1 on.
        patience: Epochs.
        change: A share.

    Returns:
        The new `last` and `quit`, and whether the phase is over.
    """
    first = last < 0
    moved = ~first & (tf.abs(value - last) > change * last)
    return (
        tf.where(first | moved, value, last),
        tf.where(moved, epoch + patience, quit),
        ~first & ~moved & (epoch >= quit),
    )
