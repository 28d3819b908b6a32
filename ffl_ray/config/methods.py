"""What the settings make of a method, without torch: its row, and its own values where none is set.

A setting of `none` (model.mix, distill.temperature, distill.ramp_up, distill.weight, distill.views,
model.trunk_stages) means the method's own value in its row of `method_rows`; `resolved` puts it
in.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from ffl_ray.config.distill_settings import Policy
from ffl_ray.config.gates import reads_fused
from ffl_ray.config.image_shapes import num_classes
from ffl_ray.config.method import NEEDS, Method, Need
from ffl_ray.config.method_rows import METHODS
from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.overrides import mix_name, with_overrides
from ffl_ray.config.settings import (
    Config,
    DistillConfig,
    ResolvedConfig,
    ResolvedData,
    ResolvedDistill,
    ResolvedModel,
)
from ffl_ray.config.user_code import OwnCode, is_own, kind_of
from ffl_ray.errors import SettingError

__all__ = [
    "METHODS",
    "NEEDS",
    "Method",
    "Need",
    "leader_of",
    "made_of",
    "method_of",
    "mix_of",
    "named_branch",
    "needs_held_out",
    "resolved",
    "resolved_distill",
    "resolved_from",
    "resolved_model",
    "trained_on",
    "with_reachable_objective",
]

GENERAL = ("kdcl", "general")
OWN = ("temperature", "ramp_up", "weight", "views")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
ConfigT = TypeVar("ConfigT", bound=Config)
DEFAULT_BACKBONE = "resnet32"
WITHOUT_FUSED = "ensemble.accuracy"
OWN_PARTS = Method(head="fusion", source="your own")


def method_of(distill: DistillConfig) -> Method:
    """The row of the method that the settings name.

    Raises:
        SettingError: it is the user's own, and can't be imported.
    """
    if not is_own(distill.method):
        row = METHODS[distill.method]
        fuses = distill.method == "ktg" and reads_fused(distill.gates)
        return row._replace(head="fusion") if fuses else row
    own = OwnCode("distill.method", "a method", "function", distill.method)
    parts = getattr(own.load(), "parts", OWN_PARTS)
    if not isinstance(parts, Method):
        raise own.broken(f"its parts must be a ffl_ray.config.methods.Method, not {kind_of(parts)}")
    return parts


def needs_held_out(distill: DistillConfig) -> bool:
    """Whether the method measures after each epoch on images that are not trained on.

    A final training then leaves those out that a search validates with.
    """
    general = (distill.method, distill.kdcl_teacher) == GENERAL
    return general or method_of(distill).held_out


def holds_out(config: Config) -> bool:
    """Whether a final training leaves out what a search validates with: asked for, or needed."""
    return config.data.hold_out or needs_held_out(config.distill)


def trained_on(stored: Collection[Mapping[str, Any]], images: int | None = None) -> str:
    """What final trainings with these stored settings trained on; nobody's own code is loaded.

    Args:
        images: of train and val together.
    """
    held = sum(
        bool(settings.get("data.hold_out"))
        or (settings.get("distill.method"), settings.get("distill.kdcl_teacher")) == GENERAL
        for settings in stored
    )
    if not held:
        return "train + val" if images is None else f"train + val, {images:,} images"
    which = "" if held == len(stored) else f"train + val, {held} of {len(stored)} on "
    return f"{which}train alone, since on the validation images something is measured"


def made_of(parts: Method, **brings: object) -> Callable[[FunctionT], FunctionT]:
    """A decorator that says what a method of your own is made of; without it, what `ffl` is.

    Args:
        brings: what it does beside its loss, by the names of `ffl_ray.distill.recipe.Recipe`.
    """

    def told(function: FunctionT) -> FunctionT:
        vars(function).update(parts=parts, brings=brings)
        return function

    return told


def resolved(config: Config) -> ResolvedConfig:
    """The config with the method's own value wherever it leaves one to the method.

    The method is looked up, and so the user's own is imported, only where something is left to it.

    Raises:
        SettingError: the method is the user's own, and can't be imported.
    """
    model = resolved_model(config)
    distill = resolved_distill(config.distill, model)
    data = resolved_data(config)
    return ResolvedConfig(**dict(config) | {"data": data, "model": model, "distill": distill})


def resolved_from(settings: Mapping[str, object]) -> ResolvedConfig:
    """The resolved config of a training with these dotted settings.

    Raises:
        SettingError: as `with_overrides` and `resolved` do.
    """
    return resolved(with_overrides(Config(), settings))


def resolved_model(config: Config) -> ResolvedModel:
    """The settings of the network with the method's own mix and shared stages, if none are set."""
    own: dict[str, object] = {}
    if config.model.trunk_stages is None:
        own["trunk_stages"] = method_of(config.distill).trunk_stages
    if config.model.mix is None:
        method = method_of(config.distill)
        own["mix"] = mix_of_method(method, DEFAULT_BACKBONE, method.num_branches)
    return ResolvedModel(**dict(config.model) | own)


