"""Every file of tasks/ is a task with a yaml of its name; what tasks share lies in tasks/common/."""

from pathlib import Path

from lstmlab import config
from lstmlab.task import Task

TASKS = Path(__file__).parents[2] / "tasks"


def test_files_of_the_room_are_the_options_of_conf():
    files = sorted(path.stem for path in TASKS.glob("*.py") if path.stem != "__init__")
    assert files == config.options("task")


def test_each_option_names_the_class_of_its_file():
    for name in config.options("task"):
        task = config.target("task", name)
        assert issubclass(task, Task), name
        assert task.__module__ == f"lstmlab.tasks.{name}"
