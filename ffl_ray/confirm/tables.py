"""The tables of a confirmation: its runs, a summary of every member, verdicts against baselines.

Pure functions from rows to rows, the writer and the reader, and what others ask of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ffl_ray.config.overrides import mix_name
from ffl_ray.results.columns import CONFIRMED
from ffl_ray.results.parts import Parts
from ffl_ray.results.statistics import DIRECTIONS, Summary, compare, summary
from ffl_ray.results.storage.storage import Storage

Row = dict[str, Any]
Equal = Literal["epochs", "seconds"]
METRICS = ("accuracy", "nll")
FOLDER = "confirmed"
FINAL_KINDS = ("confirm", "reproduce")  # train on train + val, measured on the test split


class Arm(NamedTuple):
    """One config that is trained with every seed.

    Attributes:
        name: what a person calls it; no two arms share one.
        trial_id: of the search's trial that it was; none: it is a baseline.
        settings: the config, flat, whatever its seed.
        epoch_s: seconds of an epoch, as measured before the start; none: not measured.
    """

    name: str
    trial_id: str | None
    settings: Mapping[str, Any]
    epoch_s: float | None = None


class Pair(NamedTuple):
    """A member of one arm against a member of a baseline.

    Attributes:
        arm: name of a config's arm.
        member: of it.
        equal: what both sides have in common: the number of epochs, or of seconds.
        baseline: name of an arm.
        baseline_member: of it.
    """

    arm: str
    member: str
    equal: Equal
    baseline: str
    baseline_member: str


class Run(NamedTuple):
    """One training of an arm."""

    run_id: str
    arm: str
    seed: int


class Measured(NamedTuple):
    """The results of an arm's runs, by seed.

    Attributes:
        members: rows of the members table by member, then by seed.
        accelerator_s: of each run.
    """

    members: dict[str, dict[int, Mapping[str, Any]]]
    accelerator_s: dict[int, float]

    def values(self, member: str, metric: str) -> dict[int, float]:
        """One metric of one member, by seed."""
        return {seed: row[metric] for seed, row in self.members.get(member, {}).items()}


def measured_arms(
    runs: Sequence[Run],
    trials: Iterable[Mapping[str, Any]],
    members: Iterable[Mapping[str, Any]],
) -> dict[str, Measured]:
    """The results of the completed runs, by arm.

    Args:
        trials: rows of the trials table.
        members: rows of the members table; those of the test split count.
    """
    completed = {row["trial_id"]: row for row in trials if row["status"] == "completed"}
    tested: dict[str, list[Mapping[str, Any]]] = {}
    for row in members:
        if row["split"] == "test":
            tested.setdefault(row["trial_id"], []).append(row)
    found: dict[str, Measured] = {}
    for run in runs:
        arm = found.setdefault(run.arm, Measured({}, {}))
        if run.run_id not in completed:
            continue
        arm.accelerator_s[run.seed] = completed[run.run_id]["accelerator_s"]
        for row in tested.get(run.run_id, []):
            arm.members.setdefault(row["member"], {})[run.seed] = row
    return found


def summary_rows(arms: Sequence[Arm], measured: Mapping[str, Measured]) -> list[Row]:
    """A row of the summary table for each member of each arm that has a completed run."""
    rows = []
    for arm in arms:
        found = measured[arm.name]
        for member, by_seed in sorted(found.members.items()):
            first = next(iter(by_seed.values()))
            row: Row = {
                "arm": arm.name,
                "trial_id": arm.trial_id,
                "role": "baseline" if arm.trial_id is None else "config",
                "mix": mix_name(tuple(arm.settings["model.mix"])),
                "method": arm.settings["distill.method"],
                "epochs": arm.settings["optim.epochs"],
                "member": member,
                "n": len(by_seed),
                "accelerator_s": summary(found.accelerator_s.values()).mean,
            }
            row |= {name: first[name] for name in ("backbone", "images", "parameters", "macs")}
            for metric in METRICS:
                row |= _columns(metric, summary(found.values(member, metric).values()))
            rows.append(row)
    return rows


def comparison_rows(
    pairs: Sequence[Pair], arms: Sequence[Arm], measured: Mapping[str, Measured]
) -> list[Row]:
    """Two rows of the comparisons table for each pair, one of each metric."""
    by_name = {arm.name: arm for arm in arms}
    rows = []
    for pair in pairs:
        arm, baseline = by_name[pair.arm], by_name[pair.baseline]
        ours, theirs = measured[pair.arm], measured[pair.baseline]
        for metric in METRICS:
            mine = ours.values(pair.member, metric)
            others = theirs.values(pair.baseline_member, metric)
            both = sorted(mine.keys() & others.keys())
            result = compare(mine, others, DIRECTIONS[metric])
            rows.append(
                {
                    **pair._asdict(),
                    "trial_id": arm.trial_id,
                    "metric": metric,
                    "n": result.difference.n,
                    "mean": summary(mine[seed] for seed in both).mean,
                    "baseline_mean": summary(others[seed] for seed in both).mean,
                    **_columns("difference", result.difference),
                    "verdict": result.verdict,
                    "macs": _macs(ours, pair.member),
                    "baseline_macs": _macs(theirs, pair.baseline_member),
                    "epochs": arm.settings["optim.epochs"],
                    "baseline_epochs": baseline.settings["optim.epochs"],
                    "accelerator_s": summary(ours.accelerator_s.values()).mean,
                    "baseline_accelerator_s": summary(theirs.accelerator_s.values()).mean,
                }
            )
    return rows


def _columns(name: str, found: Summary) -> Row:
    return {f"{name}.{key}": getattr(found, key) for key in ("mean", "std", "low", "high")}


def _macs(found: Measured, member: str) -> int | None:
    row = next(iter(found.members.get(member, {}).values()), None)
    return None if row is None else int(row["macs"])


def distinct_members(summary: Sequence[Row]) -> list[Row]:
    """Rows of the summary table without the ensemble of one branch: that branch once more."""
    return [row for row in summary if row["member"] != "ensemble" or set(row["mix"]) & set("*+")]


def num_verdicts(comparisons: Sequence[Row]) -> int:
    """The number of these rows that say better, worse or within noise."""
    return sum(row["difference.low"] is not None for row in comparisons)


def by_chance(verdicts: int) -> str:
    """A caution on so many verdicts: how many of them mean nothing."""
    return (
        f"Of {verdicts} verdicts, about {verdicts / 20:.1f} would be better or worse by chance if "
        f"nothing differed."
    )


def run_rows(runs: Sequence[Run], arms: Sequence[Arm]) -> list[Row]:
    """The runs table."""
    trial_of = {arm.name: arm.trial_id for arm in arms}
    return [run._asdict() | {"trial_id": trial_of[run.arm]} for run in runs]


def write_confirmed(storage: Storage, tables: Mapping[str, list[Row]]) -> None:
    """Store the three tables, each in one step."""
    for name, rows in tables.items():
        parts = Parts(storage, name)
        parts.make_first()
        parts.write(0, parts.arrow(rows))


def read_confirmed(storage: Storage) -> dict[str, list[Row]]:
    """The rows of the three tables, by table; none where `confirm` has not written them.

    Args:
        storage: the folder `confirmed` of a study.
    """
    found = {}
    for name in CONFIRMED:
        parts = Parts(storage, name)
        found[name] = [row for part in parts.names() for row in parts.read(part).to_pylist()]
    return found


class ConfirmedAccuracy(NamedTuple):
    """Accuracy on the test split over trainings of one config with new seeds.

    Attributes:
        mean: a fraction.
        low: lower end of the 95% interval; none: there was one training.
        high: its upper end.
        seeds: how many trainings.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def words(self) -> str:
        """The mean, and its interval where there is one."""
        if self.low is None or self.high is None:
            return f"{self.mean:.4f} (one training, so no interval)"
        return f"{self.mean:.4f} (95% interval {self.low:.4f} to {self.high:.4f})"


def confirmed_accuracy(storage: Storage, trial_id: str, member: str) -> ConfirmedAccuracy | None:
    """The confirmed accuracy of a trial's member; None where the study has none of it.

    Args:
        storage: of the study, whose confirmation is its folder `confirmed`.
    """
    rows = read_confirmed(storage.child(FOLDER))["summary"]
    return _accuracy([row for row in rows if row["trial_id"] == trial_id], member)


def accuracy_of_run(storage: Storage, run_id: str, member: str) -> ConfirmedAccuracy | None:
    """The confirmed accuracy of the config that one of a confirmation's trainings had.

    Args:
        storage: the folder `confirmed` of a study.
    """
    found = read_confirmed(storage)
    arms = {row["run_id"]: row["arm"] for row in found["runs"]}
    return _accuracy([row for row in found["summary"] if row["arm"] == arms.get(run_id)], member)


def _accuracy(rows: Sequence[Row], member: str) -> ConfirmedAccuracy | None:
    for row in rows:
        if row["member"] == member and row["accuracy.mean"] is not None:
            return ConfirmedAccuracy(
                row["accuracy.mean"], row["accuracy.low"], row["accuracy.high"], row["n"]
            )
    return None
