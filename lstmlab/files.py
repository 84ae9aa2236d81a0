"""Files that are written whole or not at all; an error names the file and the reason."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class WriteError(OSError):
    """A file that could not be written.

    The message is one line: the path, what was expected, and the reason.
    """

    def __init__(self, path: str | Path, cause: BaseException | str, what: str = "file"):
        expected = f"a {what} that can be written"
        super().__init__(f"{path}: expected {expected}. Received: {reason(cause)}")
        self._made_of = (str(path), reason(cause), what)

    def __reduce__(self) -> tuple:
        """Let it pass between processes: a worker of a sweep hands it to the leader."""
        return type(self), self._made_of


def reason(cause: BaseException | str) -> str:
    """Return why a file could not be written, without numbers, paths and names of operations."""
    number = getattr(cause, "errno", None)
    # h5py and TensorFlow put long stories around the words of the system
    text = os.strerror(number) if number else str(getattr(cause, "message", None) or cause)
    told = re.sub(r"\{\{.*?\}\}|\[Op:.*|Failed to flush .*|\S*tfevents\S*", "", text)
    return " ".join(told.split()).strip("; ") or type(cause).__name__


@contextmanager
def writing(path: str | Path, what: str = "file") -> Iterator[None]:
    """Turn an OSError of the block into a WriteError that names `path`, a file or a folder."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(path, error, what) from error


@contextmanager
def whole(path: str | Path, sync: bool = False) -> Iterator[Path]:
    """Give a draft to write to, which becomes `path` when the block ends without an error.

    A reader never meets half a file, and a file that was there before stays if writing fails.

    Args:
        path: The file. What is not a regular file, such as /dev/stdout, is written directly.
        sync: Whether to wait until the file is on the disk.

    Raises:
        WriteError: The file cannot be written; nothing of it is left.
    """
    final = Path(os.path.realpath(path))  # a link stays, and the file that it names is replaced
    special = final.exists() and not final.is_file()
    # the name keeps its end, by which matplotlib and Keras choose the format
    draft = final if special else final.with_name(f".draft-{os.getpid()}-{final.name}")
    with writing(path):
        try:
            yield draft
            if sync:
                _sync(draft)
            if not special:
                os.replace(draft, final)
        except BaseException:
            if not special:
                with suppress(OSError):
                    draft.unlink()
            raise


def write(path: str | Path, content: str | bytes, sync: bool = False) -> None:
    """Write a file as `whole` does; text in UTF-8. Raises WriteError."""
    with whole(path, sync) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def check(path: str | Path) -> None:
    """Raise WriteError if a file cannot be written, before the work that it is for; writes none."""
    final = Path(os.path.realpath(path))
    if final.exists() and not final.is_file() and not final.is_dir():
        return  # such as /dev/null
    with writing(path):
        if final.is_dir():
            raise IsADirectoryError(errno.EISDIR, "")
        draft = final.with_name(f".draft-{os.getpid()}-{final.name}")
        draft.touch()
        draft.unlink()


def append(path: str | Path, text: str) -> None:
    """Add text to the end of a file. Raises WriteError, and the file is as it was before."""
    with writing(path):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        before = os.fstat(file).st_size
        try:
            rest = memoryview(text.encode())
            while rest:  # a disk that is nearly full takes a part of it
                rest = rest[os.write(file, rest) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, before)
                if not before:
                    os.unlink(path)
            raise
        finally:
            os.close(file)


def overwrite(path: str | Path, content: str) -> None:
    """Write over a file in its own place, for a disk without room for a draft.

    Raises:
        WriteError: The new content needs more room than there is; the old one is back.
    """
    with writing(path), open(path, "r+b", buffering=0) as file:
        before, new = file.read(), content.encode()
        try:
            _put(file.fileno(), new)
        except OSError:
            _put(file.fileno(), before)
            raise


def say(text: str) -> None:
    """Print on standard output; a reader that has seen enough, as `head` has, ends it quietly.

    Raises:
        WriteError: It cannot be written, as on a disk that is full.
    """
    with writing("standard output"):
        try:
            print(text, flush=True)
        except BrokenPipeError:
            # what is left in the buffer has nowhere to go when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def shown(path: str | Path, working: str | Path | None = None) -> str:
    """Return a path as a person would type it in the working folder."""
    short = os.path.relpath(path, working)
    return str(path) if short.startswith("..") else short


def _put(file: int, content: bytes) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.ftruncate(file, len(content))
    os.fsync(file)


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
