"""Board: what diagnostics and runs write for TensorBoard.

It writes event files in its folder, and nothing else. They are a view of the run's csv files, never
the only copy.
"""

import errno
import io
import re
import sys
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.histogram import summary_v2 as histogram_summary
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams_summary
from tensorboard.plugins.scalar import metadata as scalar_metadata

from lstmlab.diagnostics import Chart, Diagnostic, kinds
from lstmlab.diagnostics.base import LEARNING
from lstmlab.files import WriteError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING = (
    Chart(
        LEARNING,
        "error of training",
        r"training/(absolute_error|squared_error|loss|val_loss)$",
        1,
    ),
    Chart(LEARNING, "wrong among the last sequences", r"training/recent_wrong$", 2),
)


class Disk:
    """Writing that stops at the first failure.

    After a failure nothing is tried again, so that what was written has no gaps.

    Args:
        folder: Where everything is written.
        strict: Whether the first failure is raised. Otherwise it costs one line on stderr, and the
            training continues.
    """

    def __init__(self, folder: str | Path, strict: bool = False):
        self.folder, self.strict, self.failed = Path(folder), strict, False

    def write(self, path: Path, action: Callable, *arguments: Any) -> None:
        """Call action(*arguments), which writes to `path`, unless writing has failed before.

        Raises:
            WriteError: The first failure, with `strict`.
        """
        if self.failed:
            return
        try:
            # a run's folder that was removed is not made again
            if self.strict and not self.folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, "")
            action(*arguments)
        except tf.errors.InvalidArgumentError:  # wrong is what was to be written, not the place
            raise
        except (OSError, tf.errors.OpError) as error:
            self.failed = True
            told = error if isinstance(error, WriteError) else WriteError(_file(path, error), error)
            if self.strict:
                raise told from error
            left = f"nothing more is written to {self.folder}, the training goes on"
            print(f"diagnostics: {left}: {told}", file=sys.stderr)


def _file(path: Path, error: Exception) -> Path:
    """The event file that TensorFlow names, or the last one in the folder `path`."""
    named = re.search(r"[^\s;]*tfevents[^\s;]*", str(error))
    if named:
        return Path(named.group())
    return max(path.glob("*tfevents*"), default=path) if path.is_dir() else path


class Board:
    """Event files for TensorBoard.

    The step of everything is the number of training sequences, except in curves against lag. The
    files can be read up to the last `flush`, while the run goes on and after it was killed.

    Args:
        folder: Where the event files go.
        disk: Shared by everything that writes for one run (see Disk). Default: one of its own.
    """

    def __init__(self, folder: str | Path, disk: Disk | None = None):
        self.folder = Path(folder)
        self.disk = disk or Disk(folder)
        self._writers: dict[Path, tf.summary.SummaryWriter] = {}
        self._began: float | None = None

    def sub(self, name: str) -> "Board":
        """Return the Board of a sub-run: the same tags, as separate lines in the same charts."""
        return Board(self.folder / name, self.disk)

    def text(self, tag: str, text: str, sequences: int) -> None:
        """Write Markdown."""
        self._write(self.folder, tf.summary.text, tag, text, sequences)

    def scalar(self, tag: str, value: float, sequences: int) -> None:
        """Write one number."""
        self._write(self.folder, tf.summary.scalar, tag, value, sequences)

    def histogram(self, tag: str, values: np.ndarray, sequences: int) -> None:
        """Write the distribution of values of any shape."""
        # in NumPy, which takes a tenth of the time of tf.summary.histogram
        summary = histogram_summary.histogram_pb(tag, np.asarray(values)).SerializeToString()
        self._write(self.folder, tf.summary.experimental.write_raw_pb, summary, sequences)

    def figure(self, tag: str, figure: "Figure", sequences: int) -> None:
        """Write a matplotlib Figure as an image."""
        self._write(self.folder, tf.summary.image, tag, image(figure)[None], sequences)

    def time_by_cell(self, tag: str, rows: dict[str, np.ndarray], sequences: int) -> None:
        """Write one image with a band for each name.

        Args:
            tag: The image is written as <tag>/time_by_cell.
            rows: {name: [cells, T]}, values from 0 (dark) to 1 (bright); time runs from left to
                right.
            sequences: The step.
        """
        picture = _bands(rows)[None]
        self._write(self.folder, tf.summary.image, f"{tag}/time_by_cell", picture, sequences)

    def against_lag(self, curves: dict[str, tuple], sequences: int) -> None:
        """Write curves whose step is the lag, in one sub-run for this moment of training.

        They share one file: an open TensorBoard may miss all but one of several files written
        within a second.

        Args:
            curves: {tag: (lags, values)}.
            sequences: The moment; the sub-run is lag/<sequences>.
        """
        folder = self.folder / "lag" / f"{sequences:09d}"
        # one call per lag for all curves: a call per point took most of the time
        for lag, points in _by_lag(curves).items():
            summary = _scalars(points).SerializeToString()
            self._write(folder, tf.summary.experimental.write_raw_pb, summary, lag)
        self.disk.write(folder, self._close, folder)

    def hparams(self, settings: dict) -> None:
        """Write the settings of this run for the page HParams.

        They go into the sub-run `final`: the page shows the metrics of that sub-run only.

        Args:
            settings: Flat, {name: number, string or bool}. None values are left out, other types
                are written as text.
        """
        self._began = time.time()
        values = {name: _plain(value) for name, value in settings.items() if value is not None}
        start = hparams_summary.session_start_pb(values, start_time_secs=self._began)
        self._raw(self.folder / "final", start)

    def final(self, metrics: dict, sequences: int, failed: bool = False) -> None:
        """Write the metrics that the settings led to, and end the session.

        Args:
            metrics: {name: number}; what is not a number is left out.
            sequences: The step.
            failed: Whether the run failed.
        """
        for name, value in metrics.items():
            if isinstance(value, (bool, int, float, np.number, np.bool_)):
                self._write(self.folder / "final", tf.summary.scalar, name, float(value), sequences)
        status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
        end = hparams_summary.session_end_pb(status, end_time_secs=time.time())
        self._raw(self.folder / "final", end)
        self.flush()

    def layout(self, diagnostics: Iterable[Diagnostic] = ()) -> None:
        """Write the page Custom Scalars, with the charts of `story`."""
        self._raw(self.folder, custom_scalar.pb(_layout(diagnostics)))

    def flush(self) -> None:
        """Make what was written readable for others."""
        for folder, writer in self._writers.items():
            self.disk.write(folder, writer.flush)

    def close(self) -> None:
        """End the files; whatever is written later begins new ones."""
        for folder in list(self._writers):
            self.disk.write(folder, self._close, folder)
        # those that are left after a failure of the disk, when nothing is closed any more
        self._writers.clear()

    def _write(self, folder: Path, summary: Callable, *arguments: Any) -> None:
        self.disk.write(folder, self._in, folder, summary, *arguments)

    def _raw(self, folder: Path, summary: Any) -> None:
        self._write(folder, tf.summary.experimental.write_raw_pb, summary.SerializeToString(), 0)

    def _in(self, folder: Path, summary: Callable, *arguments: Any) -> None:
        if folder not in self._writers:
            folder.mkdir(parents=True, exist_ok=True)
            self._writers[folder] = tf.summary.create_file_writer(str(folder))
        with self._writers[folder].as_default():
            summary(*arguments)

    def _close(self, folder: Path) -> None:
        if folder in self._writers:
            self._writers.pop(folder).close()


