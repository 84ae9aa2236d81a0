"""Board: what diagnostics and runs write for TensorBoard.

It writes event files in its folder, and nothing else. They are a view of the run's csv files, never
the only copy.
"""

import copy
import errno
import io
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
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

LISTED = " (list)"  # at the end of the name of a column


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


class _Written:
    """What the Boards of one run share: the writer, and what they have written or still have to."""

    def __init__(self) -> None:
        self.writer: Any = None
        self.tags: dict[str, None] = {}
        self.story: list[tuple[str, list[Chart]]] = []
        self.layout: bytes = b""
        # {tag: {moment of training: (lags, values)}}
        self.curves: dict[str, dict[int, tuple]] = {}
        self.ends: dict[str, None] = {}  # the tags whose last curve is not written yet
        self.late: dict[str, tuple[Callable[[], np.ndarray], int]] = {}  # images not yet drawn


class Board:
    """Event files for TensorBoard, all in one folder: one entry in its list of runs.

    The step of everything is the number of training sequences, except in curves against lag. The
    files can be read up to the last `flush`, while the run goes on and after it was killed.

    Args:
        folder: Where the event files go.
        disk: Shared by everything that writes for one run (see Disk). Default: one of its own.
    """

    def __init__(self, folder: str | Path, disk: Disk | None = None):
        self.folder = Path(folder)
        self.disk = disk or Disk(folder)
        self._layer = ""
        self._written = _Written()

    def sub(self, layer: str) -> "Board":
        """Return the Board of one layer: the same files, and its name in every tag."""
        board = copy.copy(self)
        board._layer = layer
        return board

    def text(self, tag: str, text: str, sequences: int) -> None:
        """Write Markdown."""
        self._write(tf.summary.text, self._tag(tag), text, sequences)

    def scalar(self, tag: str, value: float, sequences: int) -> None:
        """Write one number."""
        tag = self._tag(tag)
        self._written.tags[tag] = None
        self._write(tf.summary.scalar, tag, value, sequences)

    def histogram(self, tag: str, values: np.ndarray, sequences: int) -> None:
        """Write the distribution of values of any shape."""
        # in NumPy, which takes a tenth of the time of tf.summary.histogram
        summary = histogram_summary.histogram_pb(self._tag(tag), np.asarray(values))
        self._raw(summary, sequences)

    def figure(self, tag: str, figure: "Figure", sequences: int) -> None:
        """Write a matplotlib Figure as an image."""
        self._write(tf.summary.image, self._tag(tag), image(figure)[None], sequences)

    def time_by_cell(
        self, tag: str, rows: dict[str, np.ndarray], sequences: int, now: bool = True
    ) -> None:
        """Write one image with a band for each name.

        Args:
            tag: The image is written as time_by_cell/<tag>.
            rows: {name: [cells, T]}, values from 0 (dark) to 1 (bright); time runs from left to
                right.
            sequences: The step.
            now: Whether it is drawn now. Otherwise it is drawn at the end, if no other follows.
        """
        self._image(f"time_by_cell/{tag}", partial(_bands, rows), sequences, now)

    def against_lag(self, curves: dict[str, tuple], sequences: int, picture: bool = False) -> None:
        """Write curves whose step is the lag: <tag>_before for the first moment of training.

        The last moment follows as <tag>_after, when the run ends.

        Args:
            curves: {tag: (lags, values)}.
            sequences: The moment.
            picture: Whether all moments are also one image, moments/<group>, where the
                group of a tag is what stands before its first /.
        """
        first: dict[str, tuple] = {}
        for tag, (lags, values) in curves.items():
            tag = self._tag(tag)
            moments = self._written.curves.setdefault(tag, {})
            if not moments:
                first[f"{tag}_before"] = lags, values
            else:
                self._written.ends[tag] = None
            moments[sequences] = np.asarray(lags), np.asarray(values, float)
        self._curves(first)

        for group in dict.fromkeys(tag.partition("/")[0] for tag in curves if picture):
            shown = {
                tag: dict(moments)
                for tag, moments in self._written.curves.items()
                if tag.startswith(f"{self._tag(group)}/")
            }
            count = max(map(len, shown.values()))
            self._image(
                f"moments/{group}",
                partial(_moments, shown),
                sequences,
                now=count > 1 and count & (count - 1) == 0,
            )

    def hparams(self, settings: dict, metrics: dict[str, str], first: Collection[str] = ()) -> None:
        """Write the settings of this run for the page HParams, and which columns the page has.

        A setting keeps its type over all runs: what is a number in one run and a list in another
        has a column for each.

        Args:
            settings: Flat, {name: number, string, bool or list}. None values are left out, other
                types are written as text.
            metrics: {tag of a scalar: name of its column}.
            first: The settings whose columns come before those of the others; 'NAME (list)' for
                one that is a list in another run.
        """
        values = dict(_setting(*item) for item in settings.items() if item[1] is not None)
        # what is a list here or in another run has both columns: TensorBoard asks any one run
        others: dict[str, Any] = {
            name: "" for name in first if name.endswith(LISTED) and name not in values
        }
        others |= {
            base: 0.0 for base in first if base not in values and f"{base}{LISTED}" in values
        }
        infos = [
            _column(name, value, name in first or name.removesuffix(LISTED) in first)
            for name, value in {**values, **others}.items()
        ]
        shown = [
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=name)
            for tag, name in metrics.items()
        ]
        self._raw(hparams_summary.experiment_pb(infos, shown))
        self._raw(hparams_summary.session_start_pb(values, start_time_secs=time.time()))

    def final(self, metrics: dict, sequences: int, failed: bool = False) -> None:
        """Write the metrics that the settings led to, and end the session.

        Args:
            metrics: {tag: number}; what is not a number is left out.
            sequences: The step.
            failed: Whether the run failed.
        """
        for name, value in metrics.items():
            if isinstance(value, (bool, int, float, np.number, np.bool_)):
                self._write(tf.summary.scalar, name, float(value), sequences)
        status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
        self._raw(hparams_summary.session_end_pb(status, end_time_secs=time.time()))
        self.flush()

    def layout(self, diagnostics: Iterable[Diagnostic] = ()) -> None:
        """Let the page Custom Scalars have the charts of `story`, one for each tag there is.

        The page is written with `flush`, whenever there are new tags.
        """
        self._written.story = story(diagnostics)

    def flush(self) -> None:
        """Make what was written readable for others."""
        self._lay_out()
        if self._written.writer is not None:
            self.disk.write(self.folder, self._written.writer.flush)

    def close(self) -> None:
        """Write what the end of a run shows, and end the files; what follows begins new ones."""
        for tag, (draw, sequences) in list(self._written.late.items()):
            self._draw(tag, draw, sequences)
        last = {}
        for tag in self._written.ends:
            moments = self._written.curves[tag]
            last[f"{tag}_after"] = moments[max(moments)]
        self._written.ends.clear()
        self._curves(last)
        self._lay_out()
        if self._written.writer is not None:
            self.disk.write(self.folder, self._written.writer.close)
        # also after a failure of the disk, when nothing is closed any more
        self._written.writer = None

    def _tag(self, tag: str) -> str:
        """The tag with the name of the layer behind its group."""
        if not self._layer:
            return tag
        group, _, rest = tag.partition("/")
        return "/".join(part for part in (group, self._layer, rest) if part)

    def _image(self, tag: str, draw: Callable[[], np.ndarray], sequences: int, now: bool) -> None:
        """Write an image now, or at the end if no other with its tag follows."""
        tag = self._tag(tag)
        if now:
            self._draw(tag, draw, sequences)
        else:
            self._written.late[tag] = draw, sequences

    def _draw(self, tag: str, draw: Callable[[], np.ndarray], sequences: int) -> None:
        self._written.late.pop(tag, None)
        self._write(tf.summary.image, tag, draw()[None], sequences)

    def _curves(self, curves: dict[str, tuple]) -> None:
        """Write finite values of curves {tag: (lags, values)}, with the lag as step."""
        self._written.tags.update(dict.fromkeys(curves))
        # one call per lag for all curves: a call per point took most of the time
        for lag, points in _by_lag(curves).items():
            self._raw(_scalars(points), lag)

    def _lay_out(self) -> None:
        pages = _layout(self._written.story, list(self._written.tags))
        content = pages.SerializeToString()
        if pages.category and content != self._written.layout:
            self._written.layout = content
            self._raw(custom_scalar.pb(pages))

    def _raw(self, summary: Any, step: int = 0) -> None:
        self._write(tf.summary.experimental.write_raw_pb, summary.SerializeToString(), step)

    def _write(self, summary: Callable, *arguments: Any) -> None:
        self.disk.write(self.folder, self._in, summary, *arguments)

    def _in(self, summary: Callable, *arguments: Any) -> None:
        if self._written.writer is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._written.writer = tf.summary.create_file_writer(str(self.folder))
        with self._written.writer.as_default():
            summary(*arguments)


