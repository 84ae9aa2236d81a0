"""The tables of exceptions in lstmlab.conformance.test_task, against the tasks of conf/task/."""

from lstmlab import config
from lstmlab.conformance import test_task as tables


def test_tables_name_tasks_and_cases():
    """No entry of a task that is gone, or renamed, is left over."""
    assert {*tables.READOUT, *tables.LONG, *tables.NEEDS} <= set(config.options("task"))
    exceptions = {*tables.FEW, *tables.PROBED, *tables.KINDS, *tables.ONE, *tables.NOT_LONG}
    assert exceptions <= set(tables.CASES)
    assert {case.split()[0] for case in tables.CASES} == set(config.options("task"))
