"""One quiet CPU for all tests, and a source of random numbers for each."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # tolerances here are those of a CPU

import keras
import numpy as np
import pytest
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers of the test; those of Keras are seeded too."""
    keras.utils.set_random_seed(1997)
    return np.random.default_rng(1997)


@pytest.fixture
def eager():
    """Compiled functions run op by op: for tests of values; tests/conformance/ compiles."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
