"""Every command on every page is one that works.

Each kind of command has one function below, found by its program in CHECKS: settings are composed,
quick commands are run, the parsers of the others read their arguments. Commands that belong to a
recipe of the reader's own are in TESTED_BY, with the test that runs the recipe. A command of
another kind fails: add it to one of the two. test_evening.py trains with the commands of README.md
and docs/start.md.
"""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from pages import PAGES, ROOT, Block, blocks, commands

from lstmlab import config, describe
from lstmlab.bench.command import _parser as bench_parser
from lstmlab.explain.command import _parser as explain_parser
from lstmlab.report.command import _parser as report_parser
from lstmlab.runs.build import build

Words = list[str]
# what a page writes for something of the reader's choice -> one choice
PLACES = {
    "task=NAME": "task=adding", "cell=NAME": "cell=vanilla", "learner=NAME": "learner=bptt",
    "hs97/NAME": "hs97/4_adding_100", "lstmlab-tasks NAME": "lstmlab-tasks adding",
    "SEED": "3", "TRIALS": "2", "docs/scripts/NAME": "docs/scripts/draw_start.py",
}  # fmt: skip
# recipes: what the command names is written by the reader
TESTED_BY = {
    r"first_value": "tests/docs/test_new_task_page.py::test_right_and_solved",
    r"learner=cut_candidates": "tests/docs/test_learners_page.py::test_it_is_not_exact_elsewhere",
    r"cell=mine": "tests/docs/test_docs.py::test_its_python_runs",
    r"experiment=mine": "lstmlab/conformance/test_experiment.py",
    r"diagnostic=\[light,saturation\]": "lstmlab/conformance/test_diagnostic.py",
    r"pip install tensorflow$": "tests/docs/test_troubleshooting.py",
    # the same plugin's launcher for one machine
    r"hydra/launcher=submitit_slurm": "tests/test_app.py::test_other_launchers",
    r"^dask |hydra/launcher=dask": "tests/runs/test_cluster.py::test_a_search_over_two_workers",
    r"^FILE=": "tests/docs/test_commands.py::test_a_table_of_statsmodels_is_where_the_page_says",
}
# pages whose commands need a folder that the page builds: a test of their own runs them
OTHER_PAGES = ("your_own.md",)


def combinations(words: Words) -> list[Words]:
    """The settings of each job of a sweep, one job for all seeds."""
    overrides = [word for word in words if word != "-m"]
    parsed = OverridesParser.create().parse_overrides(overrides)
    choices = [
        [f"{one.get_key_element()}={value}" for value in one.sweep_string_iterator()]
        if one.is_discrete_sweep()
        else [f"{one.get_key_element()}={one.value().start}"]
        if one.is_sweep_override()
        else [one.input_line or ""]
        for one in parsed
    ]
    assert "-m" in words or all(len(values) == 1 for values in choices), "several values need -m"
    choices = [values[:1] if values[0].startswith("seed=") else values for values in choices]
    return [list(job) for job in product(*choices)]


def check_run(words: Words, folder: Path) -> None:
    """Settings that can be composed; --help and --cfg answer."""
    if any(word.startswith("--") for word in words):
        run("lstmlab", words, folder)
    else:
        for job in combinations(words):
            config.compose(*job)


def run(program: str, words: Words, folder: Path) -> None:
    command = [Path(sys.executable).with_name(program), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def check_tasks(words: Words, folder: Path) -> None:
    before = set(folder.iterdir())
    describe.main(words)
    assert ("--picture" in words) == bool(set(folder.iterdir()) - before)


def check_explain(words: Words, folder: Path) -> None:
    what = explain_parser().parse_intermixed_args(words).what
    if what[0].startswith("cell="):
        config.changed("cell", what[0].removeprefix("cell="), what[1:])


def check_report(words: Words, folder: Path) -> None:
    """Known options; test_evening.py runs it, and tests/report with each option."""
    assert report_parser().parse_args(words).folder in words


def check_bench(words: Words, folder: Path) -> None:
    bench_parser().parse_args(words)


def check_make(words: Words, folder: Path) -> None:
    """A target that `make` lists; EXTRAS are extras, and the paths of ARGS are there."""
    target, *variables = words
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)
    for name, _, value in (variable.partition("=") for variable in variables):
        assert name in ("ARGS", "EXTRAS", "PYTHON")
        if name == "EXTRAS":
            assert set(value.split(",")) <= set(extras())
        paths = [word for word in value.split() if word.startswith("tests/")]
        assert all((ROOT / path).exists() for path in paths)


def extras() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["optional-dependencies"]


