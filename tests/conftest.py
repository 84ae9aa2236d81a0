"""One quiet CPU for all tests, and the flag --part; fixtures are those of
lstmlab.conformance.plugin."""

import gc
import os
import zlib

import pytest

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # tolerances here are those of a CPU

gc.disable()  # until all tests are collected: nothing of what is loaded becomes garbage

import tensorflow as tf  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "of the slow tests only part K of N, and all others, as 2/4"
    parser.getgroup("lstmlab").addoption("--part", metavar="K/N", default="1/1", help=about)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow tests of other parts. Raises UsageError for what is no part."""
    given = config.getoption("part")
    k, _, n = given.partition("/")
    if not (k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        expected = "expected K/N with 1 <= K <= N, such as 2/4"
        raise pytest.UsageError(f"--part: {expected}. Received: {given}")

    def elsewhere(item: pytest.Item) -> bool:
        slow = item.get_closest_marker("slow") is not None
        return slow and zlib.crc32(item.nodeid.encode()) % int(n) != int(k) - 1

    config.hook.pytest_deselected(items=[item for item in items if elsewhere(item)])
    items[:] = [item for item in items if not elsewhere(item)]


def pytest_collection_finish() -> None:
    """Let collections of garbage during tests leave out what was loaded before."""
    gc.collect()
    gc.freeze()
    gc.enable()
