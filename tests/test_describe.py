"""describe and picture against sequences made by hand, and the command lstmlab-tasks with what it refuses."""

import subprocess
import sys

import numpy as np
import pytest
from hydra.utils import instantiate
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from lstmlab import config, describe
from lstmlab.config import compose as composed
from lstmlab.criterion import criterion
from lstmlab.task import Task


class ByHand(Task):
    """A task whose every sequence is the given one.

    The rest of the card.
    """

    lag, test_size = 1, 1

    def __init__(self, x, y, w, events=(), inputs=(), targets=()):
        self.parts = [np.asarray(part, "float32")[None] for part in (x, y, w)]
        self.steps, self.features, self.outputs = len(x), len(x[0]), len(y[0])
        self.at, self.inputs, self.targets = list(events), inputs, targets

    def sample(self, rng, n):
        return tuple(np.repeat(part, n, axis=0) for part in self.parts)

    def correct(self, y, prediction, w):
        return np.ones(len(y), bool)

    def events(self, x, w):
        events = np.zeros(w.shape, bool)
        events[:, self.at] = True
        return events


def symbols(text: str, alphabet: str) -> np.ndarray:
    return np.array([[float(letter == symbol) for symbol in alphabet] for letter in text])


def question(text: str, alphabet: str = "ab?", events=()) -> ByHand:
    """The text is shown; at its last step the class Q of Q, R is asked; then two steps of padding."""
    x = symbols(text + "  ", alphabet)
    y, w = np.zeros((len(x), 2)), np.zeros(len(x))
    y[len(text) - 1, 0] = w[len(text) - 1] = 1
    return ByHand(x, y, w, events, tuple(alphabet), ("Q", "R"))


def test_symbols_as_text():
    assert describe.describe(question("abba?", events=[1])) == (
        "ByHand: training sequence 0 of seed 0: 5 steps, 1 with an error, lag at least 1\n"
        "step  1 2 3 4 5\n"
        "shown a b b a ?\n"
        "asked         Q\n"
        "event   *"
    )


def test_a_long_sequence_shows_the_steps_that_matter():
    text = describe.describe(
        question("a" * 50 + "b" + "a" * 48 + "?", events=[50, 52])
    ).splitlines()
    assert text[1:] == [
        "step  1 2 3                  51 52 53                  98 99 100",
        "shown a a a ... 47 steps ...  b  a  a ... 44 steps ...  a  a   ?",
        "asked                                                          Q",
        "event                         *     *",
    ]


def test_lines_are_wrapped_and_every_step_is_in_one():
    lines = describe.describe(question("ab" * 20)).splitlines()
    assert max(map(len, lines)) <= describe.WIDTH
    steps = [int(step) for line in lines if line.startswith("step") for step in line.split()[1:]]
    assert steps == list(range(1, 41))
    assert (
        "".join("".join(line.split()[1:]) for line in lines if line.startswith("shown"))
        == "ab" * 20
    )


def test_numbers_as_text():
    x = [[0.5, 1], [-0.25, 0], [1234.5, 0]]
    task = ByHand(x, [[0], [0], [0.12345]], [0, 0, 1], [0], ("value", "marker"))
    assert describe.describe(task, seed=3, position=2) == (
        "ByHand: training sequence 2 of seed 3: 3 steps, 1 with an error, lag at least 1\n"
        "step  value  marker  asked\n"
        "   1    0.5       1         *\n"
        "   2  -0.25       0\n"
        "   3   1234       0  0.123"
    )


def test_numbers_with_classes_many_lines_and_sets_of_symbols():
    x = np.arange(36).reshape(3, 12) / 10
    text = describe.describe(ByHand(x, [[0, 0, 0], [1, 1, 0], [0, 0, 0]], [0, 1, 1])).splitlines()
    assert text[1].split() == ["step", *"12345678", "(4", "more)", "asked"]
    assert text[3].split()[-2:] == ["1.9", "1/2"]
    assert text[4].split()[-2:] == ["3.1", "-"]


def test_all_steps_asked():
    """Of many steps with an error those are shown whose answer changes."""
    y = np.zeros((200, 1))
    y[120:] = 1
    steps = [
        line.split()[0]
        for line in describe.describe(ByHand(np.zeros((200, 1)), y, np.ones(200))).splitlines()[2:]
    ]
    assert steps == ["1", "2", "3", "...", "121", "...", "198", "199", "200"]


def test_too_many_events_are_cut_in_the_middle():
    task = ByHand(np.zeros((999, 1)), np.zeros((999, 1)), np.ones(999), range(0, 999, 2))
    lines = describe.describe(task).splitlines()[2:]
    assert [line.split()[0] for line in lines] == [
        *map(str, range(1, 21)),
        "...",
        *map(str, range(980, 1000)),
    ]


