"""The GPU of a process of `lstmlab-bench layer --gpu`, as the backend of that process sees it."""

from __future__ import annotations

# each backend would take most of the GPU's memory, and leave none to the process beside it
SHARED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
HIDDEN = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}


def has_gpu(backend: str) -> bool:
    """Whether a backend, 'jax', 'tensorflow' or 'torch', computes on a GPU here."""
    if backend == "jax":
        import jax

        return jax.default_backend() == "gpu"
    if backend == "torch":
        import torch

        return torch.cuda.is_available()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def peak_mb(backend: str) -> float:
    """The largest memory of the first GPU that arrays of this process have held at once."""
    if backend == "jax":
        import jax

        found = jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]
    elif backend == "torch":
        import torch

        found = torch.cuda.max_memory_allocated()
    else:
        import tensorflow as tf

        found = tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return found / 2**20
