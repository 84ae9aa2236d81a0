"""The identity of a run against settings that count and those that do not; names of sweeps."""

import pytest

from lstmlab import config
from lstmlab.runs.identity import LONGEST, NOT_COUNTED, identity, sweep_name, without_values


def of(*overrides: str) -> str:
    return identity(config.compose(*overrides)[0])


def test_where_and_how_fast_do_not_count():
    plain = of()
    assert NOT_COUNTED == ("outputs", "threads", "sweep", "again")
    assert of("outputs=elsewhere") == of("threads=1") == plain
    assert of("sweep=mine") == of("again=older") == plain
    assert len(plain) == 10


def test_every_other_setting_counts():
    changed = [
        "seed=1", "probe=2", "trials=2", "trials_shown=0", "task.T=24", "cell=vanilla",
        "learner=bptt", "trainer.budget=10", "trainer=keras_fit", "optimizer=adam",
        "head.loss=crossentropy",
        "diagnostic=full", "+cell.reset_after=true", "task.criterion.wrong=2",
    ]  # fmt: skip
    assert len({of(), *map(of, changed)}) == 1 + len(changed)


def test_how_a_setting_is_written_does_not_count():
    assert identity({"a": 1, "b": {"c": 2.0}}) == identity({"b": {"c": 2}, "a": 1.0})
    assert identity({"a": 1}) != identity({"a": True}) != identity({"a": "1"})
    assert identity({"a": [1, 2]}) != identity({"a": [2, 1]})
    assert identity({"a": 0.1}) != identity({"a": 0.1 + 1e-16})
    assert identity({"a": float("nan"), "b": None}) == identity({"b": None, "a": float("nan")})


def test_the_name_of_a_sweep_does_not_change_with_a_value_or_a_seed():
    name = sweep_name(["cell=gru,vanilla", "task.T=50", "seed=range(0,3)"])
    assert name == "cell-seed-task.T=50"
    assert sweep_name(["seed=7", "task.T=50", "cell=gru,vanilla,mgu", "threads=1"]) == name
    assert sweep_name(["cell=gru,vanilla", "task.T=51", "seed=0,1"]) != name
    assert sweep_name(["hydra.launcher.n_jobs=2", "hydra/launcher=basic", "+hydra.x=1"]) == "sweep"
    assert sweep_name(["sweep=a", "outputs=b", "again=older"]) == "sweep"
    assert sweep_name(["experiment=hs97/4_adding", "seed=0,1"]) == "seed-experiment=hs97_4_adding"
    assert sweep_name(["~diagnostic", "seed=0,1"]) == "seed-_diagnostic"


def test_a_long_name_is_cut_and_stays_its_own():
    names = [sweep_name([f"task.file='{'ö' * 300}{end}'", "seed=0,1"]) for end in "ab"]
    assert names[0] != names[1]
    assert all(len(name.encode()) <= LONGEST for name in names)
    assert sweep_name(["task.file='/../..'"]) not in ("", ".", "..")


@pytest.mark.parametrize(
    ("typed", "empty"),
    [
        (["seed=range(3,0)"], "seed=range(3,0)"),
        (["cell=gru,vanilla", "task.T=range(5,5)"], "task.T=range(5,5)"),
        (["seed=range(0,3)", "cell=gru", "cell=choice(gru,mgu)", "cell=glob(*)"], None),
    ],
)
def test_a_setting_without_values_is_found(typed, empty):
    assert without_values(typed) == empty
