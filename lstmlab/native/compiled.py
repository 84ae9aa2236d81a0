"""Compile kernels, and keep them: Numba's cache needs a file that stays where it is."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOURCES = (
    "simd.py",
    "functions.py",
    "sequence/products.py",
    "chunking/parts.py",
    "chunking/steps.py",
    "chunking/pair.py",
    "chunking/levels.py",
)  # what kernels are compiled together with


@functools.cache
def folder() -> Path:
    """Where kernels are kept: LSTMLAB_CACHE, else the user's cache folder, else a temporary one.

    The temporary one is taken only if nobody else can write to it: what it holds is run.

    Raises:
        OSError: There is none.
    """
    own = os.environ.get("LSTMLAB_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    first, second = base / "lstmlab", Path(tempfile.gettempdir()) / f"lstmlab-{os.getuid()}"
    if _writable(first):
        return first
    if not _writable(second, mode=0o700) or not _private(second):
        raise OSError(f"no folder for it, neither {first} nor {second}; LSTMLAB_CACHE names one")
    print(f"native: {first} cannot be written, kernels are kept in {second}", file=sys.stderr)
    return second


def _writable(place: Path, mode: int = 0o777) -> bool:
    try:
        place.mkdir(mode=mode, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


def _private(place: Path) -> bool:
    """Whether a folder is the user's own, and nobody else can write to it."""
    about = place.lstat()
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o022


@functools.cache
def missing() -> str:
    """Why no kernel can be compiled here, or ''."""
    try:
        importlib.import_module("lstmlab.native.functions")
    except Exception as error:  # no Numba, or one that this Python or NumPy does not suit
        return " ".join(str(error).split()) or type(error).__name__
    import numba

    return "NUMBA_DISABLE_JIT is set" if getattr(numba.config, "DISABLE_JIT", 0) else ""


@functools.cache
def _version() -> bytes:
    import numba

    here = Path(__file__).parent
    parts = [(here / name).read_bytes() for name in SOURCES]
    return b"".join(parts) + f"{numba.__version__} {sys.version}".encode()


@functools.cache
def compiled(source: str) -> Callable:
    """The kernel with this source; from the cache if a process has compiled it before.

    One that cannot be kept is compiled all the same, and a line on stderr says so.
    """
    name = "kernel_" + hashlib.sha256(_version() + source.encode()).hexdigest()[:24]
    try:
        kernel = _kept(name, source)
    except OSError as error:
        _say(error)
        alone: dict = {"__name__": name}
        exec(compile(source.replace("cache=True", "cache=False"), name, "exec"), alone)
        return alone["kernel"]
    save = kernel._cache.save_overload

    def save_or_say(*of_one_type: Any) -> None:
        try:
            save(*of_one_type)
        except OSError as error:  # a full disk, at the first call
            _say(error)

    kernel._cache.save_overload = save_or_say
    return kernel


def _kept(name: str, source: str) -> Any:
    """The kernel, from a file in the cache."""
    path = folder() / f"{name}.py"
    if not path.exists() or path.read_bytes() != source.encode():  # or it is damaged
        draft = path.with_suffix(f".{os.getpid()}")
        try:
            draft.write_text(source)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    spec = importlib.util.spec_from_file_location(f"lstmlab_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # by which Numba finds the functions of a cached kernel
    spec.loader.exec_module(module)
    return module.kernel


def _say(error: OSError) -> None:
    why = error.strerror or str(error)
    print(f"native: the kernel is compiled but cannot be kept: {why}", file=sys.stderr)
