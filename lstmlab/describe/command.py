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
from lstmlab.errors import refusal
from lstmlab.task import HOUSE, Task


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
    if not isinstance(task, Task):
        named = {"task._target_": config.settings("task", name).get("_target_")}
        raise refusal("task", "a Task, whose class _target_ names", named)
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
    add("name", nargs="?", help="a task: an option of the group task")
    add("settings", nargs="*", metavar="SETTING=VALUE", help="settings of the task, as T=50")
    add("--seed", type=int, default=0, help="the seed of the drawn sequence (default 0)")
    where = "the place of the sequence in the training stream (default 0)"
    add("--position", type=int, default=0, help=where)
    drawn = "write the sequence as a picture, too (png, svg, pdf)"
    add("--picture", type=Path, metavar="FILE", help=drawn)
    config.add_flag(parser)
    # intermixed: settings may stand behind the options, too
    options = parser.parse_intermixed_args(argv)

    try:
        config.use(options.config_dir)
        if options.name is None:
            _list()
        else:
            files.say(_one(options))
    except (OSError, ValueError) as error:
        sys.exit(f"lstmlab-tasks: {error}")


def _list() -> None:
    """Prints a line for each task: its name and the question, the first paragraph of its card.

    Raises:
        ValueError: After all others are printed, what is wrong with a task, in a line for each.
    """
    questions, wrong = {}, []
    for name in config.options("task"):
        try:
            card = _card(name)
        except ValueError as error:
            wrong.append(str(error))
        else:
            questions[name] = " ".join(card.partition("\n\n")[0].split())
    width = max(map(len, questions))
    files.say("\n".join(f"{name:<{width}}  {text}" for name, text in questions.items()))
    if wrong:
        raise ValueError("\nlstmlab-tasks: ".join(wrong))


def _card(name: str) -> str:
    """The card of a task; of one of ours from its source, as pandas takes long to load."""
    path = config.settings("task", name).get("_target_")
    if isinstance(path, str) and path.startswith(HOUSE):
        return _docstring(path)
    return inspect.getdoc(config.target("task", name)) or ""


def _docstring(path: str) -> str:
    """The docstring of a class, from its source where that is found."""
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
    written = config.text("task", options.name).splitlines()
    settings = "\n".join(line for line in written if not line.startswith("_target_:")).strip()
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
