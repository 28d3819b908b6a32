"""Whether a soak leaked: what grows with the trials, what stays behind, and what was lost."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.common import show
from benchmarks.stress.soaking.samples import HELPERS
from ffl_ray.orchestration.sessions import KEPT
from ffl_ray.planning.forecast import RAY_TRIAL_BYTES, tables_bytes
from ffl_ray.results import load

MEGABYTE = 1e6
WARM_TRIALS = 16  # what a process needs once is loaded by then
GONE_WITHIN_S = 30.0
HELPERS_GONE_WITHIN_S = 75.0  # they look for their head for a minute, and train nothing
LASTING_SAMPLES = 5


class Limit(NamedTuple):
    """A limit: what may grow, and by how much.

    Attributes:
        column: of the samples.
        per_100_trials: the largest slope that passes, in the column's unit.
        unit: what a number is divided by to be shown.
        whole: the slope over the whole soak, which outlives drivers; else within each driver's
            life.
        quiet: only where nothing was killed: kills renew the process.
    """

    column: str
    per_100_trials: float
    unit: float = 1.0
    whole: bool = False
    quiet: bool = False


class Finding(NamedTuple):
    """One thing that was checked."""

    what: str
    found: str
    limit: str
    passed: bool


LIMITS = (
    Limit("driver_own_bytes", 8 * MEGABYTE, MEGABYTE),
    Limit("driver_open_files", 1),
    Limit("driver_threads", 1),
    Limit("actor_own_bytes", 60 * MEGABYTE, MEGABYTE, quiet=True),
    Limit("ray_pss_bytes", 25 * MEGABYTE, MEGABYTE, quiet=True),
    Limit("processes", 0.5, whole=True),
    Limit("open_files", 10, whole=True),
    Limit("threads", 10, whole=True),
    Limit("groups", 0.2, whole=True),
    Limit("shared_memory_bytes", MEGABYTE, MEGABYTE, whole=True),
)


def slope(samples: pd.DataFrame, limit: Limit) -> float | None:
    """Growth per 100 trials while some train, by least squares.

    Each driver's life has a level of its own.

    None where too few samples say anything.
    """
    known = samples[samples["actors"] > 0].dropna(subset=[limit.column])
    if limit.quiet:
        known = known[~known["noisy"]]
    first = known.groupby(["generation", "noisy"])["trials_ended"].transform("min")
    known = known[known["trials_ended"] >= first + (1 if limit.whole else WARM_TRIALS)]
    if known["trials_ended"].nunique() < 5:
        return None
    x, y = known["trials_ended"].astype(float), known[limit.column].astype(float)
    if not limit.whole:
        lives = [known["generation"], known["noisy"]]
        x, y = x - x.groupby(lives).transform("mean"), y - y.groupby(lives).transform("mean")
    else:
        x, y = x - x.mean(), y - y.mean()
    return float(100 * np.dot(x, y) / np.dot(x, x))


def grown(samples: pd.DataFrame) -> list[Finding]:
    """Findings of growth: each slope against its limit."""
    found = []
    for limit in LIMITS:
        value = slope(samples, limit)
        if value is None:
            continue
        unit = " MB" if limit.unit == MEGABYTE else ""
        found.append(
            Finding(
                f"{limit.column.removesuffix('_bytes')} per 100 trials",
                f"{value / limit.unit:+.2f}{unit}",
                f"at most {limit.per_100_trials / limit.unit:g}{unit}",
                value <= limit.per_100_trials,
            )
        )
    return found


def unexplained_zombies(samples: pd.DataFrame, kills: pd.DataFrame) -> int:
    """The most zombies that last, beside killed helpers: Ray waits for these at its end."""
    helpers = kills.loc[kills["kind"].isin(HELPERS), "time"] if len(kills) else pd.Series([])
    began = samples.groupby("generation")["time"].transform("min")
    killed = [
        int(((helpers >= since) & (helpers <= now)).sum())
        for since, now in zip(began, samples["time"], strict=True)
    ]
    left = samples["zombies"] - killed
    return int(left.rolling(LASTING_SAMPLES, min_periods=1).min().max())


def left_behind(samples: pd.DataFrame, kills: pd.DataFrame) -> list[Finding]:
    """Findings of processes after the end, and of orphans after a driver's death."""
    last = samples.iloc[-1]
    return [
        _none("processes at the end", int(last["processes"])),
        _none("zombies at the end", int(last["zombies"])),
        _none(
            "zombies that last",
            unexplained_zombies(samples, kills),
            "none, beside helpers that were killed",
        ),
        _gone_within(
            "a killed driver's trials lived for",
            longest_orphaned_s(samples, helpers=False),
            GONE_WITHIN_S,
        ),
        _gone_within(
            "its helpers of Ray lived for",
            longest_orphaned_s(samples, helpers=True),
            HELPERS_GONE_WITHIN_S,
        ),
    ]


