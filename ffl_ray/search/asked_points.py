"""The points that somebody asks a running search for, as far as its space holds them."""

from __future__ import annotations

import logging

from ffl_ray.config.settings import Config
from ffl_ray.errors import SettingError, SpaceError
from ffl_ray.results.steering import Steering
from ffl_ray.search.distributions import Suggest
from ffl_ray.search.first_points import Params, read_points

LOG = logging.getLogger(__name__)


def asked_points(steering: Steering | None, suggest: Suggest, base: Config) -> list[Params]:
    """The points that were asked for since the last look; one that can't be tried is refused.

    Args:
        steering: of the study; none: nobody can ask.
        base: the settings that all trials start from.
    """
    points: list[Params] = []
    if steering is None:
        return points
    for asked in steering.new_points():
        try:
            points += read_points(suggest, [asked.text], base)
        except (SettingError, SpaceError) as error:
            LOG.warning("a point that was asked for is not tried: %s", error)
            steering.refuse(asked, str(error))
    return points
