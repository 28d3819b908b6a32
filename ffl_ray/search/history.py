"""What a study's tables say of its trials, for a search that goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import optuna
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState

from ffl_ray.config import OBJECTIVE, Config, settings, with_overrides

Row = Mapping[str, Any]
STATES = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "interrupted": TrialState.RUNNING,
    "running": TrialState.RUNNING,
}


class PastTrial(NamedTuple):
    """A trial of an earlier run.

    Attributes:
        trial_id: its number, five digits.
        config: its settings.
        state: what Optuna is told of it; RUNNING when it is to go on.
        values: its objective after each finished epoch.
        params: Optuna's parameters.
        distributions: Optuna's distributions of them.
    """

    trial_id: str
    config: Config
    state: TrialState
    values: dict[int, float]
    params: dict[str, Any]
    distributions: dict[str, optuna.distributions.BaseDistribution]

    @property
    def goes_on(self) -> bool:
        """Whether it was interrupted."""
        return self.state == TrialState.RUNNING

    def frozen(self) -> optuna.trial.FrozenTrial:
        """The trial as Optuna keeps it."""
        now = datetime.now(UTC).replace(tzinfo=None)
        last = self.values[max(self.values)] if self.values else None
        return optuna.trial.FrozenTrial(
            number=int(self.trial_id),
            trial_id=int(self.trial_id),
            state=self.state,
            value=last if self.state == TrialState.COMPLETE else None,
            values=None,
            datetime_start=now,
            datetime_complete=None if self.goes_on else now,
            params=self.params,
            distributions=self.distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values=self.values,
        )


def past_trials(trials: Iterable[Row], epochs: Iterable[Row]) -> list[PastTrial]:
    """The trials that a study's tables hold, in order of their numbers.

    Args:
        trials: rows of the trials table.
        epochs: rows of the epochs table.
    """
    values: dict[str, dict[int, float]] = {}
    for row in epochs:
        values.setdefault(row["trial_id"], {})[row["epoch"]] = row[OBJECTIVE]
    names = [setting.name for setting in settings(Config)]
    return [
        PastTrial(
            trial_id=row["trial_id"],
            config=with_overrides(Config(), {name: row[name] for name in names}),
            state=STATES[row["status"]],
            values=values.get(row["trial_id"], {}),
            params=json.loads(row["params"]),
            distributions={
                name: json_to_distribution(json.dumps(kind))
                for name, kind in json.loads(row["distributions"]).items()
            },
        )
        for row in sorted(trials, key=lambda row: str(row["trial_id"]))
    ]
