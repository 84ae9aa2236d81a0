"""The pictures of docs/cell.md, drawn from the switches of the cells themselves: python
docs/scripts/draw_cells.py

`wiring(cell)` makes the list of parts that `draw` puts on axes, and `main` writes one picture per
family. Each picture carries a digest of its parts, by which tests/docs/test_docs.py knows whether
it still shows the cells as they are.
"""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.ticker import StrMethodFormatter
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import lstmlab
from lstmlab.cells.gates import GATES, LETTERS, Coupled, mover
from lstmlab.symbolic.symbols import multiplier

IMAGES = Path(__file__).parents[1] / "images"
FAMILIES = {  # picture -> {variant: what its caption says}
    "carousel": {
        "lstm1997": "1997: what is written stays",
        "lstm2000": "2000: a forget gate clears it",
        "vanilla": "the LSTM of Keras",
    },
    "peepholes": {
        "peephole": "2002: gates see the state",
        "np": "no peepholes",
        "nig": "no input gate",
        "nfg": "no forget gate",
        "nog": "no output gate",
        "niaf": "no input activation",
        "noaf": "no output activation",
        "cifg": "coupled input and forget gate",
        "fgr": "full gate recurrence",
    },
    "coupled": {
        "gru": "reset gate before R",
        "gru_reset_after": "reset gate after R, as cuDNN",
        "mgu": "one gate does all three",
        "janet": "a forget gate alone",
        "mingru": "gates that see the input alone",
    },
    "no_gates": {
        "elman": "everything enters, the past fades",
        "irnn": "R starts as 1: it adds up",
        "indrnn": "each cell fades at its own rate",
    },
    "initialised": {
        "chrono": "forget gates for lags up to 100",
        "ur_lstm": "a refine gate, and gates spread evenly",
    },
    "normalised": {
        "minlstm": "two gates in competition",
        "slstm": "exponential gates, a weighted mean",
    },
}
COLOURS = {
    "input_gate": "C0",
    "output_gate": "C1",
    "forget_gate": "C2",
    "refine_gate": "C4",
    "reset_gate": "C5",
}
COLOURS |= {"candidate": "C3", "cell_state": "black", "output": "C6", "normaliser": "C9"}
FUNCTIONS = {
    "sigmoid": r"\sigma(\cdot)",
    "exponential": r"\exp(\cdot)",
    "tanh": r"\tanh(\cdot)",
    "linear": r"\mathrm{identity}",
}
FUNCTIONS |= {
    "relu": r"\mathrm{relu}(\cdot)",
    "g1997": r"2\tanh(\cdot/2)",
    "h1997": r"\tanh(\cdot/2)",
}

# Where things stand: gates in a row below the carousel, from left to right as the signal passes
# them.
LEFT, RIGHT, CAROUSEL, SECOND, ROW, RAIL, TURN, RESET = 0.0, 11.6, 4.1, 5.3, 1.2, 2.2, 2.95, -0.5
AT = {
    "refine_gate": 0.35,
    "forget_gate": 2.35,
    "input_gate": 4.35,
    "candidate": 6.5,
    "output_gate": 10.4,
}
WIDE, HIGH = 1.86, 1.1  # of a box
TIMES = "\N{MULTIPLICATION SIGN}"
STATE, SQUASH, DIVIDE, TAP = 7.35, 9.05, 7.85, 0.9


class Part(NamedTuple):
    """One thing in a picture: kind 'line', 'dot', 'box', 'sign' or 'text'.

    All but a line stand at points[0].
    """

    kind: str
    points: tuple[tuple[float, float], ...]
    colour: str = "black"
    text: str = ""
    style: str = "-"
    arrow: bool = False
    size: tuple[float, float] = (WIDE, HIGH)


def function(config) -> str:
    """The sign of a squashing function from its config."""
    return FUNCTIONS.get(config, f"\\mathrm{{{config}}}")


def wiring(cell) -> list[Part]:
    """What a picture of the cell is made of, from its switches alone."""
    return [*_Wiring(cell).parts]


