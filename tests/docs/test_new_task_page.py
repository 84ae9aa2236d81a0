"""The task that docs/new_task.md shows, run as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from lstmlab.criterion import criterion
from lstmlab.task import generator

PAGE = (Path(__file__).parents[2] / "docs" / "new_task.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def recipe():
    """The class of the page, and the settings of its yaml."""
    [source] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    [settings] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {"__name__": "page"}
    exec(source, names)
    settings = yaml.safe_load(settings)
    target = settings.pop("_target_")
    assert target.startswith("lstmlab.tasks.first_value.")
    return names[target.rpartition(".")[2]], settings


@pytest.fixture
def task(recipe):
    kind, settings = recipe
    return kind(**settings)


def test_the_yaml_lists_the_defaults(recipe):
    kind, settings = recipe
    assert vars(kind()) == vars(kind(**settings))
    assert vars(kind(T=settings["T"] + 1)) != vars(kind())


def test_the_answer_is_the_first_value_and_comes_last(task):
    x, y, w = task.sample(generator(0, "train"), 4)
    assert np.array_equal(y[:, -1], x[:, 0])
    assert np.array_equal(w, np.tile(np.arange(50) == 49, (4, 1)))
    assert task.lag == 49


def test_chance(task):
    _, y, w = task.sample(generator(0, "train"), 20_000)
    squares = (y[w > 0].astype(float) - 0.5) ** 2
    assert squares.mean() == pytest.approx(task.chance, abs=4 * squares.std() / 20_000**0.5)


@pytest.mark.parametrize(("wrong", "solved"), [(20, True), (21, False)])
def test_right_and_solved(task, wrong, solved):
    _, y, w = task.sample(generator(0, "train"), 2000)
    off = np.where(np.arange(2000) < wrong, 0.05, 0.03)[:, None, None]
    assert task.correct(y, y + off, w).sum() == 2000 - wrong
    assert criterion(**task.criterion).observe(task, y, y + off, w) is solved


def test_what_is_refused(recipe):
    with pytest.raises(ValueError, match=r"FirstValue: expected an integer >= 2.*task.T=1$"):
        recipe[0](T=1)
