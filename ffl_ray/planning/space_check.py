"""The check of `--check`: every network that a space can propose, built and run once on meta."""

from __future__ import annotations

import time
from typing import NamedTuple

from ffl_ray.config.image_shapes import image_shape, num_classes
from ffl_ray.config.settings import Config
from ffl_ray.errors import SpaceError
from ffl_ray.planning.cost import NetworkSize, network_distill, network_size
from ffl_ray.search.points import Point, points
from ffl_ray.search.space import SearchSpace

RANDOM_POINTS = 1000
FOLDER_CLASSES = 1000


class SpaceCheck(NamedTuple):
    """The networks that a check of a space built.

    Attributes:
        ends: points at the ends of ranges, over every choice.
        random: random points.
        image: channels, height and width of the images that ran through the networks.
        sizes: of the distinct networks.
        elapsed_s: how long it took.
    """

    ends: int
    random: int
    image: tuple[int, int, int]
    sizes: list[NetworkSize]
    elapsed_s: float


def check_networks(space: SearchSpace, base: Config, random: int = RANDOM_POINTS) -> SpaceCheck:
    """The check of a space: each distinct network of many points, built without numbers and run.

    The image shape is the data set's; the data is not opened. A folder's classes are not known
    then, and 1,000 are taken.

    Raises:
        SpaceError: a point's settings are refused, or its network can't be built or run; the
            message names the point.
    """
    started = time.perf_counter()
    sizes: dict[tuple[object, ...], NetworkSize] = {}
    counts = {True: 0, False: 0}
    for point in points(space, base, random):
        counts[point.at_end] += 1
        config = point.config
        key = (config.model, config.fusion, network_distill(config), image_shape(config.data))
        if key not in sizes:
            sizes[key] = _size(space, point)
    return SpaceCheck(
        ends=counts[True],
        random=counts[False],
        image=image_shape(base.data),
        sizes=list(sizes.values()),
        elapsed_s=time.perf_counter() - started,
    )


def _size(space: SearchSpace, point: Point) -> NetworkSize:
    config = point.config
    classes = num_classes(config.data) or FOLDER_CLASSES
    shape = image_shape(config.data)
    try:
        return network_size(
            config.model, config.fusion, network_distill(config), shape, classes, "meta"
        )
    except Exception as error:
        raise SpaceError(
            f"{space.path} can propose a network that fails: {type(error).__name__}: {error} "
            f"(at {point.words})"
        ) from error
