"""What the page can tell of a folder that holds event files and nothing else.

Event files have no numbers of single cells and no sequences: the tables `error_flow`, before and
after training, and `gates` are all there is.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

EVENTS = "events.out.tfevents"  # what the name of an event file begins with
FLOW, MEANS = "error_flow_log10_against_lag", "gates_mean"  # groups of tags that Board writes
PARTS = {MEANS: "mean", "gates_near_0": "near_0", "gates_near_1": "near_1"}
ENOUGH = 2**20  # bytes, within which Board has written its first measurement
NAMES = ("gates", "error_flow")


def ours(folder: Path, files: Iterable[str]) -> str:
    """The stamp of the event files that GateTensorBoard or a run wrote; '' if there are none.

    Args:
        folder: Where they lie.
        files: The names of what is in it.
    """
    stamps = []
    for name in sorted(name for name in files if name.startswith(EVENTS)):
        try:
            with (folder / name).open("rb") as file:
                if FLOW.encode() not in file.read(ENOUGH):
                    continue
            found = (folder / name).stat()
        except OSError:
            continue
        stamps.append(f"{found.st_mtime_ns}-{found.st_size}")
    return " ".join(stamps)


def tables(folder: Path) -> dict[str, str]:
    """The tables of NAMES that event files tell, as csv."""
    every = {"scalars": 0, "tensors": 0}
    read = EventAccumulator(str(folder), size_guidance=every).Reload()
    scalars = {}
    for tag in read.Tags()["tensors"]:
        if tag.partition("/")[0] in (FLOW, *PARTS, "training"):
            points = read.Tensors(tag)
            values = [float(tensor_util.make_ndarray(one.tensor_proto)) for one in points]
            scalars[tag] = dict(zip([one.step for one in points], values, strict=True))
    counted = "sequences" if any(tag.startswith("training/") for tag in scalars) else "step"
    made = {"gates": _gates(scalars, counted), "error_flow": _flow(scalars, counted)}
    return {name: _csv(table) for name, table in made.items() if len(table)}


def _gates(scalars: dict[str, dict[int, float]], counted: str) -> pd.DataFrame:
    rows: dict[tuple, dict] = {}
    for tag, values in scalars.items():
        group, layer, gate = _split(tag)
        for step, value in values.items() if group in PARTS else ():
            row = rows.setdefault((step, layer, gate), {counted: step, "layer": layer})
            row.update({"gate": gate, PARTS[group]: value})
    return pd.DataFrame([rows[key] for key in sorted(rows)])


def _flow(scalars: dict[str, dict[int, float]], counted: str) -> pd.DataFrame:
    means = [values for tag, values in scalars.items() if _split(tag)[0] == MEANS]
    steps = sorted({step for values in means for step in values}) or [0, 1]
    moments = {"before": steps[0], "after": steps[-1]}
    rows = []
    for tag, values in scalars.items():
        group, layer, name = _split(tag)
        path, _, moment = name.rpartition("_")
        for lag, value in values.items() if group == FLOW and moment in moments else ():
            row = {counted: moments[moment], "layer": layer, "lag": lag, "path": path}
            rows.append(row | {"norm": 10.0**value})
    return pd.DataFrame(rows).sort_values([counted, "layer", "path", "lag"]) if rows else (
        pd.DataFrame()
    )  # fmt: skip


def _split(tag: str) -> tuple[str, str, str]:
    """Group, layer ('' in a network of one) and name of a tag."""
    group, _, rest = tag.partition("/")
    layer, _, name = rest.rpartition("/")
    return group, layer, name


def _csv(table: pd.DataFrame) -> str:
    if not table["layer"].any():
        table = table.drop(columns="layer")
    text = io.StringIO()
    table.to_csv(text, index=False)
    return text.getvalue()
