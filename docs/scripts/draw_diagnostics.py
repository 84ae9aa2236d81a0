"""The pictures of docs/diagnostics.md: python docs/scripts/draw_diagnostics.py FOLDER

FOLDER/NAME holds the run that `lstmlab ... outputs=FOLDER/NAME` wrote for each NAME of RUNS, the
commands. Pictures whose runs are missing are left out. All are drawn from the runs' csv files,
except the predictions of `mean` and the states of `abused`, which the reopened networks give.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lstmlab.recording.reading import read

IMAGES = Path(__file__).parents[1] / "images"
LAG = 100  # curves end there: every probe sequence is that long; beyond, only longer ones count
GOOD, BAD, THIRD, PALE = "C0", "C3", "C2", "0.6"
ADDING = "experiment=hs97/4_adding_100"
STREAM = (
    "experiment=gers2000/continual_embedded_reber task.steps=300 task.test_symbols=1000"
    " optimizer.learning_rate=0.1"
)
ADAM = "learner=bptt optimizer=adam trainer.batch_size=20"
SMALL = (
    "'cell.recurrent_initializer={_target_: keras.initializers.RandomUniform, minval: -0.5,"
    " maxval: 0.5}'"
)
RUNS = {
    "healthy": f"{ADDING} diagnostic=full diagnostic.gradients.every=window",
    "single": f"{ADDING} probe=1",
    "vanilla": f"cell=vanilla cell.forget_gate.bias=6 cell.input_gate.bias=-3 {ADAM}"
    " optimizer.learning_rate=0.01 trainer.budget=100000"
    " 'diagnostic=[error_flow,bound,gates,memory,interventions,gradients,jacobians]'",
    "leaky": f"cell=vanilla cell.input_gate.bias=-3 {ADAM} optimizer.learning_rate=0.01"
    " trainer.budget=20000 'diagnostic=[error_flow,jacobians,gates,memory,interventions]'",
    "elman": f"cell=elman {SMALL} {ADAM} optimizer.learning_rate=0.005"
    " trainer.budget=20000 'diagnostic=[error_flow,bound,memory,gradients,jacobians]'",
    "drift": f"{STREAM} cell=lstm1997 trainer.budget=1000",
    "nodrift": f"{STREAM} trainer.budget=1000",
    "closed": f"{ADDING} cell.input_gate.bias.first=-20 cell.input_gate.bias.step=0"
    " optimizer.learning_rate=0.02 trainer.budget=5000"
    " 'diagnostic=[light,gate_timeline,gradients]' diagnostic.gradients.every=window",
    "open": f"{ADDING} cell.input_gate.bias.first=3 cell.input_gate.bias.step=0"
    " trainer.budget=5000",
    "abused": f"{ADDING} head.bias=null cell.output_gate.bias.first=2 trainer.budget=10000",
}


class Store:
    """The tables of the runs in a folder: store["healthy"]["gates"]."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._tables: dict[str, dict[str, pd.DataFrame]] = {}

    def run(self, name: str) -> Path:
        """The newest run folder of that name. Raises FileNotFoundError where there is none."""
        results = sorted((self.folder / name).glob("*/*/result.json"))
        if not results:
            raise FileNotFoundError(
                f"draw_diagnostics: expected a run in {self.folder / name}. Received: none"
            )
        return results[-1].parent

    def __getitem__(self, name: str) -> dict[str, pd.DataFrame]:
        if name not in self._tables:
            self._tables[name] = read(self.run(name))
        return self._tables[name]


def at_end(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["sequences"] == table["sequences"].max()]


def curve(table: pd.DataFrame, **chosen) -> pd.DataFrame:
    """The rows with these values, by lag, up to LAG."""
    for column, value in chosen.items():
        table = table[table[column] == value]
    return table[table["lag"] <= LAG].sort_values("lag")


def two(
    title: str, left: str, right: str, height: float = 3.6, **subplots
) -> tuple[Figure, Axes, Axes]:
    figure = Figure(figsize=(9, height), layout="constrained", dpi=110)
    figure.suptitle(title, fontsize="medium")
    panels = figure.subplots(1, 2, **subplots)
    for panel, text in zip(panels, (left, right), strict=True):
        colour = {"healthy": GOOD, "sick": BAD}.get(text.split(":")[0], "black")
        panel.set_title(text, fontsize="small", color=colour)
        panel.grid(alpha=0.3)
        panel.tick_params(labelsize="small")
    return figure, *panels