@pytest.mark.parametrize(
    ("values", "several", "expected"),
    [
        ([[1, 0], [0, 1]], False, True),
        ([[1, 0], [0, 0]], False, False),
        ([[1, 0], [1, 1]], True, True),
        ([[1], [0]], True, False),
        ([[1, 0], [0, -1]], True, False),
    ],
)
def test_is_one_hot(values, several, expected):
    assert describe.is_one_hot(np.array(values, "float32"), several) is expected


def panels(task) -> list:
    figure = describe.picture(task)
    assert isinstance(figure, Figure)
    FigureCanvasAgg(figure).draw()
    return figure.axes


def test_picture_of_symbols():
    shown, asked = panels(question("a" * 50 + "b" + "a" * 48 + "?", events=[50]))
    dots, event = shown.lines
    assert dots.get_xdata().tolist() == list(range(1, 101))
    assert dots.get_ydata().tolist() == [0] * 50 + [1] + [0] * 48 + [2]
    assert set(event.get_xdata()) == {51}
    assert [(t.get_text(), t.get_position()) for t in asked.texts] == [("Q", (100, 0))]
    assert [label.get_text() for label in shown.get_yticklabels()] == list("ab?")


def test_picture_of_a_short_sequence_writes_its_symbols():
    shown, _ = panels(question("abba?"))
    assert [(t.get_text(), t.get_position()) for t in shown.texts] == [
        ("a", (1, 0)), ("b", (2, 1)), ("b", (3, 1)), ("a", (4, 0)), ("?", (5, 2)),
    ]  # fmt: skip


def test_picture_of_numbers():
    x = np.random.default_rng(0).normal(size=(80, 2)).astype("float32")
    y = np.cumsum(x, axis=0)
    first, second, *asked = panels(
        ByHand(x, y, np.arange(80) >= 30, inputs=("p", "q"), targets=("P", "Q"))
    )
    for k, panel in enumerate((first, second)):
        assert panel.lines[0].get_ydata().tolist() == x[:, k].tolist()
        assert panel.get_ylabel() == "pq"[k]
    for k, panel in enumerate(asked):
        assert panel.lines[0].get_xdata().tolist() == list(range(31, 81))
        np.testing.assert_array_equal(panel.lines[0].get_ydata(), y[30:, k].astype("float32"))
        assert panel.get_ylabel() == f"asked:\n{'PQ'[k]}"


def test_picture_of_many_numeric_lines_and_events():
    x = np.random.default_rng(0).normal(size=(300, 30)).astype("float32")
    shown, asked = panels(ByHand(x, x[:, :1], np.arange(300) == 299, range(100)))
    np.testing.assert_array_equal(shown.images[0].get_array(), x.T)
    assert len(shown.get_yticks()) <= describe.TICKS
    assert shown.lines[0].get_xdata().tolist() == list(range(1, 101)), "arrow heads"
    assert "arrow heads" in asked.get_xlabel()
    assert asked.texts[0].get_text().strip() == f"{x[299, 0]:.3g}"


@pytest.mark.parametrize("features", [1, 3, 100])
@pytest.mark.parametrize("steps", [5, 1000])
@pytest.mark.parametrize("kind", ["symbols", "numbers"])
def test_pictures_of_all_sizes(features, steps, kind):
    rng = np.random.default_rng(0)
    x = (
        np.eye(features)[rng.integers(0, features, steps)]
        if kind == "symbols"
        else rng.normal(size=(steps, features))
    )
    axes = panels(ByHand(x, x, np.arange(steps) >= steps - 2, [0, steps - 1]))
    width, height = axes[0].figure.get_size_inches()
    assert (width, height < 10) == (8, True)
    pixels = np.asarray(axes[0].figure.canvas.buffer_rgba())
    if kind == "symbols" and features > 1:
        colour = [round(255 * c) for c in to_rgba("C3")[:3]]
        assert (pixels[..., :3] == colour).all(axis=-1).any(), "what is asked can be seen"


# ---- the command


def test_every_task_is_listed(capsys):
    describe.main([])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == config.options("task")
    assert "adding " in lines[0]
    assert lines[0].endswith(
        "Two marked numbers, far apart in a stream of noise: say their sum at the end."
    )


