"""Makes docs/tasks.md and its pictures from the docstrings of the tasks in conf/task/.

Run python docs/scripts/write_tasks.py. tests/docs/test_tasks_page.py compares the page with it, and
the pictures with the sequences that they should show.
"""

import hashlib
import inspect
import io
import math
import re
import sys
import tempfile
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lstmlab import config, published
from lstmlab.describe import build, describe, picture
from lstmlab.errors import refusal
from lstmlab.task import Task

PAGE = Path(__file__).parents[1] / "tasks.md"
IMAGES = PAGE.parent / "images"
WORDS = ("Shown", "Asked", "Lag", "Right", "Chance", "Solved", "Published")
GROUPS = {  # in this order; what is in none of them came after 1997
    "1997": [
        "embedded_reber",
        "noise_free_lag",
        "no_local_regularities",
        "very_long_lag",
        "two_sequence",
        "adding",
        "multiplication",
        "temporal_order",
    ],
    "after 1997": [
        "continual_embedded_reber",
        "continual_temporal_order",
        "timing",
        "counting_language",
        "parity",
        "latch",
        "delayed_xor",
        "chunk_stream",
        "adding_modern",
        "copy_memory",
        "selective_copy",
        "associative_recall",
        "flip_flop",
    ],
    "real data": ["pixels", "csv"],
}
TITLES = {
    "1997": (
        "The tasks of the paper: Hochreiter & Schmidhuber, *Long Short-Term Memory*, "
        "Neural Computation 9(8), 1997."
    ),
    "after 1997": "Tasks of later papers, and of the debate about the paper of 1997.",
    "real data": "Images read pixel by pixel, and your own table.",
}
HEAD = """# Tasks

<!-- made by docs/scripts/write_tasks.py from the docstrings of the tasks and conf/published.csv -->

Each task is one question put to a network: what is shown, what is asked, and when it counts as
solved. `lstmlab task=adding task.T=200` trains on one. `lstmlab-tasks adding T=200` prints its card
with a drawn sequence, and `--picture FILE` draws it; in Python, `lstmlab.describe.describe(task)`
and `picture(task)` do the same.

On a card, *Lag* is the least number of steps between an input that an answer needs and that answer.
*Chance* is the loss of the best constant output and, after it, that of the best output that knows
only the present input: a network that stays there has not remembered anything. Losses are means
over the steps with an error: the squared error averaged over the outputs, or the crossentropy in
nats. Settings are shown with their defaults; on the command line they begin with `task.`.

The tables *Published* are made from [conf/published.csv](../conf/published.csv), the only place in
which published figures are written; `lstmlab-tasks NAME` prints the same table. *Run by* is what to
type after `lstmlab`, with `-m` where a setting has several values.
"""


def groups() -> dict[str, list[str]]:
    """Group -> the tasks of conf/task/ in it."""
    there = config.options("task")
    known = {name for group in GROUPS.values() for name in group}
    found = {group: [name for name in wanted if name in there] for group, wanted in GROUPS.items()}
    found["after 1997"] += [name for name in there if name not in known]
    return found


def example(name: str) -> Task:
    """The task with its defaults; csv with a table that is made here."""
    if name != "csv":
        return build(name)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "swings.csv"
        table.write_text(swings(), encoding="utf-8")
        return build(name, [f"file={table}", "group=swing", "time=step", "target=angle"])


def swings() -> str:
    """30 damped swings of 40 steps, as a long table."""
    rows = [
        f"{swing},{step},{math.exp(-step / 30) * math.cos(0.3 * step + swing):.4f}"
        for swing in range(30)
        for step in range(40)
    ]
    return "\n".join(["swing,step,angle", *rows]) + "\n"


