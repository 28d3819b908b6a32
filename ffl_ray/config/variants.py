"""Settings that are a variant of some methods alone: where they apply, and what goes together."""

from __future__ import annotations

from collections.abc import Mapping

from ffl_ray.config.methods import method_of
from ffl_ray.config.overrides import mix_name, shown
from ffl_ray.config.settings import DistillConfig, ResolvedConfig
from ffl_ray.config.user_code import is_own
from ffl_ray.config.values import split_deeper
from ffl_ray.errors import SettingError

# The methods whose loss reads a setting; a method of the user's own may read any.
READ_BY: Mapping[str, tuple[str, ...]] = {
    "kdcl_teacher": ("kdcl",),
    "ema_span": ("pcl", "dkel"),
    "dml_teacher": ("dml",),
    "ce_weight": ("cl_ilr",),
    "detach_targets": ("dml", "cl_ilr"),
    **dict.fromkeys(
        (
            "averaged_weight",
            "averaged_gradient",
            "student_shares",
            "write_back",
            "write_back_steps",
        ),
        ("okdph",),
    ),
    "gates": ("ktg",),
    **dict.fromkeys(
        ("layer_weight", "layer_to_branch_weight", "layer_decay", "layer_detach"), ("layered_ffl",)
    ),
    **dict.fromkeys(("diversity_weight", "attention_weight", "decoder_weight"), ("ffsd",)),
    **dict.fromkeys(("contrast_weight", "contrast_temperature"), ("mcl", "lmcl")),
    "logit_teacher": ("mcl",),
    **dict.fromkeys(("assistant_weight", "deeper_weight"), ("ahbf",)),
    "early_span": ("dkel",),
    "entropy_limit": ("confident_dml",),
    "entropy_schedule": ("confident_dml",),
}

TEACHERS = ("teacher_file", "teacher_to", "teacher_weight", "teacher_temperature")


def check_variants(distill: DistillConfig) -> None:
    """Check that a variant is set for methods that have it, and goes with their weights.

    Raises:
        SettingError: it is set for another method, or cl_ilr's cross-entropies are left less than
            nothing.
    """
    for name, methods in READ_BY.items():
        value, default = getattr(distill, name), DistillConfig.model_fields[name].default
        if value != default and distill.method not in methods and not is_own(distill.method):
            raise SettingError(
                f"distill.{name} must be {shown(default)} for distill.method {distill.method}: it "
                f"is {' and '.join(methods)}'s alone, not {shown(value)}"
            )
    if distill.method == "cl_ilr" and distill.ce_weight is None and (distill.weight or 0) > 1:
        raise SettingError(
            f"distill.weight must be at most 1 for distill.method cl_ilr, whose cross-entropies "
            f"take the rest where distill.ce_weight is none, not {distill.weight}"
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
    theirs = (distill.teacher or "").startswith("torchvision:")
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