def check_script(words: Words, folder: Path) -> None:
    """A script of docs/scripts/, whose text has the flags."""
    script = ROOT / words[0]
    assert script.parent == ROOT / "docs" / "scripts"
    text = script.read_text(encoding="utf-8")
    assert all(f'"{word}"' in text for word in words if word.startswith("--"))


def check_pip(words: Words, folder: Path) -> None:
    """Of this folder with its constraints and extras, or of something that an extra has."""
    assert words[0] == "install"
    if "-c" in words:
        assert (ROOT / words[words.index("-c") + 1]).exists()
    what = re.fullmatch(r"\.(\[([\w,]+)\])?|(\w+)", words[-1])
    assert what is not None
    known = {re.split(r"\W", one)[0] for group in extras().values() for one in group}
    assert set((what[2] or "test").split(",")) <= set(extras())
    assert what[3] is None or what[3] in known


def check_tensorboard(words: Words, folder: Path) -> None:
    assert words[0] == "--logdir"
    assert not words[1].startswith("-")
    assert set(words[2:]) <= {"--bind_all"}


def check_source(words: Words, folder: Path) -> None:
    assert words == [".venv/bin/activate"]


CHECKS: dict[str, Callable[[Words, Path], None]] = {
    "lstmlab": check_run,
    "lstmlab-tasks": check_tasks,
    "lstmlab-explain": check_explain,
    "lstmlab-report": check_report,
    "lstmlab-bench": check_bench,
    "make": check_make,
    "python": check_script,
    "pip": check_pip,
    "tensorboard": check_tensorboard,
    "source": check_source,
}
EVERY = {
    command: page.name
    for page in PAGES
    if page.name not in OTHER_PAGES
    for command in commands(page)
}


@pytest.mark.parametrize("command", EVERY)
def test_a_command_of_a_page_works(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place, choice in PLACES.items():
        command = command.replace(place, choice)
    tests = [test for pattern, test in TESTED_BY.items() if re.search(pattern, command)]
    if tests:
        exists(tests[0])
        return
    program, *words = shlex.split(command)
    assert program in CHECKS, f"{EVERY.get(command)}: no rule for it here; see the first lines"
    CHECKS[program](words, tmp_path)


def exists(test: str) -> None:
    """Whether file::function is a test."""
    path, _, function = test.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")
    assert f"def {function or 'test_'}" in text, test


def test_other_pages_have_a_test_of_their_own():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    for page in PAGES:
        if page.name in OTHER_PAGES:
            assert sum(page.name in text for text in texts) > 1, page.name


def test_commands_are_found_and_bad_ones_fail(tmp_path):
    """The table is not empty, and what no longer works does not pass."""
    assert {"make run", "lstmlab-report outputs/sweeps", "lstmlab --help"} <= set(EVERY)
    bad = {
        "lstmlab task=nosuch": ConfigCompositionException,
        "lstmlab nosuch.setting=1": ConfigCompositionException,
        "lstmlab learner=truncated1997,bptt": AssertionError,
        "make nosuch": AssertionError,
        "make test EXTRAS=nosuch": AssertionError,
        "python docs/scripts/nosuch.py": FileNotFoundError,
        "pip install -c constraints.txt .[nosuch]": AssertionError,
    }
    for command, error in bad.items():
        program, *words = shlex.split(command)
        with pytest.raises(error):
            CHECKS[program](words, tmp_path)


def test_every_script_is_listed_and_every_picture_has_a_script():
    listed = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
    scripts = sorted((ROOT / "docs" / "scripts").glob("*.py"))
    assert all(f"`{path.name}`" in listed for path in scripts)
    sources = "".join(path.read_text(encoding="utf-8") for path in scripts)
    for picture in (ROOT / "docs" / "images").glob("*.png"):
        family, _, rest = picture.stem.partition("_")
        assert picture.stem in sources or (f"{family}_" in sources and rest), picture.name


def test_a_table_of_statsmodels_is_where_the_page_says():
    from importlib.metadata import distribution

    pytest.importorskip("statsmodels")
    table = "statsmodels/datasets/sunspots/sunspots.csv"
    assert table in (ROOT / "docs" / "your_data.md").read_text(encoding="utf-8")
    assert Path(str(distribution("statsmodels").locate_file(table))).exists()


CONSOLES = [block for page in PAGES for block in blocks(page) if block.language == "console"]


@pytest.mark.parametrize("block", CONSOLES)
def test_an_error_of_a_page_is_the_one_that_is_said(block: Block):
    exchanges = re.findall(r"^\$ lstmlab (.*)\nlstmlab: (.*)$", block.text, re.MULTILINE)
    assert 2 * len(exchanges) == len(block.text.splitlines())
    for settings, answer in exchanges:
        with pytest.raises(Exception, match=r".") as raised:
            build(config.compose(*shlex.split(settings))[0])
        assert config.one_line(raised.value) == answer
