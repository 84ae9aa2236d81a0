"""The command `lstmlab-tasks`: which tasks there are, and the card of one with a drawn sequence."""

import argparse
import ast
import importlib.util
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from lstmlab import config, files, published
from lstmlab.criterion import WholeSets, check_sets, criterion
from lstmlab.describe.figure import picture
from lstmlab.describe.text import describe
from lstmlab.task import Task


def build(name: str, settings: Sequence[str] = (), seed: int = 0) -> Task:
    """Builds a task of conf/task/.

    Args:
        name: The name of the task.
        settings: Settings to change, as on the command line: 'T=50', 'criterion.wrong=3'.
        seed: The seed of the run, for tasks that use it.

    Raises:
        ValueError: For an unknown name or setting, with the nearest that there is, and for what the
            task or its criterion refuses.
    """
    task = config.changed("task", name, settings, seed)
    _check_criterion(name, task, seed)
    return task


def _check_criterion(name: str, task: Task, seed: int) -> None:
    """Raises the ValueError that training would raise for the criterion."""
    rule = criterion(**task.criterion)
    if isinstance(rule, WholeSets) and rule.sets:  # drawing sets takes time
        check_sets(name, rule, task.sets(seed))


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command, with the arguments of the process by default."""
    parser = argparse.ArgumentParser(
        prog="lstmlab-tasks",
        description="Lists the tasks; with a name: the card of that task, and one drawn sequence.",
    )

    add = parser.add_argument
    add("name", nargs="?", help="a task of conf/task/")
    add("settings", nargs="*", metavar="SETTING=VALUE", help="settings of the task, as T=50")
    add("--seed", type=int, default=0, help="the seed of the drawn sequence (default 0)")
    where = "the place of the sequence in the training stream (default 0)"
    add("--position", type=int, default=0, help=where)
    drawn = "write the sequence as a picture, too (png, svg, pdf)"
    add("--picture", type=Path, metavar="FILE", help=drawn)
    # intermixed: settings may stand behind the options, too
    options = parser.parse_intermixed_args(argv)

    try:
        files.say(_list() if options.name is None else _one(options))
    except (OSError, ValueError) as error:
        sys.exit(f"lstmlab-tasks: {error}")


def _list() -> str:
    """A line for each task: its name and the question, the first paragraph of its card."""
    known = config.options("task")
    docs = {name: _docstring(config.settings("task", name)["_target_"]) for name in known}
    width = max(map(len, known))
    questions = {name: " ".join(docs[name].partition("\n\n")[0].split()) for name in known}
    return "\n".join(f"{name:<{width}}  {questions[name]}" for name in known)


def _docstring(path: str) -> str:
    """The docstring of a class, from its source where that is found: pandas takes long to load."""
    module, _, name = path.rpartition(".")
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.origin and spec.origin.endswith(".py"):
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return ast.get_docstring(node) or ""
    return inspect.getdoc(config.found(path)) or ""


def _one(options: argparse.Namespace) -> str:
    """The card of a task, its settings and one sequence."""
    task = build(options.name, options.settings, options.seed)
    # the first line of the file is its _target_, which is no setting
    settings = config.text("task", options.name).partition("\n")[2].rstrip()
    parts = [
        inspect.getdoc(type(task)) or "",
        _published(options.name),
        f"Settings of task={options.name}, with their defaults:\n{settings}",
        describe(task, options.seed, options.position),
    ]

    if options.picture is not None:
        with files.whole(options.picture) as draft:
            picture(task, options.seed, options.position).savefig(draft)
        parts.append(f"picture: {options.picture}")
    return "\n\n".join(part for part in parts if part)


def _published(name: str) -> str:
    """The task's published results as text; '' where conf/published.csv has none."""
    from tabulate import tabulate

    title, rows = published.table(name)
    if not rows:
        return ""
    return f"{title}:\n{tabulate(rows, headers='firstrow', disable_numparse=True)}"