def flow(store: Store) -> Figure:
    """|dE/ds_t| of three nets, each divided by that at lag 0, and what bounds the Elman net's."""
    figure, *panels = two(
        "How much of an error is left, so many steps before it. Adding problem, nothing truncated",
        "before training",
        "after training",
        sharey=True,
    )
    nets: dict[str, tuple[str, dict[str, Any]]] = {
        "healthy": ("cell of 1997", {"color": GOOD, "lw": 6, "alpha": 0.5}),
        "vanilla": ("vanilla cell", {"color": "k", "lw": 1.5}),
        "elman": ("Elman net", {"color": BAD, "lw": 2.5}),
    }
    for panel, which in zip(panels, (min, max), strict=True):
        for name, (label, style) in nets.items():
            table = store[name]["error_flow"]
            rows = curve(table, sequences=which(table["sequences"]), path="cell_state")
            rows = rows[rows["norm"] > 0].assign(
                left=lambda found: found["norm"] / found["norm"].iloc[0]
            )
            panel.plot(
                rows["lag"],
                rows["left"],
                label=f"{label}: {per_step(rows['lag'], rows['left'])}",
                **style,
            )
        table = store["elman"]["bound"]
        rows = curve(table, sequences=which(table["sequences"]), kind="bound_spectral")
        label = f"its bound: {per_step(rows['lag'], rows['value'])}"
        panel.plot(rows["lag"], rows["value"], "--", color=BAD, lw=1.5, label=label)
        panel.set(yscale="log", xlabel="lag: steps before the error", xlim=(0, LAG))
        panel.legend(
            title="factor of each step",
            title_fontsize="x-small",
            fontsize="x-small",
            loc="center right",
            bbox_to_anchor=(1, 0.6),
        )
    panels[0].text(84, 2e-38, "ends where float32 does", ha="right", va="center", size="x-small")
    panels[0].set_ylabel("$|dE/ds_t|$, that at lag 0 = 1")
    return figure


def per_step(lag: pd.Series, left: pd.Series) -> str:
    """The factor of one step that leads from the first of a curve to its last, as text."""
    return f"{(left.iloc[-1] / left.iloc[0]) ** (1 / (lag.iloc[-1] - lag.iloc[0])):.3f}"


def split(store: Store) -> Figure:
    """|dE/ds_t| by the way it came."""
    figure, *panels = two(
        "error_flow, after training: by which way the error came",
        "healthy: cell of 1997, it came along the carousel",
        "sick: Elman net, no carousel, all through the nets",
        sharey=True,
    )
    styles = {
        "cell_state": ("k", "-", 3),
        "carousel": (GOOD, "--", 1.5),
        "nets": (BAD, "-", 1),
        "output": (PALE, "-", 1),
    }
    for panel, name in zip(panels, ("healthy", "elman"), strict=True):
        for path, (colour, line, width) in styles.items():
            rows = curve(at_end(store[name]["error_flow"]), path=path)
            rows = rows[rows["norm"] > 0]
            panel.plot(rows["lag"], rows["norm"], line, color=colour, lw=width, label=path)
        panel.set(yscale="log", xlabel="lag: steps before the error", xlim=(0, LAG))
    panels[0].set_ylabel("norm of the derivative")
    panels[0].legend(fontsize="x-small", ncols=2, loc="lower left")
    panels[1].text(
        97,
        1e-4,
        "cell_state, nets and output are one curve;\ncarousel is 0 from lag 1 on",
        ha="right",
        size="x-small",
    )
    return figure


def spikes(store: Store) -> Figure:
    """dE/dy_t and dE/dnet_t of one sequence, before its input gate answers to marks and after."""
    figure, *panels = two(
        "error_flow of one sequence: the spikes of output are the steps before the marked ones",
        "after 16,000 sequences: the input gate does not open",
        "after 72,000, solved: it opens at the two marks",
        sharey=True,
    )
    tables = store["single"]
    marks = mark_lags(at_end(tables["example"]))
    styles = {
        "cell_state": ("k", "-", 2.5, "cell_state"),
        "net_candidate": (THIRD, "--", 1.2, "net_candidate"),
        "output": (BAD, "-", 1.2, "output"),
    }
    for panel, moment in zip(
        panels, (16_000, tables["error_flow"]["sequences"].max()), strict=True
    ):
        for path, (colour, line, width, label) in styles.items():
            rows = curve(tables["error_flow"], sequences=moment, path=path)
            panel.plot(rows["lag"], rows["norm"], line, color=colour, lw=width, label=label)
        for lag in marks:
            panel.axvline(lag, color=PALE, lw=1, ls=":", zorder=0)
        panel.set(yscale="log", xlabel="lag: steps before the error", xlim=(0, 104))
    panels[0].set_ylabel("norm of the derivative")
    panels[0].legend(fontsize="x-small", loc="center", bbox_to_anchor=(0.45, 0.435))
    for panel in panels:
        for lag in marks:
            panel.text(lag - 1, 1.5e-2, f"mark, lag {lag}", ha="right", size="x-small")
    return figure


