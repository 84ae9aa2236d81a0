"""`read`: the tables of a run, or of a GateTensorBoard folder, as pandas DataFrames.

Reads csv and event files; writes nothing but lines on stderr about files that are damaged or of
another version.
"""

import csv
import io
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

import lstmlab
from lstmlab.errors import refusal
from lstmlab.results import ROW, Run

COLUMNS = ["run", "tag", "step", "wall_time", "value"]


def read(folder: str | os.PathLike, events: bool = False) -> dict[str, pd.DataFrame]:
    """Return every csv of a run's folder by its name, such as 'gates', 'error_flow', 'history'.

    The tables that lstmlab-explain writes, explain_*.csv, are left out: they are not measurements
    of the run. Also left out is a last line that a killed run did not finish; a truncated event
    file is read as far as it goes, and a run of another version of lstmlab is read like any other,
    each with one line on stderr.

    Args:
        folder: The folder of a run, or the log_dir of a GateTensorBoard.
        events: Whether to add 'events' (run, tag, step, wall_time, value): all scalars in event
            files. The step of curves against lag, '..._against_lag/..._before' and '_after', is the
            lag. Its run is '.' but for files in a folder of their own.

    Returns:
        {name: DataFrame}.

    Raises:
        FileNotFoundError: There is no such folder, or no run in it.
        ValueError: The folder is not a path, or a csv is damaged.
    """
    asked = "the folder of a run"
    if not isinstance(folder, (str, os.PathLike)):
        raise refusal("read", asked, {"folder": folder})
    folder = Path(folder)
    if not folder.is_dir():
        received = f"folder={str(folder)!r}, which is not a folder"
        raise FileNotFoundError(str(refusal("read", asked, received)))

    files = sorted(path for path in folder.glob("*.csv") if not path.name.startswith("explain_"))
    if not files and not (folder / ROW).exists() and not _event_files(folder):
        received = f"folder={str(folder)!r}, with no run in it"
        raise FileNotFoundError(str(refusal("read", asked, received)))
    _check_version(folder)

    tables = {path.stem: _table(path) for path in files}
    return {**tables, "events": _scalars(folder)} if events else tables


def _check_version(folder: Path) -> None:
    try:
        row = json.loads((folder / ROW).read_text(encoding="utf-8"))
        written = row.get("version.lstmlab", "unknown")
    except FileNotFoundError:  # the folder of a GateTensorBoard has no such row
        return
    except (ValueError, AttributeError):
        written = "unknown"
    if written != lstmlab.__version__:
        this = f"this is version {lstmlab.__version__}"
        _say(f"{folder} was written by version {written} of lstmlab; {this}")


def _table(path: Path) -> pd.DataFrame:
    """A csv whose rows are as wide as its header, without an unfinished last line."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise refusal("read", "a csv", f"{path}, damaged: {error.reason}") from error
    whole, end, rest = text.rpartition("\n")
    if rest:
        _say(f"{path}: the last line is cut off, and left out")

    rows = list(csv.reader(io.StringIO(whole + end)))
    if not rows:
        return pd.DataFrame()
    # checked here: pandas would fill up a short row in silence
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            received = f"{path}, damaged: {len(row)} in line {number}"
            raise refusal("read", f"a csv with {len(rows[0])} columns", received)
    return pd.read_csv(io.StringIO(whole + end))


def _event_files(folder: Path) -> list[Path]:
    folders = {folder, Run(folder).events}
    found = {path for one in folders for path in one.rglob("*tfevents*") if path.is_file()}
    return sorted(found)


def _scalars(folder: Path) -> pd.DataFrame:
    """Every scalar of every event file. In a run of the lab, folders are named from tb/ on."""
    events = Run(folder).events
    top = events if events.is_dir() else folder
    rows = []
    for path in _event_files(folder):
        run = path.parent.relative_to(top if path.is_relative_to(top) else folder).as_posix()
        rows += [(run, *scalar) for scalar in _scalars_of(path)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _scalars_of(path: Path) -> Iterator[tuple]:
    """tag, step, wall_time and value of each scalar, as TensorFlow 1 or 2 wrote it."""
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.util.tensor_util import make_ndarray

    plugins: dict[str, str] = {}
    for record in _records(path):
        try:
            event = Event.FromString(record)
        except DecodeError:
            _say(f"{path}: not an event file from here on, and left out")
            return
        for value in event.summary.value:
            # only the first value of a tag names its plugin
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            if value.HasField("simple_value"):  # TensorFlow 1
                yield value.tag, event.step, event.wall_time, value.simple_value
            elif value.HasField("tensor") and plugin == "scalars":
                yield value.tag, event.step, event.wall_time, float(make_ndarray(value.tensor))


def _records(path: Path) -> Iterator[bytes]:
    """The complete records of a TFRecord file.

    A record is its length (8 bytes), a checksum (4), the data, and a checksum (4).
    """
    content, at = path.read_bytes(), 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        if at + 16 + length > len(content):
            break
        yield content[at + 12 : at + 12 + length]
        at += 16 + length
    if at < len(content):
        _say(f"{path}: cut off after {at} bytes, and read up to there")


def _say(line: str) -> None:
    print(f"read: {line}", file=sys.stderr)
