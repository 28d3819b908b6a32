"""Cluster files as Ray reads them."""

from __future__ import annotations

import copy
import shlex
from typing import Any

from ray.autoscaler._private.util import prepare_config, validate_config

Config = dict[str, Any]


def accept(config: Config) -> Config:
    """The config with Ray's defaults filled in, as `ray up` makes and checks it."""
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


def start_options(commands: list[str]) -> dict[str, str]:
    """Options of the one `ray start` among the commands, without their dashes."""
    (start,) = (shlex.split(command) for command in commands if "ray start" in command)
    pairs = (word.removeprefix("--").partition("=") for word in start if word.startswith("--"))
    return {name: value for name, _, value in pairs}
