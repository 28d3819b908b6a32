"""Settings of the version before: their names of today, what they were, and their refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ffl_ray.config.readers import without_effect

EPOCHS = "optim.epochs"
DECAY = "distill.ema_decay"
# What was counted in epochs, or per step, and is a share of the training now.
SHARES = {
    "distill.ramp_up_epochs": "distill.ramp_up",
    "optim.warmup_epochs": "optim.warmup",
    "search.grace_epochs": "search.grace",
    DECAY: "distill.ema_span",
}
LEFT: dict[str, float | None] = {"distill.ramp_up": None, "search.grace": 1 / 9}
PUBLISHED_EPOCHS, PUBLISHED_STEPS = 300, 117_300
SIZE, FOLDER_SIDE = "data.image_size", 64  # what it was of every data set
WARM_START = "search.warm_start"
PER_CLASS, WITH_MCL = "data.images_per_class", "distill.contrast_weight"  # a setting since then
METHOD, TEACHER = "distill.method", "distill.kdcl_teacher"
# What a method's own value was, where it is another one now.
STAGES = "model.trunk_stages"
OWN: dict[str, dict[str, object]] = {
    "kdcl": {"distill.temperature": 4.0, STAGES: 2},
    "independent": {},
}
SHARED: dict[str, object] = {STAGES: 2}


def renamed(name: str) -> str:
    """What a setting is called today, as the tail of a message; nothing where it is unknown."""
    if name not in SHARES:
        return ""
    return f": it is {SHARES[name]} now, a share of the training (80 of 300 epochs are 0.267)"


def of_today(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings of this version or the one before, by the names of this one.

    Args:
        settings: all of them, by dotted name; numbers may be text.
    """
    found = {name: value for name, value in settings.items() if name not in SHARES}
    views = found.get("distill.views")
    of_a_training = str(views) in ("True", "False")  # a search leaves it
    before = of_a_training and "distill.own_batches" not in settings
    if found.get(TEACHER) == "general" and (before or "distill.ramp_up_epochs" in settings):
        found[TEACHER] = "general_batch"
    if WITH_MCL not in settings:
        found[PER_CLASS] = found.get(PER_CLASS, 1)
        if not of_a_training and found[PER_CLASS] == 1:
            found[PER_CLASS] = None
    if of_a_training:
        found.setdefault("distill.own_batches", False)
        found.setdefault("distill.view_policies", "()" if isinstance(views, str) else [])
    if WARM_START in found and not isinstance(found[WARM_START], list):
        found[WARM_START] = [found[WARM_START]] if found[WARM_START] else []
    epochs = _number(settings.get(EPOCHS))
    if found.get(SIZE) in (FOLDER_SIDE, str(FOLDER_SIDE)) and found.get("data.name") != "folder":
        found[SIZE] = None
    for name in SHARES.keys() & settings.keys():
        length, today = _number(settings[name]), SHARES[name]
        found[today] = LEFT.get(today) if length is None else _share(name, length, epochs or 1)
    if of_a_training:
        _forget_unread(found)
    return found


def _forget_unread(found: dict[str, Any]) -> None:
    """Give what has no effect its default: methods ignored it without a word."""
    for name, value in without_effect(found).items():
        is_list = isinstance(value, tuple) and isinstance(found[name], list)
        as_stored = [*value] if is_list else value  # JSON has no tuples
        if str(found[name]) != str(as_stored):
            found[name] = as_stored


def as_then(name: str, share: Any, epochs: Any) -> Any:
    """What a share, or a column of them, was by its old name."""
    return 1 - 1 / (share * PUBLISHED_STEPS) if name == DECAY else share * epochs


def to_go_on_with(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same, to be held against today's: what this version computes in another way differs.

    An epoch of a training of 300 has the distill weight that it had; of another length it has not.
    """
    found = of_today(settings)
    if "distill.ramp_up_epochs" not in settings:
        return found
    length, epochs = settings["distill.ramp_up_epochs"], _number(settings.get(EPOCHS))
    if epochs != PUBLISHED_EPOCHS and _number(length) != 0:
        found["distill.ramp_up"] = f"{'80' if length is None else length} of {epochs} epochs"
    if found.get(SIZE) in (FOLDER_SIDE, str(FOLDER_SIDE)):
        found[SIZE] = None
    method = found.get(METHOD)
    if method == "kdcl" and found.get(TEACHER) == "linear":
        found[TEACHER] = "linear, in steps of before"
    if method == "pcl":
        found["distill.ema_span"] = f"decay {settings.get(DECAY)} a step"
    if method == "okddip":
        found[METHOD] = "okddip, its leader in the ensemble"
    elif found.get("model.mix") == ["resnet32", "resnet32"] and found.get("distill.weight") is None:
        found["model.mix"] = None  # of a search, which leaves it to its space
    for name, value in OWN.get(str(method), SHARED).items():
        found[name] = value if found.get(name) is None else found[name]
    return found


def _share(name: str, value: float, epochs: float) -> float:
    if name == DECAY:
        return round(1 / (1 - value), 6) / PUBLISHED_STEPS
    return value / epochs


def _number(value: object) -> float | None:
    """A number, or the number that a text is; None for anything else."""
    try:
        return None if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
