"""Kernels take subnormal numbers as 0, and leave the processor as it was."""

import platform

import numpy as np
import pytest

numba = pytest.importorskip("numba")

simd = pytest.importorskip("lstmlab.native.simd")
flush_subnormals, restore = simd.flush_subnormals, simd.restore

X86 = platform.machine() in ("x86_64", "AMD64")


@numba.njit
def halved(numbers, flush):
    before = np.int32(0)
    if flush:
        before = flush_subnormals()
    for k in range(numbers.size):
        numbers[k] = numbers[k] * np.float32(0.5)
    if flush:
        restore(before)


@pytest.mark.skipif(not X86, reason="other processors are left as they are")
def test_flushed_inside_and_not_outside():
    for flush, expected in ((True, 0.0), (False, 7.5e-39), (True, 0.0)):
        numbers = np.array([1.5e-38] * 5 + [1.0], "float32")
        halved(numbers, flush)
        assert numbers.tolist() == pytest.approx([expected] * 5 + [0.5], abs=1e-44)
        # NumPy meets them in the same thread
        assert np.float32(1.5e-38) * np.float32(0.5) > 0