def mix_of_method(method: Method, backbone: str, count: int) -> tuple[str, ...]:
    """The branches of one backbone that suit a method: alike, or each deeper than the last."""
    more = (method.deeper * index for index in range(count))
    return tuple(f"{backbone}+{blocks}" if blocks else backbone for blocks in more)


def resolved_data(config: Config) -> ResolvedData:
    """The settings of the data with the images of each class that the method needs in a batch.

    The fewest, from 2 on, that divide the batch into no more groups than there are classes; how
    many there are in a folder is not known before it is opened: 2.
    """
    wanted = config.data.images_per_class
    if wanted is None:
        needed = "positives" in method_of(config.distill).needs
        wanted = _fewest_per_class(config) if needed else 1
    return ResolvedData(**dict(config.data) | {"images_per_class": wanted})


def _fewest_per_class(config: Config) -> int:
    batch_size = config.optim.batch_size
    groups = num_classes(config.data) or batch_size
    found = (
        m for m in range(2, batch_size + 1) if batch_size % m == 0 and batch_size // m <= groups
    )
    return next(found, 2)


def mix_of(config: Config) -> tuple[str, ...]:
    """The backbones of a config's branches: those that it names, or the method's own."""
    return resolved_model(config).mix


def leader_of(model: ResolvedModel, distill: DistillConfig) -> int | None:
    """The index of the branch that leads; none where the method has no leader.

    Raises:
        SettingError: one is named that there is not.
    """
    named = named_branch(model, distill)
    return named if method_of(distill).leader else None


def named_branch(model: ResolvedModel, distill: DistillConfig) -> int | None:
    """The index of the leader, or of the target; none where the method has neither.

    Raises:
        SettingError: one is named that there is not.
    """
    wanted, mix, method = model.leader, model.mix, method_of(distill)
    if not method.leader and method.deployed != "target":
        if wanted is not None:
            raise SettingError(
                f"model.leader must be none for distill.method {distill.method}, which has no "
                f"leader, not {wanted!r}"
            )
        return None
    if wanted is None:
        counted = method.least_leads
        return min(range(len(mix)), key=lambda k: _by_numbers(mix[k])) if counted else 0
    if wanted in mix:
        return mix.index(wanted)
    if not wanted.isdecimal() or int(wanted) >= len(mix):
        raise SettingError(
            f"model.leader must be a backbone of {mix_name(mix)}, or a branch from 0 to "
            f"{len(mix) - 1}, not {wanted!r}"
        )
    return int(wanted)


def _by_numbers(name: str) -> list[str | int]:
    """A key that sorts resnet20 before resnet110, and both as their family is."""
    return [int(part) if part.isdecimal() else part for part in re.split("([0-9]+)", name)]


def resolved_distill(distill: DistillConfig, model: ResolvedModel | None = None) -> ResolvedDistill:
    """The settings of the method with its own values for those that are not set.

    Args:
        model: what it trains: how many views there are, and whether branches share nothing and may
            have batches of their own; none: as the method has it.
    """
    left = [name for name in OWN if getattr(distill, name) is None]
    own: dict[str, object] = {name: getattr(method_of(distill), name) for name in left}
    if distill.own_batches is None:
        apart = model is not None and model.trunk_stages == 0 and not distill.views
        own["own_batches"] = apart and distill.method == "independent"
    if distill.view_policies is None:
        views = own.get("views", distill.views)
        own["view_policies"] = _view_policies(distill, model) if views else ()
    return ResolvedDistill(**dict(distill) | own)


def _view_policies(distill: DistillConfig, model: ResolvedModel | None) -> tuple[Policy, ...]:
    method = method_of(distill)
    count = (len(model.mix) if model else method.num_branches) + method.student_average
    return tuple(itertools.islice(itertools.cycle(method.view_policies), count))


def with_reachable_objective(config: ConfigT) -> ConfigT:
    """The config, judged by the ensemble where its method has no fused classifier to judge."""
    judged_by_fused = parse_objective(config.objective).member == "fused"
    if method_of(config.distill).head is None and judged_by_fused:
        return config.model_copy(update={"objective": WITHOUT_FUSED})
    return config
