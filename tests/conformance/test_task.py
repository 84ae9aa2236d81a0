"""Every task that conf/task/ names keeps the contract of lstmlab.task.Task."""

from importlib import resources

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lstmlab.criterion import criterion
from lstmlab.task import Task, generator, valid_steps

FILES = {path.name: path for path in (resources.files("lstmlab.conf") / "task").iterdir() if path.name.endswith(".yaml")}
N = 40


def build(name: str, seed: int = 0) -> Task:
    config = OmegaConf.create({"seed": seed, "task": OmegaConf.create(FILES[name].read_text(encoding="utf-8"))})
    return instantiate(config.task, _convert_="all")


@pytest.fixture(params=sorted(FILES))
def task(request):
    return build(request.param)


def sample(task, block=0):
    return task.sample(generator(0, "train", block), N)


def every_batch(task):
    return {"training": sample(task), "probe": task.probe(0, N), **task.sets(0)}.items()


def test_shapes_and_types(task):
    for name, (x, y, w) in every_batch(task):
        shapes = (len(x), task.steps, task.features), (len(x), task.steps, task.outputs), (len(x), task.steps)
        assert (x.shape, y.shape, w.shape) == shapes, name
        assert {x.dtype, y.dtype, w.dtype} == {np.dtype("float32")}, name
        assert all(np.isfinite(part).all() for part in (x, y, w)), name


def test_w_marks_a_step_of_every_sequence(task):
    for name, (x, y, w) in every_batch(task):
        marked = (w > 0).sum(axis=1)
        assert (w >= 0).all(), name
        assert marked.min() >= 1, name
        assert marked.max() <= task.readouts, name
        assert not x[~valid_steps(w)].any(), name
        assert not y[w == 0].any(), name


def test_same_numbers_same_sequences(task):
    for first, second in zip(sample(task), sample(task), strict=True):
        assert np.array_equal(first, second)
    assert not np.array_equal(sample(task)[0], sample(task, block=1)[0])
    for (name, first), (_, second) in zip(every_batch(task), every_batch(task), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)), name


def test_two_tasks_of_one_config_are_equal():
    for name in FILES:
        a, b, other = build(name), build(name), build(name, seed=1)
        assert np.array_equal(a.sets(0)["test"][0], b.sets(0)["test"][0])
        assert other.sets(1)["test"][0].tobytes() != a.sets(0)["test"][0].tobytes()


def test_sets(task):
    sets = task.sets(0)
    assert set(sets) in ({"test"}, {"test", "training"})
    assert len(sets["test"][0]) == task.test_size
    training = {x.tobytes() for x in sample(task)[0]}
    assert not training & {x.tobytes() for x in sets["test"][0]}


def test_targets_are_right_and_far_from_them_is_wrong(task):
    for name, (_, y, w) in every_batch(task):
        right = task.correct(y, y, w)
        assert right.dtype == bool, name
        assert right.shape == (len(y),), name
        assert not task.correct(y, 5 - 2 * y, w).any(), name


def test_events_are_valid_steps(task):
    for name, (x, _, w) in every_batch(task):
        events = task.events(x, w)
        assert events.dtype == bool, name
        assert not (events & ~valid_steps(w)).any(), name


def test_yardsticks(task):
    assert criterion(**task.criterion).solved_at is None
    assert 0 < task.chance < 1
    for entry in task.published:
        assert {"where", "sequences", "source"} <= set(entry)
        assert entry["sequences"] > 0
        assert {"cell", "learner"} <= set(entry["where"])


def test_docstring_is_a_task_card(task):
    assert all(word in type(task).__doc__ for word in ("Shown", "Asked", "Right", "Chance", "Solved", "Published"))
