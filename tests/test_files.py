"""Files written whole or not at all, against full disks and places that cannot be written."""

import errno
import os
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lstmlab import files

FULL = "/dev/full"  # takes no byte: No space left on device


@contextmanager
def files_up_to(size):
    """No file of this process may grow beyond so many bytes."""
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_is_replaced_at_once_or_stays(tmp_path):
    path = tmp_path / "a.txt"
    files.write(path, "old")
    with files_up_to(1000), pytest.raises(files.WriteError) as raised:
        files.write(path, "x" * 5000)
    assert str(raised.value) == (
        f"{path}: expected a file that can be written. Received: File too large"
    )
    assert path.read_text() == "old"
    files.write(path, b"new", sync=True)
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"], "no drafts are left"


def test_nothing_is_left_of_a_file_that_fails_for_any_reason(tmp_path):
    def half() -> None:
        with files.whole(tmp_path / "a.png") as draft:
            assert draft.suffix == ".png"
            draft.write_text("half")
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        half()
    assert not list(tmp_path.iterdir())


def test_what_is_no_regular_file_is_written_and_not_replaced(tmp_path):
    link = tmp_path / "full"
    link.symlink_to(FULL)
    with pytest.raises(files.WriteError, match=f"^{link}: .*: No space left on device$"):
        files.write(link, "text")
    files.write("/dev/null", "text")
    assert link.is_symlink()
    assert not os.path.isfile("/dev/null")
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    files.write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_rows_are_added_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.csv"
    with files_up_to(100):
        with pytest.raises(files.WriteError, match="File too large"):
            files.append(path, "x" * 200)
        assert not path.exists()
        files.append(path, "a,b\n")
        with pytest.raises(files.WriteError, match=r"a\.csv: .*File too large"):
            files.append(path, "1,2\n" * 50)
    assert path.read_text() == "a,b\n"
    files.append(path, "3,4\n")
    assert path.read_text() == "a,b\n3,4\n"


def test_written_over_in_its_place_or_as_before(tmp_path):
    path = tmp_path / "row"
    path.write_text("a long first row")
    files.overwrite(path, "short")
    assert path.read_text() == "short"
    with files_up_to(50), pytest.raises(files.WriteError):
        files.overwrite(path, "x" * 100)
    assert path.read_text() == "short"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("none/a", "No such file or directory"),
        ("file/a", "Not a directory"),
        (".", "Is a directory"),
    ],
)
def test_a_place_that_takes_no_file_is_known_before_the_work(place, reason, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(files.WriteError, match=f"Received: {reason}$"):
        files.check(tmp_path / place)
    files.check(tmp_path / "fine")
    files.check("/dev/null")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_standard_output_that_is_full():
    code = "from lstmlab import files\ntry: files.say('text')\n"
    code += "except files.WriteError as error: raise SystemExit(str(error))"
    with open(FULL, "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("standard output: expected a file that can be written")


def test_a_reader_that_has_seen_enough_ends_it_quietly():
    code = "from lstmlab import files\nfor k in range(3): files.say('text')"
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    program.stdout.close()  # before the program has begun to write
    assert program.stderr.read() == b""
    program.stderr.close()
    assert program.wait() == 0


def test_the_reason_in_few_words():
    long = "Can't write (file write failed: time = Sat, errno = 28, error message = '...')"
    assert files.reason(OSError(errno.ENOSPC, long)) == "No space left on device"
    assert files.reason("a{{function_node x}} b [Op:Flush] name: ") == "a b"
    assert files.reason(ValueError()) == "ValueError"