def _none(what: str, count: int, limit: str = "none") -> Finding:
    return Finding(what, f"{count}", limit, not count)


def _gone_within(what: str, lived_s: float, limit_s: float) -> Finding:
    return Finding(what, f"{lived_s:.0f} s", f"at most {limit_s:.0f} s", lived_s <= limit_s)


def disk_taken(samples: pd.DataFrame, epochs: int, branches: int) -> list[Finding]:
    """Findings of disk: sessions, and the study's folder against the plan's bound.

    Args:
        epochs: of a trial.
        branches: of its network.
    """
    last = samples.iloc[-1]
    trials = int(last["trials_ended"])
    # One checkpoint in the plan's bound is another figure: here the tables and Ray's files.
    bound = tables_bytes(trials, epochs, branches)
    return [
        Finding(
            "Ray's sessions",
            f"{samples['sessions'].max():.0f} of {samples['generation'].nunique()} starts",
            f"at most {KEPT + 2} at once",
            bool(samples["sessions"].max() <= KEPT + 2),
        ),
        Finding(
            "study's folder",
            f"{last['study_bytes'] / MEGABYTE:.1f} MB",
            f"the plan's {bound / MEGABYTE:.0f} MB and its checkpoints",
            bool(last["study_bytes"] <= bound + 10 * MEGABYTE),
        ),
        Finding(
            "Ray's files in it, a trial",
            f"{last['study_ray_bytes'] / trials / 1e3:.1f} kB",
            f"at most {RAY_TRIAL_BYTES / 1e3:.0f} kB",
            bool(last["study_ray_bytes"] <= trials * RAY_TRIAL_BYTES),
        ),
    ]


def longest_orphaned_s(samples: pd.DataFrame, *, helpers: bool) -> float:
    """The longest time in which processes of an earlier driver were seen without a break.

    Args:
        helpers: Ray's own helpers, or else all others.
    """
    longest = 0.0
    since: float | None = None
    for time, kinds in zip(samples["time"], samples["orphan_kinds"], strict=True):
        if not any((kind in HELPERS) == helpers for kind in kinds.split(", ") if kind):
            since = None
        else:
            since = time if since is None else since
            longest = max(longest, time - since)
    return longest


def complete(study: Path, trials: int, kills: pd.DataFrame) -> list[Finding]:
    """Findings of the tables: every trial, epoch and member is there once."""
    found = load(str(study))
    ids = [f"{number:05d}" for number in range(trials)]
    status = found.trials["status"].value_counts().to_dict()
    pairs = set(zip(found.epochs["trial_id"], found.epochs["epoch"], strict=True))
    planned = found.trials.set_index("trial_id")["epochs_planned"]
    wanted = {(name, epoch) for name, last in planned.items() for epoch in range(1, last + 1)}
    members = found.members.groupby("trial_id").size()
    lost = int(kills["lost"].sum()) if len(kills) else 0
    return [
        Finding(
            "trials", f"{status}", f"{trials} completed", list(found.trials["trial_id"]) == ids
            and status == {"completed": trials},
        ),
        Finding(
            "epochs", f"{len(found.epochs)} rows", f"{len(wanted)}, each once",
            len(found.epochs) == len(pairs) and pairs == wanted,
        ),
        Finding("stored epochs lost by a kill", f"{lost}", "none", not lost),
        Finding(
            "members", f"{sorted(set(members))} rows a trial", "the same for all",
            len(members) == trials and members.nunique() == 1,
        ),
    ]  # fmt: skip


def verdict(samples: pd.DataFrame, kills: pd.DataFrame, study: Path, trials: int) -> int:
    """Print every finding; 1 when one did not pass."""
    about = load(str(study)).trials.iloc[0]
    hours = (samples["time"].diff().clip(upper=30).sum()) / 60
    show(f"{trials} trials, {len(kills)} kills {kills['kind'].value_counts().to_dict()}")
    show(f"{hours:.0f} minutes, {samples['generation'].nunique()} starts of the command")
    findings = [
        *complete(study, trials, kills),
        *left_behind(samples, kills),
        *disk_taken(samples, int(about["epochs_planned"]), int(about["num_branches"])),
        *grown(samples),
    ]
    width = max(len(finding.what) for finding in findings)
    for what, found, limit, passed in findings:
        show(f"{'ok  ' if passed else 'LEAK'} {what:<{width}}  {found}  ({limit})")
    return 0 if all(finding.passed for finding in findings) else 1
