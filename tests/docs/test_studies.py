"""docs/studies/: each page is made from the trials in docs/data/, by a sweep that is listed."""

import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from branches import quick

from lstmlab import config

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "scripts"))
import study as common  # noqa: E402

SCRIPTS = [import_module(path.stem) for path in (ROOT / "docs/scripts").glob("study_*.py")]
STUDIES = {
    value.name: value
    for script in SCRIPTS
    for value in vars(script).values()
    if isinstance(value, common.Study)
}


def test_every_page_has_its_script_and_its_experiment():
    pages = {path.stem for path in (ROOT / "docs/studies").glob("*.md")} - {"README"}
    experiments = {path.stem for path in (ROOT / "conf/experiment/study").glob("*.yaml")}
    assert set(STUDIES) == pages == experiments
    index = (ROOT / "docs/studies/README.md").read_text(encoding="utf-8")
    assert all(f"({name}.md)" in index for name in pages)


@pytest.mark.parametrize(
    "name", quick(STUDIES, {"forget_gate", "rules", "truncation"}.__contains__)
)
def test_the_page_is_made_from_the_trials(name):
    study = STUDIES[name]
    text = study.page.read_text(encoding="utf-8")
    trials = study.trials()
    assert study.filled(trials, text) == text
    solved = trials.assign(status=trials["status"].replace("solved", "budget"))
    assert (trials["status"] == "solved").any()
    assert study.filled(solved, text) != text
    assert f"../images/{study.picture.name}" in text
    assert study.picture.exists()
    assert f"lstmlab -m experiment=study/{name} trials=16" in text


@pytest.mark.parametrize("name", STUDIES)
def test_the_trials_of_a_study_are_many_and_small(name):
    study = STUDIES[name]
    trials = study.trials()
    own = [column for column in trials if column in list(trials)[: list(trials).index("seed")]]
    counts = trials.groupby(own, dropna=False)["seed"].nunique()
    assert counts[counts < 10].index.get_level_values(0).isin(["search"]).all()
    assert not trials.duplicated([*own, "seed"]).any()
    assert study.data.stat().st_size < 200 * 2**10


@pytest.mark.parametrize("name", STUDIES)
def test_the_jobs_of_a_study_are_listed(name):
    sweeper = config.settings("experiment", f"study/{name}")["hydra"]["sweeper"]
    assert sweeper["commands"]
    assert all("=" in line for line in sweeper["commands"])


def test_statistics_of_made_up_trials():
    solved = [
        {"line": "a", "seed": seed, "status": "solved", "sequences": 400 + seed}
        for seed in range(10)
    ]
    others = [
        {"line": "b", "seed": seed, "status": "budget", "sequences": 1000} for seed in range(10)
    ]
    trials = pd.DataFrame([*solved, *others])
    trials["sequences_to_solution"] = trials["sequences"].where(trials["status"] == "solved")
    parts = common.parts(trials, ["line"])
    assert list(parts) == [("a",), ("b",)]
    assert common.solved(parts["a",]) == "10 of 10 (72%-100%)"
    assert common.mean(parts["a",]).startswith("404 (")  # the mean is 404.5
    assert common.mean(parts["b",]) == "none solved"
    [found] = common.comparisons(parts, [(("a",), ("b",))]).to_dict("records")
    assert (found["seeds"], found["first_faster"], found["difference"]) == (10, 10, -595.5)
    assert found["p"] == pytest.approx(2 / 2**10)
