"""Every setting: default, bounds, unit, source, and the command-line flag that sets it.

A setting has one dotted name (`distill.temperature`) everywhere: field, `--set` option, search
space, Ray's trial config and table column. `overrides.with_overrides` is the one way to change any.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from ffl_ray.config.constraints import Constraint, parse_constraint
from ffl_ray.config.distill_settings import METHOD_NAMES, DistillConfig, ResolvedDistill
from ffl_ray.config.network_settings import DESIGNS, FusionConfig, ModelConfig, ResolvedModel
from ffl_ray.config.objectives import Objective, parse_objective, parse_objectives
from ffl_ray.config.search_settings import SearchConfig
from ffl_ray.config.training_settings import (
    DATA_SETS,
    ComputeConfig,
    DataConfig,
    Mixing,
    OptimConfig,
    ResolvedData,
)
from ffl_ray.config.values import Section, objective_name, setting

__all__ = [
    "DATA_SETS",
    "DESIGNS",
    "METHOD_NAMES",
    "ComputeConfig",
    "Config",
    "DataConfig",
    "DistillConfig",
    "FusionConfig",
    "Mixing",
    "ModelConfig",
    "OptimConfig",
    "ResolvedConfig",
    "ResolvedData",
    "ResolvedDistill",
    "ResolvedModel",
    "SearchConfig",
    "StudyConfig",
]


MOST_SEEDS = 2**31
SEEDS_APART = 1_000_000


class Config(Section):
    """The config of one training: everything that defines it."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    fusion: FusionConfig = FusionConfig()
    distill: DistillConfig = DistillConfig()
    optim: OptimConfig = OptimConfig()
    compute: ComputeConfig = ComputeConfig()
    objective: Annotated[str, BeforeValidator(objective_name)] = setting(
        "fused.accuracy",
        "validation metric, MEMBER.METRIC, by which trials are pruned and their best epoch is "
        "noted; everywhere the last epoch counts",
    )
    seed: int = setting(
        0, "seed of weights, data order and augmentation", ge=0, lt=MOST_SEEDS, flag="--seed N"
    )


def branch_seed(seed: int, index: int) -> int:
    """The seed with which a branch would be trained alone, as `distill.own_batches` says.

    Seeds next to each other, which a study trains with, share no branch's.
    """
    return (seed + SEEDS_APART * index) % MOST_SEEDS


class ResolvedConfig(Config):
    """The config of a training as it is trained: nothing is left to the method any more.

    `methods.resolved` makes it, once, where a config enters a study.
    """

    data: ResolvedData
    model: ResolvedModel
    distill: ResolvedDistill

    @property
    def num_views(self) -> int:
        """The number of batches of images, views or each branch's own, that a step takes."""
        apart = self.distill.views or self.distill.own_batches
        return len(self.distill.view_policies) or (len(self.model.mix) if apart else 1)

    @property
    def branch_seeds(self) -> tuple[int, ...]:
        """The seed of each branch's order and augmentation, where these are its own."""
        count = len(self.model.mix) if self.distill.own_batches else 0
        return tuple(branch_seed(self.seed, index) for index in range(count))


class StudyConfig(Config):
    """The settings of a study: what every trial starts from, and how the study is searched."""

    search: SearchConfig = SearchConfig()

    @property
    def training(self) -> Config:
        """The settings of a training alone."""
        return Config(**{name: getattr(self, name) for name in Config.model_fields})

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives of the search, in order."""
        return parse_objectives(self.search.objectives)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What the best config keeps."""
        return tuple(parse_constraint(text) for text in self.search.constraints)

    @property
    def pruning_objective(self) -> Objective:
        """The objective by which trials are pruned: the setting objective."""
        return parse_objective(self.objective)
