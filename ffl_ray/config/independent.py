"""The config of the same training without any teaching: what a taught one is held against."""

from __future__ import annotations

from ffl_ray.config.methods import holds_out, resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config, ResolvedConfig

IRRELEVANT = (
    "fusion.",
    "distill.",
    "model.trunk_stages",
    "model.leader",
    "optim.fusion_weight_decay",
    "objective",
)


def independent(
    config: ResolvedConfig, mix: tuple[str, ...], trunk_stages: int = 0
) -> ResolvedConfig:
    """The same training without any teaching, of this mix; equal wherever nothing differs."""
    defaults = {
        name: value for name, value in flatten(Config()).items() if name.startswith(IRRELEVANT)
    }
    kept = {"distill.label_smoothing": config.distill.label_smoothing}
    changes = {
        "model.mix": mix,
        "model.trunk_stages": trunk_stages,
        "distill.method": "independent",
        "objective": "ensemble.accuracy",
        "data.hold_out": holds_out(config),
        "seed": 0,
    }
    return resolved_from(flatten(config) | defaults | kept | changes)
