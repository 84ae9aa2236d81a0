"""Opens the file of a table: compressed or not, in any encoding."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import pandas as pd
from lstmlab.tasks.common.table.messages import fail

OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
NOT_TEXT = (".xlsx", ".xls", ".xlsm", ".ods", ".parquet", ".feather", ".h5", ".dta", ".sav")
# The first bytes of a file -> what it is, and so the setting that reads it.
MARKS = {
    b"\xff\xfe": "task.encoding=utf-16",
    b"\xfe\xff": "task.encoding=utf-16",
    b"PK": "a name that ends in .zip, or a table of a spreadsheet saved as csv",
    b"\x1f\x8b": "a name that ends in .gz",
}


def open_text(path: Path, encoding: str) -> TextIO:
    """Opens a file for reading, its line ends as they are; .gz, .bz2, .xz and .zip unpacked."""
    if path.suffix.lower() in NOT_TEXT:
        fail("a table as text; a spreadsheet or pandas can save one as csv", named(path))
    # with or without the mark that some programs write at the beginning
    encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    if path.suffix.lower() == ".zip":
        return io.TextIOWrapper(_only_file(path), encoding=encoding, newline="")
    opener = OPENERS.get(path.suffix.lower(), open)
    return cast(TextIO, opener(path, "rt", encoding=encoding, newline=""))


def _only_file(path: Path) -> zipfile.ZipExtFile:
    """The one file in an archive, but for what macOS adds."""
    archive = zipfile.ZipFile(path)
    files = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX")
    ]
    if len(files) != 1:
        some = ", ".join(member.filename for member in files[:4])
        fail("one file in the archive", f"{len(files)} in {named(path)}: {some}")
    return cast(zipfile.ZipExtFile, archive.open(files[0]))


def named(path: Path) -> str:
    """The file as a message shows it."""
    return f"task.file={str(path)!r}"


@contextmanager
def in_one_line(path: Path, encoding: str) -> Iterator[None]:
    """Turns what reading may raise into one line."""
    try:
        yield
    except UnicodeDecodeError as error:
        expected = f"text in the encoding {encoding!r}, or {_likely(path)}"
        byte = f"byte 0x{error.object[error.start]:02x}"
        fail(expected, f"{byte} ({error.reason}), {named(path)}")
    except LookupError as error:
        fail("an encoding that Python knows", f"task.encoding={encoding!r} ({error})")
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, lzma.LZMAError) as error:
        cause = getattr(error, "strerror", None) or error
        fail("a file that can be read", f"{named(path)} ({cause})")
    except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        cause = " ".join(str(error).split())
        unmarked = "; perhaps task.encoding=utf-16-le" if "NUL" in cause else ""
        fail(f"a table{unmarked}", f"{named(path)} ({cause})")
    except UnicodeError as error:  # as UTF-16 raises without its mark
        fail(f"text in the encoding {encoding!r}; see task.encoding", f"{named(path)} ({error})")


def _likely(path: Path) -> str:
    """What may read a file, by its first bytes."""
    with path.open("rb") as file:
        first = file.read(4)
    for mark, what in MARKS.items():
        if first.startswith(mark):
            return what
    return "perhaps task.encoding=cp1252 or latin-1"