def _by_lag(curves: dict[str, tuple]) -> dict[int, dict[str, float]]:
    """{lag: {tag: value}} of curves {tag: (lags, values)}, lags rising."""
    points: dict[int, dict[str, float]] = {}
    for tag, (lags, values) in curves.items():
        for lag, value in zip(lags, values, strict=True):
            points.setdefault(int(lag), {})[tag] = float(value)
    return dict(sorted(points.items()))


def _scalars(values: dict[str, float]) -> Summary:
    """Scalars of one step, in the form in which tf.summary.scalar writes each of them."""
    metadata = scalar_metadata.create_summary_metadata(display_name="", description="")
    written = []
    for tag, value in values.items():
        tensor = TensorProto(dtype=DT_FLOAT, tensor_shape={}, float_val=[value])
        written.append(Summary.Value(tag=tag, tensor=tensor, metadata=metadata))
    return Summary(value=written)


def image(figure: "Figure") -> np.ndarray:
    """Return a matplotlib Figure as RGB, uint8 [height, width, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas, buffer = FigureCanvasAgg(figure), io.BytesIO()
    canvas.print_raw(buffer)
    width, height = canvas.get_width_height()
    # bytes in the order of RGBA -> [height, width, 4] -> without A
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(height, width, 4)[..., :3]


def _bands(rows: dict[str, np.ndarray]) -> np.ndarray:
    """The bands one below the other with axes and names, as an RGB image [height, width, 3]."""
    from matplotlib.figure import Figure

    cells = [len(values) for values in rows.values()]
    height = 0.9 + 0.35 * sum(cells) + 0.35 * len(cells)

    # placed by hand: matplotlib's own layout would double the time
    figure = Figure(figsize=(8, height), dpi=80)
    bottom, top = 0.5 / height, 1 - 0.15 / height
    gap = 0.25 * len(cells) / sum(cells)
    figure.subplots_adjust(left=0.14, right=0.9, top=top, bottom=bottom, hspace=gap)

    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=cells)[:, 0]
    for panel, (name, values) in zip(panels, rows.items(), strict=True):
        # one scale for all images: those of two moments can be compared
        bright = panel.imshow(
            values, aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest"
        )
        panel.set_ylabel(name.replace("_", "\n"), rotation=0, ha="right", va="center")
        panel.set_yticks(range(len(values)), [str(k + 1) for k in range(len(values))])
    panels[-1].set_xlabel("time step")
    figure.colorbar(bright, cax=figure.add_axes((0.92, bottom, 0.02, top - bottom)))
    return image(figure)


def _plain(value: Any) -> bool | int | float | str:
    """A setting as HParams takes it."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def story(diagnostics: Iterable[Diagnostic] = ()) -> list[tuple[str, list[Chart]]]:
    """The chapters of the page Custom Scalars and their charts, in the order of the story.

    The charts are those of the training, of every diagnostic of the package, and of `diagnostics`.
    """
    sources: list[type[Diagnostic] | Diagnostic] = [*kinds().values(), *diagnostics]
    # a set: several diagnostics may ask for the same chart
    charts = {*TRAINING, *(chart for source in sources for chart in source.charts)}
    told = sorted(charts, key=lambda chart: (chart.chapter, chart.place, chart.title))
    return [(chapter, list(group)) for chapter, group in groupby(told, attrgetter("chapter"))]


def _layout(diagnostics: Iterable[Diagnostic]) -> layout_pb2.Layout:
    def chart(one: Chart) -> layout_pb2.Chart:
        content = layout_pb2.MultilineChartContent(tag=[one.tags])
        return layout_pb2.Chart(title=one.title, multiline=content)

    chapters = [
        layout_pb2.Category(title=title, chart=[chart(one) for one in charts], closed=False)
        for title, charts in story(diagnostics)
    ]
    return layout_pb2.Layout(category=chapters)
