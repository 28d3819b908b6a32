"""Checks of what a method asks of the other settings."""

from __future__ import annotations

from ffl_ray.config.gates import check_gates
from ffl_ray.config.methods import leader_of, method_of, mix_of
from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.config.variants import (
    check_alike,
    check_apart,
    check_ladder,
    check_limit,
    check_own_batches,
    check_read,
    check_teacher,
    check_view_policies,
    check_weights,
)
from ffl_ray.errors import SettingError


def check_method(config: ResolvedConfig) -> None:
    """Check what the method asks of the branches and of the objective.

    Raises:
        SettingError: too few branches, a leader that there is not, a ramp-up longer than the
            training, views where maps are fused, shared stages where none may be, a setting that
            has no effect, a limit that falls nowhere, or an objective of a member that there is
            not; or as `check_gates` does.
    """
    name, method = config.distill.method, method_of(config.distill)
    count = len(config.model.mix)
    if count < method.least_branches:
        raise SettingError(
            f"model.mix must hold at least {method.least_branches} branches for distill.method "
            f"{name}, not {count} ({'+'.join(config.model.mix)})"
            f"{': a single branch is trained by distill.method independent' * (count == 1)}"
        )
    leader_of(config.model, config.distill)
    if config.distill.ramp_up > 1:
        raise SettingError(
            f"distill.ramp_up must be at most 1, a share of the training, not "
            f"{config.distill.ramp_up:g}"
        )
    check_views(config)
    check_read(config)
    check_weights(config.distill)
    check_limit(config.distill)
    check_teacher(config)
    check_own_batches(config)
    check_view_policies(config, count + method.student_average)
    if method.student_average:
        check_alike(config)
    if not method.may_share:
        check_apart(config)
    if method.deeper:
        check_ladder(config)
    if name == "ktg":
        check_gates(config.distill.gates, count, mixed=config.data.mixing != "none")
    check_objective(config, config.objective)


def check_views(config: ResolvedConfig) -> None:
    """Check that maps are of one view where they are merged.

    Raises:
        SettingError: they are of several.
    """
    method = method_of(config.distill)
    if config.distill.views and (method.head in ("fusion", "logit_gate") or method.deeper):
        gates = method.head == "logit_gate"
        what = "weighs logits by a gate that reads" if gates else "fuses maps of"
        raise SettingError(
            f"distill.views must be false for distill.method {config.distill.method}, which {what} "
            f"one view of an image, not {config.distill.views}"
        )


def check_objective(config: Config, objective: str) -> None:
    """Check that the network has the member that an objective is of.

    Raises:
        SettingError: it has not.
    """
    member = parse_objective(objective).member
    if member == "fused" and method_of(config.distill).head is None:
        raise SettingError(
            f"objective must be of a member that distill.method {config.distill.method} has "
            f"(it has no fused classifier: try ensemble.accuracy or mean_branch.accuracy), not "
            f"{objective!r}"
        )
    method = method_of(config.distill)
    has = {"mean_teacher0": method.mean_teacher, "averaged": method.student_average}
    if not has.get(member, True):
        raise SettingError(
            f"objective must be of a member that distill.method {config.distill.method} has (it "
            f"has no averaged weights), not {objective!r}"
        )
    if member == "branch1" and len(mix_of(config)) < 2:
        raise SettingError(
            f"objective must be of a member of {'+'.join(mix_of(config))}, a single branch, "
            f"not {objective!r}"
        )
