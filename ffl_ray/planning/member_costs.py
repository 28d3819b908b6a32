"""The costs of a network's members, before it is trained, and the constraints that they keep."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ffl_ray.config.constraints import Constraint, parse_constraint
from ffl_ray.config.image_shapes import image_shape
from ffl_ray.config.roles import roles_in
from ffl_ray.config.settings import (
    Config,
    FusionConfig,
    ResolvedConfig,
    ResolvedDistill,
    ResolvedModel,
    SearchConfig,
)
from ffl_ray.errors import PlanError
from ffl_ray.models.builder import build_network
from ffl_ray.models.cost import MemberCost, member_costs
from ffl_ray.models.outline import outlined
from ffl_ray.models.registry import check_all_images, is_bundled
from ffl_ray.planning.cost import network_distill
from ffl_ray.search.points import Point, every_config
from ffl_ray.search.space import SearchSpace


def planned_members(config: ResolvedConfig, num_classes: int) -> list[dict[str, Any]]:
    """The members of a config's network as rows with their roles, parameters and MACs."""
    costs = _costs(
        config.model,
        config.fusion,
        network_distill(config),
        image_shape(config.data),
        num_classes,
    )
    roles = roles_in(config, costs)
    return [{"member": name, "role": roles[name], **cost._asdict()} for name, cost in costs.items()]


@functools.lru_cache(maxsize=4096)
def _costs(
    model: ResolvedModel,
    fusion: FusionConfig,
    distill: ResolvedDistill,
    image: tuple[int, int, int],
    num_classes: int,
) -> dict[str, MemberCost]:
    """The cost of each member of a network without numbers."""
    empty = model.model_copy(update={"pretrained": False})  # of equal size, not downloaded
    # Of a library's networks the matrix products are most, which the meta device does not compute;
    # elsewhere it takes seconds to load.
    device = "cpu" if all(map(is_bundled, model.mix)) else "meta"
    check_all_images(empty, image)
    with outlined(device) as outline:
        network = build_network(
            empty, fusion, distill, image_shape=image, num_classes=num_classes, seed=0
        )
        return member_costs(network, image, outline)


def checked_constraints(sampled: Sequence[Point], search: SearchConfig, num_classes: int) -> str:
    """How many of the sampled configs keep the constraints that a network decides, in words.

    Raises:
        PlanError: none keeps one of them, or all of them.
    """
    bounds = [parse_constraint(text) for text in search.constraints]
    known = [bound for bound in bounds if bound.is_known_before]
    if not known:
        return ""
    members = [planned_members(point.config, num_classes) for point in sampled]
    for bound in known:
        _check_kept(bound, sampled, members)
    kept = sum(all(bound.excess(rows) <= 0 for bound in known) for rows in members)
    names = " and ".join(bound.name for bound in known)
    words = f"{kept} of {len(sampled)} sampled configs keep {names}"
    if not kept:
        raise PlanError(f"search.constraints can't be kept together: {words}")
    return words


def check_grid(space: SearchSpace, base: Config, search: SearchConfig, num_classes: int) -> None:
    """Check that a grid has as many points that keep what a network decides as are to be tried.

    Raises:
        PlanError: it has fewer.
    """
    bounds = [parse_constraint(text) for text in search.constraints]
    known = [bound for bound in bounds if bound.is_known_before]
    if search.sampler != "grid" or not known:
        return
    kept = 0
    for config in every_config(space, base):
        rows = planned_members(config, num_classes)
        kept += all(bound.excess(rows) <= 0 for bound in known)
        if kept >= search.num_samples:
            return
    names = " and ".join(bound.name for bound in known)
    raise PlanError(
        f"search.num_samples must be at most the {kept} points of {space.path} that keep {names}, "
        f"for search.sampler grid, not {search.num_samples}"
    )


def _check_kept(
    bound: Constraint, sampled: Sequence[Point], members: Sequence[list[dict[str, Any]]]
) -> None:
    nearest = min(range(len(sampled)), key=lambda i: bound.excess(members[i]))
    if bound.excess(members[nearest]) > 0:
        raise PlanError(
            f"search.constraints {bound.name} is kept by none of {len(sampled)} sampled configs: "
            f"the nearest has {bound.of.value(members[nearest]):,.0f} (at "
            f"{sampled[nearest].words})"
        )
