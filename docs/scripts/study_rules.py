"""The study of learning rules: docs/studies/rules.md, its picture and its data.

python docs/scripts/study_rules.py            page and picture, from docs/data/
python docs/scripts/study_rules.py FOLDER...  first the data, from the page's sweeps
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import study
from study import Study, markdown

from lstmlab.report.survival import bootstrap

RULES = {  # what a learner of conf/learner/ is called here
    "bptt": "BPTT",
    "rtrl": "RTRL",
    "snap": "SnAp-1",
    "hdetach": "h-detach, p 0.5",
    "truncated1997": "truncated 1997",
    "uoro": "UORO",
    "elman": "Elman",
}
EXACT = "bptt"
LINE = ["learner", "rate"]
BUDGET = 10_000
MOMENTS = (
    0,
    1000,
    2000,
    3000,
)  # sequences after which angles are shown: all trials go on for longer
COLOURS = ("#444444", "#777777", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00")


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """The trials of search and grid, then the angles, one line for each trial and moment."""
    trials = study.kept(
        rows,
        learner=rows["learner"],
        rate=rows["optimizer.learning_rate"].astype(float),
        at=pd.Series(np.nan, rows.index),
    )
    part = np.where(study.searched(trials), "search", "grid")
    trials.insert(0, "part", part)
    angles = [
        angles_of(Path(row["run"]), row["seed"])
        for _, row in rows.iterrows()
        if row["learner"] == EXACT and (Path(row["run"]) / "learners.csv").exists()
    ]
    trials = pd.concat([trials, *angles], ignore_index=True)
    order = trials["learner"].map({name: k for k, name in enumerate(RULES)})
    trials = trials.assign(order=order).sort_values(["part", "order", "rate", "at", "seed"])
    return trials.drop(columns="order")


def angles_of(run: Path, seed: int) -> pd.DataFrame:
    """Angle and norm of each rule's gradient of the cell's weights, during a run of BPTT."""
    table = pd.read_csv(run / "learners.csv")
    table = table[(table["weight"] == "cell") & (table["lag"] == 0)]
    table = table[table["learner"].isin(RULES) & table["sequences"].isin(MOMENTS)]
    found = table.rename(columns={"sequences": "at"})[["learner", "at", "angle", "ratio"]]
    return found.assign(part="angle", seed=seed)


def blocks(trials: pd.DataFrame) -> dict[str, str]:
    """What stands between each pair of marks."""
    parts = study.parts(study.of_part(trials, "grid"), ["learner"])
    pairs = [(key, (EXACT,)) for key in parts if key != (EXACT,)]
    compared = study.comparisons(parts, pairs).set_index("first").to_dict("index")
    solved = [
        {
            "rule": RULES[name],
            "rate": f"{part['rate'].iloc[0]:g}",
            "solved": study.solved(part),
            "mean": study.mean(part),
            "median": study.median(part),
            "minus BPTT": study.difference(one) if (one := compared.get((name,))) else "",
            "p, Holm": f"{one['p']:.2g}" if one else "",
        }
        for (name,), part in parts.items()
    ]
    search = study.rates(study.of_part(trials, "search"), ["learner"], BUDGET)
    search["learner"] = search["learner"].map(RULES)
    return {
        "solved": markdown(pd.DataFrame(solved)),
        "angles": markdown(angles(trials)),
        "search": markdown(search.rename(columns={"learner": "rule"})),
    }


def angles(trials: pd.DataFrame) -> pd.DataFrame:
    """A line for each rule: its mean angle after so many sequences, over the trials."""
    told: dict[str, dict] = {}
    for (name, at), part in study.of_part(trials, "angle").groupby(["learner", "at"], sort=False):
        low, high = bootstrap(part["angle"].to_numpy())
        text = f"{part['angle'].mean():.1f} ({low:.1f} to {high:.1f})"
        told.setdefault(name, {"rule": RULES[name]})[f"after {at:,.0f}"] = text
        if at == MOMENTS[-1]:
            told[name]["norm"] = f"{part['ratio'].mean():.2f}"
    return pd.DataFrame(told.values())


def draw(trials: pd.DataFrame, path: Path) -> None:
    """Left: the trials of each rule. Right: its angle to the exact gradient."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    parts = study.parts(study.of_part(trials, "grid"), ["learner"])
    for at, (name, colour) in enumerate(zip(RULES, COLOURS, strict=True)):
        study.draw_trials(left, at, parts[name,], colour)
    left.set_yticks(range(len(RULES)), list(RULES.values()))
    left.set_ylim(len(RULES) - 0.5, -0.5)
    left.axvline(BUDGET, color="0.6", linewidth=0.8, linestyle=":")
    study.log_axis(left.xaxis)
    left.set_xlabel("training sequences to solution (log); dotted: the budget")

    found = study.of_part(trials, "angle")
    for (name, text), colour in zip(RULES.items(), COLOURS, strict=True):
        of_rule = found[found["learner"] == name].groupby("at")["angle"]
        if len(of_rule):
            bands = np.array([bootstrap(one.to_numpy()) for _, one in of_rule]).T
            means = of_rule.mean()
            right.plot(means.index, means, "o-", color=colour, label=text, markersize=4)
            right.fill_between(means.index, *bands, color=colour, alpha=0.2, linewidth=0)
    right.axhline(90, color="0.6", linewidth=0.8, linestyle=":")
    right.set(ylim=(-3, 95), yticks=range(0, 91, 15), xticks=MOMENTS)
    right.set_xlabel("training sequences, by BPTT")
    right.set_ylabel("degrees from the exact gradient")
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)


RULES_STUDY = Study("rules", told, blocks, draw)

if __name__ == "__main__":
    RULES_STUDY.main(sys.argv[1:])