def test_one_task(capsys, tmp_path):
    describe.main(
        [
            "adding",
            "T=60",
            "--seed",
            "4",
            "criterion.wrong=3",
            "--picture",
            str(tmp_path / "adding.png"),
        ]
    )
    printed = capsys.readouterr().out
    for part in (
        "Two marked numbers",
        "Shown   Pairs",
        "References:\n    Hochreiter",
        "\nT: 100  ",
        "sequence 0 of seed 4: 6",
    ):
        assert part in printed
    assert printed.endswith(f"picture: {tmp_path / 'adding.png'}\n")
    assert (tmp_path / "adding.png").read_bytes().startswith(b"\x89PNG")
    task = describe.build("adding", ["T=60", "criterion.wrong=3"])
    assert (task.T, task.criterion["wrong"]) == (60, 3)
    assert describe.describe(task, 4) in printed


def test_the_seed_reaches_the_task():
    """conf/task/embedded_reber.yaml draws its sets from the seed."""
    first, second = (describe.build("embedded_reber", seed=seed) for seed in (0, 1))
    assert first.training_strings != second.training_strings


@pytest.mark.parametrize(
    "settings",
    [
        ["T=3e1"],
        ["T='30'"],
        ["T=int(30.0)"],
        ["inclusive=no"],
        ["inclusive=off"],
        ["inclusive=False"],
        ["inclusive="],
        ["criterion.error_below=null"],
        ["criterion.error_below=~"],
        ["criterion.error_below=1e-3"],
        ["criterion.wrong=0x3"],
        ["criterion.wrong=1_0", "criterion.sequences=20"],
        ["criterion={wrong: 3, sequences: 30}"],
        ["criterion.measure=foo"],
        ["criterion.rule=budget"],
        ["T=${seed}"],
        ["T=30", "T=40"],
    ],
)
def test_settings_mean_what_they_mean_to_the_other_command(settings):
    def through_hydra():
        config, _ = composed("task=adding", *(f"task.{setting}" for setting in settings))
        task = instantiate(config["task"])
        criterion(**task.criterion)
        return task

    def answer(build):
        try:
            return {name: value for name, value in vars(build()).items() if name != "_seed"}
        except Exception:
            return "refused"

    assert answer(lambda: describe.build("adding", settings)) == answer(through_hydra)


@pytest.mark.parametrize(
    "name", [name for name in config.options("task") if name != "csv"]
)  # which needs a file
def test_every_card_has_a_criterion_that_training_takes(name):
    assert describe.build(name).criterion


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["addin"],
            r"task: expected one of adding, .* \(nearest: adding\)\. Received: task=addin$",
        ),
        (
            ["adding", "t=50"],
            r"adding: expected one of T, inclusive, criterion\.sequences, .*Received: t=50$",
        ),
        (
            ["adding", "criterion.wron=5"],
            r"\(nearest: criterion\.wrong\)\. Received: criterion\.wron=5$",
        ),
        (["adding", "T"], r"adding: a setting is written as name=value\. Received: T$"),
        (
            ["adding", "T=[5"],
            r"adding: expected a value as `lstmlab` reads it, .* Received: T=\[5$",
        ),
        (
            ["adding", "T=30", "T=50,60"],
            r"adding: expected one value, for a list \[value, value\]\. Received: T=50,60$",
        ),
        (["adding", "inclusive=yes"], r"Adding: expected .*Received: task\.inclusive='yes'$"),
        (["adding", "criterion={wron: 5}"], r"Key 'wron' is not in struct"),
        (
            ["adding", "criterion.measure=foo"],
            r"SlidingWindow: expected one of .* Received: criterion\.measure='foo'$",
        ),
        (["adding", "criterion.rule=budget"], r"Received: criterion\.rule=budget$"),
        (
            ["multiplication", "criterion.wrong=3000"],
            r"in 0\.\.1999\. Received: criterion\.wrong=3000$",
        ),
        (
            ["embedded_reber", "criterion.sets=[nope]"],
            r"names among \['test', 'training'\]\. .*criterion\.sets=\['nope'\]$",
        ),
        (["adding", "T=5"], r"Adding: expected an integer >= 24.* Received: task\.T=5$"),
        (["adding", "--seed", "-1"], r"Received: seed=-1$"),
        (["adding", "--position", "-1"], r"Received: position=-1$"),
        (
            ["adding", "--picture", "nowhere/adding.png"],
            r"No such file or directory: 'nowhere/adding.png'$",
        ),
        (["adding", "--picture", "adding.txt"], r"Format 'txt' is not supported"),
    ],
)
def test_what_it_refuses(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message) as stopped:
        describe.main(arguments)
    assert str(stopped.value).startswith("lstmlab-tasks: ")
    assert "\n" not in str(stopped.value)


def test_the_command_loads_neither_tensorflow_nor_keras():
    code = (
        "import sys; from lstmlab import describe; describe.main(['adding']); "
        "sys.exit(str(sorted({name.split('.')[0] for name in sys.modules} & {'tensorflow', 'keras'}) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""
    assert "Adding: training sequence 0" in done.stdout
