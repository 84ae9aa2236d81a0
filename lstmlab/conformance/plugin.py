"""The pytest plugin of the conformance tests: the flag --config-dir, fixtures, one quiet CPU."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lstmlab import config
from lstmlab.conformance import options

# before TensorFlow is imported; tolerances are those of a CPU
for name, value in {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}.items():
    os.environ.setdefault(name, value)

HERE = Path(__file__).parent
pytest.register_assert_rewrite("lstmlab.conformance.oracles")


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers of the test; those of Keras are seeded too."""
    import keras

    keras.utils.set_random_seed(1997)
    return np.random.default_rng(1997)


@pytest.fixture
def eager() -> Iterator[None]:
    """Compiled functions run op by op: for tests of values."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag that all commands have."""
    about = "test the options in this folder only"
    parser.getgroup("lstmlab").addoption(config.FLAG, metavar="FOLDER", help=about)


def pytest_configure(config: pytest.Config) -> None:
    """Read the folder. Raises UsageError, one line, for what is wrong with it."""
    config.addinivalue_line("markers", "slow: learning runs, statistics over many draws")
    rest = "whole_table: those of them that have a sample which is enough for most days"
    config.addinivalue_line("markers", rest)
    keras_s = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning:keras"
    config.addinivalue_line("filterwarnings", keras_s)
    try:
        options.use(config.getoption("config_dir"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests of groups of which no option is under test."""
    group = collection_path.stem.removeprefix("test_")
    if collection_path.parent != HERE or group == collection_path.stem or group == "option":
        return None
    return None if options.sound(group) else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests without a case, such as those of gated cells where there is none."""
    empty = [item for item in items if _without_case(item)]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]


def _without_case(item: pytest.Item) -> bool:
    skipped = item.get_closest_marker("skip")
    reason = str(skipped.kwargs.get("reason", "")) if skipped else ""
    return item.path.parent == HERE and reason.startswith("got empty parameter set")
