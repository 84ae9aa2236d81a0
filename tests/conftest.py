"""One quiet CPU for all tests; fixtures are those of lstmlab.conformance.plugin."""

import gc
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # tolerances here are those of a CPU

gc.disable()  # until all tests are collected: nothing of what is loaded becomes garbage

import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def pytest_collection_finish() -> None:
    """Let collections of garbage during tests leave out what was loaded before."""
    gc.collect()
    gc.freeze()
    gc.enable()
