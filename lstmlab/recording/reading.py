"""read: the tables of a run of the lab, or of a GateTensorBoard folder, as pandas DataFrames."""

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

COLUMNS = ["run", "tag", "step", "wall_time", "value"]


def read(folder, events: bool = False) -> dict[str, pd.DataFrame]:
    """{name: DataFrame}: every csv of a run's folder by its name, such as 'gates', 'error_flow', 'history'.

    What lstmlab-explain wrote there, explain_*.csv, is left out: it is no measure of the run.
    events: True adds 'events' (run, tag, step, wall_time, value): all scalars in event files, run '.' for those of the run
    itself and 'lag/<n>' for curves against lag, whose step is the lag.
    A last line that a killed run left unfinished is left out, an event file that is cut off is read as far as it goes, and
    a run of another version of lstmlab is read like any, with one line on stderr each.
    Raises FileNotFoundError where there is no such folder, or no run in it, and ValueError for what is no path and for a csv
    that is damaged.
    """
    if not isinstance(folder, (str, os.PathLike)):
        raise ValueError(f"read: expected the folder of a run. Received: folder={folder!r}")
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"read: expected the folder of a run. Received: folder={str(folder)!r}, which is none"
        )
    files = sorted(path for path in folder.glob("*.csv") if not path.name.startswith("explain_"))
    if not files and not (folder / "result.json").exists() and not _event_files(folder):
        raise FileNotFoundError(
            f"read: expected the folder of a run. Received: folder={str(folder)!r}, with no run in it"
        )
    _check_version(folder)
    tables = {path.stem: _table(path) for path in files}
    return {**tables, "events": _scalars(folder)} if events else tables


def _check_version(folder: Path) -> None:
    try:
        row = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        written = row.get("version.lstmlab", "unknown")
    except FileNotFoundError:
        return
    except (ValueError, AttributeError):
        written = "unknown"
    if written != lstmlab.__version__:
        _say(
            f"{folder} was written by version {written} of lstmlab; this is version {lstmlab.__version__}"
        )


def _table(path: Path) -> pd.DataFrame:
    """A csv whose rows are as wide as its header, less a last line without its end."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"read: expected a csv. Received: {path}, damaged: {error.reason}"
        ) from error
    whole, end, rest = text.rpartition("\n")
    if rest:
        _say(f"{path}: the last line is cut off, and left out")
    rows = list(csv.reader(io.StringIO(whole + end)))
    if not rows:
        return pd.DataFrame()
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"read: expected a csv with {len(rows[0])} columns. Received: {path}, damaged: {len(row)} in line {number}"
            )
    return pd.read_csv(io.StringIO(whole + end))


def _event_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*tfevents*") if path.is_file())


def _scalars(folder: Path) -> pd.DataFrame:
    """Every scalar of every event file, those of a run of the lab named from its folder tb on."""
    top = folder / "tb" if (folder / "tb").is_dir() else folder
    rows = []
    for path in _event_files(folder):
        run = path.parent.relative_to(top if path.is_relative_to(top) else folder).as_posix()
        rows += [(run, *scalar) for scalar in _scalars_of(path)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _scalars_of(path: Path) -> Iterator[tuple]:
    """tag, step, wall_time and value of each scalar, of TensorFlow 1 or 2."""
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
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            if value.HasField("simple_value"):
                yield value.tag, event.step, event.wall_time, value.simple_value
            elif value.HasField("tensor") and plugin == "scalars":
                yield value.tag, event.step, event.wall_time, float(make_ndarray(value.tensor))


def _records(path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file that are whole: length, check sum, data and check sum, of 8, 4, length and 4 bytes."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        if at + 12 > len(content):
            break
        (length,) = struct.unpack_from("<Q", content, at)
        if at + 16 + length > len(content):
            break
        yield content[at + 12 : at + 12 + length]
        at += 16 + length
    if at < len(content):
        _say(f"{path}: cut off after {at} bytes, and read up to there")


def _say(line: str) -> None:
    print(f"read: {line}", file=sys.stderr)