class _Wiring:
    """The parts of one cell's picture, in the order in which they are drawn."""

    def __init__(self, cell):
        self.cell, self.config, self.parts = cell, cell.get_config(), []
        self.closed = cell.forget_gate == "closed"
        self.carousel()
        self.forget()
        self.input()
        self.candidate()
        self.reset()
        self.output()
        self.normaliser()
        self.peepholes()

    def line(self, *points, colour="black", style="-", arrow=False):
        self.parts.append(Part("line", _floats(*points), colour, style=style, arrow=arrow))

    def sign(self, x, y, text, colour="black"):
        self.parts.append(Part("sign", _floats((x, y)), colour, text))

    def dot(self, x, y, colour="black"):
        self.parts.append(Part("dot", _floats((x, y)), colour))

    def box(self, x, y, text, colour="black", size=(WIDE, HIGH), style="-"):
        self.parts.append(Part("box", _floats((x, y)), colour, text, style, size=size))

    def text(self, x, y, text, colour="black"):
        self.parts.append(Part("text", _floats((x, y)), colour, text))

    # ---- the carousel: the line of the state, and what multiplies it

    def carousel(self):
        own = self.cell.is_own_output
        past, new = ("s_{t-1}=y_{t-1}", "s_t=y_t") if own else ("s_{t-1}", "s_t")
        if self.closed:
            x = AT["forget_gate"]
            self.line((LEFT, CAROUSEL), (x, CAROUSEL), colour="0.7", style=":")
            self.line((x, CAROUSEL - 0.3), (x, CAROUSEL + 0.3), colour="0.4")
            self.text(x + 2.1, CAROUSEL, "closed: no carousel", "0.4")
        else:
            self.sign(AT["candidate"], CAROUSEL, "+")
        self.text(
            0.5 if own else 0.15, CAROUSEL + 0.45, f"${past}$", "0.6" if self.closed else "black"
        )
        self.line(
            (AT["candidate"] if self.closed else LEFT, CAROUSEL),
            (RIGHT if own else STATE, CAROUSEL),
            arrow=own,
        )
        self.text(RIGHT - 0.6 if own else STATE, CAROUSEL + 0.45, f"${new}$")

    def forget(self):
        cell, x, gate, colour = (
            self.cell,
            AT["forget_gate"],
            self.cell.forget_gate,
            COLOURS["forget_gate"],
        )
        if gate is None:
            self.absent(x, ROW, "no\nforget gate")
        elif isinstance(gate, Coupled):
            self.sign(x, CAROUSEL, TIMES, colour)
            self.line((AT[gate.to], TURN), (x, TURN), colour=COLOURS[gate.to])
            self.line((x, TURN), (x, CAROUSEL - 0.3), colour=colour, arrow=True)
            self.dot(AT[gate.to], TURN, COLOURS[gate.to])
            self.box(x, TURN, f"${self.coupling(gate)}$", colour, (1.3, 0.7))
        elif not self.closed:
            self.sign(x, CAROUSEL, TIMES, colour)
            self.line((x, ROW + HIGH / 2), (x, CAROUSEL - 0.3), colour=colour, arrow=True)
            self.gate("forget_gate", x, ROW)
            moving = mover(cell.gates, "forget_gate")
            if moving is not None:
                r, turn = AT[moving.name], RAIL + 0.03
                self.gate(moving.name, r, ROW)
                self.line(
                    (r, ROW + HIGH / 2),
                    (r, turn),
                    (x - 1.3, turn),
                    colour=COLOURS[moving.name],
                    arrow=True,
                )
                self.box(x, turn, r"$e_t=2rf+(1{-}2r)f^2$", colour, (2.6, 0.62))

    def input(self):
        x, column, gate, colour = (
            AT["input_gate"],
            AT["candidate"],
            self.cell.input_gate,
            COLOURS["input_gate"],
        )
        if gate is None:
            if not self.closed:
                self.absent(x, ROW, "no\ninput gate")
            return
        self.sign(column, TURN, TIMES, colour)
        if isinstance(gate, Coupled):
            partner = AT[gate.to]
            self.line((partner, TURN), (x, TURN), colour=COLOURS[gate.to])
            self.line((x, TURN), (column - 0.3, TURN), colour=colour, arrow=True)
            self.dot(partner, TURN, COLOURS[gate.to])
            self.box(x, TURN, f"${self.coupling(gate)}$", colour, (2.6 if gate.shift else 1.3, 0.7))
        else:
            self.line(
                (x, ROW + HIGH / 2), (x, TURN), (column - 0.3, TURN), colour=colour, arrow=True
            )
            self.gate("input_gate", x, ROW)

    def output(self):
        cell, x, colour = self.cell, AT["output_gate"], COLOURS["output_gate"]
        if cell.is_own_output:
            return
        gated = "output_gate" in cell.gates
        self.line((STATE, CAROUSEL), (x - 0.3 if gated else RIGHT, CAROUSEL), arrow=True)
        h = self.config["output_activation"]
        self.box(
            SQUASH,
            CAROUSEL,
            f"$h={function(h)}$",
            *(("0.6", (1.7, 0.7), ":") if h == "linear" else ("black", (1.7, 0.7))),
        )
        if gated:
            self.sign(x, CAROUSEL, TIMES, colour)
            self.line((x, ROW + HIGH / 2), (x, CAROUSEL - 0.3), colour=colour, arrow=True)
            self.line((x + 0.3, CAROUSEL), (RIGHT, CAROUSEL), arrow=True)
            self.gate("output_gate", x, ROW)
        else:
            self.absent(x, ROW, "no\noutput gate")
        self.text(RIGHT - 0.1, CAROUSEL + 0.45, "$y_t$")

    # ---- the nets: boxes, and what each reads

    def gate(self, name, x, y):
        activation = function(self.config[name]["config"]["activation"])
        self.box(x, y, f"{name.replace('_', ' ')}\n${LETTERS[name]}_t={activation}$", COLOURS[name])
        self.inlet(x, y, self.reads(name))

    def inlet(self, x, y, text):
        self.line((x, y - HIGH / 2 - 0.45), (x, y - HIGH / 2), colour="0.5", arrow=True)
        self.text(x, y - HIGH / 2 - 0.75 - 0.2 * text.count("\n"), text, "0.35")

    def reads(self, name) -> str:
        """What the net of a gate, or of the candidate, is computed from."""
        cell = self.cell
        kind = cell.candidate_recurrent if name == "candidate" else cell.own[name].recurrent
        if (
            cell.feedback == "none"
            or kind == "none"
            or (name == "candidate" and cell.reset_gate is not None)
        ):
            return "$x_t$"
        if kind == "gates":
            return "$x_t$, all gates$_{\\,t-1}$"
        whose = {
            "full": "",
            "cells": "",
            "by_element": " (own cell)",
            "block_diagonal": " (own head)",
        }[kind]
        gates = kind == "full" and (
            cell.feedback == "all" or (cell.feedback == "gates_to_gates" and name != "candidate")
        )
        return "$x_t,\\ y_{t-1}$" + whose + ("\nall gates$_{\\,t-1}$" if gates else "")

    def absent(self, x, y, text):
        self.box(x, y, text, "0.6", style=":")

    def candidate(self):
        x, size, colour = AT["candidate"], self.cell.block_size, COLOURS["candidate"]
        for k in range(min(size, 3) - 1, 0, -1):  # the cells of a block, one behind the other
            self.box(x + 0.13 * k, ROW + 0.13 * k, "", colour)
        self.box(
            x, ROW, f"candidate\n$g_t={function(self.config['candidate_activation'])}$", colour
        )
        self.inlet(x, ROW, "$x_t$" if self.closed else self.reads("candidate"))
        if self.closed and self.reads("candidate") != "$x_t$":
            self.loop()
        top, over = (
            (CAROUSEL if self.closed else CAROUSEL - 0.3),
            ROW + HIGH / 2 + 0.13 * (min(size, 3) - 1),
        )
        if self.cell.input_gate is None:
            self.line((x, over), (x, top), colour=colour, arrow=not self.closed)
        else:
            self.line((x, over), (x, TURN - 0.3), colour=colour, arrow=True)
            self.line((x, TURN + 0.3), (x, top), colour=colour, arrow=True)
        if size > 1:
            self.text(x + 2.0, ROW + 0.1, f"block of {size} cells\nthat share\nthe gates", "0.35")

    def loop(self):
        """What a cell without a carousel remembers by: its output, read back."""
        x = SQUASH + 0.6
        self.dot(x, CAROUSEL)
        self.line(
            (x, CAROUSEL), (x, ROW), (AT["candidate"] + WIDE / 2, ROW), colour="0.5", arrow=True
        )
        self.box(x, (CAROUSEL + ROW) / 2, "one step\nlater", "0.5", (1.6, 0.9))
        by_element = self.cell.candidate_recurrent == "by_element"
        self.box(x - 1.2, ROW, "$r$" if by_element else "$R$", "0.5", (0.6, 0.6))
        self.text(x - 1.2, ROW - 0.6, "each cell its own" if by_element else "all cells", "0.35")

    def reset(self):
        gate, x, colour = self.cell.reset_gate, AT["candidate"] + 1.75, COLOURS["reset_gate"]
        if gate is None:
            return
        after, biased = self.cell.reset_after, self.cell.candidate_bias is not None
        self.line(
            (x, RESET + 0.3), (x, ROW), (AT["candidate"] + WIDE / 2, ROW), colour="0.5", arrow=True
        )
        self.sign(x, RESET, TIMES, colour)
        if not after:
            self.box(x, ROW - 0.55, "$R$", "0.5", (0.6, 0.6))
        self.line((x, RESET - 0.75), (x, RESET - 0.3), colour="0.5", arrow=True)
        self.text(
            x,
            RESET - 1.05,
            f"$R\\,y_{{t-1}}{'+c' if biased else ''}$" if after else "$y_{t-1}$",
            "0.35",
        )
        if isinstance(gate, Coupled):
            source, corridor = AT[gate.to], AT["candidate"] - WIDE / 2 - 0.2
            points = (source, RAIL), (corridor, RAIL), (corridor, RESET), (x - 0.3, RESET)
            self.line(*points, colour=COLOURS[gate.to], arrow=True)
            self.dot(source, RAIL, COLOURS[gate.to])
            self.text(x - 1.5, RESET - 0.4, f"reset by ${self.coupling(gate)}$", COLOURS[gate.to])
        else:
            self.gate("reset_gate", AT["output_gate"], RESET)
            self.line(
                (AT["output_gate"] - WIDE / 2, RESET), (x + 0.3, RESET), colour=colour, arrow=True
            )

    def coupling(self, gate) -> str:
        """The value of a coupled gate, in the letters of the gate that it follows."""
        value = multiplier(self.cell, gate.to)
        if gate.shift:
            value = rf"\sigma(\mathrm{{net}}_{LETTERS[gate.to]}-{gate.shift:g})"
        return f"1-{value}" if gate.complement else value

    # ---- normalisers and peepholes

    def normaliser(self):
        kind, f, i, colour = (
            self.cell.normaliser,
            AT["forget_gate"],
            AT["input_gate"],
            COLOURS["normaliser"],
        )
        if kind is None:
            return
        words = r"both divided by $i_t+f_t$" if kind == "gates" else r"both stabilised by $m_t$"
        self.box((f + i) / 2, RAIL + 0.05, words, colour, (i - f + 1.5, 0.6))
        if kind == "state":
            self.line(
                (LEFT, SECOND),
                (DIVIDE, SECOND),
                (DIVIDE, CAROUSEL + 0.3),
                colour=colour,
                arrow=True,
            )
            self.text(0.15, SECOND + 0.45, "$n_{t-1}$", colour)
            self.text(STATE, SECOND + 0.45, "$n_t$", colour)
            up = f + 0.75
            self.line(
                (f, TURN + 0.2),
                (up, TURN + 0.2),
                (up, SECOND - 0.3),
                colour=COLOURS["forget_gate"],
                arrow=True,
            )
            self.line((i, TURN), (i, SECOND - 0.3), colour=COLOURS["input_gate"], arrow=True)
            self.dot(f, TURN + 0.2, COLOURS["forget_gate"])
            self.dot(i, TURN, COLOURS["input_gate"])
            self.sign(up, SECOND, TIMES, COLOURS["forget_gate"])
            self.sign(i, SECOND, "+", colour)
            self.sign(DIVIDE, CAROUSEL, "÷", colour)

    def peepholes(self):
        own, edge = self.cell.own, ROW + HIGH / 2
        previous = [
            AT[name] - 0.5 for name in self.cell.peepholes if own[name].peephole == "previous"
        ]
        if previous:
            self.dot(TAP, CAROUSEL)
            self.line((TAP, CAROUSEL), (TAP, RAIL), (max(previous), RAIL), style="--")
            for x in previous:
                self.line((x, RAIL), (x, edge), style="--", arrow=True)
        if any(own[name].peephole == "current" for name in self.cell.peepholes):
            x = AT["output_gate"] - 0.5
            self.dot(STATE, CAROUSEL)
            self.line(
                (STATE, CAROUSEL), (STATE, RAIL), (x, RAIL), (x, edge), style="--", arrow=True
            )


