"""Configs, arms, pairs and runs: what a confirmation trains, and what it compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ffl_ray.config.settings import ResolvedConfig

Equal = Literal["epochs", "seconds"]


class Tuning(NamedTuple):
    """The search that a baseline's settings come from.

    Attributes:
        study: its folder, below the confirmation's.
        trial_id: of its best trial.
        trials: that ended.
        accelerator_s: of all its trials.
        searched: the dimensions.
    """

    study: str
    trial_id: str
    trials: int
    accelerator_s: float
    searched: tuple[str, ...]

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Tuning:
        """The search that was dumped.

        Raises:
            TypeError, ValueError, KeyError: it lacks something.
        """
        return cls(
            str(stored["study"]),
            str(stored["trial_id"]),
            int(stored["trials"]),
            float(stored["accelerator_s"]),
            tuple(map(str, stored["searched"])),
        )


class Arm(NamedTuple):
    """One config that is trained with every seed.

    Attributes:
        name: what a person calls it; no two arms share one.
        trial_id: of the search's trial that it was; none: it is a baseline.
        settings: the config, flat, whatever its seed.
        epoch_s: seconds of an epoch, as measured before the start; none: not measured.
        tuned: of a baseline: the search of its own that its settings come from; none: it inherits
            those of the config.
    """

    name: str
    trial_id: str | None
    settings: Mapping[str, Any]
    epoch_s: float | None = None
    tuned: Tuning | None = None

    def dump(self) -> dict[str, Any]:
        """Plain values for study.json."""
        return self._asdict() | {"tuned": self.tuned and self.tuned._asdict()}

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Arm:
        """The arm that was dumped.

        Raises:
            TypeError, ValueError, KeyError: it lacks something, or has what no arm has.
        """
        found, tuned = cls(**stored), stored.get("tuned")
        return found if tuned is None else found._replace(tuned=Tuning.load(tuned))


class Pair(NamedTuple):
    """A member of one arm against a member of a baseline.

    Attributes:
        arm: name of a config's arm.
        member: of it.
        equal: what both sides have in common: the number of epochs, or of seconds.
        baseline: name of an arm.
        baseline_member: of it.
        of: the members of the config whose mean `member` is; none: it is a member itself.
        baseline_of: likewise of the baseline.
        kind: of the baseline: alone, together, untaught, same_macs, default; empty by the version
            before.
    """

    arm: str
    member: str
    equal: Equal
    baseline: str
    baseline_member: str
    of: tuple[str, ...] = ()
    baseline_of: tuple[str, ...] = ()
    kind: str = ""

    @property
    def members(self) -> tuple[str, ...]:
        """The members of the config that are compared."""
        return self.of or (self.member,)

    @property
    def baseline_members(self) -> tuple[str, ...]:
        """The members of the baseline that they are compared with."""
        return self.baseline_of or (self.baseline_member,)


class Run(NamedTuple):
    """One training of an arm."""

    run_id: str
    arm: str
    seed: int


class Chosen(NamedTuple):
    """A config that the search found, and the trial that it was: of several the best."""

    trial_id: str
    config: ResolvedConfig
