"""Every experiment that conf/experiment/ names composes with the real config, and all its parts can be built."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from composed import composed
from hydra.utils import instantiate

from lstmlab.criterion import criterion
from lstmlab.model import Recurrent

ROOT = Path(str(resources.files("lstmlab.conf"))) / "experiment"
EXPERIMENTS = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.yaml"))
WEIGHTS = {"hs97/adding_100": 93, "hs97/adding_100_logistic": 93, "hs97/embedded_reber": 332, "hs97/embedded_reber_letter": 276}


def parts(config: dict) -> dict:
    built = {name: instantiate(config[name], _convert_="all") for name in ("task", "cell", "learner", "trainer", "optimizer")}
    head = config["head"]
    activation = head["activation"] or built["task"].output_activation
    built["head"] = instantiate(head, outputs=built["task"].outputs, activation=activation, _convert_="all")
    return built


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_composes_and_builds(experiment):
    config, choices = composed(f"experiment={experiment}")
    assert choices["experiment"] == experiment
    built = parts(config)
    criterion(**built["task"].criterion)
    model = Recurrent(built["cell"], built["head"], built["learner"], built["task"].features)
    weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
    assert weights == WEIGHTS.get(experiment, weights)
    for diagnostic in config["diagnostic"].values():
        assert instantiate(diagnostic, _convert_="all").serves(model)


def test_the_counts_are_those_of_known_experiments():
    assert set(WEIGHTS) <= set(EXPERIMENTS)


def test_default_is_adding_100():
    default, chosen = composed()
    experiment, _ = composed("experiment=hs97/adding_100")
    default["head"]["activation"] = default["head"]["activation"] or instantiate(default["task"]).output_activation
    for config in (default, experiment):  # the biases may be written in two ways
        cell = instantiate(config["cell"], _convert_="all")
        cell.build((None, 2))
        assert cell.bias.numpy()[:2].tolist() == [-3.0, -6.0]
        del config["cell"]["input_gate"]["bias"]
    assert default == experiment
    assert chosen["experiment"] is None


def test_logistic_differs_from_linear_in_the_head_alone():
    linear, _ = composed("experiment=hs97/adding_100")
    logistic, _ = composed("experiment=hs97/adding_100_logistic")
    assert (linear["head"].pop("activation"), logistic["head"].pop("activation")) == ("linear", "sigmoid")
    assert linear == logistic


def test_embedded_reber_differs_from_the_letter_in_the_head_alone():
    solving, _ = composed("experiment=hs97/embedded_reber")
    letter, _ = composed("experiment=hs97/embedded_reber_letter")
    ours, theirs = solving.pop("head"), letter.pop("head")
    assert {name for name in ours if ours[name] != theirs[name]} == {"shortcuts", "bias", "prime_offset"}
    assert (theirs["shortcuts"], theirs["bias"], theirs["prime_offset"]) == (False, None, 0.0)
    assert solving == letter


@pytest.mark.parametrize("group", ["task", "cell", "learner", "optimizer", "trainer"])
def test_every_option_composes(group):
    names = sorted(path.stem for path in (Path(str(resources.files("lstmlab.conf"))) / group).glob("*.yaml"))
    assert names
    for name in names:
        config, choices = composed(f"{group}={name}")
        assert choices[group] == name
        assert instantiate(config[group], _convert_="all") is not None
