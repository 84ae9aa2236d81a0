"""exp, tanh, logistic and others of vectors, in float32.

Relative errors: tests/native/test_functions.py holds them against float64.
"""

from typing import Any

import numpy as np
from numba import njit

from lstmlab.native.simd import above, exponent, least, magnitude, mantissa, most, rounded, scaled

f32 = np.float32
LOG2_E, LN2_HIGH, LN2_LOW = f32(1.4426950408889634), f32(0.693359375), f32(-2.12194440e-4)


@njit
def exp(x: Any) -> Any:
    """e^x for x from -87 to 88; below and above, its value there."""
    x = least(most(x, f32(-87.0)), f32(88.0))
    power = rounded(x * LOG2_E)
    r = x - power * LN2_HIGH - power * LN2_LOW
    p = r * f32(1.9875691500e-4) + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    p = p * (r * r) + r + f32(1.0)
    return scaled(p, power)  # type: ignore[call-arg]  # Numba gives an intrinsic its first argument


@njit
def logistic(x: Any) -> Any:
    return f32(1.0) / (f32(1.0) + exp(f32(-1.0) * x))


@njit
def tanh(x: Any) -> Any:
    x = most(least(x, f32(7.90531110763549805)), f32(-7.90531110763549805))
    x2 = x * x
    p = x2 * f32(-2.76076847742355e-16) + f32(2.00018790482477e-13)
    p = p * x2 + f32(-8.60467152213735e-11)
    p = p * x2 + f32(5.12229709037114e-08)
    p = p * x2 + f32(1.48572235717979e-05)
    p = p * x2 + f32(6.37261928875436e-04)
    p = p * x2 + f32(4.89352455891786e-03)
    q = x2 * f32(1.19825839466702e-06) + f32(1.18534705686654e-04)
    q = q * x2 + f32(2.26843463243900e-03)
    q = q * x2 + f32(4.89352518554385e-03)
    return p / q * x  # in this order also right where p * x would be subnormal


@njit
def log(x: Any) -> Any:
    """The natural logarithm of x > 0, finite and not subnormal; NaN of NaN."""
    power: Any = exponent(x)  # type: ignore[call-arg]
    m: Any = mantissa(x)  # type: ignore[call-arg]
    high = above(m, f32(1.4142135))
    m = m * (f32(1.0) - f32(0.5) * high) - f32(1.0)
    power = power + high
    z = m * m
    p = m * f32(7.0376836292e-2) + f32(-1.1514610310e-1)
    p = p * m + f32(1.1676998740e-1)
    p = p * m + f32(-1.2420140846e-1)
    p = p * m + f32(1.4249322787e-1)
    p = p * m + f32(-1.6668057665e-1)
    p = p * m + f32(2.0000714765e-1)
    p = p * m + f32(-2.4999993993e-1)
    p = p * m + f32(3.3333331174e-1)
    p = p * m * z + power * LN2_LOW - z * f32(0.5)
    return m + p + power * LN2_HIGH + (x - x)  # the last term keeps NaN


@njit
def positive(x: Any) -> Any:
    """The larger one of x and 0; NaN of NaN."""
    return most(x, f32(0.0))


@njit
def softplus(x: Any) -> Any:
    """log(1 + e^x), without overflow: most(x, 0) + log1p(e^-|x|)."""
    u = exp(f32(-1.0) * magnitude(x))
    w = f32(1.0) + u
    # log1p(u) with the rounding of 1 + u made good
    return most(x, f32(0.0)) + log(w) + (u - (w - f32(1.0))) / w