def _by_lag(curves: dict[str, tuple]) -> dict[int, dict[str, float]]:
    """{lag: {tag: value}} of curves {tag: (lags, values)}, lags rising, finite values alone."""
    points: dict[int, dict[str, float]] = {}
    for tag, (lags, values) in curves.items():
        for lag, value in zip(lags, values, strict=True):
            if np.isfinite(value):
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


def _moments(curves: dict[str, dict[int, tuple]]) -> np.ndarray:
    """Values {tag: {moment: (lags, values)}} as colour, lag x moment, as RGB [height, width, 3]."""
    from matplotlib.figure import Figure

    count = max(map(len, curves.values()))
    each = 0.35 + 0.16 * min(max(count, 2), 16)  # inches of a panel
    height = 0.7 + each * len(curves)

    # placed by hand: matplotlib's own layout would double the time
    figure = Figure(figsize=(8, height), dpi=80)
    bottom, top = 0.5 / height, 1 - 0.3 / height
    figure.subplots_adjust(left=0.12, right=0.86, top=top, bottom=bottom, hspace=0.35 / each)
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]

    values = [values for moments in curves.values() for _, values in moments.values()]
    finite = np.concatenate([one[np.isfinite(one)] for one in values])
    # at least one decade, so that what is flat looks flat
    top_value = finite.max() if len(finite) else 0.0
    scale = {"vmin": min(finite.min(initial=top_value), top_value - 1), "vmax": top_value}
    for panel, (tag, moments) in zip(panels, curves.items(), strict=True):
        lags = max((lags for lags, _ in moments.values()), key=len)
        rows = np.full((len(moments), len(lags)), np.nan)
        for row, (some, found) in zip(rows, moments.values(), strict=True):
            row[np.searchsorted(lags, some)] = found
        edges = np.append(lags, 2 * lags[-1] - lags[-2] if len(lags) > 1 else lags[-1] + 1)
        bright = panel.pcolormesh(edges, np.arange(len(moments) + 1), rows, **scale)
        panel.set_title(tag.partition("/")[2].replace("_", " "), fontsize=9, loc="left", pad=2)
        ticks = np.unique(np.linspace(0, len(moments) - 1, min(len(moments), 5)).astype(int))
        panel.set_yticks(ticks + 0.5, [f"{list(moments)[k]:,}" for k in ticks], fontsize=8)
        panel.invert_yaxis()  # training goes on downwards
    panels[-1].set_xlabel("lag")
    colours = figure.add_axes((0.89, bottom, 0.02, top - bottom))
    group = next(iter(curves)).partition("/")[0]
    what = "log10 of the norm" if "log10" in group else group.replace("_", " ")
    figure.colorbar(bright, cax=colours, label=what)
    return image(figure)


