"""Every experiment of conf/ composes and builds, and is held against conf/published.csv."""

import itertools
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hydra.errors import MissingConfigException
from hydra.utils import instantiate

from lstmlab import config, published
from lstmlab.config import compose as composed
from lstmlab.criterion import criterion
from lstmlab.model import Recurrent
from lstmlab.results import flat

ROOT = Path(__file__).parents[2]
EXPERIMENTS = config.options("experiment")
OPTIONS = {
    group: config.options(group) for group in ("task", "cell", "learner", "optimizer", "trainer")
}
NAMES = """
    adding_100 adding_1000 adding_100_logistic adding_500 embedded_reber embedded_reber_elman
    embedded_reber_letter embedded_reber_letter_3x2_01 embedded_reber_letter_3x2_02
    embedded_reber_letter_4x1_01 embedded_reber_letter_4x1_05 embedded_reber_rcc
    embedded_reber_rcc_searched embedded_reber_rtrl_12 embedded_reber_rtrl_3 multiplication_13
    multiplication_140 no_local_regularities noise_free_lag noise_free_lag_bptt
    noise_free_lag_chunker noise_free_lag_chunker_4 noise_free_lag_chunker_levels
    noise_free_lag_crossentropy noise_free_lag_rtrl_100_1 noise_free_lag_rtrl_100_10
    noise_free_lag_rtrl_10_1 noise_free_lag_rtrl_10_10 noise_free_lag_rtrl_4_1
    noise_free_lag_rtrl_4_10 noise_free_lag_rtrl_4_4 temporal_order_6a temporal_order_6b
    two_sequence_3a_1000_3 two_sequence_3a_100_1 two_sequence_3a_100_3 two_sequence_3b_1000_1
    two_sequence_3b_100_1 two_sequence_3b_100_3 two_sequence_3c_100_1 two_sequence_3c_100_3
    very_long_lag_1000_100 very_long_lag_1000_1000 very_long_lag_1000_200 very_long_lag_1000_50
    very_long_lag_1000_500 very_long_lag_100_100 very_long_lag_200_200 very_long_lag_500_500
    very_long_lag_50_50"""
# rows of 1997, as they were called before they carried the number of their experiment
OLD = [f"hs97/{name}" for name in NAMES.split()]
MADE = ("tasks.md", "reproduction.md", "reproduction.csv", "reproduction_curves.csv")
ALL = "hs97/all"  # a sweep over the others, see tests/runs/test_rows.py
STUDY = "study/"  # not of the paper, see tests/docs/test_studies.py
UNPUBLISHED = {  # networks that depart from the paper's -> their weights
    "hs97/2a_noise_free_lag_chunker_4_units": 33_075,
    "hs97/2a_noise_free_lag_chunker_levels": 20_808,
}
CAPACITY = {"hs97/1_embedded_reber_rcc": 432, "hs97/1_embedded_reber_rcc_searched": 432}
# files in which a number is by chance that of a published figure -> the number, and what it is
CHANCE = {
    "conf/experiment/gers2000/continual_embedded_reber.yaml": {30_000: "a budget"},
    "tests/tasks/test_continual_embedded_reber.py": {30_000: "samples", 9_500: "a bound"},
    "tests/tasks/test_pixels.py": {30_000: "samples"},
    "tests/report/test_reproduction.py": {30_000: "a mean, made up to be the published one"},
    "tests/report/test_many_trials.py": {30_000: "a mean, made up"},
    "docs/configuration.md": {74_000: "as a command prints it"},
    "docs/decisions.md": {30_000: "measured here", 33_000: "measured here"},
    "docs/diagnostics.md": {30_000: "measured here", 31_000: "measured here"},
    "docs/start.md": {30_000: "measured here"},
}


def expanded(settings: list[str]) -> list[tuple[str, ...]]:
    """The jobs of a sweep: every combination of the values that commas separate."""
    choices = [
        [f"{name}={value}" for value in values.split(",")]
        for name, _, values in (setting.partition("=") for setting in settings)
    ]
    return list(itertools.product(*choices))


def jobs(command: str) -> list[tuple[str, ...]]:
    """The jobs of a command as conf/published.csv writes it: the experiment, then settings."""
    return expanded(f"experiment={command}".split())


def sweeps(experiment: str) -> list[str]:
    """The sweep lines in the comments of an experiment's file, without `lstmlab -m`."""
    lines = config.text("experiment", experiment).splitlines()
    return [line.removeprefix("#   lstmlab -m ") for line in lines if "lstmlab -m" in line]


def commands(row: dict) -> list[str]:
    return row["commands"].split("; ") if row["commands"] else []


