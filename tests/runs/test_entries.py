"""The names of a sweep's runs in TensorBoard: short, unlike, and the same for ever."""

import json

import pytest

from lstmlab.results import Run
from lstmlab.runs import entries
from lstmlab.runs.identity import identity
from lstmlab.runs.launch import Planned


def planned(*typed, cell="vanilla", learner="bptt", **settings):
    """A job as `launch` plans it; its folder is as unlike others as its settings."""
    seed = next((int(one[5:]) for one in typed if one.startswith("seed=")), 0)
    whole = {**settings, "seed": seed, "cell": cell, "learner": learner, "typed": typed}
    choices = {"cell": cell, "learner": learner, "task": "adding"}
    return Planned(list(typed), f"adding-{cell}-{identity(whole)}", whole, choices)


def named(jobs, sweep):
    entries.give(jobs, sweep)
    places = [entries.place(sweep, job.name) for job in jobs]
    assert all(place.parent == sweep / "tb" for place in places)
    return [place.name for place in places]


def test_a_name_says_what_differs(tmp_path):
    jobs = [
        planned(f"cell={cell}", f"learner={learner}", f"seed={seed}", "task.T=30",
                cell=cell, learner=learner)
        for cell in ("vanilla", "lstm1997") for learner in ("bptt", "truncated1997")
        for seed in (0, 1)
    ]  # fmt: skip
    names = named(jobs, tmp_path)
    assert names[:3] == ["vanilla bptt s0", "vanilla bptt s1", "vanilla truncated1997 s0"]
    assert len(set(names)) == len(jobs)
    place = entries.place(tmp_path, jobs[0].name)
    assert entries.swept_beside(place) == ["cell", "learner", "seed"]


def test_names_stay_when_runs_are_added_and_none_comes_twice(tmp_path):
    first = [planned("task.T=30", "seed=0"), planned("task.T=30", "seed=1")]
    assert named(first, tmp_path) == ["vanilla bptt s0", "vanilla bptt s1"]
    longer = planned("task.T=50", "seed=0")
    # typed alike, unlike in what was not typed, as by an edited file of conf/
    edited = planned("task.T=30", "seed=0", units=8)
    names = named([*first, longer, edited], tmp_path)
    assert names[:3] == ["vanilla bptt s0", "vanilla bptt s1", "vanilla bptt T=50 s0"]
    assert names[3] == "vanilla bptt T=30 s0"
    again = planned("task.T=30", "seed=0", units=9)
    assert named([again], tmp_path) == [f"vanilla bptt T=30 {identity(again.settings)[:4]} s0"]
    assert named(first, tmp_path) == ["vanilla bptt s0", "vanilla bptt s1"]


def test_long_and_odd_values_make_short_names_of_folders(tmp_path):
    jobs = [
        planned(f"cell.forget_gate.bias={bias}", f"cell.input_gate.bias={bias}",
                "experiment=hs97/4_adding_100", f"optimizer.learning_rate={rate}", "seed=12",
                cell="gru_reset_after", learner="truncated1997_forward")
        for bias in ("[1,2]", "'a/b'") for rate in (0.1, 0.123456789)
    ]  # fmt: skip
    names = named(jobs, tmp_path)
    assert len({name.casefold() for name in names}) == len(jobs)
    for name in names:
        assert len(f"tb/{name}") < 40
        assert name.endswith(" s12")
        assert "/" not in name
    assert names[0].startswith("forget_gate.bias=_1,2_")


def test_a_run_leads_to_its_event_files(tmp_path):
    run = Run(tmp_path / "sweep" / "job")
    run.folder.mkdir(parents=True)
    assert run.events == run.folder / "tb"
    run.keep_events_in(tmp_path / "sweep" / "tb" / "vanilla bptt s0")
    assert (run.folder / "tb.txt").read_text() == "../tb/vanilla bptt s0\n"
    moved = (tmp_path / "sweep").rename(tmp_path / "elsewhere")
    assert Run(moved / "job").events == moved / "tb" / "vanilla bptt s0"


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_damaged_file_of_names_is_written_anew(content, tmp_path):
    (tmp_path / "tb").mkdir()
    (tmp_path / "tb" / "names.json").write_text(content)
    assert entries.place(tmp_path, "job") is None
    assert named([planned("seed=3")], tmp_path) == ["vanilla bptt s3"]
    assert json.loads((tmp_path / "tb" / "names.json").read_text())["swept"] == []
