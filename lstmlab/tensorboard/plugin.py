"""GatesPlugin: the page Gates of TensorBoard, which finds it by the entry point of the package.

It answers GET requests alone, with the page's own files, the list of runs, their tables as csv,
the equations of their cells, and sections of docs/diagnostics.md. A name that is not that of a
listed run or of a known table is not found, so that no path leads out of the log folder. It writes
nothing.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import Request, Response

from lstmlab.results import EVENTS, NAMES, ROW, Run
from lstmlab.tensorboard import reading
from lstmlab.tensorboard.runs import Runs

STATIC = Path(__file__).parent / "static"
TYPES = {".js": "application/javascript", ".css": "text/css"}
Answer = Callable[[Request], tuple[str, str]]


class GatesPlugin(base_plugin.TBPlugin):
    """See the module.

    Args:
        context: What TensorBoard gives to every plugin; of it `logdir` and `flags` are read.
    """

    plugin_name = "lstmlab_gates"

    def __init__(self, context: base_plugin.TBContext):
        self.runs = Runs(_roots(context))
        self._lock = threading.Lock()
        self._active = False

    def get_plugin_apps(self) -> dict[str, Callable]:
        """Return what answers each path."""
        files = {f"/{path.name}": _file(path) for path in STATIC.iterdir() if path.suffix in TYPES}
        answers = {"/runs": self._listed, "/table": self._table, "/equations": self._equations}
        answers["/reading"] = _reading
        return {path: _get(answer) for path, answer in {**files, **answers}.items()}

    def is_active(self) -> bool:
        """Return whether there is a run to show."""
        self._active = self._active or self.runs.any()
        return self._active

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Return how TensorBoard shows the page."""
        return base_plugin.FrontendMetadata(es_module_path="/index.js", tab_name="Gates")

    def _listed(self, request: Request) -> tuple[str, str]:
        with self._lock:
            return json.dumps(_plain(self.runs.listed())), "application/json"

    def _table(self, request: Request) -> tuple[str, str]:
        run, name = request.args.get("run", ""), request.args.get("name", "")
        return self.runs.table(run, name), "text/csv"

    def _equations(self, request: Request) -> tuple[str, str]:
        from lstmlab.tensorboard.equations import equations

        folder = self.runs.folder(request.args.get("run", ""))
        layer = request.args.get("layer", "")
        return json.dumps(equations(folder, layer)), "application/json"


def _roots(context: base_plugin.TBContext) -> dict[str, Path]:
    """The log folders: --logdir, or those of --logdir_spec with their names.

    Where one is a folder of event files, the tables of its runs lie elsewhere.
    """
    if context.logdir:
        return {"": _above(Path(context.logdir).expanduser())}
    spec = getattr(context.flags, "logdir_spec", "") or ""
    roots = {}
    for number, part in enumerate(part for part in spec.split(",") if part):
        name, colon, path = part.partition(":")
        folder = Path(path if colon else name).expanduser()
        roots[name if colon else str(number)] = _above(folder)
    return roots


def _above(folder: Path) -> Path:
    """The folder of the run or of the sweep whose event files a folder holds, or this folder."""
    above = folder.parent
    if folder.name == EVENTS and ((above / ROW).exists() or (folder / NAMES).exists()):
        return above
    if above.name == EVENTS and (above / NAMES).exists():
        runs = (row.parent for row in above.parent.rglob(ROW))
        return next((run for run in runs if Run(run).events == folder), folder)
    return folder


def _file(path: Path) -> Answer:
    return lambda request: (path.read_text(encoding="utf-8"), TYPES[path.suffix])


def _reading(request: Request) -> tuple[str, str]:
    return reading.section(request.args.get("section", "")), "text/html"


def _get(answer: Answer) -> Callable:
    """What answers a GET request; others are refused, and a name that is not known not found."""

    def respond(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            told = http_util.Respond(request, "only GET", "text/plain", code=405)
            told.headers["Allow"] = "GET"
            return told
        try:
            content, kind = answer(request)
        except KeyError:
            return http_util.Respond(request, "not found", "text/plain", code=404)
        told = http_util.Respond(request, content, kind)
        told.headers["X-Content-Type-Options"] = "nosniff"
        return told

    return Request.application(respond)


def _plain(value: Any) -> Any:
    """What JSON can hold: not a number and infinities become None."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value
