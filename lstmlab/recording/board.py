"""Board: what diagnostics and runs write for TensorBoard; a view of the run's csv files, never the only store."""

import io
import re
import sys
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import attrgetter
from pathlib import Path

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
    """Writing that ends with the first failure, with one line on stderr: the training goes on without it.

    A disk that was full once is not tried again, so that what is written has no gaps.
    """

    def __init__(self, folder: str | Path):
        self.folder, self.failed = Path(folder), False

    def write(self, action: Callable, *arguments) -> None:
        """Call action(*arguments), unless writing has failed before."""
        if self.failed:
            return
        try:
            action(*arguments)
        except tf.errors.InvalidArgumentError:  # what was to be written is wrong, not where to
            raise
        except (OSError, tf.errors.OpError) as error:
            self.failed = True
            reason = re.sub(
                r"\{\{.*?\}\}|\[Op:.*", "", str(getattr(error, "strerror", None) or error)
            )  # names of operations
            reason = " ".join(reason.split())
            print(
                f"diagnostics: nothing more is written to {self.folder}, the training goes on: {reason}",
                file=sys.stderr,
            )


class Board:
    """Event files under `folder`. The step of everything is the number of training sequences, but for curves against lag.

    disk: what all writing of a run shares (see Disk); a folder that is full or not writable costs one line on stderr.
    They can be read while the run goes on, and after it was killed, up to the last `flush`.
    """

    def __init__(self, folder: str | Path, disk: Disk | None = None):
        self.folder = Path(folder)
        self.disk = disk or Disk(folder)
        self._writers: dict[Path, tf.summary.SummaryWriter] = {}
        self._began: float | None = None

    def sub(self, name: str) -> "Board":
        """The Board of a sub-run: the same tags, as lines of their own in the same charts."""
        return Board(self.folder / name, self.disk)

    def text(self, tag: str, text: str, sequences: int) -> None:
        self._write(self.folder, tf.summary.text, tag, text, sequences)

    def scalar(self, tag: str, value: float, sequences: int) -> None:
        self._write(self.folder, tf.summary.scalar, tag, value, sequences)

    def histogram(self, tag: str, values: np.ndarray, sequences: int) -> None:
        # in NumPy, which takes a tenth of the time of tf.summary's own
        summary = histogram_summary.histogram_pb(tag, np.asarray(values))
        self._write(
            self.folder,
            tf.summary.experimental.write_raw_pb,
            summary.SerializeToString(),
            sequences,
        )

    def figure(self, tag: str, figure, sequences: int) -> None:
        """A matplotlib Figure as an image."""
        self._write(self.folder, tf.summary.image, tag, image(figure)[None], sequences)

    def time_by_cell(self, tag: str, rows: dict[str, np.ndarray], sequences: int) -> None:
        """One image: for each name a band [cells, T] of values from 0 (dark) to 1 (bright), time from left to right."""
        self._write(
            self.folder, tf.summary.image, f"{tag}/time_by_cell", _bands(rows)[None], sequences
        )

    def against_lag(self, curves: dict[str, tuple], sequences: int) -> None:
        """Curves {tag: (lags, values)} whose step is the lag, in one sub-run for this moment of training.

        In one file: of several files written within a second, a TensorBoard that is already open may miss all but one.
        """
        folder = self.folder / "lag" / f"{sequences:09d}"
        for lag, points in _by_lag(
            curves
        ).items():  # one call for all curves: a call for each point took most of the time
            self._write(
                folder,
                tf.summary.experimental.write_raw_pb,
                _scalars(points).SerializeToString(),
                lag,
            )
        self.disk.write(self._close, folder)

    def hparams(self, settings: dict) -> None:
        """The settings of this run for the page HParams, in the sub-run `final`: its metrics are what lies there alone.

        settings: flat, {name: number, string or bool}; those that are None are left out, of other types their text counts.
        """
        self._began = time.time()
        values = {name: _plain(value) for name, value in settings.items() if value is not None}
        self._raw(
            self.folder / "final",
            hparams_summary.session_start_pb(values, start_time_secs=self._began),
        )

    def final(self, metrics: dict, sequences: int, failed: bool = False) -> None:
        """What came of the settings: {name: number}, those that are no numbers left out; and the end of the session."""
        for name, value in metrics.items():
            if isinstance(value, (bool, int, float, np.number, np.bool_)):
                self._write(self.folder / "final", tf.summary.scalar, name, float(value), sequences)
        status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
        self._raw(
            self.folder / "final", hparams_summary.session_end_pb(status, end_time_secs=time.time())
        )
        self.flush()

    def layout(self, diagnostics: Iterable[Diagnostic] = ()) -> None:
        """Write the page Custom Scalars, with the charts of `story`."""
        self._raw(self.folder, custom_scalar.pb(_layout(diagnostics)))

    def flush(self) -> None:
        for writer in self._writers.values():
            self.disk.write(writer.flush)

    def close(self) -> None:
        """End the files; whatever is written later begins new ones."""
        for folder in list(self._writers):
            self.disk.write(self._close, folder)
        self._writers.clear()

    def _write(self, folder: Path, summary: Callable, *arguments) -> None:
        self.disk.write(self._in, folder, summary, *arguments)

    def _raw(self, folder: Path, summary) -> None:
        self._write(folder, tf.summary.experimental.write_raw_pb, summary.SerializeToString(), 0)

    def _in(self, folder: Path, summary: Callable, *arguments) -> None:
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
    """Scalars of one step, as tf.summary.scalar would write each of them."""
    metadata = scalar_metadata.create_summary_metadata(display_name="", description="")
    tensors = {
        tag: TensorProto(dtype=DT_FLOAT, tensor_shape={}, float_val=[value])
        for tag, value in values.items()
    }
    return Summary(
        value=[
            Summary.Value(tag=tag, tensor=tensor, metadata=metadata)
            for tag, tensor in tensors.items()
        ]
    )


