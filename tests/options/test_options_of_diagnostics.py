"""What only the diagnostics of conf/diagnostic/ are held to; all are by lstmlab.conformance."""

from importlib import import_module

import pytest

from lstmlab import config
from lstmlab.conformance import test_diagnostic
from lstmlab.diagnostics import kinds

PRESETS = {"off", "light", "full"}


@pytest.mark.parametrize("name", sorted(kinds()))
def test_one_name_for_file_class_option_and_module(name):
    kind = type(config.changed("diagnostic", name))
    assert kind is kinds()[name]
    assert kind.__module__ == f"lstmlab.diagnostics.{name}"
    assert getattr(import_module("lstmlab.diagnostics"), kind.__name__) is kind


def test_every_diagnostic_has_an_option_and_stands_in_the_presets_it_should():
    assert sorted(kinds()) == test_diagnostic.NAMES
    assert {*kinds(), *PRESETS} == {*config.options("diagnostic")}
    light, full = (
        config.settings("diagnostic", preset)["defaults"] for preset in ("light", "full")
    )
    assert {name for name, kind in kinds().items() if kind.light} <= set(light) < set(full)
    # `learners` compares learners and is asked for by name
    assert sorted(full) == sorted(kinds().keys() - {"learners"})
