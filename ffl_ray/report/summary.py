"""The overview of a report: what was done, what came out, and how far to trust it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pandas as pd

from ffl_ray.config.methods import trained_on
from ffl_ray.config.objectives import MAXIMISED
from ffl_ray.console.terminal import duration
from ffl_ray.report.blocks import Block, Note
from ffl_ray.report.source import Study
from ffl_ray.report.tables import how_taught
from ffl_ray.results.best import BUT_SEED, seeds_of_configs
from ffl_ray.results.pruning import pruning_cost
from ffl_ray.results.reader import records
from ffl_ray.results.statistics import wilson_interval

FINAL = (
    "Each was trained on {} to its last epoch and then measured on the test split, once. No epoch "
    "was chosen."
)


def overview(study: Study) -> list[Block]:
    """A few sentences."""
    if study.is_final:
        lines = [
            _final_counts(study),
            FINAL.format(trained_on(records(study.trials))),
            _running(study),
        ]
    else:
        plain = study.against_plain
        said = "" if plain is None else f"{plain.words[:1].upper()}{plain.words[1:]}."
        first = plain is not None and plain.says != "searched"
        lines = [
            said if first else "",
            _counts(study),
            _best(study),
            "" if first else said,
            _at_chance(study),
            _stopping(study),
            _trust(study),
            _running(study),
        ]
    return [Note(line) for line in lines if line]


def _counts(study: Study) -> str:
    counts = Counter(study.trials["status"])
    states = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    goals = " and ".join(
        f"{goal.name} ({'more' if goal.maximised else 'less'} is better)"
        for goal in study.objectives
    )
    kind = study.description["kind"]
    what = {"search": "A search", "train": "A training"}.get(kind, f"A study of kind {kind}")
    total = len(study.trials)
    return (
        f"{what} on {study.data_name}, judged by {goals}. "
        f"{total} trial{'s' * (total > 1)}: {states}; {_times(study)}."
    )


def _final_counts(study: Study) -> str:
    counts = Counter(study.trials["status"])
    states = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    total = len(study.trials)
    what = {"confirm": "A confirmation", "reproduce": "A reproduction"}[study.description["kind"]]
    return (
        f"{what} on {study.data_name}. {total} training{'s' * (total > 1)}: {states}; "
        f"{_times(study)}."
    )


def _times(study: Study) -> str:
    """The time that passed, and the sum of its trials' own."""
    busy = duration(float(study.trials["accelerator_s"].fillna(0).sum()))
    moments = pd.concat([study.trials["ended"], study.epochs["time"]]).dropna()
    if moments.empty:
        return "no epoch finished yet"
    passed = (moments.max() - study.trials["started"].min()).total_seconds()
    return f"{duration(passed)} from the first start to the latest epoch, {busy} of training"


def _best(study: Study) -> str:
    done = study.completed.dropna(subset=[study.quality.name])
    if done.empty:
        return "No trial has completed yet, so there is no best one."
    best, called = done.iloc[0], study.called_best
    if called is not None:
        best = done[done["trial_id"] == called.trial_id].iloc[0]
    value = float(best[study.quality.name])
    why = ""
    if called is not None and called.seeds > 1:
        why = f", by the mean over its {called.seeds} seeds"
    if called is not None and called.is_cheaper:
        why += (
            f", the cheapest within one standard error ({called.error:.4f}) of trial "
            f"{called.top_id}"
        )
    return (
        f"Best by {study.quality.name}: trial {best['trial_id']} with {value:.4f}"
        f"{_interval(study, value)}, {how_taught(best)}{why}."
    )


def _at_chance(study: Study) -> str:
    """A caution: trials that were stopped while they still guessed."""
    num_classes = study.description.get("data", {}).get("num_classes")
    column = "val.ensemble.accuracy"
    pruned = study.trials[study.trials["status"] == "pruned"]
    if not num_classes or not study.num_val or column not in pruned or pruned.empty:
        return ""
    chance = 1 / num_classes
    most = chance + 2 * (chance * (1 - chance) / study.num_val) ** 0.5
    guessing = pruned[pruned[column] <= most]
    if guessing.empty:
        return ""
    epochs = int(guessing["epochs_done"].min())
    return (
        f"{len(guessing)} of {len(pruned)} pruned trials were stopped at chance: an ensemble "
        f"accuracy of {most:.3f} at most, where guessing among {num_classes} classes gives "
        f"{chance:.3f}, the first after {epochs} epoch{'s' * (epochs > 1)}. They say nothing of "
        f"their settings: a higher search.grace, or more steps an epoch, lets them learn first."
    )


def _stopping(study: Study) -> str:
    """What stopping cost, if some trials were finished to see it."""
    cost = pruning_cost(records(study.trials), study.objectives) if study.is_search else ""
    return f"{cost[:1].upper()}{cost[1:]}." if cost else ""


def _interval(study: Study, value: float) -> str:
    """Wilson's interval of an accuracy over the validation images."""
    if study.num_val is None or study.quality.metric not in MAXIMISED:
        return ""
    low, high = wilson_interval(round(value * study.num_val), study.num_val)
    return f" (95% interval over {study.num_val} images: {low:.3f} to {high:.3f})"


def _trust(study: Study) -> str:
    """A caution: what the numbers are not."""
    if not study.is_search or study.completed.empty:
        return ""
    within = ""
    done = study.completed.dropna(subset=[study.quality.name])
    if study.num_val and study.quality.metric in MAXIMISED and len(done) > 1:
        best = float(done[study.quality.name].iloc[0])
        reach = 2 * (max(best * (1 - best), 1 / study.num_val) / study.num_val) ** 0.5
        close = int((done[study.quality.name] >= best - reach).sum())
        within = (
            f" {close} of {len(done)} completed trials lie within two standard errors "
            f"({reach:.3f}) of the best."
        )
    if study.has_confirmation:
        return (
            f"Apart from the confirmed results all of it is selection data: the search chose by "
            f"the validation split, and each config ran with {_seeds(study)}.{within} What was "
            f"measured on the test split stands under Confirmed results alone."
        )
    return (
        f"All of it is selection data: the search chose by the validation split, each config ran "
        f"with {_seeds(study)}, and the test split is untouched.{within} Only "
        f"python -m ffl_ray.confirm says which differences are real."
    )


def _seeds(study: Study) -> str:
    """How many seeds the completed configs ran with, in words."""
    names = [name for name in ("seed", *BUT_SEED) if name in study.completed]
    counts = seeds_of_configs(records(study.completed[names]))
    least, most = min(counts), max(counts)
    if most == 1:
        return "one seed"
    return f"{most} seeds" if least == most else f"{least} to {most} seeds"


def _running(study: Study) -> str:
    running = int((study.trials["status"] == "running").sum())
    if not running:
        return ""
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return (
        f"Not finished: at {now}, when this was made, {running} "
        f"trial{'s were' if running > 1 else ' was'} running (or the study was killed; its "
        f"command goes on from there)."
    )
