"""Settings that nothing reads, and those that belong to no group."""

import re

import pytest
from omegaconf import OmegaConf

from lstmlab import config
from lstmlab.runs.build import prepare
from lstmlab.runs.settings import check_plain, check_read


def composed(**more):
    return OmegaConf.merge(config.compose()[0], more)


@pytest.mark.slow
def test_all_that_there_is_is_read():
    for experiment in config.options("experiment"):
        check_read(OmegaConf.create(config.compose(f"experiment={experiment}")[0]))


@pytest.mark.parametrize(
    ("more", "nearest", "received"),
    [
        ({"lerning_rate": 0.1}, "optimizer.learning_rate", "lerning_rate"),
        ({"optimiser": {"learning_rate": 1}}, "optimizer.learning_rate", "optimiser.learning_rate"),
        ({"bugdet": 3}, "trainer.budget", "bugdet"),
        ({"diagnostics": {"gates": {"every": 1}}}, "diagnostic.gates.every", "diagnostics.gates"),
        ({"sede": 3}, "seed", "sede"),
        ({"T": 3}, "task.T", "T"),
    ],
)
def test_what_nothing_reads_is_named_with_the_nearest(more, nearest, received):
    expected = rf"no such setting; expected .*\(nearest: {nearest}\)\. Received: {received}"
    with pytest.raises(ValueError, match=expected):
        check_read(composed(**more))


def test_what_an_interpolation_names_is_read():
    check_read(composed(width=6, of={"a": 1}, cell={"units": "${width}", "b": "${of.a}"}))
    with pytest.raises(ValueError, match=r"Received: width$"):
        check_read(composed(width=6))


def test_an_experiment_without_its_first_line():
    with pytest.raises(ValueError, match=r"# @package _global_.*Received: .*task, seed$"):
        check_read(composed(experiment={"task": {"T": 30}, "seed": 1}))


def test_values_of_a_sweep():
    check_read(composed(), ["+task.short=1,2", "+hydra/launcher=basic", "seed=1,2", "~experiment"])
    with pytest.raises(ValueError, match=r"nearest: trainer\.budget\)\. Received: \+bugdet=1,2$"):
        check_read(composed(), ["seed=1,2", "+bugdet=1,2"])


@pytest.mark.parametrize("outputs", ["", None, True, "~/runs", ["a"], 5, {"a": 1}])
def test_outputs_that_are_no_folder(outputs):
    plain, _ = config.compose()
    check_plain({**plain, "outputs": "a"})
    with pytest.raises(ValueError, match=re.escape(f"Received: outputs={outputs!r}")):
        check_plain({**plain, "outputs": outputs})


@pytest.mark.parametrize(("name", "value"), [("seed", None), ("seed", 1.5), ("probe", 0)])
def test_a_plain_setting_is_named_first(name, value):
    plain, _ = config.compose()
    with pytest.raises(ValueError, match=rf"^{name}: expected .* Received: {name}={value}$"):
        check_plain({**plain, name: value})


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("+task.inclusiv=1", "inclusive"),
        ("+trainer.batchsize=3", "batch_size"),
        ("+cell.input_gate.biass=1", "bias"),
        ("+cell.kernel_initializer.minvalue=1", "minval"),
        ("+learner.scop=1", "scope"),
        ("+head.shortcut=true", "shortcuts"),
        ("+optimizer.lerning_rate=1", "learning_rate"),
        ("+diagnostic.gatez.every=3", "gates"),
        ("+diagnostic.gates.evry=3", "every"),
    ],
)
def test_a_setting_that_its_class_does_not_take(override, nearest):
    plain, _ = config.compose("task.T=24", "trainer.window=100", "probe=2", override)
    with pytest.raises(ValueError, match=rf"\(nearest: {nearest}\).*Received: ") as raised:
        prepare(plain)
    assert "\n" not in str(raised.value)


def test_a_setting_that_our_class_does_not_take_in_words():
    plain, _ = config.compose("trainer=keras_fit", "+trainer.bugdet=3")
    with pytest.raises(ValueError, match=r"^trainer: no such setting of KerasFit; ") as raised:
        prepare(plain)
    assert re.search(
        r"one of window, budget, .* \(nearest: budget\)\. Rec.*bugdet$", str(raised.value)
    )


def test_an_argument_that_the_file_does_not_list():
    plain, _ = config.compose(
        "learner=bptt", "+cell.layer_normalization=true", "+optimizer.momentum=0.9"
    )
    model = prepare(plain).built.model
    assert model.optimizer.momentum == 0.9
    assert model.cell.layer_normalization
