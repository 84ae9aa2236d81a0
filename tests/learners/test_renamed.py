"""Settings of learners that changed their names.

What a command line is answered, and what old runs become.
"""

import pytest

from lstmlab import config
from lstmlab.config import made
from lstmlab.learners import Growing, Truncated1997, Truncated1997Forward

HOME = "lstmlab.learners."


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("learner.updates", "learner.update_every"),
        ("learner.h", "learner.horizon"),
        ("learner.block", "learner.period"),
        ("learner.limit", "learner.max_sensitivities"),
        ("learner.limit", "learner.max_trace"),
        ("learner.form", "learner=truncated1997_forward"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one_in_one_line(old, new):
    line = config.unknown_setting(old)
    assert line.startswith(old)
    assert new in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("old", "today"),
    [
        (
            {"_target_": HOME + "TruncatedBPTT", "h": 7, "updates": 3},
            {"_target_": HOME + "TruncatedBPTT", "horizon": 7, "update_every": 3},
        ),
        (
            {"_target_": HOME + "RTRL", "updates": 1, "limit": 10},
            {"_target_": HOME + "RTRL", "update_every": 1, "max_sensitivities": 10},
        ),
        (
            {"_target_": HOME + "Truncated1997", "scope": "gates", "form": "see", "updates": None,
             "decay": 1.0, "decay_steps": 100, "limit": 1e30},
            {"_target_": HOME + "Truncated1997", "scope": "gates"},
        ),
        (
            {"_target_": HOME + "Truncated1997", "scope": "all", "form": "traces", "updates": 2,
             "limit": 5.0},
            {"_target_": HOME + "Truncated1997Forward", "update_every": 2, "max_trace": 5.0},
        ),
        (
            {"_target_": HOME + "CascadeCorrelation", "limit": 9},
            {"_target_": HOME + "CascadeCorrelation", "limit": 9},
        ),
    ],
)  # fmt: skip
def test_a_learner_of_an_old_run_is_the_same_under_todays_names(old, today):
    assert config.current({"learner": old}) == {"learner": today}
    in_a_diagnostic = {"diagnostic": {"learners": {"learners": {"one": old}}}}
    assert config.current(in_a_diagnostic)["diagnostic"]["learners"]["learners"]["one"] == today
    assert config.current({"learner": today}) == {"learner": today}
    made(today)


def test_a_learner_within_growing_of_an_old_run():
    inner = {"_target_": HOME + "Truncated1997", "scope": "all", "form": "traces", "updates": 1}
    learner = {"_target_": HOME + "Growing", "block": 50, "learner": inner}
    growing = made(config.current({"learner": learner})["learner"])
    assert isinstance(growing, Growing)
    assert isinstance(growing.learner, Truncated1997Forward)
    assert (growing.period, growing.learner.update_every) == (50, 1)


def test_the_two_forms_of_1997_are_two_options():
    assert config.target("learner", "truncated1997") is Truncated1997
    assert config.target("learner", "truncated1997_forward") is Truncated1997Forward
