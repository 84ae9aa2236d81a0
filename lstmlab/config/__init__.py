"""The only reader of options, in conf/ and in folders beside it: what they say and are made into.

    folders   which folders hold options: conf/, those of installed packages, the user's own
    options   the options and what their files say     make    what they are made into
    places    where code that is not installed lies    older   names that changed    messages
    search    the folders of installed packages in Hydra's search path

Everything here is imported from the room itself. Importing it loads no Hydra.
"""

from lstmlab.config.folders import FLAG, add_flag, built_in, own, searched, use
from lstmlab.config.known import PARTS, no_such_setting
from lstmlab.config.make import changed, compose, described, instantiate, made
from lstmlab.config.messages import one_line, unknown_setting
from lstmlab.config.older import current
from lstmlab.config.options import (
    found,
    nearest,
    not_its_own,
    options,
    options_in,
    path_of,
    records,
    renamed,
    settings,
    target,
    text,
    unknown_option,
)
from lstmlab.config.places import import_as
from lstmlab.config.quoting import quoted

__all__ = [
    "FLAG", "PARTS", "add_flag", "built_in", "changed", "compose", "current", "described", "found",
    "import_as", "instantiate", "made", "nearest", "no_such_setting", "not_its_own", "one_line",
    "options", "options_in", "own", "path_of", "quoted", "records", "renamed", "searched",
    "settings", "target", "text", "unknown_option", "unknown_setting", "use",
]  # fmt: skip
