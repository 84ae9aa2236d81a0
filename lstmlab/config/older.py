"""Names that changed: an older run's config under today's names."""

from typing import Any

from lstmlab.config.options import renamed


def current(config: dict) -> dict:
    """Return the config of an older run under today's names; one of today stays as it is."""
    return _learners_of_today(_as_of_today(config))


def _as_of_today(node: Any, before: str = "") -> Any:
    """Give settings their new names, wherever renamed.yaml has one."""
    if not isinstance(node, dict):
        return node
    names = renamed()["settings"]
    after = {}
    for key, value in node.items():
        new = names.get(f"{before}{key}", f"{before}{key}")
        if new is not None:
            after[new.removeprefix(before)] = _as_of_today(value, f"{before}{key}.")
    return after


def _learners_of_today(node: Any) -> Any:
    """Do the same for every learner in a config, such as those within `growing` or a diagnostic."""
    if not isinstance(node, dict):
        return node
    after = {key: _learners_of_today(value) for key, value in node.items()}
    package, _, name = str(node.get("_target_", "")).rpartition(".")
    if package != "lstmlab.learners":
        return after

    # not in renamed.yaml: these lie anywhere in a config, and `limit` became two names
    names = {"updates": "update_every", "h": "horizon"}
    if name in ("RTRL", "SnAp"):
        names["limit"] = "max_sensitivities"
    if name == "Truncated1997":
        names["limit"] = "max_trace"

    after = {names.get(key, key): value for key, value in after.items()}
    return _split_truncated1997(after) if name == "Truncated1997" else after


def _split_truncated1997(learner: dict) -> dict:
    """Choose the class: until 2026-11 one class had both forms of the rule of 1997."""
    if "form" not in learner:
        return learner
    # each of the two classes of today refuses the settings of the other
    forward = learner["form"] == "traces"
    others = {"scope"} if forward else {"update_every", "decay", "decay_steps", "max_trace"}
    left = {name: value for name, value in learner.items() if name not in {"form", *others}}
    return {**left, "_target_": "lstmlab.learners.Truncated1997Forward"} if forward else left
