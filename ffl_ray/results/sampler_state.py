"""What Optuna's samplers note of a trial or a study, as far as it is plain: no code, no pickle.

CMA-ES notes its optimiser as a pickle, which whoever sends a study could replace by a program;
`ffl_ray.search.samplers` makes it again from the trials instead.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[object], bool]


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_counts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _is_point(value: object) -> bool:
    try:
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    except ValueError:
        return False


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


OF_TRIAL: dict[str, Check] = {
    r"(tpe|gp):relative_params:\d+": _is_point,
    r"(cma|NSGAIISampler):generation": _is_count,
    r"constraints:[\w.<>=+-]+": _is_number,
}
OF_STUDY: dict[str, Check] = {r"NSGAIISampler:parent:\d+": _is_counts}


def plain_state(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The notes of a trial (`trial`) and of its study (`study`) that have a known key and type.

    Args:
        state: as a sampler made it, or as a table of anybody's holds it.
    """
    return {
        "trial": _known(state.get("trial"), OF_TRIAL),
        "study": _known(state.get("study"), OF_STUDY),
    }


def _known(notes: object, known: Mapping[str, Check]) -> dict[str, Any]:
    if not isinstance(notes, Mapping):
        return {}
    return {
        key: value
        for key, value in notes.items()
        if any(re.fullmatch(name, str(key)) and check(value) for name, check in known.items())
    }


def keeps_constraints(row: Mapping[str, Any]) -> bool:
    """Whether a trial, by its row of the trials table, breaks no constraint of its search."""
    noted = plain_state(json.loads(row.get("sampler_state") or "{}"))["trial"]
    return all(value <= 0 for key, value in noted.items() if key.startswith("constraints:"))
