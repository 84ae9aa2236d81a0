"""The page of an audit: what was measured, and a section for each layer."""

from typing import Any

from lstmlab import __version__
from lstmlab.auditing import pictures
from lstmlab.auditing import words as say
from lstmlab.auditing.summary import lags
from lstmlab.explain.page import Page, number, words


def page(model: Any, found: list[Any], amount: str, left_out: list[str]) -> Page:
    """Return the page of a model.

    Args:
        model: The Keras model.
        found: The Layers of the audit.
        amount: How many sequences were measured, in words.
        left_out: Lines about what could not be measured.
    """
    made = Page(f"The recurrent layers of {model.name}")
    made.paragraph(
        f"Measured on {amount} by lstmlab {__version__}, without dropout. The model was not "
        "changed. Steps that a mask leaves out do not count."
    )
    for line in left_out:
        made.paragraph(f"{line}.", note=True)
    _overview(made, found)
    for layer in found:
        _layer(made, layer)
    return made


def _overview(made: Page, found: list[Any]) -> None:
    rows = []
    for layer in found:
        memory, flow = layer.tables["memory"], layer.tables["error_flow"]
        curve = flow[flow["path"] == "cell_state"].sort_values("lag")["norm"].to_numpy()
        left = number(curve[-1] / curve[0]) if curve[0] else "not measured"
        life = memory["half_life"].median()
        rows.append(
            [
                layer.name,
                f"{layer.cell.units}",
                f"{_longest(layer)}",
                number(life) if life < 1e8 else "no end",
                left,
                f"{memory['saturated'].mean():.0%}",
            ]
        )
    flowing = "error left at the first step"
    heads = ["layer", "cells", "steps", "half-life, steps", flowing, "saturated"]
    made.table(heads, rows)
    made.paragraph(
        f"half-life: of the cell in the middle. {flowing}: |dE/ds| there over that at the last "
        "step with an error.",
        note=True,
    )


def _layer(made: Page, layer: Any) -> None:
    made.heading(f"{layer.name}: {layer.cell.units} cells")
    if "gates" in layer.tables:
        _gates(made, layer)
    _memory(made, layer)
    _flow(made, layer)
    _gradients(made, layer)
    if "interventions" in layer.tables:
        _held(made, layer)


def _gates(made: Page, layer: Any) -> None:
    table = layer.tables["gates"]
    _begin(made, "How far the gates are open", say.gates(table))
    rows = [
        [words(row["gate"]), number(row["mean"]), f"{row['near_0']:.1%}", f"{row['near_1']:.1%}"]
        for row in table.to_dict("records")
    ]
    made.table(["gate", "mean", "time below 0.1", "time above 0.9"], rows)
    picture = pictures.gates(layer.gates, layer.probe.valid)
    made.picture(picture, "Mean over sequences and cells; the band holds 80 % of the values.")
    if "reset_gate" in layer.gates:
        _explain(made, say.GRU)
    _explain(made, say.GATES)


def _memory(made: Page, layer: Any) -> None:
    table = layer.tables["memory"]
    _begin(made, "How long the cells keep their states", say.memory(table, _longest(layer)))
    columns = {
        "retention": "retention",
        "half_life": "half-life, steps",
        "saturated": "saturated",
        "drift": "drift per step",
        "one_way": "one way",
        "largest": "largest state",
    }
    rows = [
        [name, *(number(getattr(table[column], statistic)()) for column in columns)]
        for name, statistic in {"least": "min", "middle": "median", "most": "max"}.items()
    ]
    made.table(["over the cells", *columns.values()], rows)
    picture = pictures.half_lives(table, _longest(layer))
    made.picture(picture, "Half-lives above 10,000 steps are drawn at 10,000.")
    _explain(made, say.MEMORY)


def _flow(made: Page, layer: Any) -> None:
    table = layer.tables["error_flow"]
    _begin(made, "How far the error flows back", say.flow(table))
    shown = lags(table)
    norms = table.set_index(["path", "lag"])["norm"]
    names = [path for path in table["path"].unique() if path in pictures.FLOW]
    rows = [[pictures.FLOW[path], *(number(norms[path, lag]) for lag in shown)] for path in names]
    made.table(["norm at lag", *map(str, shown)], rows)
    if len(shown) > 1:
        made.picture(pictures.flow(table), "Error flow against lag.")
    _explain(made, say.FLOW)


def _gradients(made: Page, layer: Any) -> None:
    table = layer.tables["gradients"]
    _begin(made, "What the weights learn from", say.gradients(table))
    rows = [
        [
            words(row["weight"]),
            "whole" if row["net"] == "all" else words(row["net"]),
            number(row["norm"]),
            number(row["weight_norm"]),
        ]
        for row in table.to_dict("records")
    ]
    made.table(["weight", "columns", "gradient norm", "norm of the weights"], rows)
    _explain(made, say.GRADIENTS)


def _held(made: Page, layer: Any) -> None:
    table = layer.tables["interventions"]
    _begin(made, "What if a gate were held", [])
    kinds = {"retention": "left of a state", "retention_carousel": "along the cell state only"}
    first = table.iloc[0]
    rows = [["none", "", *(number(first[f"{kind}_before"]) for kind in kinds)]]
    for row in table.to_dict("records"):
        after = [number(row[f"{kind}_after"]) for kind in kinds]
        rows.append([words(row["gate"]), row["value"], *after])
    made.table(["gate", "held", *kinds.values()], rows)
    _explain(made, say.HELD)


def _explain(made: Page, text: str) -> None:
    """Say how to read numbers, the first time that they are shown."""
    made.paragraph(text, note=True)
    if made.parts[-1] in made.parts[:-1]:
        made.parts.pop()


def _begin(made: Page, heading: str, said: list[str]) -> None:
    made.heading(heading, 3)
    if said:
        made.paragraph(" ".join(said))


def _longest(layer: Any) -> int:
    return int(layer.probe.valid.sum(axis=1).max())
