"""The cost of the parts: the command `lstmlab-bench`, one file per part.

`layers`, `learners`, `diagnostics` and `sampling` measure, `command` reads what is asked for, and
`defaults` has what it offers. Import `main`; no other room imports this one.
"""

import sys
from typing import Any

from lstmlab.files import WriteError


def main(argv: Any = None) -> None:
    """Run the command; its parts are loaded only now."""
    from lstmlab.bench.command import main as command

    try:
        command(argv)
    except WriteError as error:
        sys.exit(f"lstmlab-bench: {error}")
