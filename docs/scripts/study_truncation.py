"""The study of truncation: docs/studies/truncation.md, its picture and its data.

python docs/scripts/study_truncation.py            page and picture, from docs/data/
python docs/scripts/study_truncation.py FOLDER...  first the data, from the page's sweeps
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import study
from matplotlib.ticker import MaxNLocator
from study import Study, markdown

from lstmlab.report.survival import bootstrap

SCOPES = {"none": "exact", "gates": "cut at gates", "all": "cut as in 1997"}
COLOURS = {"none": "#444444", "gates": "#009e73", "all": "#d55e00"}
TASKS = ("adding", "temporal_order")
LINE = ["task", "scope"]
BUDGET = 150_000


def told(rows: pd.DataFrame) -> pd.DataFrame:
    """The trials of search and grid, then the angles, one line for each trial and moment."""
    trials = study.kept(
        rows,
        task=rows["task"],
        scope=rows["learner.scope"],
        rate=rows["optimizer.learning_rate"].astype(float),
        at=pd.Series(np.nan, rows.index),
    )
    trials.insert(0, "part", np.where(study.searched(trials), "search", "grid"))
    measured = [
        angles_of(Path(row["run"]), row["task"], row["seed"])
        for _, row in rows.iterrows()
        if (Path(row["run"]) / "learners.csv").exists()
    ]
    angles = pd.concat(measured)
    counts = angles.groupby([*LINE, "at"])["seed"].transform("size")
    angles = angles[counts == len(measured) // len(TASKS)]  # not once trials have ended
    trials = pd.concat([trials, angles], ignore_index=True)
    order = trials["scope"].map({name: k for k, name in enumerate(SCOPES)})
    trials = trials.assign(order=order)
    trials = trials.sort_values(["part", "task", "order", "rate", "at", "seed"])
    return trials.drop(columns="order")


def angles_of(run: Path, task: str, seed: int) -> pd.DataFrame:
    """Angle and norm of each cut gradient of the cell, during a run with the exact one."""
    table = pd.read_csv(run / "learners.csv")
    table = table[(table["weight"] == "cell") & (table["lag"] == 0)]
    table = table.rename(columns={"sequences": "at", "learner": "scope"})
    found = table.loc[table["scope"].isin(SCOPES), ["scope", "at", "angle", "ratio"]]
    return found.assign(part="angle", task=task, seed=seed)


def blocks(trials: pd.DataFrame) -> dict[str, str]:
    """What stands between each pair of marks."""
    parts = study.parts(study.of_part(trials, "grid"), LINE)
    pairs = [((task, scope), (task, "none")) for task, scope in parts if scope != "none"]
    compared = study.comparisons(parts, pairs).set_index("first").to_dict("index")
    solved = [
        {
            "task": key[0],
            "gradient": SCOPES[key[1]],
            "rate": f"{part['rate'].iloc[0]:g}",
            "solved": study.solved(part),
            "mean": study.mean(part),
            "median": study.median(part),
            "minus exact": study.difference(one) if (one := compared.get(key)) else "",
            "p, Holm": f"{one['p']:.2g}" if one else "",
        }
        for key, part in parts.items()
    ]
    search = study.rates(study.of_part(trials, "search"), LINE, BUDGET)
    search["scope"] = search["scope"].map(SCOPES)
    return {
        "solved": markdown(pd.DataFrame(solved)),
        "angles": markdown(angles(trials)),
        "search": markdown(search.rename(columns={"scope": "gradient"})),
    }


def angles(trials: pd.DataFrame) -> pd.DataFrame:
    """A line for each task and gradient: angle and cosine after so many sequences."""
    told = []
    for (task, scope, at), part in study.of_part(trials, "angle").groupby(
        [*LINE, "at"], sort=False
    ):
        low, high = bootstrap(part["angle"].to_numpy())
        told.append(
            {
                "task": task,
                "gradient": SCOPES[scope],
                "after": f"{at:,.0f}",
                "trials": len(part),
                "degrees": f"{part['angle'].mean():.1f} ({low:.1f} to {high:.1f})",
                "cosine": f"{np.cos(np.radians(part['angle'])).mean():.3f}",
                "norm": f"{part['ratio'].mean():.2f}",
            }
        )
    return pd.DataFrame(told)


def draw(trials: pd.DataFrame, path: Path) -> None:
    """A column for each task: above, its trials; below, the angles to the exact gradient."""
    figure, panels = plt.subplots(
        2, 2, figsize=(9, 5.2), layout="constrained", height_ratios=(1, 1.4)
    )
    parts = study.parts(study.of_part(trials, "grid"), LINE)
    found = study.of_part(trials, "angle")
    for task, above, below in zip(TASKS, *panels, strict=True):
        for at, (scope, colour) in enumerate(COLOURS.items()):
            study.draw_trials(above, at, parts[task, scope], colour)
            of_line = found[(found["task"] == task) & (found["scope"] == scope)]
            if len(of_line):
                grouped = of_line.groupby("at")["angle"]
                bands = np.array([bootstrap(one.to_numpy()) for _, one in grouped]).T
                below.plot(grouped.mean(), "o-", color=colour, label=SCOPES[scope], markersize=4)
                below.fill_between(grouped.mean().index, *bands, color=colour, alpha=0.2, lw=0)
        above.set_title(task)
        above.set_yticks(range(len(SCOPES)), list(SCOPES.values()))
        above.set_ylim(len(SCOPES) - 0.5, -0.5)
        above.xaxis.set_major_locator(MaxNLocator(5))
        above.xaxis.set_major_formatter("{x:,.0f}")
        above.set_xlabel("training sequences to solution")
        below.set(ylim=(0, 9))
        below.set_xlabel("training sequences, with the exact gradient")
        below.set_ylabel("degrees from the exact gradient")
        below.xaxis.set_major_formatter("{x:,.0f}")
    panels[1, 0].legend(fontsize=9, loc="upper left")
    figure.savefig(path, dpi=110)


TRUNCATION = Study("truncation", told, blocks, draw)

if __name__ == "__main__":
    TRUNCATION.main(sys.argv[1:])