def _floats(*points):
    return tuple((float(x), float(y)) for x, y in points)


def draw(
    axes, parts: list[Part], name: str, caption: str, points: float = 7.5, low: float | None = None
) -> None:
    """The parts on axes without a frame.

    low: the lower end, where pictures beside each other share one.
    """
    heights = [y for part in parts for _, y in part.points]
    low, high = (
        min(heights) - 0.4 if low is None else low,
        max(CAROUSEL + 0.75, max(heights) + 0.35),
    )
    axes.set(xlim=(LEFT - 0.65, RIGHT + 0.2), ylim=(low, high), aspect="equal", anchor="NW")
    axes.axis("off")
    title = axes.set_title(name, fontsize=points + 1.5, loc="left", pad=4, fontweight="bold")
    axes.annotate(
        caption,
        (1, 0),
        (7, 0),
        xycoords=title,
        textcoords="offset points",
        va="bottom",
        fontsize=points + 1,
    )
    for part in parts:
        x, y = part.points[0]
        colour, words = part.colour, {"ha": "center", "va": "center", "zorder": 4}
        if part.kind == "line":
            thick = 2.4 if colour == "black" and part.style == "-" else 1.2
            axes.plot(
                *zip(*part.points, strict=True),
                color=colour,
                linestyle=part.style,
                linewidth=thick,
                zorder=1,
            )
            if part.arrow:
                head = {
                    "arrowstyle": "-|>",
                    "color": colour,
                    "linewidth": 0,
                    "shrinkA": 0,
                    "shrinkB": 0,
                    "mutation_scale": 14 if thick > 2 else 9,
                }
                axes.annotate("", part.points[-1], part.points[-2], arrowprops=head, zorder=1)
        elif part.kind == "dot":
            axes.plot(x, y, "o", color=colour, markersize=3.5, zorder=3)
        elif part.kind == "box":
            w, h = part.size
            shape = FancyBboxPatch(
                (x - w / 2, y - h / 2), w, h, "round,pad=0,rounding_size=0.15", zorder=2
            )
            shape.set(facecolor="white", edgecolor=colour, linestyle=part.style, linewidth=1.4)
            axes.add_patch(shape)
            axes.text(x, y, part.text, fontsize=points, color=colour, linespacing=1.35, **words)
        elif part.kind == "sign":
            axes.add_patch(
                Circle((x, y), 0.3, facecolor="white", edgecolor=colour, linewidth=1.4, zorder=2)
            )
            axes.text(x, y - 0.02, part.text, fontsize=points + 2, color=colour, **words)
        else:
            axes.text(x, y, part.text, fontsize=points, color=colour, **words)


