"""Every number in the text of README.md and docs/start.md has a source.

SAYS holds the sentences with {} in place of each number, and how to get it: from the settings, or
from docs/measured.json, which docs/scripts/measure_pages.py makes by typing the pages' commands. A
number that is in no sentence of SAYS fails: add its sentence. test_evening.py holds what must be
true on every machine against a new run.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace

import pytest
from pages import ROOT, prose

from lstmlab import config
from lstmlab.config import instantiate
from lstmlab.diagnostics import kinds

MEASURED = json.loads((ROOT / "docs" / "measured.json").read_text(encoding="utf-8"))
RUN, SWEEP = MEASURED["make run"], MEASURED["sweep"]
COLUMNS = (
    "task", "cell", "learner", "trials", "solved (95 % Wilson)", "sequences, mean", "range",
    "test wrong, mean",
)  # fmt: skip


@cache
def settings() -> SimpleNamespace:
    """The config of `make run`, and its task."""
    composed, _ = config.compose("experiment=hs97/4_adding_100")
    return SimpleNamespace(**composed, question=instantiate(composed, "task"))


def blocks_of_cells() -> int:
    return settings().cell["units"] // settings().cell["block_size"]


def last_bias() -> float:
    """Where the input gate of the last block starts: first, first + step, ..."""
    bias = settings().cell["input_gate"]["bias"]
    return bias["first"] + (blocks_of_cells() - 1) * bias["step"]


def in_table(learner: str) -> list[str]:
    return [SWEEP[learner][column] for column in COLUMNS]


Numbers = Callable[[], list[object]]
SAYS: dict[str, dict[str, Numbers]] = {
    "README.md": {
        "The adding problem at T={}": lambda: [settings().question.T],
        "Python {} to {} and its venv module": lambda: python_versions(),
        "takes about {} seconds of one core": lambda: [5 * round(RUN["seconds"] / 5)],
        "With seed {} it is solved after {} training sequences, with {} of {} test sequences wrong":
            lambda: [settings().seed, RUN["sequences_to_solution"], RUN["test_wrong"],
                     RUN["test_size"]],
        "solved ({} % Wilson)": lambda: [95],
        "| {} | {} | {} | {} | {} | {} | {} | {} | |": lambda: [*in_table("bptt")],
        "| | {} | {} | {} | {} | {} | {} | {} | {} | The whole": lambda: in_table("truncated1997"),
        # test_docs.py::test_its_python_runs holds these against the run of the block
        "The loss starts at {}, near the variance of the sums, and falls below {}":
            lambda: [1.5, 0.1],
    },
    "start.md": {
        "runs experiment {} of": lambda: [4],
        "a stream of about {} numbers": lambda: [settings().question.T],
        "at least {} steps after the second mark": lambda: [settings().question.lag],
        "takes about {} seconds of one core": lambda: [5 * round(RUN["seconds"] / 5)],
        "The network has {} memory cells in {} blocks and {} weights":
            lambda: [settings().cell["units"], blocks_of_cells(), RUN["weights"]],
        "the last {} training sequences have all been answered within {} of the target, with a "
        "mean absolute error below {}": lambda: [
            criterion()["sequences"], settings().question.tolerance, criterion()["error_below"]],
        "of the last {} were wrong, and the mean absolute error of the last {}":
            lambda: [criterion()["sequences"], settings().trainer["window"]],
        "a fixed batch of {} sequences": lambda: [settings().probe],
        "*, seed {}.*": lambda: [settings().seed],
        "error of each window of {} sequences": lambda: [settings().trainer["window"]],
        "wrong answers among the last {}": lambda: [criterion()["sequences"]],
        "for {} sequences the network does worse than always answering {}, whose error is {}":
            lambda: [f"{RUN['no_better_until']:,.0f}", 0.5, 0.9 / 6 + 0.1 / 8],
        "from {} (closed) to {} (open)": lambda: [0, 1],
        "is close to {} at all steps except the two marked ones, where it opens to about {}":
            lambda: [0, round(RUN["input_gate_at_marks"], 1)],
        "of block {} is": lambda: [1],
        "Block {} stays closed; its input gate started from a bias of {}":
            lambda: [blocks_of_cells(), f"{last_bias():.0f}"],
        "**near_{}, near_{}**: the share of values below {} and above {}.":
            lambda: [0, 1, 0.1, 0.9],
        "near {}, near {}": lambda: [0, 1],
        "with close to {} writes rarely. In the run above it is {} at the end (, {} sequences)":
            lambda: [1, round(RUN["input_gate_near_0"], 2), RUN["sequences"]],
        "share near {}, share near {}": lambda: [0, 1],
        "near {} does not switch": lambda: [0.5],
        "with a factor of {}. So": lambda: [1],
        "the factor is {} each time": lambda: [1],
        "of step t-{}, of step t-{}": lambda: [1, 2],
        "s_tm{}": lambda: [1],
        "numbers below {} is small": lambda: [1],
        "at lag {} and at lag {} (, {} sequences": lambda: [0, 99, 0],
        "| lag {} | lag {} |": lambda: [0, 99],
        "| | {} | {} | | |": lambda: [f"{MEASURED['carousel'][lag]:.3g}" for lag in LAGS],
        "| {} | {} | The forget gates": lambda: [
            f"{MEASURED['vanilla'][LAGS[0]]:.3g}", f"{MEASURED['vanilla'][LAGS[1]]:.1e}"],
        "start from a bias of {}, which gives a value of about {}":
            lambda: [vanilla_bias(), f"{sigmoid(vanilla_bias()):.2f}"],
        "beyond lag {}": lambda: [99],
        "Sequences have {} to {} steps":
            lambda: [settings().question.T, settings().question.longest],
        "is solved after {} sequences": lambda: [TWO["lstm1997"]["sequences_to_solution"]],
        "{} steps for , where the task asks for {}": lambda: [
            f"{TWO['vanilla']['half_life']:.1f}", round(TWO["vanilla"]["lag"])],
        "the error rises from {} to {} with the input gate held open": lambda: [
            f"{held('lstm1997', 'input_gate', 'error_before'):.2g}",
            f"{held('lstm1997', 'input_gate', 'error_after'):.2g}"],
        "goes from {} to {} with the forget gate held open": lambda: [
            f"{held('vanilla', 'forget_gate', 'retention_carousel_before'):.1e}",
            f"{held('vanilla', 'forget_gate', 'retention_carousel_after'):.0f}"],
        "one after {} sequences": lambda: [kinds()["interventions"].every],
        "set *Smoothing* to {}": lambda: [0],
        "more than {} runs in the list": lambda: [40],  # of TensorBoard
        "its budget of {} sequences": lambda: [settings().trainer["budget"]],
        "input gates cluster at {};": lambda: [0],
        "one gate leaves {} in the course of training and opens to {}":
            lambda: [0, f"{RUN['input_gate_at_marks']:.2f}"],
        "The output gate of block {} moves from {} to {}":
            lambda: [1, round(RUN["output_gate_before"], 2), round(RUN["output_gate_after"], 2)],
    },
}  # fmt: skip
LAGS = ("lag 0", "lag 99")
TWO = MEASURED["two runs"]
# numbers that are names: years, and the variants of those years
NAMES = r"\b(lstm)?(19|20)\d\d\b|WSL 2|Apache-2\.0"


def held(cell: str, gate: str, name: str) -> float:
    """What holding a gate open changes, in the two runs of the evening."""
    return TWO[cell]["held_open"][gate][name]


def python_versions() -> list[str]:
    """The first and the last of pyproject.toml: at least one, less than the other."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [(least, below)] = re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', text)
    return [f"3.{least}", f"3.{int(below) - 1}"]


