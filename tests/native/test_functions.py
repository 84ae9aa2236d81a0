"""Functions of vectors against float64, over all that they are used for."""

from collections.abc import Callable

import numpy as np
import pytest
from numba import njit

from lstmlab.native import functions
from lstmlab.native.simd import vec
from lstmlab.native.writing import LANES

RELATIVE = 3e-7
TINY = np.finfo("float32").tiny


def over_lanes(function: Callable) -> Callable:
    @njit
    def inside(x: np.ndarray, y: np.ndarray) -> None:
        seen, made = vec(x, LANES), vec(y, LANES)
        for k in range(len(seen)):
            made[k] = function(seen[k])

    def called(x: np.ndarray) -> np.ndarray:
        rows = np.resize(x.astype("float32"), (-(-len(x) // LANES), LANES))
        out = np.zeros_like(rows)
        inside(rows, out)
        return out.ravel()[: len(x)]

    return called


OURS = {name: over_lanes(getattr(functions, name))
        for name in ("exp", "logistic", "tanh", "log", "softplus")}  # fmt: skip
EXACT: dict[str, Callable] = {
    "exp": np.exp,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "log": np.log,
    "softplus": lambda x: np.logaddexp(0.0, x),
}
# where each is held against float64; its worst relative error there
USED = {"exp": (-87.0, 88.0), "logistic": (-87.0, 87.0), "tanh": (-100.0, 100.0)}
USED |= {"softplus": (-87.0, 1e6), "log": (TINY, 1e38)}


def grid(name: str) -> np.ndarray:
    """Evenly over the range, and over all magnitudes of either sign down to the smallest normal."""
    least, most = USED[name]
    even = np.linspace(max(least, -100.0), min(most, 100.0), 400_001)
    powers = np.geomspace(TINY, max(-least, most), 400_001)
    x = np.concatenate([even, powers, -powers]).astype("float32")
    return x[(x >= least) & (x <= most)]


def worst(name: str) -> float:
    x = grid(name)
    exact = EXACT[name](x.astype("float64"))
    error = np.abs(OURS[name](x) - exact)
    return float(np.max(error[exact != 0] / np.abs(exact[exact != 0])))


@pytest.mark.parametrize("name", OURS)
def test_relative_error_against_float64(name):
    assert worst(name) <= RELATIVE


@pytest.mark.parametrize("name", OURS)
def test_nan_stays_nan(name):
    x = np.ones(LANES)
    x[3] = np.nan
    assert np.flatnonzero(np.isnan(OURS[name](x))).tolist() == [3]


def test_saturation_outside():
    far = np.array([-np.inf, -1e30, -200.0, 200.0, 1e30, np.inf])
    one = np.ones(3)
    assert np.allclose(OURS["tanh"](far), [*-one, *one], rtol=RELATIVE, atol=0)
    assert (np.abs(OURS["tanh"](far)) <= 1).all()

    ends = np.exp([-87.0] * 3 + [88.0] * 3)
    assert np.allclose(OURS["exp"](far), ends, rtol=RELATIVE, atol=0)

    logistic = OURS["logistic"](far)
    assert (logistic[:3] > 0).all()
    assert (logistic[:3] < 1e-37).all()
    assert (logistic[3:] == 1).all()

    softplus = OURS["softplus"](far)
    assert (softplus[:3] >= 0).all()
    assert (softplus[:3] < 1e-37).all()
    assert (softplus[3:] == far[3:].astype("float32")).all()


def test_zeros():
    zero = np.zeros(LANES)
    assert (OURS["tanh"](zero) == 0).all()
    assert (OURS["exp"](zero) == 1).all()
    assert (OURS["logistic"](zero) == 0.5).all()
    assert (OURS["log"](zero + 1) == 0).all()