# ---- what the cells do: one cell, its weights set by hand, on one sequence

VALUE, WRITE, READ, FORGET = range(4)  # the inputs
EVENTS = {
    4: ("write 1", WRITE, 1.0),
    22: ("write ½", WRITE, 0.5),
    28: ("read", READ, 0.0),
    34: ("forget", FORGET, 0.0),
}
NOISE, STEPS = (8, 19), 40


def sequence() -> np.ndarray:
    """[1, T, 4]: two values to be written, noise between them, a step to read and one to forget."""
    x = np.zeros((1, STEPS, 4), "float32")
    x[0, slice(*NOISE), VALUE] = np.random.default_rng(1).uniform(-1, 1, NOISE[1] - NOISE[0])
    for step, (_, marker, value) in EVENTS.items():
        x[0, step, VALUE], x[0, step, marker] = value, 1.0
    return x


def by_hand(cell) -> None:
    """Weights by which the gates answer to the markers and the candidate is the value.

    Nothing is read back.
    """
    cell.build((None, 4))
    for weight in cell.weights:
        weight.assign(np.zeros(weight.shape))
    linked = (
        cell.normaliser
        or isinstance(cell.input_gate, Coupled)
        or isinstance(cell.forget_gate, Coupled)
    )
    bias = {"input_gate": -6.0, "forget_gate": 6.0, "output_gate": -6.0, "reset_gate": 6.0}
    answers = {
        "input_gate": {WRITE: 12.0},
        "forget_gate": {FORGET: -12.0},
        "output_gate": {READ: 12.0},
        "reset_gate": {},
    }
    if linked:  # to write is to overwrite, and to forget is to write the value 0
        answers["input_gate"][FORGET], answers["forget_gate"][WRITE] = 12.0, -12.0
    if cell.normaliser == "state":
        answers["forget_gate"][WRITE] = 0.0  # it weighs what it writes against what it holds
    kernel, start = np.zeros(cell.kernel.shape), 0
    for net, size in cell.nets.items():
        for marker, weight in answers.get(net, {VALUE: 1.0}).items():
            kernel[marker, start : start + size] = weight
        start += size
    cell.kernel.assign(kernel)
    biases = [
        np.full(size, bias.get(net, 0.0))
        for net, size in cell.nets.items()
        if cell._initial_bias(net) is not None
    ]
    cell.bias.assign(np.concatenate(biases))