def card(name: str) -> dict[str, str]:
    """The docstring of a task by its parts: question, each of WORDS, notes, source.

    The notes are the decisions and whatever else comes before the sections (Args, Raises,
    References); the source is the last of them.
    """
    doc = inspect.getdoc(config.target("task", name)) or ""
    text, *sections = re.split(r"\n\n(?=(?:Args|Raises|References):\n)", doc)
    summary, body, *notes = text.split("\n\n")
    parts = {"question": flat(summary)}

    words = "|".join(WORDS)
    for entry in re.split(rf"\n(?=(?:{words})\b)", body):
        found = re.fullmatch(rf"({words})\b(.*)", entry, re.DOTALL)
        if found is None:
            raise refusal(name, f"a card that begins with one of {WORDS}", {"line": entry[:40]})
        parts[found[1]] = flat(found[2])
    parts["notes"] = "\n\n".join(
        re.sub(r"\n {2,}", " ", note).replace(":\n- ", ":\n\n- ") for note in notes
    )

    headed = dict(section.split(":\n", 1) for section in sections)
    parts["source"] = flat(headed.get("References", ""))
    return parts


def flat(text: str) -> str:
    return " ".join(text.split())


def section(name: str) -> str:
    """The card of one task as Markdown."""
    parts = card(name)
    lines = [
        f"### {name}",
        "",
        parts["question"],
        "",
        f"![one sequence of {name}](images/task_{name}.png)",
        "",
    ]
    lines += [f"- **{word}** {parts[word]}" for word in WORDS if word in parts]
    lines += ["", parts["notes"]] if parts["notes"] else []
    settings = config.text("task", name).partition("\n")[2].strip()
    lines += ["", "```yaml", settings, "```"] if settings else []
    lines += ["", f"Source: {parts['source']}"] if parts["source"] else []
    lines += figures(name)
    return "\n".join(lines)


def figures(name: str) -> list[str]:
    """The task's published results as a titled Markdown table, in lines."""
    title, rows = published.table(name)
    if not rows:
        return []
    heads, *body = rows
    if "run by" in heads:
        last = heads.index("run by")
        for row in body:
            row[last] = "; ".join(f"`{run}`" for run in row[last].split("; ") if run)
    table = [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *body)]
    return ["", f"{title}:", "", *table]


def overview(tasks: dict[str, Task]) -> str:
    """A line per task with its numbers at the defaults."""
    rows = [
        "| task | steps | inputs | outputs | lag | loss | chance | only the present input |",
        "|" + "---|" * 8,
    ]
    for name, task in tasks.items():
        chance, memoryless = (
            f"{value:.4f}" if value is not None else "" for value in (task.chance, task.memoryless)
        )
        numbers = task.steps, task.features, task.outputs, task.lag
        sizes = " | ".join(["its own"] * 4 if name == "csv" else map(str, numbers))
        rows.append(f"| [{name}](#{name}) | {sizes} | {task.loss} | {chance} | {memoryless} |")
    return "\n".join(rows)


def page(tasks: dict[str, Task]) -> str:
    """The whole page."""
    parts = [HEAD.strip(), overview(tasks)]
    for group, members in groups().items():
        parts += [
            f"## {group.capitalize()}",
            TITLES[group],
            *(section(name) for name in members if name in tasks),
        ]
    return "\n\n".join(parts) + "\n"


def digest(task: Task) -> str:
    """A short sum over the sequence that the picture shows."""
    return hashlib.sha256(describe(task).encode()).hexdigest()[:16]


def save(task: Task, path: Path) -> None:
    """A PNG of few colours, which is small, with the digest of its sequence inside."""
    buffer = io.BytesIO()
    figure = picture(task)
    figure.set_dpi(90)
    FigureCanvasAgg(figure).print_png(buffer)
    info = PngInfo()
    info.add_text("Example", digest(task))
    Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        path, optimize=True, pnginfo=info
    )


def main() -> None:
    tasks, failed = {}, []
    for name in (name for members in groups().values() for name in members):
        try:
            task = example(name)
            section(name)
            save(task, IMAGES / f"task_{name}.png")
            tasks[name] = task
            print(IMAGES / f"task_{name}.png")
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {error}")
    PAGE.write_text(page(tasks), encoding="utf-8")
    print(PAGE)
    if failed:
        sys.exit("left out, because they failed:\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
