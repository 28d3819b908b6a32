"""Search over configs, Optuna's side: spaces, samplers, the searcher, warm start, mirror."""

from ffl_ray.search.gates import suggest_gates
from ffl_ray.search.mix import suggest_mix

__all__ = ["suggest_gates", "suggest_mix"]
