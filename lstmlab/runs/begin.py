"""What happens before Hydra writes anything: everything that can be refused is refused here.

Hydra makes a run's folder and fills .hydra/ before it calls `lstmlab`. Its callbacks come earlier.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from lstmlab import files
from lstmlab.config import import_as
from lstmlab.errors import refusal
from lstmlab.runs import cluster, identity, rows, space
from lstmlab.runs.loading import loading
from lstmlab.runs.settings import check_plain, check_read

if TYPE_CHECKING:
    from lstmlab.results import Run  # loads pandas
    from lstmlab.runs.build import Prepared

ROOM = 2**15  # bytes that a run needs at once: its config and its row
HELD = ("result.json", "run.yaml", "history.csv", ".hydra")  # any of them: the folder holds a run


def _option(group: str) -> str:
    """The option chosen in a group, as a row names it: the names of run folders have it."""
    return HydraConfig.get().runtime.choices.get(group) or "custom"


def _sweep_name(given: Any) -> str:
    """The name of a sweep's folder, see lstmlab.runs.identity."""
    about = HydraConfig.get()
    params = about.sweeper.get("params") or {}
    typed = [*about.overrides.task, *(f"{name}={value}" for name, value in params.items())]
    kind = "search-" if space.is_search(about.sweeper) else ""
    return kind + identity.sweep_name(typed) if given is None else str(given)


def _identity(*, _root_: Any) -> str:
    """The identity of the run that a whole config describes."""
    return identity.identity(_plain(_root_))


OmegaConf.register_new_resolver("option", _option, replace=True)
OmegaConf.register_new_resolver("identity", _identity, replace=True)
# kept in the config of the sweep, of which those of its jobs are copies: they have one folder
OmegaConf.register_new_resolver("sweep_name", _sweep_name, use_cache=True, replace=True)


class Refused(BaseException):
    """A refusal, as its cause. Of an Exception in a callback Hydra makes a mere warning."""


class Begun(NamedTuple):
    """The run that has begun in this process: its folder with the first row, and its parts."""

    run: "Run"
    prepared: "Prepared"


begun: list[Begun] = []


class Begin(Callback):
    """Receives Hydra's notice that a run or a sweep begins."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse what can be refused, build the run, and write its first row."""
        with refusing():
            HydraConfig.instance().set_config(config)  # for ${hydra:...} in the folder's name
            choices = dict(config.hydra.runtime.choices)
            rows.check_single(config.hydra.sweeper, choices)
            plain = _checked(config)
            folder = Path(os.path.abspath(str(OmegaConf.select(config, "hydra.run.dir"))))
            _check_free(folder)
            _check_room(folder)
            import_as(plain, config.hydra.runtime)
            runtime = cast(dict, OmegaConf.to_container(config.hydra.runtime, resolve=True))
            runtime["output_dir"] = str(folder)
            _begin(plain, choices, folder, runtime)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse what holds for all jobs. What one job alone has is told in its row."""
        with refusing():
            HydraConfig.instance().set_config(config)  # for the name of the sweep's folder
            settings = _checked(config, config.hydra.overrides.task)
            if empty := identity.without_values(config.hydra.overrides.task):
                raise refusal("sweep", "at least one value for each setting", empty)
            space.check(config.hydra.sweeper, config.hydra.overrides.task, settings)
            cluster.check(config.hydra.launcher)
            _check_room(Path(os.path.abspath(str(OmegaConf.select(config, "hydra.sweep.dir")))))


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an error of the block into a refusal that Hydra lets through."""
    try:
        yield
    except Exception as error:
        raise Refused from error


def _checked(config: DictConfig, overrides: Iterable[str] = ()) -> dict:
    """The settings as plain containers, if they can be those of a run."""
    check_read(config, overrides)
    plain = _plain(config)
    check_plain(plain)
    return plain


def _plain(config: DictConfig) -> dict:
    ours = OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])
    return cast(dict, OmegaConf.to_container(ours, resolve=True))


def _check_free(folder: Path) -> None:
    if any((folder / name).exists() for name in HELD):
        raise refusal("train", "a folder without a run", {"folder": str(folder)})


def _check_room(folder: Path) -> None:
    """Raise WriteError if the folder cannot be made or takes no files.

    Makes none: another run may begin in the same place, and would see it vanish.
    """
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    draft = there / f".draft-{os.getpid()}-room"
    try:
        with files.writing(folder, "folder"):
            draft.write_bytes(bytes(ROOM))
    finally:
        with suppress(OSError):
            draft.unlink()


def _begin(settings: dict, choices: dict, folder: Path, runtime: dict) -> None:
    names = ("task", "cell", "learner", "trainer", "optimizer")
    what = ", ".join(f"{name} {choices.get(name) or 'custom'}" for name in names)
    print(f"building {what}, seed {settings['seed']}", file=sys.stderr, flush=True)

    environment(settings["threads"])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryFile() as greetings:
        with _stderr_to(greetings.fileno()), loading():
            from lstmlab.runs.build import prepare
        prepared = prepare(settings)
        greetings.seek(0)
        log = greetings.read()

    from lstmlab.runs import kept

    with files.writing(folder, "folder"):
        folder.mkdir(parents=True, exist_ok=True)
    made_from = kept.Kept(identity.of_the_run(settings), choices, runtime)
    run = kept.begin(folder, made_from)
    begun.append(Begun(run, prepared))
    if log:
        files.append(folder / "log.txt", log.decode(errors="replace"))


def environment(threads: Any) -> None:
    """Set what must be set before TensorFlow is imported: threads, the backend, and quiet."""
    fine = threads in range(1, (os.cpu_count() or 1) + 1)  # if it is not, the job refuses it
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(threads if fine else 1)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _stderr_to(target: int) -> Iterator[None]:
    """Send stderr to a file: TensorFlow greets there on import, and no setting silences it."""
    kept = os.dup(2)
    os.dup2(target, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