def mark_lags(example: pd.DataFrame) -> list[int]:
    """The lags of the marked steps of the adding problem, from the table of `example`."""
    marked = example[example["input_2"] == 1]["t"]
    return sorted(int(example["t"].max() - t) for t in marked)


def bound(store: Store) -> Figure:
    """Decay of ds_T/ds_t beside Hochreiter's bound, or beside the carousel's constant."""
    figure, *panels = two(
        "bound, after training: the derivative of the last state by an earlier one",
        "healthy: cell of 1997, the carousel's constant is 1",
        "sick: Elman net, at most what its weights allow",
        sharey=True,
    )
    kinds = {
        "norm": ("k", "-", "measured: norm"),
        "carousel": (GOOD, "--", "carousel: product of forget gates"),
        "bound": (PALE, "--", "bound: $n (f'_{max}|W|)^{lag}$"),
        "bound_spectral": (BAD, "--", "bound_spectral: $(f'_{max}\\|W\\|_2)^{lag}$"),
    }
    for panel, name in zip(panels, ("healthy", "elman"), strict=True):
        table = at_end(store[name]["bound"])
        for kind, (colour, line, label) in kinds.items():
            rows = curve(table, kind=f"log10_{kind}")
            if len(rows):
                panel.plot(rows["lag"], rows["value"], line, color=colour, label=label)
        panel.set(xlabel="lag: steps before the last error", xlim=(0, LAG))
        panel.legend(fontsize="x-small", loc="lower left")
    panels[0].set_ylabel("log10")
    return figure


def jacobians(store: Store) -> Figure:
    """Median norm of ds_T/ds_t beside the product of the forget gates."""
    figure, *panels = two(
        "jacobians before training, vanilla cell: how the last state depends on an earlier one",
        "healthy: forget gate's bias 6, value 0.998",
        "sick: forget gate's bias 1, value 0.73",
        sharey=True,
    )
    for panel, name in zip(panels, ("vanilla", "leaky"), strict=True):
        table = store[name]["jacobians"]
        for path, style in {"cell_state": "k-", "carousel": "C0--", "output": "C1-"}.items():
            rows = curve(table, sequences=0, path=path, measure="log10_norm")
            panel.plot(rows["lag"], rows["value"], style, label=path)
        panel.set(xlabel="lag: steps before the last error", xlim=(0, LAG))
    panels[0].set_ylabel("log10 of the norm")
    panels[0].legend(fontsize="x-small")
    return figure


def gates(store: Store) -> Figure:
    """Mean of each gate over the training."""
    figure, *panels = two(
        "gates: mean opening over the training",
        "healthy: rarely open, but never shut for good",
        "sick: input gates' bias -20, nothing is ever written",
        sharey=True,
    )
    for panel, name in zip(panels, ("healthy", "closed"), strict=True):
        for gate, rows in store[name]["gates"].groupby("gate"):
            panel.plot(
                rows["sequences"],
                rows["mean"],
                "o-",
                label=gate,
                color={"input_gate": "C2"}.get(str(gate), "C1"),
            )
        panel.set(yscale="log", xlabel="training sequences", ylim=(1e-10, 2))
        panel.xaxis.set_major_formatter("{x:,.0f}")
    panels[0].set_ylabel("mean of the gate, 0 to 1")
    panels[0].legend(fontsize="x-small", loc="lower left")
    return figure


