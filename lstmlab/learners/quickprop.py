"""Quickprop and the rule of patience: the two loops of cascade correlation."""

import tensorflow as tf


def quickprop(weight, step, slope_before, slope, rate, growth: float, decay: float = 0.0):
    """One step downhill for every weight by itself: the weight, the step taken, and the slope it was taken on.

        (1) s(t) = dE/dw + decay w
        (2) d(t) = d(t-1) s(t) / (s(t-1) - s(t))     the minimum of the parabola through the last two slopes
        (3) d(t) = growth d(t-1)                     instead, where the parabola has none ahead, or one farther away than that:
                                                     where |s(t)| has the sign of s(t-1) and exceeds growth / (1 + growth) of it
        (4) d(t) - rate s(t)                         added, where the last step was downhill by s(t) too, or was 0

    step, slope_before: d(t-1) and s(t-1), 0 at the start. slope: dE/dw.
    Source: Fahlman 1988; the order of the cases as in his program of 1990.
    """
    slope = slope + decay * weight  # (1)
    shrink = growth / (1 + growth)
    parabola = tf.math.divide_no_nan(step * slope, slope_before - slope)  # (2)
    far = tf.where(step < 0, slope >= shrink * slope_before, slope <= shrink * slope_before)
    moved = tf.where(
        far, growth * step, parabola
    )  # (3); 0 where the last step was 0, of either form
    moved = tf.where(step == 0, tf.zeros_like(step), moved)
    downhill = (step == 0) | (step * slope < 0)
    moved = moved - tf.where(downhill, rate * slope, tf.zeros_like(slope))  # (4)
    return weight + moved, moved, slope


def patience(value, last, quit, epoch, patience: int, change: float):
    """Whether a phase has come to a standstill: last, quit, and bool.

    It has where `value` stayed within the share `change` of `last` for `patience` epochs. value: of this epoch, >= 0; last: the
    value it is compared with, negative before the first; quit: the epoch at which to stop; epoch: of the phase, from 1 on.
    """
    first = last < 0
    moved = ~first & (tf.abs(value - last) > change * last)
    return (
        tf.where(first | moved, value, last),
        tf.where(moved, epoch + patience, quit),
        ~first & ~moved & (epoch >= quit),
    )
