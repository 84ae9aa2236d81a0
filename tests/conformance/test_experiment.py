"""Every experiment that conf/experiment/ names composes with the real config, and all its parts can be built."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate

from lstmlab.config import compose as composed
from lstmlab.criterion import criterion
from lstmlab.model import Recurrent
from lstmlab.results import flat

ROOT = Path(str(resources.files("lstmlab.conf"))) / "experiment"
EXPERIMENTS = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.yaml")
)
WEIGHTS = {  # as Table 10 and the text print them; embedded_reber has shortcuts and output biases besides
    "adding": 93, "multiplication": 93, "embedded_reber": 332, "embedded_reber_letter": 276, "embedded_reber_letter_4x1": 264,
    "embedded_reber_letter_3x2": 276, "embedded_reber_rcc": 432, "embedded_reber_rtrl_3": 170,
    "embedded_reber_rtrl_12": 494, "embedded_reber_elman": 435, "noise_free_lag": 10504, "noise_free_lag_bptt": 10404,
    "noise_free_lag_chunker": 20910, "noise_free_lag_chunker_4": 33075, "noise_free_lag_chunker_levels": 20808,
    "noise_free_lag_rtrl_4": 36, "noise_free_lag_rtrl_10": 144, "noise_free_lag_rtrl_100": 10404,
    "no_local_regularities": 10504,
    "very_long_lag_50_50": 364, "very_long_lag_100_100": 664, "very_long_lag_200_200": 1264, "very_long_lag_500_500": 3064,
    "very_long_lag_1000_1000": 6064, "very_long_lag_1000_500": 3064, "very_long_lag_1000_200": 1264,
    "very_long_lag_1000_100": 664, "very_long_lag_1000_50": 364, "two_sequence": 102, "temporal_order_6a": 156,
    "temporal_order_6b": 308,
}  # fmt: skip
# rows of Tables 1 to 9 -> (experiment, sequences); None: no trial was solved
PUBLISHED = {
    "embedded_reber_letter_4x1_01": 39_740, "embedded_reber_letter_3x2_01": 21_730, "embedded_reber_letter_3x2_02": 14_060,
    "embedded_reber_letter_4x1_05": 9_500, "embedded_reber_letter": 8_440, "embedded_reber_rtrl_3": 173_000,
    "embedded_reber_rtrl_12": 25_000, "embedded_reber_elman": None, "embedded_reber_rcc": 182_000, "noise_free_lag": 5_040,
    "noise_free_lag_crossentropy": 5_040, "noise_free_lag_bptt": None,
    "noise_free_lag_rtrl_4_1": 1_043_000, "noise_free_lag_chunker": 32_400,
    "noise_free_lag_rtrl_4_4": 892_000, "noise_free_lag_rtrl_4_10": 254_000, "noise_free_lag_rtrl_10_1": None,
    "noise_free_lag_rtrl_10_10": None, "noise_free_lag_rtrl_100_1": None, "noise_free_lag_rtrl_100_10": None,
    "no_local_regularities": 5_680, "very_long_lag_50_50": 30_000, "very_long_lag_100_100": 31_000,
    "very_long_lag_200_200": 33_000, "very_long_lag_500_500": 38_000, "very_long_lag_1000_1000": 49_000,
    "very_long_lag_1000_500": 49_000, "very_long_lag_1000_200": 75_000, "very_long_lag_1000_100": 135_000,
    "very_long_lag_1000_50": 203_000, "two_sequence_3a_100_3": 39_850, "two_sequence_3a_100_1": 64_330,
    "two_sequence_3a_1000_3": 452_460, "two_sequence_3b_100_3": 43_250, "two_sequence_3b_100_1": 78_430,
    "two_sequence_3b_1000_1": 485_080, "two_sequence_3c_100_3": 269_650, "two_sequence_3c_100_1": 565_640,
    "adding_100": 74_000, "adding_500": 209_000, "adding_1000": 853_000, "multiplication_140": 482_000,
    "multiplication_13": 1_273_000, "temporal_order_6a": 31_390, "temporal_order_6b": 571_100,
}  # fmt: skip


def known_weights(experiment: str) -> int | None:
    """By the longest name that the experiment begins with."""
    if experiment.startswith("gers"):
        return {"gers2000": 424, "gers2002": 17}[experiment.partition("/")[0]]
    name = experiment.removeprefix("hs97/")
    fitting = [known for known in WEIGHTS if name == known or name.startswith(f"{known}_")]
    return WEIGHTS[max(fitting, key=len)] if experiment.startswith("hs97/") and fitting else None


def parts(config: dict) -> dict:
    built = {
        name: instantiate(config[name], _convert_="all")
        for name in ("task", "cell", "learner", "trainer", "optimizer")
    }
    head = config["head"]
    task = built["task"]
    suiting = {
        "activation": head["activation"] or task.output_activation,
        "loss": head["loss"] or task.loss,
    }
    built["head"] = instantiate(head, outputs=task.outputs, **suiting, _convert_="all")
    return built


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_composes_and_builds(experiment):
    config, choices = composed(f"experiment={experiment}")
    assert choices["experiment"] == experiment
    built = parts(config)
    criterion(**built["task"].criterion)
    model = Recurrent(built["cell"], built["head"], built["learner"], built["task"].features)
    weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
    assert weights == (known_weights(experiment) or weights)
    for diagnostic in config.get("diagnostic", {}).values():
        assert instantiate(diagnostic, _convert_="all").serves(model) or not built["cell"].gates


def test_every_row_of_the_tables_has_its_experiment():
    """Built as its file says, the run finds the published row beside which it is reported; the file names that number."""
    assert {f"hs97/{name}" for name in PUBLISHED} <= set(EXPERIMENTS)
    assert all(known_weights(name) for name in EXPERIMENTS if name.startswith("hs97/"))
    for name, sequences in PUBLISHED.items():
        config, choices = composed(f"experiment=hs97/{name}")
        built = parts(config)
        row = {
            **{group: choices[group] for group in ("task", "cell", "learner", "optimizer")},
            **flat(config),
        }
        row |= {
            "weights": known_weights(f"hs97/{name}"),
            "head.activation": built["head"].get_config()["activation"],
        }
        found = [
            e
            for e in built["task"].published
            if all(row.get(key) == value for key, value in e["where"].items())
        ]
        assert [entry["sequences"] for entry in found][:1] == [sequences], name
        if sequences:
            assert f"{sequences:,}" in (ROOT / "hs97" / f"{name}.yaml").read_text(
                encoding="utf-8"
            ), name


def test_default_is_adding_100():
    default, chosen = composed()
    experiment, _ = composed("experiment=hs97/adding_100")
    default["head"]["activation"] = (
        default["head"]["activation"] or instantiate(default["task"]).output_activation
    )
    for config in (default, experiment):  # the biases may be written in two ways
        cell = instantiate(config["cell"], _convert_="all")
        cell.build((None, 2))
        assert cell.bias.numpy()[:2].tolist() == [-3.0, -6.0]
        del config["cell"]["input_gate"]["bias"]
    assert default == experiment
    assert chosen["experiment"] is None


def test_logistic_differs_from_linear_in_the_head_alone():
    linear, _ = composed("experiment=hs97/adding_100")
    logistic, _ = composed("experiment=hs97/adding_100_logistic")
    assert (linear["head"].pop("activation"), logistic["head"].pop("activation")) == (
        "linear",
        "sigmoid",
    )
    assert linear == logistic


def test_embedded_reber_differs_from_the_letter_in_the_head_alone():
    solving, _ = composed("experiment=hs97/embedded_reber")
    letter, _ = composed("experiment=hs97/embedded_reber_letter")
    ours, theirs = solving.pop("head"), letter.pop("head")
    assert {name for name in ours if ours[name] != theirs[name]} == {
        "shortcuts",
        "bias",
        "prime_offset",
    }
    assert (theirs["shortcuts"], theirs["bias"], theirs["prime_offset"]) == (False, None, 0.0)
    assert solving == letter


@pytest.mark.parametrize("group", ["task", "cell", "learner", "optimizer", "trainer"])
def test_every_option_composes(group):
    names = sorted(
        path.stem for path in (Path(str(resources.files("lstmlab.conf"))) / group).glob("*.yaml")
    )
    assert names
    for name in names:
        config, choices = composed(f"{group}={name}")
        assert choices[group] == name
        if name == "csv":  # has no file of its own
            with pytest.raises(
                Exception, match=r"Csv: expected the path of a csv file. Received: task.file=None"
            ):
                instantiate(config[group], _convert_="all")
        else:
            assert instantiate(config[group], _convert_="all") is not None