def gate_timeline(store: Store) -> Figure:
    """The input gates around the first marked step."""
    figure, *panels = two(
        "gate_timeline, after training: the input gates around a marked step (mean of the probe)",
        "healthy: block 1 opens for the mark",
        "sick: input gates' bias -20, shut at the mark as well",
        sharey=True,
    )
    for panel, name in zip(panels, ("healthy", "closed"), strict=True):
        table = at_end(store[name]["gate_timeline"])
        rows = table[
            (table["event"] == "event_2")
            & (table["gate"] == "input_gate")
            & (table["offset"] <= 10)
        ]
        for block, of_block in rows.groupby("block"):
            panel.plot(
                of_block["offset"],
                of_block["mean"],
                "o-",
                ms=3,
                label=f"block {block}",
                color=f"C{block}",
            )
        panel.axvline(0, color=PALE, lw=1, ls=":")
        panel.set(xlabel="steps since the mark", ylim=(-0.03, 1))
    panels[0].set_ylabel("opening of the input gate")
    panels[0].legend(fontsize="x-small")
    return figure


def drift(store: Store) -> Figure:
    """The cell states of the probe's first sequence, after training."""
    figure, *panels = two(
        "memory, example: the states of 8 cells on a stream of Reber strings (mind the two axes)",
        "healthy: cell of 2000, the forget gate clears the state",
        "sick: cell of 1997, what was written stays",
    )
    for panel, name in zip(panels, ("nodrift", "drift"), strict=True):
        table = at_end(store[name]["example"])
        states = table.filter(regex="^cell_state_")
        panel.plot(table["t"], states, lw=1)
        most = 1.15 * states.abs().max().max()
        panel.set(xlabel="step of the stream", ylim=(-most, most))
    panels[0].set_ylabel("cell state s")
    return figure


def saturated(store: Store) -> Figure:
    """Where the states of the first probe sequence stand on the slope of h."""
    figure, *panels = two(
        "memory, example: the slope of h where it is asked, on one sequence",
        "healthy: states where h is steep, errors enter",
        "sick: input gates' bias 3, h is flat, no error enters",
        sharey=True,
    )
    for panel, name in zip(panels, ("healthy", "open"), strict=True):
        states = at_end(store[name]["example"]).filter(regex="^cell_state_")
        most = max(8.0, 1.1 * float(states.abs().max().max()))
        at = np.linspace(-most, most, 1001)
        panel.plot(at, slope(at), color=PALE, label="h'(s) of h1997")
        for place, column in enumerate(states):
            panel.plot(
                states[column],
                slope(states[column]),
                "o",
                ms=5,
                alpha=0.5,
                color=f"C{place}",
                label=f"cell {place + 1}",
            )
        panel.axhline(0.05, color=BAD, lw=1, ls=":", label="saturated below")
        panel.set(xlabel="cell state s")
    panels[0].set_ylabel("h'(s)")
    panels[0].legend(fontsize="x-small", loc="upper left")
    return figure


def slope(s):
    """Of h1997(s) = tanh(s / 2)."""
    return 0.5 / np.cosh(s / 2) ** 2


def abused(store: Store) -> Figure:
    """The state of one cell on every probe sequence."""
    figure, *panels = two(
        "One cell on the 16 sequences of the probe: what does its state say of the sequence?",
        "healthy: cell 2 holds a sum, another for each sequence",
        "sick: no bias in the head; cell 2 counts steps instead",
    )
    for panel, name in zip(panels, ("healthy", "abused"), strict=True):
        found, values = traced(store.run(name))
        for states, valid in zip(values["cell_state"].numpy(), found.probe.valid, strict=True):
            panel.plot(np.arange(1, valid.sum() + 1), states[valid, 1], lw=1)
        panel.set(xlabel="step")
    panels[0].set_ylabel("cell state s")
    return figure


def interventions(store: Store) -> Figure:
    """Retention of the state with one gate held."""
    figure, *panels = two(
        "interventions: one gate is held from the first event to the question."
        " What is left of the state?",
        "cell of 1997, no forget gate",
        "vanilla cell: closing the forget gate empties it",
        sharex=True,
        height=4.4,
    )
    for panel, name in zip(panels, ("healthy", "vanilla"), strict=True):
        table = at_end(store[name]["interventions"])
        bars = [
            "untouched",
            *(f"{row.gate.replace('_', ' ')}: {row.value}" for row in table.itertuples()),
        ]
        places = np.arange(len(bars))
        for column, shift, colour in (
            ("retention_carousel", -0.2, GOOD),
            ("retention", 0.2, "0.75"),
        ):
            values = [table[f"{column}_before"].iloc[0], *table[f"{column}_after"]]
            panel.barh(
                places + shift, np.minimum(values, 1.5), 0.36, color=colour, label=LABELS[column]
            )
            for place, value in zip(places, values, strict=True):
                panel.text(
                    min(value, 1.5) + 0.02,
                    place + shift,
                    f"{value:.2f}",
                    va="center",
                    size="xx-small",
                )
        panel.set_yticks(places, bars)
        panel.invert_yaxis()
        panel.set(xlabel="retention: 1 kept, 0 forgotten (bars cut at 1.5)", xlim=(0, 1.75))
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        fontsize="x-small",
        loc="outside lower center",
        ncols=2,
    )
    return figure


