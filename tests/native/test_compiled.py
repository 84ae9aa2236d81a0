"""Kernels are kept: compiled once, by whichever process comes first, or without a cache."""

import os
import resource
import subprocess
import sys

import pytest

# a little kernel: that of a cell compiles no other way
PROGRAM = """
import os, sys
import numpy as np
from lstmlab.native.compiled import compiled, folder
SOURCE = '''
import numpy as np
from numba import njit
from lstmlab.native.functions import exp
from lstmlab.native.simd import vec


@njit(nogil=True, cache=True, error_model='numpy')
def kernel(a):
    x = vec(a, 16)
    for k in range(len(x)):
        x[k] = exp(x[k]) * SCALE
'''
a = np.zeros((2, 16), 'float32')
kernel = compiled(SOURCE.replace('SCALE', 'np.float32(2.0)'))
assert compiled(SOURCE.replace('SCALE', 'np.float32(2.0)')) is kernel
kernel(a)
assert (a == 2).all()
stats = kernel.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), folder())
"""


def start(cache, limit=None, **more):
    environment = {**os.environ, "LSTMLAB_CACHE": str(cache), "TMPDIR": str(cache), **more}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))),
    )


def ended(process):
    out, error = process.communicate()
    assert process.returncode == 0, error
    hits, misses, folder = out.split()
    return int(hits), int(misses), folder


def test_a_second_process_compiles_nothing(tmp_path):
    assert ended(start(tmp_path)) == (0, 1, str(tmp_path / "lstmlab"))
    assert ended(start(tmp_path)) == (1, 0, str(tmp_path / "lstmlab"))


def test_two_processes_at_once(tmp_path):
    both = [start(tmp_path), start(tmp_path)]
    for process in both:
        hits, misses, _ = ended(process)
        assert hits + misses == 1
    assert ended(start(tmp_path))[:2] == (1, 0)
    assert not [one for one in (tmp_path / "lstmlab").iterdir() if one.suffix not in (".py", "")
                and not one.name.startswith("__pycache__")]  # fmt: skip


def test_the_users_cache_folder_without_a_word(tmp_path):
    found = ended(start("", XDG_CACHE_HOME=str(tmp_path), TMPDIR=str(tmp_path / "none")))
    assert found == (0, 1, str(tmp_path / "lstmlab"))


def test_a_folder_that_cannot_be_written_falls_back(tmp_path):
    """A file stands where the folder should be: so it fails for an administrator, too."""
    (tmp_path / "lstmlab").write_text("")
    other = tmp_path / "other"
    other.mkdir()
    hits, misses, folder = ended(start(tmp_path, TMPDIR=str(other)))
    assert (hits, misses) == (0, 1)
    assert folder.startswith(str(other))
    again = start(tmp_path, TMPDIR=str(other))
    out, error = again.communicate()
    assert out.split()[:2] == ["1", "0"]
    assert error == (
        f"native: {tmp_path / 'lstmlab'} cannot be written, kernels are kept in {folder}\n"
    )


@pytest.mark.parametrize("who", ["others write", "another place"])
def test_a_temporary_folder_that_others_can_write_is_not_used(who, tmp_path):
    """What it holds would be run."""
    (tmp_path / "lstmlab").write_text("")
    other = tmp_path / "other"
    other.mkdir()
    shared = other / f"lstmlab-{os.getuid()}"
    if who == "others write":
        shared.mkdir()
        shared.chmod(0o777)
    else:
        (tmp_path / "elsewhere").mkdir()
        shared.symlink_to(tmp_path / "elsewhere")
    process = start(tmp_path, TMPDIR=str(other))
    out, error = process.communicate()
    assert (out, process.returncode) == ("", 1)  # the program asks for the folder at its end
    told, _, rest = error.partition("\n")
    assert told.startswith("native: the kernel is compiled but cannot be kept: no folder for it,")
    assert told.endswith("LSTMLAB_CACHE names one")
    assert "OSError: no folder for it" in rest
    assert not list(shared.iterdir())


def test_a_damaged_kernel_is_written_again(tmp_path):
    ended(start(tmp_path))
    [path] = (tmp_path / "lstmlab").glob("kernel_*.py")
    whole = path.read_text()
    path.write_text(whole[:100])
    assert sum(ended(start(tmp_path))[:2]) == 1
    assert path.read_text() == whole


def test_a_compiler_that_is_turned_off():
    told = "from lstmlab.native.compiled import missing; print(missing())"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "NUMBA_DISABLE_JIT is set\n"


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is read-only for an administrator")
def test_a_read_only_folder_falls_back(tmp_path):
    kept = tmp_path / "lstmlab"
    kept.mkdir()
    kept.chmod(0o555)
    other = tmp_path / "other"
    other.mkdir()
    assert ended(start(tmp_path, TMPDIR=str(other)))[2].startswith(str(other))


@pytest.mark.slow
@pytest.mark.parametrize("limit", [2000, 100])
def test_a_kernel_that_cannot_be_kept_is_compiled_all_the_same(tmp_path, limit):
    """No file may grow beyond the limit: the compiled kernel does, or its source too."""
    process = start(tmp_path, limit)
    out, error = process.communicate()
    assert process.returncode == 0, error
    assert out.split()[:2] == ["0", "1"]
    assert error == "native: the kernel is compiled but cannot be kept: File too large\n"
    assert ended(start(tmp_path))[:2] == (0, 1)
