"""What pruning cost a study: the trials that were finished though its scheduler would stop them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ffl_ray.config.objectives import Objective, quality
from ffl_ray.results.columns import AUDITED, BASELINE, PLAIN
from ffl_ray.results.statistics import wilson_interval

Row = Mapping[str, Any]


def pruning_cost(trials: Iterable[Row], objectives: Sequence[Objective]) -> str:
    """What stopping cost, in a sentence; empty where no trial was to be stopped.

    Audited trials are a random sample of those that are stopped: the share of them that comes out
    best is an estimate of that share among the stopped ones (Wilson's interval).

    Args:
        trials: rows of the trials table.
        objectives: of the search; the first that is no cost is looked at.
    """
    rows = [row for row in trials if row.get(BASELINE) != PLAIN]
    objective = quality(objectives)
    place = list(objectives).index(objective)
    done = [row for row in rows if row["status"] == "completed" and row["objective_values"]]
    values = {row["trial_id"]: float(row["objective_values"][place]) for row in done}
    audited = [row["trial_id"] for row in done if row.get(AUDITED) is not None]
    kept = [objective.score(value) for name, value in values.items() if name not in audited]
    stopped = len(audited) + sum(row["status"] == "pruned" for row in rows)
    if not stopped:
        return ""
    if not audited or not kept:
        lacking = "no other trial completed" if audited else "search.audit_trials finished none"
        return f"what stopping cost {stopped} trials is not known: {lacking}"
    best = max(audited, key=lambda name: objective.score(values[name]))
    better = sum(objective.score(values[name]) > max(kept) for name in audited)
    most = 100 * wilson_interval(better, len(audited))[1]
    rank = 1 + sum(other > objective.score(values[best]) for other in kept)
    return (
        f"what stopping cost: of {stopped} trials that were to be stopped {len(audited)}, drawn at "
        f"random, {'was' if len(audited) == 1 else 'were'} finished; {better} of them came out "
        f"best: at most {most:.0f}% of those stopped would have (95%). The best of them, {best}, "
        f"has {objective.name} {values[best]:.4f}, place {rank} among the {len(kept)} others that "
        f"completed"
    )
