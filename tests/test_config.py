"""The reader of conf/ against the files themselves, and against a small conf/ made here."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra.errors import ConfigCompositionException, MissingConfigException

from lstmlab import config
from lstmlab.config.quoting import may_be_one_text

CONF = Path(__file__).parents[1] / "conf"


def test_options_are_the_files():
    for group in ("task", "cell", "learner", "optimizer"):
        assert config.options(group) == sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    deep = config.options("experiment")
    assert any("/" in name for name in deep)
    assert all((CONF / "experiment" / f"{name}.yaml").exists() for name in deep)


def test_an_experiment_sets_what_config_yaml_sets():
    assert config.compose()[0]["probe"] == 16
    assert config.compose("experiment=long_lag")[0]["probe"] == 1
    assert config.compose("experiment=long_lag", "probe=3")[0]["probe"] == 3


def test_what_an_option_says():
    text = (CONF / "task" / "adding.yaml").read_text(encoding="utf-8")
    assert config.text("task", "adding") == text
    assert config.settings("task", "adding") == yaml.safe_load(text)
    assert config.target("task", "adding").__name__ == "Adding"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("addin", r"^task: expected one of adding, .* \(nearest: adding\)\. Received: task=addin$"),
        ("zzz", r"^task: expected one of adding, .*[a-z]\. Received: task=zzz$"),
    ],
)
def test_an_option_that_is_not_there(option, message):
    with pytest.raises(ValueError, match=message):
        config.text("task", option)


def test_made_is_what_the_classes_make():
    found = config.made(
        {"a": [{"_target_": "fractions.Fraction", "numerator": 1, "denominator": 3}], "b": {"c": 2}}
    )
    assert str(found["a"][0]) == "1/3"
    assert found["b"] == {"c": 2}


def test_changed_settings():
    task = config.changed("task", "adding", ["T=50", "criterion.wrong=3"])
    assert (task.T, task.criterion["wrong"]) == (50, 3)
    cell = config.changed("cell", "gru", ["units=3", "output_activation=relu"])
    assert cell.units == 3
    assert cell.get_config()["output_activation"] == "relu", (
        "an argument that the file does not name"
    )


@pytest.mark.parametrize(
    ("group", "option", "override", "message"),
    [
        ("task", "adding", "T", r"^adding: expected name=value for a setting\. Received: T$"),
        ("task", "adding", "TT=3", r"^adding: expected one of T, .*Received: TT=3$"),
        (
            "task",
            "adding",
            "criterion.wron=3",
            r"\(nearest: criterion\.wrong\)\. Received: criterion",
        ),
        (
            "task",
            "adding",
            "criterion={wron: 3}",
            r"^adding: expected one of .*\(nearest: criterion\.wrong\)\. "
            r"Received: criterion\.wron=3$",
        ),
        (
            "task",
            "adding",
            "criterion=3",
            r"^adding: expected settings, as in criterion=\{sequences: VALUE\}\. "
            r"Received: criterion=3$",
        ),
        ("task", "adding", "T=[5", r"^adding: expected a value as `lstmlab` reads it"),
        ("task", "adding", "T=5,6", r"^adding: expected one value, for a list \[value, value\]"),
        ("task", "adding", "T=5", r"^Adding: expected an integer >= \d+.*Received: task\.T=5$"),
        ("cell", "gru", "unit=3", r"^gru: expected one of units, .*\(nearest: units\)"),
    ],
)
def test_what_changed_refuses(group, option, override, message):
    with pytest.raises(ValueError, match=message):
        config.changed(group, option, [override])


@pytest.mark.parametrize(
    "value",
    [
        "~/x.csv", "pH (units)", "a,b.csv", ";", ",", "a=b", "it's", "a #b", "größe", "{x}", 'a"b',
        "a & b", "<a>", "a(b", "[a", "it's \"a\"", "x\\\"", "${x", "!", "a,b (c)",
    ],
)  # fmt: skip
def test_a_value_in_quotes_is_read_as_it_was_typed(value):
    """By a shell, and then by Hydra."""
    [typed] = shlex.split(config.quoted(f"task.target={value}"))
    whole, _ = config.compose("task=csv", typed)
    assert whole["task"]["target"] == value
    assert config.quoted("word") is None


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("task.file=/d/a,b.csv", True),
        ("task.target=a,b", True),
        ("seed=0,1", False),
        ("task.T=50,60", False),
        ("optimizer.learning_rate=0.1,1e-3", False),
        ("cell=gru,vanilla", False),
        ("seed=range(0,3)", False),
    ],
)
def test_commas_that_may_belong_to_a_text(override, text):
    assert may_be_one_text(override) == text


def test_a_list_is_quoted_name_by_name():
    [typed] = shlex.split(config.quoted("task.features=[pH (units), größe]"))
    whole, _ = config.compose("task=csv", typed)
    assert whole["task"]["features"] == ["pH (units)", "größe"]


def test_composed_as_the_command_does_it():
    whole, choices = config.compose("task.T=50", "cell=vanilla", "seed=3")
    assert (whole["task"]["T"], whole["seed"], choices["cell"]) == (50, 3, "vanilla")
    assert "hydra" not in whole


def test_a_config_of_today_stays_as_it_is():
    whole, _ = config.compose("learner=rtrl")
    assert config.current(whole) == whole


@pytest.mark.slow
def test_reading_options_loads_no_hydra():
    code = (
        "import sys; from lstmlab import config; config.made(config.settings('optimizer', 'sgd'));"
        "print([name for name in ('hydra', 'omegaconf', 'antlr4') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_option_of_hydra_itself_is_named_by_hydra():
    error = MissingConfigException("no hydra/launcher/foo", missing_cfg_file="hydra/launcher/foo")
    assert config.one_line(error) == "no hydra/launcher/foo"


def test_growing_within_a_diagnostic_of_an_older_run():
    growing = {"_target_": "lstmlab.learners.Growing", "block": 10, "learner": {"updates": 1}}
    older = {"diagnostic": {"learners": {"learners": {"growing": growing}}}}
    found = config.current(older)["diagnostic"]["learners"]["learners"]["growing"]
    assert found["period"] == 10
    assert "block" not in found


@pytest.mark.parametrize("name", ["group", "time", "features"])
@pytest.mark.parametrize(("value", "meant"), [("store,item", ["store", "item"]), ("1,2", [1, 2])])
def test_a_setting_that_takes_a_list_is_advised_one(name, value, meant, monkeypatch):
    typed = f"task.{name}={value}"
    monkeypatch.setattr(sys, "argv", ["lstmlab", "task=csv", typed])
    said = config.one_line(ConfigCompositionException(f"Ambiguous value for argument '{typed}'"))
    advised = re.search(r"a list, as in (.*)\. Received: ", said)
    assert advised, said
    [setting] = shlex.split(advised.group(1))
    plain, _ = config.compose("task=csv", setting)
    assert plain["task"][name] == meant


def test_several_values_of_a_setting_of_a_sweeper_are_a_list():
    typed = "hydra.sweeper.rows=2a,6a"
    line = f"Sweeping over Hydra's configuration is not supported : '{typed}'"
    said = config.one_line(ConfigCompositionException(line))
    expected = "expected one value or a list, as in 'hydra.sweeper.rows=[2a,6a]'"
    assert said == f"hydra.sweeper.rows: {expected}. Received: {typed}"
