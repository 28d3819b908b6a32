"""Settings that some methods alone take: where they apply, and what goes together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ffl_ray.config.methods import method_of
from ffl_ray.config.overrides import flatten, mix_name, shown, with_overrides
from ffl_ray.config.readers import READ_BY, without_effect
from ffl_ray.config.settings import Config, DistillConfig, ResolvedConfig
from ffl_ray.config.values import OF_LIBRARIES, split_deeper
from ffl_ray.errors import SettingError

ConfigT = TypeVar("ConfigT", bound=Config)
TEACHERS = ("teacher_file", "teacher_to", "teacher_weight", "teacher_temperature")


def as_read(config: ConfigT) -> ConfigT:
    """The same training, with its default for whatever of the config has no effect."""
    settings = flatten(config)
    changes = {
        name: value
        for name, value in without_effect(settings).items()
        if settings[name] not in (value, None)
    }
    return with_overrides(config, changes) if changes else config


def check_read(config: ResolvedConfig) -> None:
    """Check that whatever is set away from its default has an effect.

    Raises:
        SettingError: it has none beside the method, the optimiser or another choice.
    """
    settings = flatten(config)
    for name, value in without_effect(settings).items():
        if settings[name] != value:
            raise SettingError(unread_text(name, settings))


def unread_text(name: str, settings: Mapping[str, Any]) -> str:
    """What is wrong with a setting that has no effect beside the others, in a line."""
    readers, left = READ_BY[name], shown(without_effect(settings)[name])
    return (
        f"{name} must be {left} {readers.beside(settings)}: it is read by {readers.words}, "
        f"not {shown(settings[name])}"
    )


def check_weights(distill: DistillConfig) -> None:
    """Check that cl_ilr's cross-entropies are left at least nothing.

    Raises:
        SettingError: they are left less.
    """
    if distill.method == "cl_ilr" and distill.ce_weight is None and (distill.weight or 0) > 1:
        raise SettingError(
            f"distill.weight must be at most 1 for distill.method cl_ilr, whose cross-entropies "
            f"take the rest where distill.ce_weight is none, not {distill.weight}"
        )


def check_limit(distill: DistillConfig) -> None:
    """Check that confident_dml's limit falls where it is said to.

    Raises:
        SettingError: it begins where it is to end.
    """
    if distill.entropy_schedule == "falling" and distill.entropy_limit == 1:
        raise SettingError(
            f"distill.entropy_limit must be below 1 where distill.entropy_schedule is falling, "
            f"which begins at 1, not {distill.entropy_limit:g}"
        )


def check_teacher(config: ResolvedConfig) -> None:
    """Check that what is said of a teacher from outside is said of one.

    Raises:
        SettingError: there is none, it reads no file of weights, or there is no fused classifier.
    """
    distill = config.distill
    for name in TEACHERS:
        value, default = getattr(distill, name), DistillConfig.model_fields[name].default
        if distill.teacher is None and value != default:
            raise SettingError(
                f"distill.{name} must be {shown(default)} where distill.teacher is none, not "
                f"{shown(value)}"
            )
    theirs = (distill.teacher or "").startswith(OF_LIBRARIES)
    if distill.teacher_file is not None and not theirs:
        raise SettingError(
            f"distill.teacher_file must be none for a teacher that is a folder, {distill.teacher}, "
            f"which holds its weights, not {distill.teacher_file}"
        )
    if distill.teacher_to == "fused" and method_of(distill).head is None:
        raise SettingError(
            f"distill.teacher_to must be branches for distill.method {distill.method}, which has "
            f"no fused classifier, not fused"
        )


def check_own_batches(config: ResolvedConfig) -> None:
    """Check that branches that see batches of their own have nothing else in common.

    Raises:
        SettingError: they have.
    """
    if not config.distill.own_batches:
        return
    needed: dict[str, tuple[object, object]] = {
        "distill.method": ("independent", config.distill.method),
        "model.trunk_stages": (0, config.model.trunk_stages),
        "distill.views": (False, config.distill.views),
    }
    for name, (value, found) in needed.items():
        if found != value:
            raise SettingError(
                f"distill.own_batches must be false where {name} is not {shown(value)}: its "
                f"branches see the same images (it is {shown(found)})"
            )


def check_alike(config: ResolvedConfig) -> None:
    """Check that the branches' weights have a mean.

    Raises:
        SettingError: they are of several backbones.
    """
    name, model = config.distill.method, config.model
    if len(set(model.mix)) > 1:
        raise SettingError(
            f"model.mix must hold one backbone for distill.method {name}, which averages the "
            f"weights of its branches, not {mix_name(model.mix)}"
        )


def check_apart(config: ResolvedConfig) -> None:
    """Check that the branches share no stages.

    Raises:
        SettingError: they do.
    """
    if config.model.trunk_stages:
        raise SettingError(
            f"model.trunk_stages must be 0 for distill.method {config.distill.method}, whose "
            f"branches are whole networks, not {config.model.trunk_stages}"
        )


def check_ladder(config: ResolvedConfig) -> None:
    """Check that the branches are of one backbone, deeper or not, whose maps can be merged.

    Raises:
        SettingError: they are of several.
    """
    mix = config.model.mix
    if len({split_deeper(name)[0] for name in mix}) > 1:
        raise SettingError(
            f"model.mix must hold one backbone for distill.method {config.distill.method}, whose "
            f"branches differ by blocks of their last stage, as resnet32+resnet32+4, not "
            f"{mix_name(mix)}"
        )


def check_view_policies(config: ResolvedConfig, num_views: int) -> None:
    """Check that each view has one policy, where views have policies.

    Raises:
        SettingError: there are no views, or another number of them.
    """
    policies, method = config.distill.view_policies, config.distill.method
    if policies and not config.distill.views:
        raise SettingError(
            f"distill.view_policies must be none where distill.views is false, not "
            f"{shown(policies)}: there is one view (distill.method {method})"
        )
    if policies and len(policies) != num_views:
        raise SettingError(
            f"distill.view_policies must name one for each of the {num_views} views of "
            f"distill.method {method} with {mix_name(config.model.mix)}, not {shown(policies)}"
        )
