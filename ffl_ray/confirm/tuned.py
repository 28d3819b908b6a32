"""Searches for baselines: what was searched for the configs and applies to them, no test split.

Each baseline that a confirmation plans is searched at its own length, with the search's sampler,
scheduler, time budget and metric, over those dimensions that it has: of the optimiser,
augmentation, label smoothing, and, alone, backbones of no more MACs. What an arm holds equal
(network, epochs) stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ffl_ray.config.methods import resolved
from ffl_ray.config.objectives import parse_objectives, quality
from ffl_ray.config.overrides import flatten, mix_name, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig
from ffl_ray.config.values import parse_mix
from ffl_ray.confirm.arms import config_of, stretched, unique_name
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.confirm.pairs import Arm, Tuning
from ffl_ray.confirm.request import Request
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.planning.member_costs import planned_members
from ffl_ray.results.best import called_best, members_by_trial, ranked
from ffl_ray.results.columns import num_ended
from ffl_ray.results.description import MOVES
from ffl_ray.results.history import study_objectives
from ffl_ray.results.openings import digest
from ffl_ray.results.reader import read_rows
from ffl_ray.results.schema import row_config
from ffl_ray.search.part_space import choice_of, choices_in, space_text

FOLDER = "tuned"
MIX, PREFIX, FUSION_DECAY = "model.mix", "mix.", "optim.fusion_weight_decay"
HELD = ("optim.epochs", FUSION_DECAY)
OF_A_METHOD = {"untaught", "default"}
OF_DATA = ("augment", "mixing", "mixing_alpha", "crop_padding", "crop_fill", "flip")
TRAINING = (
    *(f"data.{name}" for name in (*OF_DATA, "images_per_class")),
    "distill.label_smoothing",
)
DEFAULTS = flatten(Config())
# Numbers that an optimiser's step holds; whatever they are, it takes as long.
OF_STEP = frozenset(
    name
    for name, value in DEFAULTS.items()
    if name.startswith("optim.") and isinstance(value, float)
)
Timed = Callable[[Sequence[ResolvedConfig]], Mapping[ResolvedConfig, float]]


class BaselineSearch(NamedTuple):
    """A search for a baseline.

    Attributes:
        arm: the baseline with the settings that it inherits.
        folder: of its study, below the confirmation's; arms that differ in what is searched alone
            share one.
        kinds: its dimensions, by name.
        text: of its space.
    """

    arm: Arm
    folder: str
    kinds: Mapping[str, Any]
    text: str

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of its dimensions."""
        return tuple(sorted(self.kinds))


def baseline_searches(
    confirmation: Confirmation, request: Request, num_classes: int
) -> dict[str, BaselineSearch]:
    """The searches for baselines that have had none, by arm; no others are asked for.

    Raises:
        SettingError: nothing that was searched applies to any baseline.
    """
    if request.tune_baselines is None:
        return {}
    found, baselines = {}, [arm for arm in confirmation.arms if arm.trial_id is None]
    for arm in baselines:
        causes = {pair.kind for pair in confirmation.pairs if pair.baseline == arm.name}
        kinds = applying(arm, causes, request.dimensions, num_classes)
        if kinds and arm.tuned is None:
            found[arm.name] = _search_of(arm, causes, kinds, _objective(causes, request.ranked_by))
    if baselines and not found and not any(arm.tuned for arm in baselines):
        raise SettingError(
            f"--tune-baselines must be of a search that varied what a baseline has (optim.*, "
            f"augmentation, label smoothing), not of {', '.join(request.dimensions) or 'none'}"
        )
    return found


def applying(
    arm: Arm, causes: set[str], dimensions: Mapping[str, Any], num_classes: int
) -> dict[str, Any]:
    """The dimensions of a search that a baseline has, with their distributions.

    Args:
        causes: kinds of the comparisons that it is in.
        dimensions: of the search, by name.
    """
    found = {
        name: kind
        for name, kind in dimensions.items()
        if name in TRAINING
        or (name.startswith("optim.") and name not in HELD and name in DEFAULTS)
        or (name == FUSION_DECAY and causes & OF_A_METHOD)
    }
    if causes == {"alone"}:
        backbones = _no_dearer(config_of(arm), dimensions, num_classes)
        found |= {MIX: choice_of(backbones)} if len(backbones) > 1 else {}
    return found


def _no_dearer(
    config: ResolvedConfig, dimensions: Mapping[str, Any], num_classes: int
) -> list[str]:
    """The searched backbones of no more MACs than a baseline's, its own among them."""

    def macs(backbone: str) -> int:
        one = with_overrides(config, {MIX: backbone})
        return int(planned_members(one, num_classes)[0]["macs"])

    own = config.model.mix[0]
    mixes: list[Any] = [parse_mix(text) or () for text in choices_in(dimensions.get(MIX))]
    names = {name.removeprefix(PREFIX) for name in dimensions if name.startswith(PREFIX)}
    names |= {name for mix in mixes for name in mix}
    return [own, *sorted(name for name in names - {own} if macs(name) <= macs(own))]


def _objective(causes: set[str], ranked_by: str) -> str:
    """What a baseline's search is judged by: as the config's was, of the member that is compared.

    An untaught network has the config's members, the default point those that the search judged;
    one whose branches share nothing is compared by its ensemble, which of a single branch is that
    branch.

    Args:
        ranked_by: the objectives of the config's search.
    """
    searched = quality(parse_objectives(ranked_by.split(", ")))
    return searched.name if causes & OF_A_METHOD else f"ensemble.{searched.metric}"


