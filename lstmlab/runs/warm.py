"""A process that has TensorFlow loaded already, and forks one job of a sweep after another.

Loading takes longer than many a job. Nothing of TensorFlow is used before the fork, so that jobs
share no state but what loading made. The worker of a sweep holds a `Warm`; at the other end of its
socket is this module as a program, which answers with two numbers for each job: its process, and
its exit code.
"""

import importlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lstmlab.runs.loading import loading

LOOK = 0.05  # seconds between two looks at a job
JOB = "lstmlab.runs.job"
NUMBER = struct.Struct("!i")  # of one size: two that are sent before one is read stay apart


class Warm:
    """The worker's end: the process that forks, in an environment that stays as it is.

    Args:
        log: Where what the process itself says goes; each job writes to its own.
        job: The module whose `carry_out(folder, parent)` is a job and returns its exit code; what
            it names in LATER is loaded, too.
    """

    def __init__(self, log: Any, job: str = JOB):
        self.door, other = socket.socketpair()
        # -P: the working folder comes last in sys.path here too, see lstmlab.config.import_as
        command = [sys.executable, "-P", "-m", __name__, str(other.fileno()), job]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # which no Ctrl-C and no signal to the group reaches
            pass_fds=(other.fileno(),),
        )
        other.close()

    def fork(self, folder: Path, log: Any, lock: int) -> int | None:
        """Start the job of a folder, and return its process; None if this process has ended.

        Args:
            folder: The job's, absolute.
            log: The file that the job writes to.
            lock: A file that stays open, and so locked, in the job too.
        """
        asked = json.dumps([str(folder), os.getcwd()]).encode()
        try:
            socket.send_fds(self.door, [asked], [log.fileno(), lock])
            return self._answer()
        except OSError:
            return None

    def wait(self, timeout: float) -> int | None:
        """The job's exit code, as of subprocess; None while it runs.

        Raises:
            ChildProcessError: This process has ended, and the job will.
        """
        if not select.select([self.door], [], [], timeout)[0]:
            return None
        code = self._answer()
        if code is None:
            raise ChildProcessError
        return code

    def end(self) -> int:
        """End this process, and return its exit code."""
        self.door.close()
        return self.process.wait()

    def _answer(self) -> int | None:
        try:
            answer = self.door.recv(NUMBER.size, socket.MSG_WAITALL)
        except ConnectionError:
            return None
        return NUMBER.unpack(answer)[0] if len(answer) == NUMBER.size else None


def main() -> None:
    """Entry point of the program, its arguments the number of the socket and the module."""
    door = socket.socket(fileno=int(sys.argv[1]))
    with loading():
        job = importlib.import_module(sys.argv[2])
        for name in job.LATER:
            with suppress(ImportError):  # it may be missing, or broken; the job says so
                importlib.import_module(name)
    while True:
        asked, files, _, _ = socket.recv_fds(door, 1 << 16, 2)
        if not asked:
            return  # the worker is gone
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            door.close()
            folder, working = json.loads(asked)
            _become(job.carry_out, folder, working, files[0], own)
        for file in files:
            os.close(file)
        door.sendall(NUMBER.pack(pid))
        code = _watch(pid, door)
        if code is None:
            return  # and the job ends, as its parent is gone
        door.sendall(NUMBER.pack(code))


def _become(
    carry_out: Callable[[Path, int], int], folder: str, working: str, log: int, parent: int
) -> None:
    """Be the job; never returns."""
    code = 1
    try:
        os.setsid()
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log, stream.fileno())
        os.chdir(working)  # of the worker, which may go from sweep to sweep
        code = carry_out(Path(folder), parent)
    except Exception:
        traceback.print_exc()
    finally:
        # an exit by the interpreter would also end what the parent has begun
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(pid: int, door: socket.socket) -> int | None:
    """The exit code of a job; None if the worker is gone first."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if select.select([door], [], [], LOOK)[0]:
            return None


if __name__ == "__main__":
    main()
