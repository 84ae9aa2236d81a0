"""Names that changed: an older run's config under today's names."""

from typing import Any


def current(node: Any) -> Any:
    """Return the config of an older run, or a part of it, under today's names.

    Only learners changed, wherever they are: also those within `growing` or a diagnostic. A config
    of today stays as it is.
    """
    if not isinstance(node, dict):
        return node
    after = {key: current(value) for key, value in node.items()}
    package, _, name = str(node.get("_target_", "")).rpartition(".")
    if package != "lstmlab.learners":
        return after

    # renamed.yaml, for messages, has them by their place; here they lie anywhere
    names = {"updates": "update_every", "h": "horizon"}
    if name == "Growing":
        names["block"] = "period"
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
