"""The command `lstmlab-conformance`."""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from lstmlab import config
from lstmlab.errors import refusal


def main(argv: Sequence[str] | None = None) -> None:
    """Run the conformance tests; exit code 0, or that of pytest.

    Args:
        argv: The arguments. Default: those of the command line.
    """
    flags, others = _parser().parse_known_args(argv)
    try:
        if find_spec("pytest") is None:
            expected = "pytest, as `pip install 'lstmlab[conformance]'` installs it"
            raise refusal("pytest", expected, "an environment without it")
        config.use(flags.config_dir)
    except ValueError as error:
        sys.exit(f"lstmlab-conformance: {error}")
    import pytest

    folder = [f"{config.FLAG}={flags.config_dir}"] if flags.config_dir else []
    tests = ["-p", "lstmlab.conformance.plugin", "--pyargs", "lstmlab.conformance"]
    sys.exit(pytest.main([*tests, *folder, *others]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lstmlab-conformance",
        allow_abbrev=False,
        description="Tests whether options keep what lstmlab relies on: gradients, shapes, "
        "chance levels and so on. With --config-dir only those of that folder.",
        epilog="All other arguments are those of pytest, such as -k NAME, -x, or "
        "-m 'not slow' for the quick tests.",
    )
    config.add_flag(parser)
    return parser
