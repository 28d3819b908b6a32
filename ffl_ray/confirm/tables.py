"""The tables of a confirmation: its runs, and a summary of every member.

Pure functions from rows to rows, the writer and the reader, and what others ask of them.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ffl_ray.config.overrides import mix_name
from ffl_ray.confirm.measured import Measured, effect_of
from ffl_ray.confirm.opponents import PLURALS
from ffl_ray.confirm.pairs import Arm, Run
from ffl_ray.results.final_columns import CONFIRMED
from ffl_ray.results.guard import understood
from ffl_ray.results.looks import ONCE, Looked
from ffl_ray.results.parts import Parts
from ffl_ray.results.statistics import Summary, summary
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.verdicts import FAILS

Row = dict[str, Any]
SEVERAL = tuple(PLURALS.values())
METRICS = ("accuracy", "nll")
INTERVAL = ("mean", "std", "low", "high")
FOLDER = "confirmed"
FINAL_KINDS = ("confirm", "reproduce")  # train on train + val, measured on the test split


def summary_rows(
    arms: Sequence[Arm], measured: Mapping[str, Measured], looked: Looked = ONCE
) -> list[Row]:
    """A row of the summary table for each member of each arm that has a completed run.

    Args:
        looked: of a race, in which the number of seeds hangs on what they gave: intervals hold at
            each of them.
    """
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
                values = summary(found.values(member, metric).values())
                found_of = effect_of(values, found.of_images([member], metric), metric, None)
                effect = found_of.effect._replace(**looked._asdict())
                row |= interval_columns(metric, effect.summary(values.std))
                row["over"] = found_of.over
            rows.append(row)
    return rows


def interval_columns(name: str, found: Summary) -> Row:
    """Mean, spread and interval of a quantity, by column."""
    return {f"{name}.{key}": getattr(found, key) for key in INTERVAL}


def interval_of(row: Mapping[str, Any], name: str) -> Summary:
    """The quantity that these columns of a row hold."""
    return Summary(row["n"], *(row[f"{name}.{key}"] for key in INTERVAL))


def how_many_seeds(rows: Sequence[Row], what: str = "seed") -> str:
    """How many seeds rows of the summary table are of, from the fewest to the most, in words."""
    counts = [row["n"] for row in rows]
    least, most = min(counts), max(counts)
    count = str(most) if least == most else f"{least} to {most}"
    return f"{count} {what}{'s' * (most != 1)}"


def distinct_members(summary: Sequence[Row]) -> list[Row]:
    """Rows of the summary table without the ensemble of one branch: that branch once more."""
    return [row for row in summary if row["member"] != "ensemble" or set(row["mix"]) & set("*+")]


def run_rows(
    runs: Sequence[Run], arms: Sequence[Arm], trials: Iterable[Mapping[str, Any]]
) -> list[Row]:
    """The runs table.

    Args:
        trials: rows of the trials table; of those that failed it takes why.
    """
    trial_of = {arm.name: arm.trial_id for arm in arms}
    errors = {row["trial_id"]: row["error_type"] for row in trials if row["status"] == "failed"}
    return [
        run._asdict() | {"trial_id": trial_of[run.arm], "error_type": errors.get(run.run_id)}
        for run in runs
    ]


def failed_words(runs: Iterable[Row]) -> str:
    """Which of these rows of the runs table failed, in two sentences; empty: none did."""
    failed: dict[tuple[str, str], list[str]] = {}
    for row in runs:
        if row["error_type"] is not None:
            failed.setdefault((row["arm"], row["error_type"]), []).append(str(row["seed"]))
    said = [
        f"{arm} with seed{'s' * (len(seeds) > 1)} {', '.join(seeds)} ({error})"
        for (arm, error), seeds in failed.items()
    ]
    return (
        f"Failed, and so in no number here: {'; '.join(said)}. Numbers and verdicts hold for "
        f"trainings that come to their end."
        if said
        else ""
    )


def closed_words(comparisons: Iterable[Row]) -> str:
    """Between whom there is no verdict since one side always failed; empty: there is none such."""
    rows = [row for row in comparisons if row["verdict"] == FAILS]
    named = dict.fromkeys(f"{row['arm']} and {row['baseline']}" for row in rows)
    return (
        f"No verdict between {'; '.join(named)}: every training of one side failed, and the other "
        f"has no seeds more for it."
        if named
        else ""
    )


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
        verdicts: on it against each baseline, in words; empty: there is none.
        failed: what is to be said of trainings that failed; empty: none did.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int
    verdicts: str = ""
    failed: str = ""

    @property
    def words(self) -> str:
        """The mean, and its interval where there is one."""
        if self.low is None or self.high is None:
            return f"{self.mean:.4f} (one training, so no interval)"
        return f"{self.mean:.4f} (95% interval {self.low:.4f} to {self.high:.4f})"

    @property
    def sentence(self) -> str:
        """The verdicts as a sentence, and what failed; empty where there is neither."""
        verdicts = f"Verdicts: {self.verdicts}." if self.verdicts else ""
        return " ".join(filter(None, [verdicts, self.failed]))


def confirmed_accuracy(storage: Storage, trial_id: str, member: str) -> ConfirmedAccuracy | None:
    """The confirmed accuracy of a trial's member; None where the study has none of it.

    Args:
        storage: of the study, whose confirmation is its folder `confirmed`.
    """
    found = read_confirmed(storage.child(FOLDER))
    with understood(storage.location):
        arms = {row["arm"] for row in found["summary"] if row["trial_id"] == trial_id}
        return _accuracy(found, arms, member)


def accuracy_of_run(storage: Storage, run_id: str, member: str) -> ConfirmedAccuracy | None:
    """The confirmed accuracy of the config that one of a confirmation's trainings had.

    Args:
        storage: the folder `confirmed` of a study.
    """
    found = read_confirmed(storage)
    with understood(storage.location):
        arms = {row["arm"] for row in found["runs"] if row["run_id"] == run_id}
        return _accuracy(found, arms, member)


def _accuracy(
    tables: Mapping[str, list[Row]], arms: set[str], member: str
) -> ConfirmedAccuracy | None:
    for row in tables["summary"]:
        if row["arm"] in arms and row["member"] == member and row["accuracy.mean"] is not None:
            stem = member.rstrip(string.digits)
            several = PLURALS.get(stem, stem)
            names = {member, several, f"{several}_{row['backbone']}"}
            compared = [one for one in tables["comparisons"] if one["arm"] in arms]
            verdicts = [
                _verdict(one)
                for one in compared
                if one["member"] in names and one["metric"] == "accuracy" and one["p"] is not None
            ]
            ends = (row["accuracy.low"], row["accuracy.high"])
            failed = failed_words(run for run in tables["runs"] if run["arm"] == row["arm"])
            words = "; ".join(verdicts)
            return ConfirmedAccuracy(row["accuracy.mean"], *ends, row["n"], words, failed)
    return None


def _verdict(row: Row) -> str:
    points = [100 * row[f"difference.{name}"] for name in ("mean", "low", "high")]
    whose = f"the mean of the {row['member']} is " if row["member"].startswith(SEVERAL) else ""
    parity = f", {row['parity']}" if row.get("parity") else ""
    return (
        f"{whose}{row['verdict']} against {row['baseline']} ({row['baseline_member']}) at equal "
        f"{row['equal']}{parity}, {points[0]:+.2f} points ({points[1]:+.2f} to {points[2]:+.2f})"
    )
