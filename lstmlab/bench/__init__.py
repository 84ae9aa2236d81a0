"""The cost of the parts: the command `lstmlab-bench`, one file per part.

`command` measures layers and the sampling of tasks, `learners` and `diagnostics` the others. Import
`main`; no other room imports this one.
"""

from typing import Any


def main(argv: Any = None) -> None:
    """Run the command; its parts are loaded only now."""
    from lstmlab.bench.command import main as command

    command(argv)
