"""Board: what diagnostics and runs write for TensorBoard; a view of the run's csv files, never the only store."""

import io
from pathlib import Path

import numpy as np
import tensorflow as tf


class Board:
    """Event files under `folder`. The step of everything is the number of training sequences, but for curves against lag."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._writer = tf.summary.create_file_writer(str(folder))

    def text(self, tag: str, text: str, sequences: int) -> None:
        with self._writer.as_default():
            tf.summary.text(tag, text, sequences)

    def scalar(self, tag: str, value: float, sequences: int) -> None:
        with self._writer.as_default():
            tf.summary.scalar(tag, value, sequences)

    def histogram(self, tag: str, values: np.ndarray, sequences: int) -> None:
        with self._writer.as_default():
            tf.summary.histogram(tag, values, sequences)

    def time_by_cell(self, tag: str, rows: dict[str, np.ndarray], sequences: int) -> None:
        """One image: for each name a band [cells, T] of values from 0 (dark) to 1 (bright), time from left to right."""
        with self._writer.as_default():
            tf.summary.image(f"{tag}/time_by_cell", _bands(rows)[None], sequences)

    def against_lag(self, curves: dict[str, tuple], sequences: int) -> None:
        """Curves {tag: (lags, values)} whose step is the lag, in one sub-run for this moment of training.

        In one file: of several files written within a second, a TensorBoard that is already open may miss all but one.
        """
        writer = tf.summary.create_file_writer(str(self.folder / "lag" / f"{sequences:09d}"))
        with writer.as_default():
            for tag, (lags, values) in curves.items():
                for lag, value in zip(lags, values, strict=True):
                    tf.summary.scalar(tag, value, int(lag))
        writer.close()

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _bands(rows: dict[str, np.ndarray]) -> np.ndarray:
    """The bands drawn one below the other with axes and names, as an RGB image [height, width, 3]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells = [len(values) for values in rows.values()]
    figure = Figure(figsize=(8, 0.9 + 0.35 * sum(cells) + 0.35 * len(cells)), layout="constrained", dpi=80)
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=cells)[:, 0]
    for panel, (name, values) in zip(panels, rows.items(), strict=True):
        image = panel.imshow(values, aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
        panel.set_ylabel(name.replace("_", "\n"), rotation=0, ha="right", va="center")
        panel.set_yticks(range(len(values)), [str(k + 1) for k in range(len(values))])
    panels[-1].set_xlabel("time step")
    figure.colorbar(image, ax=list(panels))
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_raw(buffer)
    width, height = figure.canvas.get_width_height()
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(height, width, 4)[..., :3]