def _search_of(
    arm: Arm, causes: set[str], kinds: Mapping[str, Any], objective: str
) -> BaselineSearch:
    settings = flatten(config_of(arm)) | {"objective": objective}
    base = {
        name: value
        for name, value in settings.items()
        if name not in MOVES and (value != DEFAULTS[name] or name in kinds)
    }
    rest = {name: value for name, value in base.items() if name not in kinds}
    which = digest(space_text("", rest, kinds))[:8]
    folder = f"{'-'.join(sorted(causes))}-{settings['optim.epochs']}-epochs-{which}"
    title = f"{arm.name}: what was searched for a config and applies to it."
    text = space_text(title, base, kinds)
    return BaselineSearch(arm, re.sub(r"[^\w-]+", "-", folder), kinds, text)


def with_tuned(
    confirmation: Confirmation,
    request: Request,
    searches: Mapping[str, BaselineSearch],
    timed: Timed,
) -> Confirmation:
    """The same with the settings that searches found; baselines that are equal now are one.

    Args:
        searches: that have ended, by arm.
        timed: gives seconds of an epoch.

    Raises:
        StudyError: a search has no completed trial.
    """
    tuned = {name: _found(one, request) for name, one in searches.items()}
    tuned |= _of_equal_seconds(confirmation, tuned, timed)
    arms: dict[ResolvedConfig, Arm] = {}
    names: dict[str, str] = {}
    for arm in sorted(confirmation.arms, key=lambda arm: arm.trial_id is None):  # configs stay
        now = tuned.get(arm.name, arm)
        name = unique_name(now.name, [other.name for other in arms.values()])
        names[arm.name] = arms.setdefault(config_of(now), now._replace(name=name)).name
    now_one = [pair for pair in confirmation.pairs if names[pair.arm] == names[pair.baseline]]
    pairs = [
        pair._replace(arm=names[pair.arm], baseline=names[pair.baseline])
        for pair in confirmation.pairs
        if pair not in now_one
    ]
    said = [
        f"The search for baseline {pair.baseline}, of equal {pair.equal}, found config {pair.arm} "
        f"itself: nothing to compare."
        for pair in now_one
    ]
    return confirmation._replace(
        arms=list(arms.values()),
        pairs=list(dict.fromkeys(pairs)),
        merged=list(dict.fromkeys([*confirmation.merged, *said])),
    )


def _found(one: BaselineSearch, request: Request) -> Arm:
    """A baseline with the settings of the trial that its search calls best, as the config's does.

    Raises:
        StudyError: there is none.
    """
    storage = request.storage.child(FOLDER).child(one.folder)
    rows = read_rows(storage, "trials")
    objectives = study_objectives(storage)
    order = ranked(rows, objectives)
    if not order:
        raise StudyError(
            f"{storage.location} has no completed trial, so {one.arm.name} can't be tuned: its "
            f"trials failed, or lacked time; see its report, or confirm without --tune-baselines"
        )
    called = called_best(order, objectives, members_by_trial(read_rows(storage, "members")))
    best = next((row for row in order if called and row["trial_id"] == called.trial_id), order[0])
    inherited = config_of(one.arm)
    kept = {name: flatten(inherited)[name] for name in (*MOVES, "seed", "objective")}
    config = with_overrides(resolved(row_config(best)), kept)
    tuning = Tuning(
        f"{FOLDER}/{one.folder}",
        best["trial_id"],
        num_ended(rows),
        sum(row["accelerator_s"] or 0.0 for row in rows),
        one.searched,
    )
    return one.arm._replace(
        name=_tuned_name(one.arm, config), settings=flatten(config), tuned=tuning
    )


def _tuned_name(arm: Arm, config: ResolvedConfig) -> str:
    """What a tuned baseline is called; another backbone is named."""
    mix, before = config.model.mix, config_of(arm).model.mix
    stem = arm.name.rpartition(",")[0].removeprefix("tuned ")
    stem = stem if mix == before else f"independent {mix_name(mix)}"
    return f"tuned {stem}, {config.optim.epochs} epochs"


def _of_equal_seconds(
    confirmation: Confirmation, tuned: Mapping[str, Arm], timed: Timed
) -> dict[str, Arm]:
    """Those tuned arms of equal seconds whose epoch takes another time now, at another length."""
    arms = {arm.name: config_of(arm) for arm in confirmation.arms}
    dearer: dict[str, tuple[ResolvedConfig, ResolvedConfig]] = {}
    for name, arm in tuned.items():
        pairs = [pair for pair in confirmation.pairs if pair.baseline == name]
        before, now = flatten(arms[name]), flatten(config_of(arm))
        changed = {setting for setting in now if now[setting] != before[setting]}
        if changed - OF_STEP and all(pair.equal == "seconds" for pair in pairs):
            dearer[name] = (arms[pairs[0].arm], config_of(arm))
    configs = list(dict.fromkeys(one for both in dearer.values() for one in both))
    seconds = timed(configs) if configs else {}
    found = {}
    for name, (ours, theirs) in dearer.items():
        share = seconds[ours] / seconds[theirs]
        config = stretched(theirs, max(1, round(ours.optim.epochs * share)))
        found[name] = tuned[name]._replace(
            name=_tuned_name(tuned[name], config),
            settings=flatten(config),
            epoch_s=seconds[theirs],
        )
    return found
