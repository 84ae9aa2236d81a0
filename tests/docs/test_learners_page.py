"""The learner that docs/learners.md shows, run as it stands there."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from oracles import randomize
from refusals import DROPOUT

from lstmlab import GatedCell, Head, config
from lstmlab.learners import BPTT

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "learners.md").read_text(encoding="utf-8")
B, T, F, K, N = 2, 5, 3, 2, 4


@pytest.fixture(scope="module")
def learner():
    """The class of the page's recipe, which its yaml names."""
    recipe = PAGE.partition("## Add a learner")[2]
    [source] = re.findall(r"```python\n(.*?)```", recipe, re.DOTALL)
    [settings] = re.findall(r"```yaml\n(.*?)```", recipe, re.DOTALL)
    names: dict = {}
    exec(source, names)
    target = yaml.safe_load(settings)["_target_"]
    assert target.startswith("lstmlab.learners.cut_candidates.")
    return names[target.rpartition(".")[2]]()


def gradients(learner, rng, **switches) -> list[list[np.ndarray]]:
    """Those of the learner and those of BPTT, on one random problem."""
    cell, head = GatedCell(N, **switches, dtype="float64"), Head(K, dtype="float64")
    for layer, size in ((cell, F), (head, N)):
        layer.build((None, size))
        randomize(layer, rng)
    batch = [tf.constant(rng.normal(size=(B, T, *size))) for size in ((F,), (K,))]
    batch.append(tf.constant(rng.uniform(size=(B, T))))
    return [
        [part.numpy() for part in one.gradients(cell, head, *batch)[2]] for one in (learner, BPTT())
    ]


def test_it_is_exact_in_its_exact_case(learner, rng, eager):
    found, exact = gradients(learner, rng, **learner.traits.exact_case)
    for one, other in zip(found, exact, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10)


def test_it_is_not_exact_elsewhere(learner, rng, eager):
    found, exact = gradients(learner, rng)
    assert not all(np.allclose(one, other) for one, other in zip(found, exact, strict=True))


def test_every_learner_of_the_pictures_has_a_colour_of_its_own(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "scripts")
    draw = importlib.import_module("draw_learners")
    composed, _ = config.compose("diagnostic=[learners]")
    shown = [*composed["diagnostic"]["learners"]["learners"], "snap1", "uoro"]
    assert len(shown) >= 5
    colours = {draw.colour(name) for name in shown}
    assert len(colours) == len(shown)
    assert draw.colour("nosuch") not in colours


def test_it_refuses_what_it_cannot_serve(learner):
    with pytest.raises(ValueError, match=rf"^CutCandidates: {DROPOUT}\. Received: dropout=0\.5,"):
        learner.check(GatedCell(N, dropout=0.5))
