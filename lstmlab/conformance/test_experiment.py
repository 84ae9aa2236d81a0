"""Every experiment of a user: it composes, its parts fit together, and its criterion is one."""

import pytest

from lstmlab import config
from lstmlab.conformance import options
from lstmlab.criterion import check_sets, criterion
from lstmlab.runs.build import build, diagnostics

NAMES = [n for n in options.sound("experiment") if not options.is_built_in("experiment", n)]


@pytest.mark.parametrize("name", NAMES)
def test_composes_and_builds(name):
    settings, choices = config.compose(f"experiment={name}")
    assert choices["experiment"] == name
    built = build(settings)
    check_sets(name, criterion(**built.task.criterion), built.task.sets(settings["seed"]))
    served = [one for one in diagnostics(settings).values() if one.serves(built.model)]
    assert served or not settings.get("diagnostic") or not hasattr(built.model.cell, "step")