ROWS = [row for row in published.results() if row["commands"]]
PUBLISHED = {job for row in ROWS for command in commands(row) for job in jobs(command)}
SWEEPS = {line: expanded(line.split()) for name in EXPERIMENTS for line in sweeps(name)}


@cache
def built(*overrides: str) -> tuple[dict, dict, dict, Recurrent]:
    """Of a command: its config, the options chosen, its parts and the model."""
    settings, choices = composed(*overrides)
    made = parts(settings)
    model = Recurrent(made["cell"], made["head"], made["learner"], made["task"].features)
    return settings, choices, made, model


def count(model: Recurrent) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)


def found(*overrides: str) -> dict | None:
    """The published entry beside which a run of this command is reported."""
    settings, choices, made, model = built(*overrides)
    row = {group: choices[group] for group in ("task", "cell", "learner", "optimizer")}
    row |= flat(settings) | {"weights": count(model)}
    row["head.activation"] = made["head"].get_config()["activation"]
    return published.matching(made["task"].published, row)


def parts(settings: dict) -> dict:
    """Task, cell, head, learner, trainer and optimizer of a config."""
    made = {
        name: instantiate(settings[name], _convert_="all")
        for name in ("task", "cell", "learner", "trainer", "optimizer")
    }
    head = settings["head"]
    task = made["task"]
    suiting = {
        "activation": head["activation"] or task.output_activation,
        "loss": head["loss"] or task.loss,
    }
    made["head"] = instantiate(head, outputs=task.outputs, **suiting, _convert_="all")
    return made


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_composes_and_builds(experiment):
    settings, choices, made, model = built(f"experiment={experiment}")
    assert choices["experiment"] == experiment
    criterion(**made["task"].criterion)
    for diagnostic in settings.get("diagnostic", {}).values():
        assert instantiate(diagnostic, _convert_="all").serves(model) or not made["cell"].gates


@pytest.mark.parametrize(("experiment", "weights"), {**UNPUBLISHED, **CAPACITY}.items())
def test_weights_of_experiments_without_a_published_number(experiment, weights):
    *_, model = built(f"experiment={experiment}")
    assert count(model) == weights


@pytest.mark.slow
def test_every_published_row_is_found_by_its_experiments():
    """A run as the row says is reported beside this very row, and has its number of weights."""
    assert len(ROWS) > 50
    for row in ROWS:
        for job in (job for command in commands(row) for job in jobs(command)):
            if row["cell"]:
                # another column of a run that is solved by the other rule of its task
                alone = (*job, "task.stop=ST1") if row["column"] else job
                entry = found(*alone)
                assert entry is not None, job
                same = ("sequences", "solved", "test_wrong", "trials", "weights", "method")
                assert {name: entry[name] for name in same} == {n: row[n] for n in same}, job
            else:  # only for people: nothing says which settings make it this very row
                *_, model = built(*job)
                assert row["weights"] in (None, count(model)), job


def test_every_experiment_of_1997_is_in_the_published_rows():
    named = {command.split()[0] for row in ROWS for command in commands(row)}
    of_1997 = {name for name in EXPERIMENTS if name.startswith("hs97/")} - {ALL}
    assert of_1997 - named <= set(UNPUBLISHED)
    assert named <= set(EXPERIMENTS)
    for name in of_1997:
        assert (found(f"experiment={name}") is None) == (name in UNPUBLISHED), name


@pytest.mark.parametrize("line", [line for line in SWEEPS if ALL not in line and STUDY not in line])
def test_every_job_of_a_sweep_line_is_a_published_row(line):
    assert all(found(*job) for job in SWEEPS[line])


