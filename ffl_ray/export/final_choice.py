"""Which training of a confirmation to export, and which member of it.

The weights of each confirmed config's first seed stay. Which config, if none is named, is chosen
by the means over all seeds: one seed's luck does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ffl_ray.config.objectives import Objective, parse_objectives, quality
from ffl_ray.confirm.tables import FOLDER, Run, measured_arms
from ffl_ray.errors import StudyError
from ffl_ray.export import pick
from ffl_ray.export.choice import Rule
from ffl_ray.export.pick import Candidate

Row = dict[str, Any]
METRICS = ("accuracy", "top5", "nll", "ece")


def choose_final(
    rule: Rule,
    description: Mapping[str, Any],
    trials: Mapping[str, Row],
    members: Sequence[Row],
    kept: set[str],
) -> Candidate:
    """The member of a final run that a rule chooses among those whose weights stayed.

    Args:
        description: what study.json says.
        trials: rows of the trials table by trial_id.
        members: rows of the members table.
        kept: the runs whose latest checkpoint is there.

    Raises:
        StudyError: nothing fits, or a config is to be chosen before all have completed.
    """
    study = str(description["study"])
    if description["kind"] == "reproduce":
        raise StudyError(
            f"{study} is a reproduction, which keeps no weights: train a config to export with "
            f"python -m ffl_ray.train"
        )
    goes_on = f"python -m ffl_ray.confirm {study.removesuffix(f'/{FOLDER}')}"
    found = [
        candidate
        for candidate in pick.candidates(trials.values(), members, final=True)
        if candidate.trial_id in kept
    ]
    known = ", ".join(sorted({candidate.trial_id for candidate in found}))
    if not found:
        raise StudyError(
            f"{study} has no weights yet: those of each config's first seed stay once it has "
            f"completed; {goes_on} goes on"
        )
    if rule.trial is not None:
        if rule.trial.zfill(5) not in known.split(", "):
            raise StudyError(
                f"--trial must be a completed training whose weights stayed, the first seed of a "
                f"confirmed config, one of {known}, not {rule.trial!r}"
            )
        return rule.choose(rule.among(found), _objective(description))
    runs = [Run(**run) for run in description["runs"]]
    configs = {arm["name"] for arm in description["arms"] if arm["trial_id"] is not None}
    waiting = [
        run for run in runs
        if run.arm in configs and trials.get(run.run_id, {}).get("status") != "completed"
    ]  # fmt: skip
    if waiting:
        raise StudyError(
            f"{study} can't say which config is best before all have completed, and "
            f"{len(waiting)} of their trainings have not: {goes_on} goes on; or choose with "
            f"--trial, one of {known}"
        )
    judged = _with_means(found, runs, list(trials.values()), members)
    best = rule.choose(rule.among(judged), _objective(description))
    return next(c for c in found if (c.trial_id, c.member) == (best.trial_id, best.member))


def _objective(description: Mapping[str, Any]) -> Objective:
    """What the search was judged by."""
    return quality(parse_objectives(description["ranked_by"].split(", ")))


def _with_means(
    found: Sequence[Candidate], runs: Sequence[Run], trials: Sequence[Row], members: Sequence[Row]
) -> list[Candidate]:
    """The candidates with the means of their config's seeds in place of their own numbers."""
    measured = measured_arms(runs, trials, members)
    arm_of = {run.run_id: run.arm for run in runs}
    made = []
    for candidate in found:
        rows = measured[arm_of[candidate.trial_id]].members[candidate.member].values()
        row = dict(candidate.row)
        for metric in METRICS:
            values = [other[metric] for other in rows if other[metric] is not None]
            row[metric] = fmean(values) if values else None
        made.append(candidate._replace(accuracy=row["accuracy"], row=row))
    return pick.ordered(made)
