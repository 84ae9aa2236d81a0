"""picture against sequences made by hand, and at all sizes."""

import numpy as np
import pytest
from by_hand import ByHand, question
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from lstmlab import describe
from lstmlab.describe.figure import TICKS


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
    assert len(shown.get_yticks()) <= TICKS
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