@pytest.mark.slow
def test_the_page_lists_every_experiment_of_1997():
    """docs/configuration.md: the names of its table, and the settings that it gives them."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = text.partition("### The experiments of 1997")[2].partition("\n### ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    named = re.findall(r"`(\d[^`]*)`", "\n".join(table))
    assert {f"hs97/{name.split()[0]}" for name in named} == {
        name for name in EXPERIMENTS if name.startswith("hs97/") and name != ALL
    }
    for job in (job for name in named for job in jobs(f"hs97/{name}")):
        unpublished = job[0].removeprefix("experiment=") in UNPUBLISHED
        assert (found(*job) is None) == unpublished, job


@pytest.mark.parametrize("old", OLD)
def test_an_old_name_answers_with_the_new_one(old):
    """In one line; what the new name comes with is there, too."""
    new = config.renamed()["options"]["experiment"][old]
    name, *settings = new.split()
    with_settings = f" with {' '.join(settings)}" if settings else ""
    assert config.unknown_option("experiment", old, EXPERIMENTS) == (
        f"experiment: {old!r} is now {name!r}{with_settings}; expected experiment={new}. "
        f"Received: experiment={old}"
    )
    assert name in EXPERIMENTS
    job = (f"experiment={name}", *settings)
    if settings and job not in PUBLISHED:  # the others are composed above
        composed(*job)


def test_an_old_name_on_the_command_line_gets_that_answer():
    with pytest.raises(MissingConfigException) as raised:
        composed("experiment=hs97/two_sequence_3a_100_1")
    line = config.one_line(raised.value)
    assert "expected experiment=hs97/3a_two_sequence task.N=1. Received: " in line


def test_names_that_changed_are_no_options_and_none_is_left_out():
    renamed = config.renamed()["options"]["experiment"]
    assert set(OLD) == set(renamed)
    assert not set(renamed) & set(EXPERIMENTS)


def numbers(text: str) -> set[int]:
    """The whole numbers in a text, however their digits are grouped."""
    found = re.findall(r"(?<![\w.])\d[\d_,]*", text)
    grouped = {re.sub("[_,]", "", number) for number in found}
    listed = {part.replace("_", "") for number in found for part in number.split(",")}
    return {int(number) for number in grouped | listed if number}


def test_numbers_are_read_however_they_are_written():
    assert {12_345, 6_789, 1_000, 25} <= numbers("12_345 in 6,789 of 1000, and p=25,50")
    assert not {12_345, 345} & numbers("0.12345, x12345 and 12.345")


def test_a_published_figure_is_written_in_one_place():
    """In conf/published.csv. What is MADE from it has them too; the other pages link to it."""
    columns = ("sequences", "lowest", "highest")
    figures = {row[name] or 0 for row in published.results() for name in columns}
    figures = {figure for figure in figures if figure > 1000}
    assert len(figures) > 50
    sources = [
        path
        for folder in ("lstmlab", "tasks", "conf", "tests", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".yaml", ".csv", ".md")
        and path.name not in (*MADE, "published.csv", Path(__file__).name)  # CHANCE is here
        and path.parent.name != "studies"  # measured, many numbers: some are equal by chance
        and not path.match("docs/data/study_*.csv")
    ]
    assert len(sources) > 200
    for path in sources:
        here = numbers(path.read_text(encoding="utf-8")) & figures
        known = CHANCE.get(path.relative_to(ROOT).as_posix(), {})
        assert here <= set(known), (path, here - set(known))


def test_default_is_experiment_4():
    default, chosen = composed()
    experiment, _ = composed("experiment=hs97/4_adding_100")
    default["head"]["activation"] = (
        default["head"]["activation"] or instantiate(default["task"]).output_activation
    )
    for settings in (default, experiment):  # the biases may be written in two ways
        cell = instantiate(settings["cell"], _convert_="all")
        cell.build((None, 2))
        assert cell.bias.numpy()[:2].tolist() == [-3.0, -6.0]
        del settings["cell"]["input_gate"]["bias"]
    assert default == experiment
    assert chosen["experiment"] is None


def test_logistic_differs_from_linear_only_in_the_head():
    linear, _ = composed("experiment=hs97/4_adding_100")
    logistic, _ = composed("experiment=hs97/4_adding_100_as_published")
    assert (linear["head"].pop("activation"), logistic["head"].pop("activation")) == (
        "linear",
        "sigmoid",
    )
    assert linear == logistic


def test_embedded_reber_differs_from_the_text_only_in_the_head():
    solving, _ = composed("experiment=hs97/1_embedded_reber")
    text, _ = composed("experiment=hs97/1_embedded_reber_as_published")
    ours, theirs = solving.pop("head"), text.pop("head")
    assert {name for name in ours if ours[name] != theirs[name]} == {
        "shortcuts",
        "bias",
        "prime_offset",
    }
    assert (theirs["shortcuts"], theirs["bias"], theirs["prime_offset"]) == (False, None, 0.0)
    assert solving == text


@pytest.mark.parametrize("k", range(max(len(names) for names in OPTIONS.values())))
def test_every_option_composes(k):
    """One of each group at a time; a group of few options begins again."""
    chosen = {group: names[k % len(names)] for group, names in OPTIONS.items()}
    settings, choices = composed(*(f"{group}={name}" for group, name in chosen.items()))
    for group, name in chosen.items():
        assert choices[group] == name
        if name == "csv":  # has no file of its own
            expected = r"Csv: expected the path of a csv file. Received: task.file=None"
            with pytest.raises(Exception, match=expected):
                instantiate(settings[group], _convert_="all")
        else:
            assert instantiate(settings[group], _convert_="all") is not None
