"""The plain baseline of a search: one backbone of its space, alone, for the seconds of trial 0.

A search that does not beat it has found nothing worth its while. The backbone is the largest, by
multiply-accumulates, of those that cost no more at inference than the member that trial 0, the
defaults, is judged by; so it has neither more seconds nor a dearer classifier than the defaults.
Where all cost more it is the cheapest. Data, optimiser and augmentation are those of trial 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ffl_ray.config.constraints import parse_constraint
from ffl_ray.config.independent import independent
from ffl_ray.config.objectives import Objective, parse_objective
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig, SearchConfig
from ffl_ray.data.facts import DataFacts
from ffl_ray.planning.cost import training_costs
from ffl_ray.planning.forecast import epoch_seconds
from ffl_ray.planning.layout import Plan
from ffl_ray.planning.member_costs import planned_members
from ffl_ray.planning.nodes import Cluster
from ffl_ray.planning.preflight import data_size, repeatedly_measured
from ffl_ray.planning.throughput import BUDGET_S
from ffl_ray.search.first_points import default_config
from ffl_ray.search.points import Point
from ffl_ray.search.space import SearchSpace

# Of a CPU: the ratio of longer rounds varies as much, for what disturbs one training does both.
ROUND_S = 0.15


class PlainBaseline(NamedTuple):
    """The plain baseline, and what its length was made from.

    Attributes:
        config: of it.
        default: of trial 0, as long as which it is trained.
        timed: whether both were timed; else their multiply-accumulates stand for seconds.
    """

    config: ResolvedConfig
    default: ResolvedConfig
    timed: bool

    @property
    def words(self) -> str:
        """It in a line."""
        how = "as long as" if self.timed else "by multiply-accumulates (no machine was free) as"
        return (
            f"trial 00001 is the plain baseline: {self.config.model.mix[0]} alone, untaught, "
            f"{self.config.optim.epochs} epochs: {how} the {self.default.optim.epochs} of trial "
            f"00000, the defaults (search.plain_baseline=false leaves it out)"
        )


def has_plain(search: SearchConfig) -> bool:
    """Whether a search that begins has a plain baseline."""
    return search.plain_baseline and search.sampler != "grid" and search.num_samples > 1


def plain_baseline(
    space: SearchSpace,
    base: Config,
    search: SearchConfig,
    sampled: Sequence[Point],
    plan: Plan,
    facts: DataFacts,
    cluster: Cluster,
) -> PlainBaseline:
    """The plain baseline of a search; its steps and the defaults' are timed.

    Args:
        sampled: points of the space, whose backbones it is one of.
    """
    default = default_config(space, base)
    backbones = sorted({name for point in sampled for name in point.config.model.mix})
    alone = {name: _alone(default, name) for name in backbones}
    members = {name: planned_members(one, facts.num_classes) for name, one in alone.items()}
    least = _judged_macs(default, facts.num_classes)
    config = alone[_largest(members, least, search)]
    both = [default, config]
    budget_s = BUDGET_S if plan.gpus_per_worker else ROUND_S
    timed = repeatedly_measured(both, plan, facts, cluster, budget_s)
    data = data_size(facts)
    costs = training_costs(both, data)
    theirs, own = timed or [float(cost.training_macs) for cost in costs]
    if timed:
        theirs, own = epoch_seconds(theirs, data, plan), epoch_seconds(own, data, plan)
    epochs = max(1, round(default.optim.epochs * theirs / own))
    return PlainBaseline(
        with_overrides(config, {"optim.epochs": epochs}), default, timed is not None
    )


def _alone(default: ResolvedConfig, backbone: str) -> ResolvedConfig:
    """The training of one backbone, judged by the metric that the search is judged by."""
    metric = default.objective.rpartition(".")[2]
    changes = {"objective": f"deployed.{metric}", "seed": default.seed}
    return with_overrides(independent(default, (backbone,)), changes)


def _judged_macs(default: ResolvedConfig, num_classes: int) -> float:
    """Multiply-accumulates of the member that a config is judged by, of branches their mean."""
    member = parse_objective(default.objective).member
    member = "mean_branch" if member == "best_branch" else member
    macs = Objective(f"{member}.macs", member, "macs", maximised=False)
    return macs.value(planned_members(default, num_classes))


def _largest(
    members: Mapping[str, list[dict[str, object]]], most: float, search: SearchConfig
) -> str:
    """The backbone with most multiply-accumulates up to a bound, or the cheapest.

    Of those that keep the constraints that a network decides, where any does.

    Args:
        members: of each backbone alone.
    """
    known = [parse_constraint(text) for text in search.constraints]
    bounds = [bound for bound in known if bound.is_known_before]
    macs = {name: _macs(rows) for name, rows in members.items()}
    keeping = [n for n, rows in members.items() if all(b.excess(rows) <= 0 for b in bounds)]
    rising = sorted(keeping or macs, key=macs.__getitem__)
    return next((name for name in reversed(rising) if macs[name] <= most), rising[0])


def _macs(members: Iterable[Mapping[str, object]]) -> float:
    return parse_objective("branch0.macs").value(members)