def _setting(name: str, value: Any) -> tuple[str, bool | int | float | str]:
    """A setting as HParams takes it, a list under a name of its own."""
    if isinstance(value, np.generic):
        value = value.item()
    # rows have lists as text
    is_list = isinstance(value, (list, tuple)) or (isinstance(value, str) and value[:1] == "[")
    if isinstance(value, (bool, int, float, str)) and not is_list:
        return name, value
    return f"{name}{LISTED}" if is_list else name, str(value)


def _column(name: str, value: bool | int | float | str, first: bool) -> api_pb2.HParamInfo:
    """The column of a setting; TensorBoard puts those that `differ` before the others."""
    kind = api_pb2.DATA_TYPE_STRING
    if isinstance(value, bool):
        kind = api_pb2.DATA_TYPE_BOOL
    elif isinstance(value, (int, float)):
        kind = api_pb2.DATA_TYPE_FLOAT64
    return api_pb2.HParamInfo(name=name, type=kind, differs=first)


def story(diagnostics: Iterable[Diagnostic] = ()) -> list[tuple[str, list[Chart]]]:
    """The chapters of the page Custom Scalars and their charts, in the order of the story.

    The charts are those of the training, of every diagnostic of the package, and of `diagnostics`.
    """
    sources: list[type[Diagnostic] | Diagnostic] = [*kinds().values(), *diagnostics]
    # a set: several diagnostics may ask for the same chart
    charts = {*TRAINING, *(chart for source in sources for chart in source.charts)}
    told = sorted(charts, key=lambda chart: (chart.chapter, chart.place, chart.title))
    return [(chapter, list(group)) for chapter, group in groupby(told, attrgetter("chapter"))]


def _layout(chapters: list[tuple[str, list[Chart]]], tags: Iterable[str]) -> layout_pb2.Layout:
    """The charts of the tags that there are, one for each, so that a colour is a run."""

    def chart(title: str, tag: str) -> layout_pb2.Chart:
        what = tag.partition("/")[2].replace("_", " ").replace("/", ", ")
        content = layout_pb2.MultilineChartContent(tag=[f"{re.escape(tag)}$"])
        return layout_pb2.Chart(title=f"{title}: {what}", multiline=content)

    pages = []
    for chapter, charts in chapters:
        found = [chart(one.title, tag) for one in charts for tag in tags if re.match(one.tags, tag)]
        if found:
            pages.append(layout_pb2.Category(title=chapter, chart=found, closed=False))
    return layout_pb2.Layout(category=pages)
