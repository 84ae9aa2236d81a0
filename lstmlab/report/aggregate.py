"""Curves with intervals over seeds in TensorBoard: mean, low and high of every scalar.

They are runs of their own beside those of the single trials, one for each group of trials, and
have the tags of these: the lines stand in the same charts.
"""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lstmlab.files import write as write_file
from lstmlab.files import writing
from lstmlab.report import survival, tables
from lstmlab.results import Run

FOLDER = "aggregate"
FILE = "events.out.tfevents.0000000000.lstmlab"  # TensorBoard knows event files by this name
LINES = ("mean", "low", "high")
TAGS = ("absolute_error", "squared_error", "recent_wrong")  # of history.csv, as runs write them
RESAMPLES = 999
LONGEST = 150  # characters of the name of a folder

Curves = dict[tuple[str, str], pd.Series]  # (sub-run, tag) -> values by step


def write(folder: Path, groups: Iterable[tuple[dict, pd.DataFrame]]) -> list[Path]:
    """Write mean, low and high of every scalar over the trials of each group, for TensorBoard.

    At each step at which any trial has a value; one that ended before keeps its last one. low and
    high are the 95 % bootstrap interval of the mean. What only one trial has is left out.

    Args:
        folder: The folder of the report; the runs are aggregate/GROUP-N_trials/mean, low and high
            in it, and those that were there are replaced.
        groups: Names and trials, rows of `statistics.trials`. A trial without event files, one of
            many that is not shown, has the curves of its history.csv.

    Returns:
        The folders of the runs, without mean, low and high.

    Raises:
        WriteError: A file cannot be written.
    """
    for old in (folder / FOLDER).rglob("events.out.tfevents*"):
        with writing(old):
            old.unlink()
    found = []
    for names, part in groups:
        label = re.sub(r"[^\w.=+-]+", "-", tables.label(names))[:LONGEST].strip("-")
        single = [curves(Path(run)) for run in part["run"]]
        by_count: dict[int, list[tuple[str, str]]] = {}
        for key in dict.fromkeys(key for one in single for key in one):
            by_count.setdefault(sum(key in one for one in single), []).append(key)
        for count, keys in sorted(by_count.items()):
            if count > 1:
                place = folder / FOLDER / f"{label}-{count}_trials"
                _write(place, {key: over([o[key] for o in single if key in o]) for key in keys})
                found.append(place)
    return found


def curves(run: Path) -> Curves:
    """Return every scalar of a run: of its event files, or of history.csv if it has none.

    Values that are no numbers are left out.
    """
    events = Run(run).events
    places = sorted({path.parent for path in events.rglob("*tfevents*")})
    found: Curves = {}
    for place in places:
        sub = place.relative_to(events).as_posix().removeprefix(".")
        found |= {(sub, tag): values for tag, values in _scalars(place).items()}
    if not places:
        history = Run(run).read("history")
        for name in TAGS:
            if name in history:
                values = history.set_index("sequences")[name]
                found["", f"training/{name}"] = values[np.isfinite(values)]
    return {key: values for key, values in found.items() if len(values)}


def over(single: list[pd.Series]) -> pd.DataFrame:
    """Return mean, low and high over trials, by step; see `write`.

    Args:
        single: The values of each trial by step.
    """
    # a trial that measures later than others has no value before
    table = pd.concat(single, axis=1).sort_index().ffill().dropna()
    values = table.to_numpy(float).T
    if not len(table):
        return pd.DataFrame(columns=LINES, dtype=float)
    low, high = _interval(values)
    return pd.DataFrame({"mean": values.mean(0), "low": low, "high": high}, index=table.index)


def _interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bootstrap interval of the mean over trials, at each of the steps of [trials, steps]."""
    from scipy import stats

    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, 1_000_000 // values.size),
        confidence_level=survival.CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return found.low, found.high


def _scalars(place: Path) -> dict[str, pd.Series]:
    """The scalars in the event files of one folder; of a step that is there twice, the last."""
    from tensorboard.util.tensor_util import make_ndarray

    found: dict[str, dict[int, float]] = {}
    scalars: set[str] = set()
    for path in sorted(place.glob("*tfevents*")):
        for event in _events(path):
            for value in event.summary.value:
                # only the first value of a tag names its plugin
                if value.metadata.plugin_data.plugin_name == "scalars":
                    scalars.add(value.tag)
                if value.tag in scalars:
                    number = float(make_ndarray(value.tensor))
                    found.setdefault(value.tag, {})[event.step] = number
    return {
        tag: pd.Series({step: v for step, v in values.items() if np.isfinite(v)}, dtype=float)
        for tag, values in found.items()
    }


def _events(path: Path) -> Iterator[Any]:
    """The events of a file, up to where a run that was killed left it."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.tensorflow_stub import errors

    # TensorBoard's own reader without TensorFlow, which takes five seconds to load and greets
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    reader = PyRecordReader_New(str(path))
    with suppress(errors.OutOfRangeError, errors.DataLossError):
        while True:
            reader.GetNext()
            yield Event.FromString(reader.record())


def _write(place: Path, bands: dict[tuple[str, str], pd.DataFrame]) -> None:
    """Write the lines of one group, each with one event file for each sub-run."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    for line in LINES:
        for sub in dict.fromkeys(sub for sub, _ in bands):
            folder, content = place / line / sub, io.BytesIO()
            records = RecordWriter(content)
            records.write(Event(file_version="brain.Event:2").SerializeToString())
            for (other, tag), band in bands.items():
                for step, value in band[line].items() if other == sub else ():
                    event = Event(step=step, summary=_summary(tag, float(value)))
                    records.write(event.SerializeToString())
            with writing(folder, "folder"):
                folder.mkdir(parents=True, exist_ok=True)
            write_file(folder / FILE, content.getvalue())


def _summary(tag: str, value: float) -> Any:
    """One scalar in the form in which tf.summary.scalar writes it."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_FLOAT
    from tensorboard.plugins.scalar import metadata

    about = metadata.create_summary_metadata(display_name="", description="")
    tensor = TensorProto(dtype=DT_FLOAT, tensor_shape={}, float_val=[value])
    return Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=about)])
