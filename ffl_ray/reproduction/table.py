"""The comparison as a table of the study, which pandas reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ffl_ray.overrides import mix_name
from ffl_ray.reproduction.presets import Scale, preset_settings
from ffl_ray.reproduction.published import Table
from ffl_ray.reproduction.verdict import Reproduced
from ffl_ray.results.statistics import Summary
from ffl_ray.results.study import StudyTables
from ffl_ray.results.writer import KeyedTable