def shown(cell, x) -> dict:
    """{name: [T, ...]}, the traces of the cell on x [1, T, F]."""
    *_, values = lstmlab.GatedRNN(cell, return_traces=True)(x)
    return {name: np.asarray(value)[0] for name, value in values.items()}


def gated_traces(name: str) -> dict:
    cell = lstmlab.variant(name, units=1, block_size=1)
    by_hand(cell)
    return shown(cell, sequence())


def ungated_traces(name: str) -> dict:
    cell = lstmlab.variant(name, units=4 if name == "indrnn" else 1)
    by_hand(cell)
    back = {"elman": [[0.8]], "irnn": [[1.0]], "indrnn": [[0.5, 0.8, 0.95, 1.0]]}[name]
    (cell.recurrent_elements if name == "indrnn" else cell.recurrent_kernel).assign(back)
    return shown(cell, sequence())


def timer_traces() -> dict:
    """A peephole cell without any input: it counts up, answers when full, and starts again."""
    cell = lstmlab.variant("peephole", units=1)
    by_hand(cell)
    cell.kernel.assign(np.zeros(cell.kernel.shape))
    cell.bias.assign([6.0, 187.5, 0.125, -187.5])
    cell.peephole.assign([[0.0], [-200.0], [200.0]])
    return shown(cell, np.zeros((1, STEPS, 4), "float32"))