LABELS = {
    "retention_carousel": "retention_carousel: along the carousel",
    "retention": "retention: by every path, fed-back outputs as well",
}


def gradients(store: Store) -> Figure:
    """Norm of the gradient of the weights that read the inputs, and of the head's bias."""
    figure, *panels = two(
        "gradients: how large the gradient is over the training",
        "healthy: the cell's weights have something to learn from",
        "sick: input gates' bias -20, the head's bias alone learns",
        sharey=True,
    )
    for panel, name in zip(panels, ("healthy", "closed"), strict=True):
        table = store[name]["gradients"]
        for weight, colour in {"kernel": GOOD, "head_bias": "C1"}.items():
            rows = table[(table["weight"] == weight) & (table["net"] == "all")]
            panel.plot(
                rows["sequences"], rows["norm"], "-", color=colour, lw=1.2, label=WEIGHTS[weight]
            )
        panel.set(yscale="log", xlabel="training sequences")
        panel.xaxis.set_major_formatter("{x:,.0f}")
    panels[0].set_ylabel("norm of the gradient")
    panels[0].legend(fontsize="x-small", loc="lower left")
    return figure


WEIGHTS = {"kernel": "kernel: from the inputs to gates and candidates", "head_bias": "head_bias"}


def mean(store: Store) -> Figure:
    """Predictions against targets at the last step of each probe sequence."""
    figure, *panels = two(
        "The answer at the last step against what was asked, on the 16 sequences of the probe",
        "healthy: solved",
        "sick: input gates' bias -20, always the mean",
        sharey=True,
    )
    for panel, name in zip(panels, ("healthy", "closed"), strict=True):
        targets, answers = predictions(store.run(name))
        panel.plot([0, 1], [0, 1], "-", color=PALE, lw=1, label="right")
        panel.axhline(targets.mean(), color=PALE, lw=1, ls="--", label="mean of the targets")
        panel.plot(targets, answers, "o", color=GOOD if name == "healthy" else BAD)
        panel.set(xlabel="target", xlim=(0, 1), ylim=(0, 1))
    panels[0].set_ylabel("prediction")
    panels[0].legend(fontsize="x-small")
    return figure


def predictions(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Targets and answers of the net of a run, at the steps of the probe with an error."""
    found, values = traced(run)
    there = found.probe.w > 0
    return found.probe.y[there], found.model.head(values["output"], found.probe.x).numpy()[there]


def traced(run: Path):
    """A finished run reopened, and every value of its cell on its probe, {name: [B, T, ...]}."""
    import tensorflow as tf

    from lstmlab.diagnostics.common.tracing import trace
    from lstmlab.runs.build import reopen

    found = reopen(run)
    return found, trace(found.model.cell, tf.constant(found.probe.x))


PICTURES = {
    function.__name__: function
    for function in (
        flow,
        split,
        spikes,
        bound,
        jacobians,
        gates,
        gate_timeline,
        drift,
        saturated,
        abused,
        interventions,
        gradients,
        mean,
    )
}


def save(figure: Figure, path: Path) -> None:
    """A PNG of few colours, which is small."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    print(path)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with the runs")
    parser.add_argument(
        "--to", type=Path, default=IMAGES, metavar="FOLDER", help="where the pictures go"
    )
    parser.add_argument(
        "--only", nargs="*", choices=PICTURES, default=list(PICTURES), help="these pictures alone"
    )
    parser.add_argument(
        "--commands", action="store_true", help="print the commands of the runs, and draw nothing"
    )
    options = parser.parse_args(argv)
    if options.commands:
        print(
            "\n".join(
                f"lstmlab {settings} outputs={options.folder / name}"
                for name, settings in RUNS.items()
            )
        )
        return
    store = Store(options.folder)
    for name in options.only:
        try:
            save(PICTURES[name](store), options.to / f"diagnostics_{name}.png")
        except FileNotFoundError as missing:
            print(f"{name}: left out: {missing}")


if __name__ == "__main__":
    main()
