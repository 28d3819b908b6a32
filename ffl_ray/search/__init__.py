"""Searching over configs: spaces, the searcher, and the plan of what fits the machines."""

from ffl_ray.search.mix import suggest_mix

__all__ = ["suggest_mix"]