def criterion() -> dict:
    return settings().task["criterion"]


def vanilla_bias() -> float:
    composed, _ = config.compose("cell=vanilla")
    return round(composed["cell"].get("forget_gate", {}).get("bias", 1))


def sigmoid(value: float) -> float:
    return 1 / (1 + 2.718281828459045**-value)


def written(number: object) -> str:
    """As the pages write it: thousands with a comma, 2000 and 2560 as the paper has them."""
    if isinstance(number, str):
        return number
    text = f"{number:,g}" if isinstance(number, float) else f"{number:,}"
    return text.replace(",", "") if len(text) == 5 else text


@pytest.mark.parametrize("page", SAYS)
def test_every_number_of_the_text_has_a_source(page):
    text = prose(next(path for path in (ROOT, ROOT / "docs") if (path / page).exists()) / page)
    for template, numbers in SAYS[page].items():
        sentence = template.format(*map(written, numbers()))
        assert sentence in text, f"{page} does not say: {sentence}"
        text = text.replace(sentence, template)
    left = re.sub(NAMES, "", text)
    found = re.search(r".{0,60}\d.{0,40}", left)
    assert found is None, f"{page}: a number without a source in SAYS: {found and found[0]}"


def test_a_wrong_number_is_found(monkeypatch):
    """Numbers that the settings and the measurements do not give."""
    monkeypatch.setitem(RUN, "sequences_to_solution", 71172)
    with pytest.raises(AssertionError, match="71,172"):
        test_every_number_of_the_text_has_a_source("README.md")
