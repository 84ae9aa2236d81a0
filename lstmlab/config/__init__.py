"""The only reader of conf/: its options, what they are made into, names that changed, and messages.

Everything here is imported from the room itself. Importing it loads no Hydra.
"""

from lstmlab.config.known import PARTS, no_such_setting
from lstmlab.config.make import changed, compose, instantiate, made
from lstmlab.config.messages import one_line, unknown_setting
from lstmlab.config.older import current
from lstmlab.config.options import (
    folder,
    found,
    nearest,
    options,
    records,
    renamed,
    settings,
    target,
    text,
    unknown_option,
)
from lstmlab.config.quoting import quoted

__all__ = [
    "PARTS", "changed", "compose", "current", "folder", "found", "instantiate", "made", "nearest",
    "no_such_setting", "one_line", "options", "quoted",
    "records", "renamed", "settings", "target", "text",
    "unknown_option", "unknown_setting",
]  # fmt: skip
