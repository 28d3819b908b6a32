"""The member that a rule chooses, and what to say when its weights are gone.

Of a confirmation the weights of each config's and baseline's first seed stay. Which config, if none
is named, is chosen by the means over all seeds (of a race over those that all configs have; without
those with which one failed): one seed's luck does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from ffl_ray.confirm.measured import Measured, measured_arms
from ffl_ray.confirm.pairs import Run
from ffl_ray.confirm.tables import FINAL_KINDS
from ffl_ray.errors import StudyError
from ffl_ray.export import pick
from ffl_ray.export.pick import Candidate
from ffl_ray.export.rule import Rule
from ffl_ray.export.trained import retrain_command
from ffl_ray.results.best import called_best, members_by_trial, ranked
from ffl_ray.results.guard import understood
from ffl_ray.results.looks import looked_at
from ffl_ray.results.sampler_state import keeps_constraints
from ffl_ray.results.schema import row_config

Row = Mapping[str, Any]
LOST = "left out: the training with the first seed, whose weights stay, failed"
METRICS = ("accuracy", "top5", "nll", "ece")


class Rows(NamedTuple):
    """What a choice is made among.

    Attributes:
        description: what study.json says.
        trials: rows of the trials table by trial_id.
        members: rows of the members table.
        kept: which checkpoint of each trial is there, latest or best.
    """

    description: Mapping[str, Any]
    trials: Mapping[str, Row]
    members: Sequence[Row]
    kept: Mapping[str, str]


class Choice(NamedTuple):
    """The member to export.

    Attributes:
        note: what is to be said of it, as that another would be better and its weights are gone.
        among: what the rule chose it among.
    """

    candidate: Candidate
    note: str
    among: Sequence[Candidate]


def choose(rule: Rule, study: Rows, place: str = "") -> Choice:
    """The member of a study that a rule chooses among those whose checkpoints were kept.

    Args:
        place: of the search that final runs confirm, as a command takes it.

    Raises:
        StudyError: nothing fits, or no trial that fits has its checkpoint; or a config is to be
            chosen before all have completed.
    """
    with understood(str(study.description["study"])):
        if study.description.get("kind") in FINAL_KINDS:
            return _final_run(rule, study, place)
        return _trial(rule, study)


def _trial(rule: Rule, study: Rows) -> Choice:
    description, trials, members, kept = study
    objective = pick.study_objective(description)
    found = rule.among(pick.candidates(trials.values(), members, kept))
    called = _called(rule, found, study)
    first = rule.choose(called, objective)
    if first.trial_id in kept:
        return Choice(first, rule.note(called), called)
    gone = _gone(first, description["study"], trials[first.trial_id])
    left = [candidate for candidate in found if candidate.trial_id in kept]
    if not any(rule.max_macs is None or c.macs <= rule.max_macs for c in left):
        raise StudyError(gone)
    called = _called(rule, found, study, left)
    other = rule.choose(called, objective)
    return Choice(other, f"note: another would be picked, but {gone}", called)


def _called(
    rule: Rule,
    found: Sequence[Candidate],
    study: Rows,
    left: Sequence[Candidate] | None = None,
) -> Sequence[Candidate]:
    """The candidates of the trial that a search calls best, where the rule leaves the trial open.

    Of several objectives nothing is called best: those that keep the constraints, if any does.

    Args:
        left: those that may be chosen, whatever candidates a mean over seeds is of; none: all.
    """
    left = found if left is None else left
    if rule.pick != "best" or rule.max_macs is not None or rule.trial is not None:
        return left
    keeping = [c for c in left if keeps_constraints(study.trials[c.trial_id])] or left
    if rule.member is not None:
        return keeping
    objectives = pick.study_objectives(study.description)
    rows = [study.trials[name] for name in dict.fromkeys(c.trial_id for c in found)]
    called = called_best(
        ranked(rows, objectives),
        objectives,
        members_by_trial(study.members),
        {c.trial_id for c in keeping},
    )
    return [c for c in keeping if called is None or c.trial_id == called.trial_id]


def _gone(first: Candidate, study: str, trial: Row) -> str:
    command = retrain_command(row_config(trial), f"{study}-{first.trial_id}")
    return (
        f"the checkpoint of trial {first.trial_id} ({first.member}, accuracy "
        f"{first.accuracy:.4f}) was not kept: search with a larger search.keep_checkpoints, or "
        f"train it again: {command}"
    )


def _final_run(rule: Rule, study: Rows, place: str) -> Choice:
    description, trials, members, kept = study
    _check_keeps_weights(description)
    found = [c for c in pick.candidates(trials.values(), members) if c.trial_id in kept]
    if not found:
        raise StudyError(
            f"{description['study']} has no weights yet: those of each config's first seed stay "
            f"once it has completed; python -m ffl_ray.confirm {place} goes on"
        )
    runs = [Run(**run) for run in description["runs"] if run["seed"] in description["seeds"]]
    arms = {run.run_id: run.arm for run in runs}
    known = ", ".join(
        f"{name} ({arms.get(name)})" for name in sorted({candidate.trial_id for candidate in found})
    )
    objective = pick.study_objective(description)
    if rule.trial is not None:
        if rule.trial.zfill(5) not in {candidate.trial_id for candidate in found}:
            raise StudyError(
                f"--trial must be a completed training whose weights stayed, the first seed of a "
                f"config or baseline, one of {known}, not {rule.trial!r}"
            )
        among = rule.among(found)
        return Choice(rule.choose(among, objective), rule.note(among), among)
    configs = {arm["name"] for arm in description["arms"] if arm["trial_id"] is not None}
    runs = _comparable([run for run in runs if run.arm in configs], description, trials)
    _check_completed(description, runs, trials, known, place)
    configs = {run.arm for run in runs}
    found = [candidate for candidate in found if arms.get(candidate.trial_id) in configs]
    if not found:
        raise StudyError(f"{description['study']} has no config's weights, all {LOST}")
    means = _with_means(found, arms, measured_arms(runs, trials.values(), members))
    among = rule.among(means)
    best = rule.choose(among, objective)
    chosen = next(c for c in found if (c.trial_id, c.member) == (best.trial_id, best.member))
    lost = sorted(configs - {arms[candidate.trial_id] for candidate in found})
    notes = [f"note: {', '.join(lost)} {LOST}"] if lost else []
    return Choice(chosen, "\n".join([*notes, *filter(None, [rule.note(among)])]), among)


def _comparable(
    runs: Sequence[Run], description: Mapping[str, Any], trials: Mapping[str, Row]
) -> list[Run]:
    """Of these runs those over which configs are compared: of the same seeds, which none failed.

    A config that failed with every seed is none.
    """
    failed = {run for run in runs if trials.get(run.run_id, {}).get("status") == "failed"}
    hopeless = {run.arm for run in runs} - {run.arm for run in runs if run not in failed}
    runs = [run for run in runs if run.arm not in hopeless]
    looked = looked_at(description.get("looks", 1), len(description["seeds"]))
    if looked.looks > 1:
        runs = _of_race(runs, trials, looked.first)
    without = {run.seed for run in runs if run in failed}
    return [run for run in runs if run.seed not in without]


def _check_keeps_weights(description: Mapping[str, Any]) -> None:
    if description["kind"] == "reproduce":
        raise StudyError(
            f"{description['study']} is a reproduction, which keeps no weights: train a config to "
            f"export with python -m ffl_ray.train"
        )


def _of_race(runs: Sequence[Run], trials: Mapping[str, Row], count: int) -> list[Run]:
    """Of a race the runs of its first look, and those of each other seed that all configs have.

    How many seeds a config gets hangs on how it does, so that only equal ones are compared.

    Args:
        count: seeds of the first look.
    """
    arms = {run.arm for run in runs}
    done: dict[int, set[str]] = {}
    for run in runs:
        if trials.get(run.run_id, {}).get("status") == "completed":
            done.setdefault(run.seed, set()).add(run.arm)
    first = list(dict.fromkeys(run.seed for run in runs))[:count]
    return [run for run in runs if run.seed in first or done.get(run.seed) == arms]


def _check_completed(
    description: Mapping[str, Any],
    runs: Sequence[Run],
    trials: Mapping[str, Row],
    known: str,
    place: str,
) -> None:
    """Check that every training of every confirmed config has completed, and that there is one."""
    if not runs:
        raise StudyError(
            f"{description['study']} can't say which config is best: there is no seed with which "
            f"none of them failed: choose with --trial, one of {known}"
        )
    waiting = [run for run in runs if trials.get(run.run_id, {}).get("status") != "completed"]
    if waiting:
        raise StudyError(
            f"{description['study']} can't say which config is best before all have completed, and "
            f"{len(waiting)} of their trainings have not: python -m ffl_ray.confirm {place} goes "
            f"on; or choose with --trial, one of {known}"
        )


def _with_means(
    found: Sequence[Candidate], arms: Mapping[str, str], measured: Mapping[str, Measured]
) -> list[Candidate]:
    """The candidates with the means of their config's seeds in place of their own numbers."""
    made = []
    for candidate in found:
        rows = measured[arms[candidate.trial_id]].members[candidate.member].values()
        row = dict(candidate.row)
        for metric in METRICS:
            values = [other[metric] for other in rows if other[metric] is not None]
            row[metric] = fmean(values) if values else None
        made.append(candidate._replace(accuracy=row["accuracy"], row=row))
    return pick.ordered(made)
