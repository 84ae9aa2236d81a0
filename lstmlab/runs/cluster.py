"""The launcher that gives the jobs of a sweep to the workers of a Dask scheduler.

A worker carries out one job at a time, in a process of its own as everywhere. What workers and
leader have in common is the folder of the sweep: rows, locks, and the file that stops the sweep.
"""

import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from lstmlab import checks
from lstmlab.errors import refusal

DASK = "lstmlab.runs.cluster.Dask"
OWNER = "hydra/launcher"
STOP = "stop"  # as lstmlab.runs.sweep has it
LOOK = 0.5  # seconds between two looks at the file that stops a sweep
_one = threading.Lock()  # Hydra keeps the config of a job in the process


def check(launcher: Mapping[str, Any]) -> None:
    """Refuse a cluster that cannot be, before anything is written. Raises ValueError."""
    if launcher.get("_target_") != DASK:
        return
    if find_spec("distributed") is None:
        expected = "Dask, which `pip install 'lstmlab[dask]'` installs"
        raise refusal(OWNER, expected, "hydra/launcher=dask")
    checks.number(OWNER, "hydra.launcher.patience", launcher["patience"], above=0)
    address = _address(launcher["scheduler"])
    if not re.fullmatch(r"(\w+://)?[^/\s]+:\d+", address):
        expected = "the address of a scheduler, as tcp://HOST:8786, or DASK_SCHEDULER_ADDRESS"
        raise refusal(OWNER, expected, {"hydra.launcher.scheduler": address or None})


def _address(given: Any) -> str:
    import dask

    return str(given or dask.config.get("scheduler-address", None) or "")


class Dask(Launcher):
    """The launcher; arguments as in conf/hydra/launcher/dask.yaml."""

    def __init__(self, scheduler: str | None, patience: float):
        self.scheduler, self.patience = scheduler, patience
        self.client: Any = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what the jobs need."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Carry out the jobs on the workers; one whose workers died again and again is lost.

        Raises:
            ValueError: There is no such scheduler, no worker, or one with several threads.
            RuntimeError: The scheduler is gone.
        """
        import cloudpickle

        self._connect()
        setup_globals()
        common = (self.context, self.config, self.task, Singleton.get_state(), os.getcwd())
        packed = cloudpickle.dumps(common)
        futures = [
            self.client.submit(carry_out, packed, number, list(overrides), pure=False)
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        self._wait(futures)
        return [_answer(future) for future in futures]

    def _connect(self) -> None:
        """Connect to the scheduler, once."""
        if self.client is not None:
            return
        from distributed import Client

        address = _address(self.scheduler)
        received = {"hydra.launcher.scheduler": address}
        try:
            self.client = Client(address, timeout=self.patience, set_as_default=False)
        except OSError:
            raise refusal(OWNER, "the address of a scheduler that answers", received) from None
        try:
            self.client.wait_for_workers(1, timeout=self.patience)
        except TimeoutError:
            expected = f"a worker within {self.patience} s, `dask worker {address} --nthreads 1`"
            raise refusal(OWNER, expected, received) from None
        threads = self.client.nthreads()
        if several := [worker for worker, number in threads.items() if number > 1]:
            expected = "workers of one thread each, `dask worker --nthreads 1 --nworkers N`"
            raise refusal(OWNER, expected, {"worker": several[0], "nthreads": threads[several[0]]})

    def _wait(self, futures: Sequence[Any]) -> None:
        """Wait for the jobs; of a sweep that is stopped only as long as there are workers."""
        stop = Path(os.path.abspath(self.config.hydra.sweep.dir)) / STOP
        while not all(future.done() for future in futures):
            if stop.exists() and not self.client.nthreads():
                return
            time.sleep(LOOK)
        if any(future.status == "cancelled" for future in futures):
            raise RuntimeError(f"the scheduler at {self.client.scheduler.address} is gone")


def _answer(future: Any) -> JobReturn:
    """What a job has returned; one whose workers died has no more than its row."""
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result()
    error = future.exception() if future.status == "error" else None
    if error is None or isinstance(error, KilledWorker):
        return JobReturn(status=JobStatus.COMPLETED)
    return JobReturn(status=JobStatus.FAILED, _return_value=error)


def carry_out(packed: bytes, number: int, overrides: list[str]) -> JobReturn:
    """Carry out one job on a worker, as Hydra's own launchers do."""
    import cloudpickle

    context: HydraContext
    task: TaskFunction
    context, config, task, state, working = cloudpickle.loads(packed)
    with _one:
        os.chdir(working)
        setup_globals()
        Singleton.set_state(state)
        job = context.config_loader.load_sweep_config(config, overrides)
        with open_dict(job):
            job.hydra.job.id = f"{job.hydra.job.name}_{number}"
            job.hydra.job.num = number
        HydraConfig.instance().set_config(job)
        return run_job(
            hydra_context=context,
            config=job,
            task_function=task,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