def image(figure) -> np.ndarray:
    """A matplotlib Figure as RGB, uint8 [height, width, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas, buffer = FigureCanvasAgg(figure), io.BytesIO()
    canvas.print_raw(buffer)
    width, height = canvas.get_width_height()
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(height, width, 4)[..., :3]


def _bands(rows: dict[str, np.ndarray]) -> np.ndarray:
    """The bands drawn one below the other with axes and names, as an RGB image [height, width, 3]."""
    from matplotlib.figure import Figure

    cells = [len(values) for values in rows.values()]
    height = 0.9 + 0.35 * sum(cells) + 0.35 * len(cells)
    figure = Figure(
        figsize=(8, height), dpi=80
    )  # placed by hand: matplotlib's own layout takes as long again as all the rest
    bottom, top = 0.5 / height, 1 - 0.15 / height
    figure.subplots_adjust(
        left=0.14, right=0.9, top=top, bottom=bottom, hspace=0.25 * len(cells) / sum(cells)
    )
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=cells)[:, 0]
    for panel, (name, values) in zip(panels, rows.items(), strict=True):
        bright = panel.imshow(
            values, aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest"
        )
        panel.set_ylabel(name.replace("_", "\n"), rotation=0, ha="right", va="center")
        panel.set_yticks(range(len(values)), [str(k + 1) for k in range(len(values))])
    panels[-1].set_xlabel("time step")
    figure.colorbar(bright, cax=figure.add_axes((0.92, bottom, 0.02, top - bottom)))
    return image(figure)


def _plain(value):
    """A setting as HParams takes it: number, string or bool."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def story(diagnostics: Iterable[Diagnostic] = ()) -> list[tuple[str, list[Chart]]]:
    """The chapters of the page Custom Scalars and their charts, in the order of the story.

    The charts are those of the training, of every diagnostic of the package, and of `diagnostics`.
    """
    sources: list[type[Diagnostic] | Diagnostic] = [*kinds().values(), *diagnostics]
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