def decays(name: str) -> np.ndarray:
    """[T, n].

    What is left in each of 64 cells of a pulse at the first step, by the initial biases alone.
    """
    keras.utils.set_random_seed(0)
    cell = lstmlab.variant(name, units=64)
    cell.build((None, 1))
    cell.kernel.assign(np.zeros(cell.kernel.shape))
    cell.recurrent_kernel.assign(np.zeros(cell.recurrent_kernel.shape))
    start = np.cumsum([0, *cell.nets.values()])[list(cell.nets).index("candidate")]
    kernel = np.zeros(cell.kernel.shape)
    kernel[0, start : start + 64] = 1.0
    cell.kernel.assign(kernel)
    x = np.zeros((1, 201, 1), "float32")
    x[0, 0] = 1.0
    state = shown(cell, x)["cell_state"]
    return state / state[0]


# ---- pictures


def plot_traces(part, values: dict, first: bool, marked: bool = True) -> None:
    """Gates above, in the colours of their boxes; state and output below."""
    gates = sorted(
        (name for name in values if name in GATES), key=lambda name: name != "forget_gate"
    )  # that one behind
    panels = part.subplots(
        2 if gates else 1, 1, sharex=True, height_ratios=[1, 1.25] if gates else None, squeeze=False
    )[:, 0]
    for name in gates:
        style, width = "--" if name == "reset_gate" else "-", 2.6 if name == "forget_gate" else 1.2
        panels[0].plot(
            values[name], style, color=COLOURS[name], linewidth=width, drawstyle="steps-mid"
        )
        if marked and name in (
            "input_gate",
            "output_gate",
        ):  # these open rarely here: filled, they are seen behind others
            panels[0].fill_between(
                range(len(values[name])),
                values[name][:, 0],
                step="mid",
                color=COLOURS[name],
                alpha=0.3,
                lw=0,
            )
        panels[0].set(ylim=(-0.1, 1.1), yticks=[0, 1])
    below = panels[-1]
    same = np.array_equal(values["cell_state"], values["output"])
    labels = [
        "state and output" if same else "cell state",
        *[None] * (values["cell_state"].shape[-1] - 1),
    ]
    below.plot(
        values["cell_state"], color="black", linewidth=1.6, drawstyle="steps-mid", label=labels
    )
    if not same:
        below.plot(
            values["output"],
            color=COLOURS["output"],
            linewidth=1.4,
            drawstyle="steps-mid",
            label="output",
        )
    below.set(
        ylim=(-0.15, 1.8) if gates and marked else (-0.15, 1.6) if gates else (-0.8, 2.8),
        yticks=[0, 1] if gates else [0, 1, 2],
    )
    for panel in panels:
        panel.tick_params(labelsize=6.5, length=2)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlim(0, STEPS - 1)
        if marked:
            panel.axvspan(NOISE[0] - 0.5, NOISE[1] - 0.5, color="0.93", zorder=0)
            for step in EVENTS:
                panel.axvline(step, color="black", linestyle=":", linewidth=0.9, zorder=0)
    if marked and first:
        for step, (text, _, _) in EVENTS.items():
            panels[0].annotate(
                text,
                (step, 1),
                (0, 3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                fontsize=6.5,
            )
        panels[0].annotate(
            "noise",
            (np.mean(NOISE), 1),
            (0, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            fontsize=6.5,
            color="0.4",
        )
    below.legend(fontsize=6.5, frameon=False, loc="upper left", handlelength=1.4, borderpad=0)
    if gates:
        panels[0].set_ylabel("gates", fontsize=7)


def plot_decays(part, values: np.ndarray) -> None:
    axes, steps = part.subplots(), np.arange(1, len(values))
    axes.plot(
        steps,
        values[1:],
        color="C2",
        linewidth=0.8,
        alpha=0.6,
        label=["64 cells", *[None] * (values.shape[-1] - 1)],
    )
    axes.plot(
        steps,
        decays("vanilla")[1:, 0],
        color="black",
        linestyle="--",
        linewidth=1.6,
        label="vanilla, bias 1",
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=6.5, length=2)
    axes.set(xlim=(1, len(values) - 1), ylim=(-0.03, 1.05))
    axes.set_xlabel("steps after a pulse, before any training", fontsize=7)
    axes.set_ylabel("share of it still in the state", fontsize=7)
    axes.legend(fontsize=6.5, frameon=True, edgecolor="none", loc="upper right")


def wirings(family: str) -> dict[str, list[Part]]:
    return {name: wiring(lstmlab.variant(name)) for name in FAMILIES[family]}


def digest(parts: dict[str, list[Part]]) -> str:
    """A short sum over the parts of a picture and its captions."""
    return hashlib.sha256(repr(sorted(parts.items())).encode()).hexdigest()[:16]


def picture(family: str) -> Figure:
    """The picture of one family: a row per variant, wiring and traces; that of the peepholes.

    Wirings in two columns.
    """
    names, parts = FAMILIES[family], wirings(family)
    if family == "peepholes":
        return _in_two_columns(names, parts)
    heights = [_height(parts[name]) for name in names]
    figure = Figure(figsize=(9, sum(heights) + 0.15), layout="constrained", dpi=110)
    rows = figure.subfigures(len(names), 1, height_ratios=heights, squeeze=False)[:, 0]
    for place, name in zip(rows, names, strict=True):
        left, right = place.subfigures(1, 2, width_ratios=[1.55, 1])
        draw(left.subplots(), parts[name], name, names[name])
        if family == "initialised":
            plot_decays(right, decays(name))
        else:
            plot_traces(
                right,
                ungated_traces(name) if family == "no_gates" else gated_traces(name),
                first=place is rows[0],
            )
    return figure


def _in_two_columns(names: dict[str, str], parts: dict[str, list[Part]]) -> Figure:
    rows = len(names) // 2 + 1
    low = min(y for name in names for part in parts[name] for _, y in part.points) - 0.4
    figure = Figure(figsize=(9, 2.15 * rows), layout="constrained", dpi=110)
    *places, last = figure.subfigures(rows, 2).ravel()
    for place, name in zip(places, names, strict=True):
        draw(place.subplots(), parts[name], name, names[name], points=6.3, low=low)
    plot_traces(last, timer_traces(), first=False, marked=False)
    last.suptitle("peephole without any input: it counts, spikes and starts again", fontsize=7.3)
    return figure


def _height(parts: list[Part]) -> float:
    heights = [y for part in parts for _, y in part.points]
    return 0.45 * (max(heights) - min(heights)) + 0.55


def save(figure: Figure, path: Path, mark: str) -> None:
    """A PNG of few colours, which is small, with `mark` inside."""
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    info = PngInfo()
    info.add_text("Wiring", mark)
    Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        path, optimize=True, pnginfo=info
    )


def main() -> None:
    for family in FAMILIES:
        save(picture(family), IMAGES / f"cell_{family}.png", digest(wirings(family)))
        print(IMAGES / f"cell_{family}.png")


if __name__ == "__main__":
    main()
