"""Many trials of one setting: their summary in figures, and what their picture draws."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from lstmlab import report
from lstmlab.report import curves, many_trials
from lstmlab.report.curves import Curve
from lstmlab.results import Run

SOURCE = "Hochreiter & Schmidhuber 1997, Table 7, for a logistic output unit (here: linear)"
BASE = {
    "task": "adding",
    "cell": "lstm1997",
    "learner": "truncated1997",
    "reason": None,
    "test_wrong": None,
    "test_size": None,
    "test_loss": None,
    "published_sequences": 76_000,
    "published_solved": None,
    "published_test_wrong": 1,
    "published_source": SOURCE,
}
TESTED = {"test_size": 2560, "test_loss": 0.01, "chance_loss": 0.04, "memoryless_loss": 0.03}


def solved(after, *errors, **more):
    """A solved trial with these errors in windows of 10."""
    row = {"status": "solved", "sequences_to_solution": after, "test_wrong": 2, **TESTED, **more}
    return row, errors


def unsolved(*errors, status="budget", **more):
    return {"status": status, "sequences_to_solution": None, **more}, errors


def folder_of(path, *trials, wanted=None):
    """The folder of these trials, with seeds from 4 on."""
    for k, (row, errors) in enumerate(trials):
        folder = path / "trials" / str(4 + k) if k else path
        folder.mkdir(parents=True, exist_ok=True)
        (path / "trials").mkdir(exist_ok=True)
        numbers = {"seed": 4 + k, "trials": wanted or len(trials), "sequences": 10 * len(errors)}
        Run(folder).write_row({**BASE, **numbers, **row})
        if errors:
            sequences = 10 * np.arange(1, len(errors) + 1)
            table = {"sequences": sequences, "absolute_error": errors, "recent_wrong": 0}
            Run(folder).append("history", pd.DataFrame(table))
    return path


def lines(text):
    """The summary by its names; a line without a name goes on with the one above."""
    joined = re.sub(r"\n {13}", " ", text)
    return dict(line.split(maxsplit=1) for line in joined.replace("test loss", "loss").split("\n"))


FOUR = (
    solved(10_000, 0.2),
    solved(20_000, 0.2, test_wrong=3),
    solved(60_000, 0.2, test_wrong=1),
    unsolved(0.2, test_wrong=90, **TESTED),
)


def test_the_summary_by_hand(tmp_path):
    """Wilson: centre (3/4 + z^2/8) / (1 + z^2/4) = 0.6275, half width 0.3269, z = 1.959964."""
    found = lines(report.summary_of_trials(folder_of(tmp_path, *FOUR)))
    assert found["result"] == (
        "3 of 4 trials solved: 75%, 95 % Wilson interval 30% to 95% 1 used up the budget"
    )
    assert found["sequences"] == (
        "mean 30,000, median 20,000, range 10,000 to 60,000 (published mean: 76,000)"
    )
    assert found["test"] == "mean 24.0 of 2,560 wrong (published: 1 wrong)"
    assert found["loss"] == "mean 0.01 (to beat: chance 0.04, memoryless 0.03)"
    assert found["published"] == SOURCE
    assert found["run"].endswith(f"{tmp_path.name}/")


def test_all_solved_and_a_published_share(tmp_path):
    trials = [solved(100, 0.2, published_solved=0.9)] * 2
    found = lines(report.summary_of_trials(folder_of(tmp_path, *trials)))
    assert found["result"] == (
        "2 of 2 trials solved: 100%, 95 % Wilson interval 34% to 100% (published: 90%)"
    )


def test_none_solved(tmp_path):
    nothing = dict.fromkeys(("published_sequences", "published_source", "published_test_wrong"))
    found = lines(report.summary_of_trials(folder_of(tmp_path, *[unsolved(0.2, **nothing)] * 3)))
    assert found["result"] == (
        "0 of 3 trials solved: 0%, 95 % Wilson interval 0% to 56% 3 used up the budget"
    )
    assert found["sequences"] == "none"
    assert not {"published", "test", "loss"} & {*found}


def test_a_share_of_those_that_ended_first_is_none(tmp_path):
    """Of interrupted trials those that are solved have ended, the slower ones have not."""
    stopped = [unsolved(0.2, 0.2, status="interrupted")] * 2
    folder = folder_of(tmp_path, solved(8, 0.1), *stopped, wanted=5)
    found = lines(report.summary_of_trials(folder))
    assert found["result"] == "1 of 5 trials solved 2 interrupted; 2 not begun"
    assert found["sequences"].startswith("so far: mean 8, median 8, range 8 to 8")


def test_a_criterion_that_is_met_without_learning(tmp_path):
    trials = [unsolved(0.2, criterion_met_by="chance")] * 2
    found = lines(report.summary_of_trials(folder_of(tmp_path, *trials)))
    assert found["result"].endswith("2 used up the budget; the criterion is met without learning, "
                                    "by chance")  # fmt: skip


def test_the_summary_is_no_wider_than_a_terminal(tmp_path):
    long = "A source " * 30
    text = report.summary_of_trials(
        folder_of(tmp_path, *FOUR, unsolved(published_source=long, status="failed"))
    )
    told = [line for line in text.split("\n") if str(tmp_path) not in line]
    assert max(map(len, told)) <= 100
    assert not any(line.endswith(" ") for line in told)


# ---- the picture


@pytest.fixture
def picture(tmp_path, monkeypatch):
    """Draw these trials: the figure, or None."""
    kept: list = []

    def draw(*trials, **more):
        folder = folder_of(tmp_path, *trials, **more)
        monkeypatch.setattr(curves, "save", lambda figure, path: kept.append(figure) or path)
        assert (many_trials.picture(folder) is None) == (not kept)
        return kept[0] if kept else None

    return draw


def thin(figure):
    return [line for line in figure.axes[0].lines if line.get_linewidth() == 0.8]


def labelled(figure):
    """The lines with a name in the legend, by its first words."""
    known = {line.get_label(): line for line in figure.axes[0].lines}
    return {name.partition(" (a")[0]: line for name, line in known.items() if name[0] != "_"}


def test_curves_and_how_each_ended(picture):
    """Histories of different length; a solved one ends where it was solved, inside a window."""
    figure = picture(
        solved(17, 0.2, 0.02),
        solved(28, 0.3, 0.2, 0.01),
        unsolved(0.3, 0.3, 0.3, 0.25),
        unsolved(0.3, status="failed"),
        unsolved(0.2, 0.1, status="interrupted"),
    )
    found = {tuple(line.get_xdata()): line for line in thin(figure)}
    assert set(found) == {(10, 17), (10, 20, 28), (10, 20, 30, 40), (10,), (10, 20)}
    assert list(found[10, 20, 28].get_ydata()) == [0.3, 0.2, 0.01]

    ends = labelled(figure)
    at = {
        name: sorted(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for name, line in ends.items()
        if line.get_marker() != "None"
    }
    assert at == {
        "solved (2)": [(17, 0.02), (28, 0.01)],
        "not solved (1)": [(40, 0.25)],
        "failed (1)": [(10, 0.3)],
        "not finished (1)": [(20, 0.1)],
    }
    assert {line.get_marker() for line in ends.values()} == {"o", ">", "X", "D", "None"}
    colours = {to_rgba(line.get_color()) for name, line in ends.items() if name in at}
    assert len(colours) == 4
    assert figure.axes[0].get_yscale() == "log"
    assert [text.get_text().partition(" (a")[0] for text in figure.legends[0].get_texts()] == [
        *at, "median", "published mean",
    ]  # fmt: skip


def test_the_words_of_the_picture(picture):
    figure = picture(solved(10, 0.2), solved(20, 0.2, 0.1), unsolved(0.2, 0.2))
    assert figure.get_suptitle().split("\n") == [
        "adding, cell lstm1997, learner truncated1997, 3 trials from seed 4",
        "2 of 3 trials solved: 67%, 95 % Wilson interval 21% to 94%",
        "sequences to solution: mean 15, median 15, range 10 to 20 (published mean: 76,000)",
    ]
    published = labelled(figure)["published mean"]
    assert set(published.get_xdata()) == {76_000}
    below = " ".join(figure.axes[0].get_xlabel().split())
    assert below == f"training sequences published mean: 76,000 sequences ({SOURCE})"


def test_nothing_published(picture):
    figure = picture(*[unsolved(0.2, published_sequences=None)] * 3)
    assert "published mean" not in labelled(figure)
    assert figure.axes[0].get_xlabel() == "training sequences"


def drawn(end, *errors):
    return Curve(10.0 * np.arange(1, len(errors) + 1), np.array(errors), end)


@pytest.mark.parametrize(
    ("trials", "wanted"),
    [
        # the solved one keeps its 1
        ([("solved", 3, 1), ("not solved", 5, 4, 2), ("not solved", 6, 6, 6)], [5, 4, 2]),
        # the failed one is the worst from its end on
        ([("failed", 1), ("not solved", 5, 4, 2), ("not solved", 6, 7, 8)], [5, 7, 8]),
        # what one that was stopped would have done is not known
        ([("not finished", 1, 1), ("solved", 5, 4, 2), ("solved", 6, 6, 6)], [5, 4]),
        # more than half failed, one of them in its first window
        ([("failed", 1), ("failed",), ("not solved", 5, 4)], [5, np.nan]),
    ],
)
def test_median_by_hand(trials, wanted):
    sequences, middle = curves.median([drawn(*trial) for trial in trials])
    np.testing.assert_array_equal(middle, wanted)
    np.testing.assert_array_equal(sequences, 10 * np.arange(1, len(wanted) + 1))


def test_the_median_lies_over_the_curves(picture):
    figure = picture(unsolved(0.3, 0.2), unsolved(0.2, 0.1), unsolved(0.1, 0.05))
    line = labelled(figure)["median"]
    assert list(line.get_ydata()) == [0.2, 0.1]
    assert line.get_linewidth() > 3 * thin(figure)[0].get_linewidth()


def test_an_error_of_zero_and_one_that_is_no_number(picture):
    """Neither has a place on a log axis."""
    figure = picture(solved(20, 0.1, 0.0), unsolved(0.2, np.nan), unsolved(0.2, np.inf))
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < 0.1 < 0.2 < high < 1
    ends = labelled(figure)
    assert list(ends["solved (1)"].get_ydata()) == [0.1], "at the lowest error that is not zero"
    assert list(ends["not solved (2)"].get_ydata()) == [0.2, 0.2]


def test_errors_of_zero_only(picture):
    assert picture(*[solved(20, 0.0, 0.0)] * 3).axes[0].get_ylim()[0] > 0


@pytest.mark.parametrize(("longest", "scale"), [(99, "linear"), (101, "log")])
def test_few_that_last_far_longer_than_most(longest, scale, picture):
    short = [solved(100, *[0.1] * 10, published_sequences=None)] * 4
    figure = picture(*short, unsolved(*[0.2] * longest, published_sequences=None))
    assert figure.axes[0].get_xscale() == scale


@pytest.mark.parametrize("count", [1, 3, 100])
def test_thin_lines_fade_as_they_are_more(count, picture):
    [alpha] = {line.get_alpha() for line in thin(picture(*[unsolved(0.2, 0.1)] * count))}
    assert alpha == {1: 0.8, 3: 0.8, 100: 0.2}[count]


def test_no_window_no_picture(picture, tmp_path):
    assert picture(*[unsolved(status="failed")] * 3) is None
    assert not (tmp_path / "trials.png").exists()


@pytest.mark.slow
def test_the_report_draws_it(tmp_path, monkeypatch, capsys):
    folder = folder_of(tmp_path, *FOUR)
    monkeypatch.setattr("sys.argv", ["lstmlab-report", str(folder)])
    report.main()
    assert capsys.readouterr().out.rstrip().endswith("picture.png, trials.png")
    assert (folder / "trials.png").read_bytes().startswith(b"\x89PNG")
    assert "trials.png" in report.summary_of_trials(folder)
    assert json.loads((folder / "result.json").read_text())["seed"] == 4


def test_the_folder_of_one_trial_has_none(tmp_path):
    folder = folder_of(tmp_path, *FOUR) / "trials" / "5"
    assert "trials.png" not in report.write(folder)
    assert not (folder / "trials.png").exists()
