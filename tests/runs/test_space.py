"""What a search may choose from, as it was typed; what is refused before anything is written."""

import pytest

from lstmlab.results import first_row
from lstmlab.runs import space
from lstmlab.runs.space import Range, read

RATE = "optimizer.learning_rate=tag(log,interval(0.001,1))"
SETTINGS = {"seed": 0, "task": {"T": 24, "criterion": {"rule": "sliding_window"}}}
SWEEPER = {
    "_target_": space.SEARCH, "trials": 3, "at_once": 1, "objective": "test_loss",
    "direction": "minimize", "sampler": "tpe", "seed": 0,
}  # fmt: skip


class Highest:
    """A trial that takes the largest value, and the last choice."""

    def suggest_int(self, name, low, high, *, step, log):
        return high

    def suggest_float(self, name, low, high, *, step, log):
        return high

    def suggest_categorical(self, name, choices):
        return choices[-1]


def test_a_command_line_is_sorted():
    found = read(
        ["task.T=24", RATE, "seed=range(0,3)", "cell=gru,mgu", "cell.units=range(2,9,3)",
         "probe=int(interval(1,8))", "+x.y=interval(0,2)", "~a.b", "hydra.sweep.dir=z"]
    )  # fmt: skip
    assert found.fixed == ["task.T=24", "~a.b"]
    assert found.seeds == ["seed=0", "seed=1", "seed=2"]
    last = {name: one.suggest(Highest(), name) for name, one in found.ranges.items()}
    assert last == {
        "optimizer.learning_rate": 1.0, "cell": "mgu", "cell.units": 8, "probe": 8, "+x.y": 2.0,
    }  # fmt: skip
    assert found.ranges["optimizer.learning_rate"].log
    assert found.ranges["cell.units"].step == 3
    assert [found.ranges[name].whole for name in ("cell.units", "probe", "+x.y")] == [1, 1, 0]
    assert read([RATE, "seed=7"]) == space.Space(["seed=7"], read([RATE]).ranges, [])


@pytest.mark.parametrize(
    ("one", "given", "short"),
    [
        (Range("", 0.001, 1.0, log=True), 0.0178264971, 0.01783),
        (Range("", 0.0012345, 1.0, log=True), 0.0012345, 0.0012345),  # not out of the interval
        (Range("", 0.0, 1000.0), 123.456789, 123.5),
        (Range("", 5.0, 5.00001), 5.00000123456, 5.000001235),
        (Range("", 0.0, 1.0, step=0.125), 0.375, 0.375),
        (Range("", 1, 64), 37, 37),
        (Range("", values=("a", "b")), "a", "a"),
    ],
)
def test_a_value_is_as_long_as_it_tells_something(one, given, short):
    assert one.short(given) == short


def test_the_value_that_a_setting_has_is_one_of_its_range_or_none():
    assert Range("", 0.1, 1.0).value(0.5) == 0.5
    assert Range("", 0.1, 1.0).value(2) is None
    assert Range("", 1, 9, step=2).value(7) == 7
    assert Range("", 1, 9, step=2).value(4) is None
    assert Range("", 1, 9).value(4.5) is None
    assert Range("", 1, 9).value("4") is None
    assert Range("", values=("0.5", "gru")).value(0.5) == "0.5"
    assert Range("", values=("0.5", "gru")).value("lstm1997") is None


@pytest.mark.parametrize(
    ("typed", "changes", "words"),
    [
        (["x=interval(1,1)"], {}, ["low < high", "Received: x=interval(1,1)"]),
        (["x=tag(log,interval(0,1))"], {}, ["0 < low < high"]),
        (["seed=0,1"], {}, ["a setting to search, as in", "Received: seed=0 seed=1"]),
        (["seed=interval(0,3)"], {}, ["seed=range(0,3)"]),
        ([RATE], {"trials": 0}, ["a positive integer", "hydra.sweeper.trials=0"]),
        ([RATE], {"at_once": 0}, ["hydra.sweeper.at_once=0"]),
        ([RATE], {"direction": "up"}, ["one of minimize, maximize", "'up'"]),
        ([RATE], {"sampler": "grid"}, ["one of tpe, random", "'grid'"]),
        ([RATE], {"objective": "test_eror"}, ["(nearest: test_error)", "'test_eror'"]),
        ([RATE], {"objective": "task.T"}, ["a column that is measured", "'task.T'"]),
        ([RATE], {"_target_": space.BASIC}, ["hydra/sweeper=search", RATE]),
    ],
)
def test_refusals(typed, changes, words, monkeypatch):
    monkeypatch.setattr(space, "find_spec", lambda name: True)
    with pytest.raises(ValueError, match=" expected ") as refused:
        space.check({**SWEEPER, **changes}, typed, SETTINGS)
    assert all(word in str(refused.value) for word in words), refused.value


def test_a_search_without_optuna_names_the_extra(monkeypatch):
    monkeypatch.setattr(space, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'lstmlab\[search\]'"):
        space.check(SWEEPER, [RATE], SETTINGS)


def test_objectives(monkeypatch):
    monkeypatch.setattr(space, "find_spec", lambda name: True)
    assert set(space.MEASURED) <= set(first_row({}, {}))
    for column in (*space.MEASURED, "naive_loss"):  # a task may have a column of its own
        space.check({**SWEEPER, "objective": column}, [RATE], SETTINGS)
    never = {"task": {"criterion": {"rule": "budget"}}}
    with pytest.raises(ValueError, match="solves nothing"):
        space.check({**SWEEPER, "objective": "solved"}, [RATE], never)
