"""The settings of a search that fit a time: chosen from ladders, the least raised first."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ffl_ray.config.overrides import flatten, shown
from ffl_ray.config.settings import StudyConfig
from ffl_ray.config.values import as_time
from ffl_ray.errors import PlanError
from ffl_ray.planning.pruning import FEWEST_STEPS
from ffl_ray.search.space import FITTED, SearchSpace

Values = Mapping[str, Any]
Ladders = Mapping[str, Sequence[Any]]
FRACTION, TRIALS, EPOCHS, SIZE, _ = FITTED
BATCH_SIZE = "optim.batch_size"
# Where a space has no ladders of its own. What its BASE has is the most, but for the trials.
USUAL: Ladders = {
    FRACTION: (0.05, 0.1, 0.2, 0.5, 1.0),
    TRIALS: (8, 12, 16, 24, 32, 40, 60, 80, 120),
    EPOCHS: (12, 16, 20, 30, 40, 60, 80, 100, 150, 200, 300),
    SIZE: (16, 24, 32, 48, 64, 96, 128, 160, 224),
}
USUAL_SIZE = 64
# A share of the data is raised in half as many steps: more images help every trial.
HEIGHT = {FRACTION: 0.5}
FEWEST_IMAGES = 1_000
# Nobody is judged before half of a cosine: by then a network needs the steps to have learned.
FEWEST_STEPS_IN_ALL = 4 * FEWEST_STEPS
BATCHES = ((2_000, 32), (10_000, 64))
LARGEST_BATCH = 128
# What is refused as too short is so by speeds that differ a little from one start to the next.
MARGIN = 1.05
REFUSED_IN_S = 30

# What a search takes after its trials: they are stopped, its answers worked out, Ray ended.
ENDING_S = 8.0
ENDING_PER_START = 0.6


class Chosen(NamedTuple):
    """A setting that a budget decided.

    Attributes:
        name: of the setting.
        value: as `--set` takes it.
        more: its next value; empty when there is none.
        more_s: seconds that the search would take with that; none when there is none.
    """

    name: str
    value: str
    more: str = ""
    more_s: float | None = None


class Fit(NamedTuple):
    """What fits a budget.

    Attributes:
        values: of the settings that were chosen.
        expected_s: what the whole search is expected to take.
        chosen: each of them, with why it is not more.
    """

    values: dict[str, Any]
    expected_s: float
    chosen: tuple[Chosen, ...]


def ending_s(start_s: float) -> float:
    """Seconds that a search takes after its trials.

    Args:
        start_s: that it took before them: where others use the machine both are slow.
    """
    return max(ENDING_S, ENDING_PER_START * start_s)


def provisional(space: SearchSpace, named: Values) -> dict[str, Any]:
    """The settings under which a search is looked at before a budget has chosen any.

    As many trials as there may be, for the layout, and images as small as they may be.

    Args:
        named: settings that the command line has: they stay.
    """
    trials, sizes = (space.ladders.get(name) or USUAL[name] for name in (TRIALS, SIZE))
    least = {TRIALS: trials[-1]} | ({SIZE: sizes[0]} if SIZE in space.ladders else {})
    return {name: value for name, value in least.items() if name not in named}


def chosen_before(description: Mapping[str, Any], budget_s: float) -> dict[str, Any]:
    """The settings that a study's budget chose when it began; of a larger one more trials.

    Whatever else stands there is not taken: a folder of somebody else's sets nothing more.

    Args:
        description: its study.json.
        budget_s: now.
    """
    kept = description.get("budget")
    values = kept.get("values") if isinstance(kept, Mapping) else None
    if not isinstance(values, Mapping):
        return {}
    values = {name: values[name] for name in (*FITTED, BATCH_SIZE) if name in values}
    trials, began_with = values.get(TRIALS), description["settings"].get("search.budget_s")
    if isinstance(trials, int) and isinstance(began_with, float) and 0 < began_with < budget_s:
        values[TRIALS] = round(min(trials * (budget_s / began_with), sys.maxsize))
    return values


def ladders_for(
    space: SearchSpace, study: StudyConfig, named: Collection[str], images: int, side: int | None
) -> dict[str, list[Any]]:
    """What a budget may choose from, each from the least to the most.

    Args:
        study: the settings as the space and the command line have them.
        named: those that stay: of the command line, and what the space proposes.
        images: to train on, of which no share was taken.
        side: of the images as they are; none: theirs is no setting.
    """
    batch = batch_size(study, {*space.base, *named}, images * study.data.fraction)
    steps = math.ceil(images * study.data.fraction / batch)
    keeps: dict[str, Callable[[Any], bool]] = {
        FRACTION: lambda value: value * images >= FEWEST_IMAGES,
        EPOCHS: lambda value: value * steps >= FEWEST_STEPS_IN_ALL,
        SIZE: lambda value: value <= (side or 0),
    }
    found = {}
    for name in FITTED:
        values = [*(space.ladders.get(name) or _usual(study, name))]
        if name in named or not values or (name == SIZE and side is None):
            continue
        kept = [value for value in values if name not in keeps or keeps[name](value)]
        found[name] = kept or (values[:1] if name == SIZE else values[-1:])
    return found


def batch_size(study: StudyConfig, sets: Collection[str], images: float) -> int:
    """Images of a step: of few images fewer, so that an epoch has some steps.

    Args:
        sets: settings that the space or the command line has.
        images: to train on.
    """
    if BATCH_SIZE in sets:
        return study.optim.batch_size
    return next((size for below, size in BATCHES if images < below), LARGEST_BATCH)


def fit_budget(ladders: Ladders, needed_s: Callable[[Values], float], study: StudyConfig) -> Fit:
    """The settings that fit a search's budget: each raised in turn for as long as they fit.

    Every ladder's steps stand at equal heights between its least value and its most. They are
    taken by height, those of `FITTED`'s first names first, and one that does not fit ends its
    ladder. So nothing can be raised any more, and equal speeds choose alike.

    Args:
        needed_s: seconds of the whole search with such values.
        study: whose budget it is, for the message.

    Raises:
        PlanError: not even the least fits; the budget that does is named.
    """
    budget_s = study.search.budget_s
    assert budget_s is not None, "it is asked for with one"
    values = {name: of[0] for name, of in ladders.items()}
    expected_s = needed_s(values)
    if expected_s > budget_s:
        raise PlanError(_too_short(budget_s, expected_s, values, study))
    ended: dict[str, Any] = {}
    for name, value in _by_height(ladders):
        if name in ended:
            continue
        then_s = needed_s({**values, name: value})
        if then_s > budget_s:
            ended[name] = value
        else:
            values[name], expected_s = value, then_s
    chosen = [Chosen(name, words(value)) for name, value in values.items()]
    for i, (name, value, *_) in enumerate(chosen):
        if name in ended:
            more_s = needed_s({**values, name: ended[name]})
            chosen[i] = Chosen(name, value, words(ended[name]), more_s)
    return Fit(values, expected_s, tuple(chosen))


def _by_height(ladders: Ladders) -> Iterator[tuple[str, Any]]:
    """The steps of all ladders, the lowest first."""
    steps = [
        (HEIGHT.get(name, 1.0) * place / (len(values) - 1), FITTED.index(name), place, value)
        for name, values in ladders.items()
        for place, value in enumerate(values)
        if place
    ]
    for _, name, _, value in sorted(steps, key=lambda step: step[:3]):
        yield FITTED[name], value


def _too_short(budget_s: float, least_s: float, values: Values, study: StudyConfig) -> str:
    least = math.ceil(least_s * MARGIN / REFUSED_IN_S) * REFUSED_IN_S
    flat = flatten(study)
    kept = [f"{name}={shown(flat[name])}" for name in FITTED if name not in values and flat[name]]
    least_of = ", ".join(f"{name}={words(value)}" for name, value in values.items())
    told = f" with {', '.join(kept)}" if kept else ""
    return (
        f"--budget must be at least {as_time(least)} here{told}, not {as_time(budget_s)}: so long "
        f"takes the smallest search worth having ({least_of or 'nothing is left to choose'})"
    )


def words(value: object) -> str:
    """A value as `--set` takes it."""
    return str(value) if isinstance(value, str) else shown(value)


def _usual(study: StudyConfig, name: str) -> Sequence[Any]:
    """The usual ladder, up to what the settings have: a budget lowers that."""
    if name == TRIALS or name not in USUAL:
        return USUAL.get(name, ())
    most = flatten(study)[name] or USUAL_SIZE
    return [*(value for value in USUAL[name] if value < most), most]
