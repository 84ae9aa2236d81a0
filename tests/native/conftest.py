"""Without Numba there are no kernels to test; layouts and programs of blocks need none."""

from importlib.util import find_spec

collect_ignore = []
if find_spec("numba") is None:
    names = ("functions", "simd", "kernel_gradients", "engine", "compiled", "symbols")
    names += ("sequence_equals_loop", "sequence_in_models", "sequence_faults", "growing_kernel")
    collect_ignore = [f"test_{name}.py" for name in names]
