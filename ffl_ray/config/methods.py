"""The table of methods, without torch: the parts of each, and its authors' defaults.

A setting of `none` (model.mix, distill.temperature, distill.ramp_up, distill.weight, distill.views,
model.trunk_stages) means the method's own value in this table; `resolved` puts it in. The losses
are in `ffl_ray.distill`, a file for each method.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from ffl_ray.config.gates import reads_fused
from ffl_ray.config.network_settings import Policy
from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.overrides import mix_name, with_overrides
from ffl_ray.config.settings import (
    Config,
    DistillConfig,
    ResolvedConfig,
    ResolvedDistill,
    ResolvedModel,
)
from ffl_ray.config.user_code import OwnCode, is_own, kind_of
from ffl_ray.errors import SettingError

OWN = ("temperature", "ramp_up", "weight", "views")
Need = Literal[
    "stage_maps", "pooled", "fused_map", "image_indices", "share", "hard_labels", "positives"
]
NEEDS: tuple[Need, ...] = get_args(Need)
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
ConfigT = TypeVar("ConfigT", bound=Config)
DEFAULT_BACKBONE = "resnet32"
WITHOUT_FUSED = "ensemble.accuracy"


class Method(NamedTuple):
    """One method's parts and defaults.

    Attributes:
        head: what makes the member `fused`: the fusion design that the settings name, ONE's gate
            over logits, PCL's linear layer over pooled maps; none: there is no such member.
        least_branches: fewer give it nothing to do.
        num_branches: how many of the default backbone it trains where no mix is named.
        trunk_stages: leading stages that branches of one backbone share; -1: all but the last.
        temperature: softening of its KL terms.
        ramp_up: length of the distill weight's rise, as a share of the training; 0: there is none.
        weight: factor of its KL terms.
        views: every branch is given an augmentation of its own.
        view_policies: policies of these views, taken in turn; none: data.augment's.
        divided_gradient: a trunk's gradient is divided by the number of branches on it.
        peer_attention: attention between branches weighs their logits (OKDDip).
        leader: one branch learns from the others and is deployed, and the ensemble is theirs
            (OKDDip); the setting model.leader names it.
        mean_teacher: averages of the weights over time teach as well (PCL).
        student_average: the mean of the branches' weights is a member and learns as well (OKDPH);
            they are of one backbone, share nothing and start alike.
        held_out: its hook after an epoch measures on images that are not trained on.
        deployed: the member that its authors ship: any of the kind branch or mean_teacher, the
            leader, or one by its name, such as fused or branch0.
        whole: the member that is made of all others; none named: the fused classifier, or the
            ensemble where there is none.
        needs: what its loss reads beside logits; nothing else is kept or computed. stage_maps,
            pooled and fused_map: as `ffl_ray.models.branch_modules.Kept` has them; image_indices:
            which images they are; share: how much of the training is done; hard_labels: one class
            an image; positives: two images of each class in a batch.
        terms: names of its loss terms that no other method has; those of its branches are
            NAME.0, NAME.1, ...
        source: where it was published.
    """

    head: Literal["fusion", "logit_gate", "pooled_linear"] | None = None
    least_branches: int = 2
    num_branches: int = 2
    trunk_stages: int = -1
    temperature: float = 3.0
    ramp_up: float = 80 / 300
    weight: float = 1.0
    views: bool = False
    view_policies: tuple[Policy, ...] = ()
    divided_gradient: bool = False
    peer_attention: bool = False
    leader: bool = False
    mean_teacher: bool = False
    student_average: bool = False
    held_out: bool = False
    deployed: str = "branch"
    whole: Literal["fused", "ensemble"] | None = None
    needs: frozenset[Need] = frozenset()
    terms: tuple[str, ...] = ()
    source: str = ""

    @property
    def may_share(self) -> bool:
        """Whether its branches may share stages."""
        return not self.student_average


METHODS: dict[str, Method] = {
    "ffl": Method(head="fusion", source="Kim et al. 2020, arXiv:1904.09058"),
    "independent": Method(
        least_branches=1, trunk_stages=0, ramp_up=0, source="no teaching: the baseline"
    ),
    "dml": Method(
        trunk_stages=0,
        temperature=1.0,
        ramp_up=0,
        source="Zhang et al. 2018, arXiv:1706.00384",
    ),
    "cl_ilr": Method(
        temperature=2.0,
        ramp_up=0,
        weight=0.5,
        divided_gradient=True,
        source="Song and Chai 2018, arXiv:1805.11761",
    ),
    "one": Method(head="logit_gate", source="Lan et al. 2018, arXiv:1806.04606"),
    "kdcl": Method(
        trunk_stages=0, temperature=2.0, ramp_up=0, views=True, source="Guo et al. 2020, CVPR, KDCL"
    ),
    "okddip": Method(
        least_branches=3,
        num_branches=4,
        peer_attention=True,
        leader=True,
        deployed="leader",
        source="Chen et al. 2020, arXiv:1912.00350",
    ),
    "pcl": Method(
        head="pooled_linear",
        views=True,
        mean_teacher=True,
        deployed="mean_teacher",
        source="Wu and Gong 2021, arXiv:2006.04147",
    ),
    "okdph": Method(
        trunk_stages=0,
        temperature=4.0,
        ramp_up=0,
        weight=0.8,
        views=True,
        view_policies=("rotation", "cutout", "randaugment", "autoaugment", "standard"),
        student_average=True,
        deployed="averaged",
        source="Zhang et al. 2023, arXiv:2303.14666",
    ),
    "ktg": Method(
        trunk_stages=0,
        temperature=1.0,
        ramp_up=0,
        needs=frozenset({"share"}),
        deployed="branch0",
        source="Minami et al. 2020, ACCV, arXiv:1909.04286",
    ),
}
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
    general = distill.method == "kdcl" and distill.kdcl_teacher == "general"
    return general or method_of(distill).held_out


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
    return ResolvedConfig(**dict(config) | {"model": model, "distill": distill})


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
        own["mix"] = (DEFAULT_BACKBONE,) * method_of(config.distill).num_branches
    return ResolvedModel(**dict(config.model) | own)


def mix_of(config: Config) -> tuple[str, ...]:
    """The backbones of a config's branches: those that it names, or the method's own."""
    return resolved_model(config).mix


def leader_of(model: ResolvedModel, distill: DistillConfig) -> int | None:
    """The index of the branch that leads; none where the method has no leader.

    Raises:
        SettingError: one is named that there is not.
    """
    wanted, mix = model.leader, model.mix
    if not method_of(distill).leader:
        if wanted is not None:
            raise SettingError(
                f"model.leader must be none for distill.method {distill.method}, which has no "
                f"leader, not {wanted!r}"
            )
        return None
    if wanted is None or wanted in mix:
        return 0 if wanted is None else mix.index(wanted)
    if not wanted.isdecimal() or int(wanted) >= len(mix):
        raise SettingError(
            f"model.leader must be a backbone of {mix_name(mix)}, or a branch from 0 to "
            f"{len(mix) - 1}, not {wanted!r}"
        )
    return int(wanted)


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
