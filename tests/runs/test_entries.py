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
    assert names[0] == "f.b=1-2 i.b=1-2 lr=0.1 s12"
    assert names[-1] == "f.b=b i.b=b lr=0.1235 s12"


def test_every_swept_setting_is_in_every_name_of_a_sweep_of_three(tmp_path):
    jobs = [
        planned(f"cell.forget_gate.bias={bias}", f"cell.candidate_bias={candidate}",
                f"optimizer.learning_rate={rate}", learner="truncated1997")
        for bias in ("1.0", "[1,2,3,4]") for candidate in ("0.0", "0.123456789012345")
        for rate in (0.1, 0.2)
    ]  # fmt: skip
    assert named(jobs, tmp_path) == [
        f"f.b={bias} g.b={candidate} lr={rate} s0"
        for bias in ("1", "1-2-3-4") for candidate in ("0", "0.1235") for rate in (0.1, 0.2)
    ]  # fmt: skip
    found = entries.swept_beside(entries.place(tmp_path, jobs[0].name))
    assert found[3:] == ["cell.forget_gate.bias (list)"]


def test_words_are_left_out_one_by_one_and_a_gate_is_named(tmp_path):
    jobs = [planned(f"cell.forget_gate.bias={bias}", learner="bptt") for bias in ("1.0", "2.0")]
    assert named(jobs, tmp_path / "few") == ["vanilla bptt f.bias=1 s0", "vanilla bptt f.bias=2 s0"]
    jobs = [
        planned(f"cell.forget_gate.bias={bias}", f"optimizer.learning_rate={rate}",
                learner="truncated1997_forward")
        for bias in ("1.0", "[1,2,3]") for rate in (0.1, 0.2)
    ]  # fmt: skip
    names = named(jobs, tmp_path / "more")
    assert names[-1] == "vanilla f.b=1-2-3 lr=0.2 s0"
    added = planned("cell.forget_gate.bias=1.0", "optimizer.learning_rate=0.1", cell="elman")
    assert named([*jobs, added], tmp_path / "more") == [*names, "elman bptt f.bias=1 lr=0.1 s0"]


def test_values_that_four_digits_do_not_tell_apart_have_more(tmp_path):
    jobs = [planned(f"optimizer.learning_rate={rate}") for rate in ("0.123451", "0.123452")]
    assert named(jobs, tmp_path) == [f"vanilla bptt lr=0.12345{k} s0" for k in (1, 2)]


def test_whole_numbers_stay_as_they_are(tmp_path):
    jobs = [planned(f"trainer.budget={budget}") for budget in (300000, 123456)]
    assert named(jobs, tmp_path) == [f"vanilla bptt budget={k} s0" for k in (300000, 123456)]


def test_what_fits_in_no_way_ends_whole_before_four_digits_of_the_identity(tmp_path):
    keys = "head.scale", "task.noise", "cell.units", "trainer.window", "task.length"
    jobs = [planned(*(f"{key}={value}" for key in keys)) for value in (1000, 2000)]
    assert named(jobs, tmp_path) == [
        f"scale={value} noise={value} {identity(job.settings)[:4]} s0"
        for value, job in zip((1000, 2000), jobs, strict=True)
    ]


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
