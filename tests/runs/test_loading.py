"""Importing what is large: no collections of garbage then, and ordinary ones later."""

import gc

import pytest

from lstmlab.runs.loading import loading


@pytest.fixture(autouse=True)
def _as_before():
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_loaded_is_left_out_of_later_collections():
    gc.unfreeze()
    with loading():
        assert not gc.isenabled()
        loaded = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(loaded)


def test_collections_that_were_off_stay_off():
    gc.disable()
    with loading():
        pass
    assert not gc.isenabled()


def test_collections_go_on_where_loading_fails():
    with pytest.raises(ImportError), loading():
        raise ImportError("broken")
    assert gc.isenabled()
