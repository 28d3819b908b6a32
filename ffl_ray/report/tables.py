"""The tables of a report; every one is a selection of the study's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import shown, some
from ffl_ray.config.readers import DECIDING, METHOD, READ_BY, values_read, without_effect
from ffl_ray.report.source import MIX, Study, best_first
from ffl_ray.results import pareto
from ffl_ray.results.columns import BASELINE
from ffl_ray.results.reader import records
from ffl_ray.results.schema import kept_choice, params_of
from ffl_ray.search.mix import NUM_BRANCHES

BEST = 10
BACKBONES = "search.backbones"
USUAL = [MIX, "fusion.design", "distill.temperature"]
FINAL = ("distill.method", "seed")
ACCURACIES = ["val.fused.accuracy", "val.ensemble.accuracy", "val.best_branch.accuracy"]
FRONT_MEMBER = ["trial_id", "checkpoint", "member", "backbone", "accuracy", "macs"]
FAILURE = ["trial_id", "status", "error_type", "error", "epochs_done"]
COST = parse_objectives(["fused.accuracy", "fused.macs"])


def trials_table(study: Study, trials: pd.DataFrame) -> pd.DataFrame:
    """Trials with what was searched, their objectives and the accuracy of each kind of member."""
    objectives = [objective.name for objective in study.objectives]
    accuracies = [n for n in ACCURACIES if n.removeprefix("val.") not in objectives]
    wanted = [
        *("trial_id", "status"),
        *([BASELINE] if BASELINE in trials and trials[BASELINE].notna().any() else []),
        *dict.fromkeys([*study.searched, *USUAL, *(FINAL if study.is_final else ())]),
        *objectives,
        *accuracies,
        *("epochs_done", "epochs_planned", "accelerator_s"),
    ]
    found = with_effect(trials, wanted)
    for name in {*objectives} & {n.removeprefix("val.") for n in ACCURACIES}:
        # A network of one branch is judged by it, whatever the member.
        found[name] = found[name].where(trials[f"val.{name}"].notna())
    empty = [name for name in (*objectives, *accuracies) if found[name].isna().all()]
    return found.drop(columns=empty)


def with_effect(trials: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Columns of the trials table; a setting is empty where it has no effect on the trial."""
    found = trials[[*names]].copy()
    settings = [n for n in trials if n in DECIDING or (n in names and n in READ_BY)]
    unread = [without_effect(row) for row in records(trials[[*dict.fromkeys([METHOD, *settings])]])]
    for name in READ_BY.keys() & found.columns:
        found[name] = found[name].mask(np.array([name in one for one in unread], dtype=bool))
    return found


def how_taught(trial: Mapping[Any, Any] | pd.Series[Any]) -> str:
    """How a trial is taught, in words: its mix, and what of method, design and temperature it has.

    Args:
        trial: its row of the trials table, or what decides of it.
    """
    names = [name for name in (*DECIDING, *USUAL) if name in trial]
    known = {name: None if pd.isna(trial[name]) else trial[name] for name in names}
    mix, design, temperature = values_read(known, USUAL)
    if temperature is None:
        return f"{mix}, untaught"
    words = [mix, *([known[METHOD]] if known[METHOD] != "ffl" else [])]
    words += [design] if design is not None else []
    return ", ".join([*words, f"temperature {temperature:.2f}"])


def best_trials(study: Study) -> pd.DataFrame:
    """The best completed trials; where there is none, the best of those that have a value.

    The one that is called best stands first, whatever the value of others. The number of branches
    stays out, since the mix says it.
    """
    trials = _called_first(study)
    if not trials.empty:
        best = trials_table(study, _with_baselines(trials, BEST)).drop(columns="status")
    else:
        started = study.trials.dropna(subset=[study.quality.name])
        best = trials_table(study, best_first(started, study.quality).head(BEST))
    return best.drop(columns=NUM_BRANCHES, errors="ignore")


def _called_first(study: Study) -> pd.DataFrame:
    """The completed trials, best first, and before all of them the one that is called best."""
    trials, called = study.completed, study.called_best
    if called is None:
        return trials
    is_called = trials["trial_id"] == called.trial_id
    return pd.concat([trials[is_called], trials[~is_called]], ignore_index=True)


def _with_baselines(trials: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first trials, and the baselines behind them."""
    if BASELINE not in trials:
        return trials.head(count)
    return trials[(np.arange(len(trials)) < count) | trials[BASELINE].notna()]


def candidates(study: Study) -> pd.DataFrame:
    """Every member of every completed trial, after its latest epoch, with its trial's settings."""
    latest = study.members[study.members["checkpoint"] == "latest"]
    deciding = [name for name in DECIDING if name in study.completed]
    about = study.completed[["trial_id", *USUAL, *deciding]]
    columns = ["trial_id", "member", "backbone", "accuracy", "macs", "parameters"]
    found = latest[columns].merge(about, on="trial_id")
    return found.dropna(subset=["accuracy", "macs"])


def cost_front(study: Study) -> pd.DataFrame:
    """The members that no other beats in both accuracy and MACs, best first."""
    trials = study.completed
    latest = study.members["checkpoint"] == "latest"
    members = study.members.loc[latest & study.members["trial_id"].isin(trials["trial_id"])]
    points = pareto.front(records(trials), records(members[FRONT_MEMBER]), COST)
    if not points:
        return pd.DataFrame()
    return pd.DataFrame(points).drop_duplicates(["accuracy", "macs"], ignore_index=True)


def failures(study: Study) -> pd.DataFrame:
    """Each different error, how many trials it ended, and which."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in records(study.trials[FAILURE]):
        if row["status"] == "failed" or row["error_type"] is not None:
            error = (row["error_type"] or "unknown", row["error"] or "")
            groups.setdefault(error, []).append(row)
    rows = [
        {
            "error_type": kind,
            "error": message,
            "trials": len(group),
            "trial_ids": some([row["trial_id"] for row in group]),
            "epochs_done": max(row["epochs_done"] or 0 for row in group),
        }
        for (kind, message), group in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    return pd.DataFrame(rows)


def ranges(study: Study) -> pd.DataFrame:
    """Each parameter that Optuna drew, its range over all trials, and how much of it was tried."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    tried: dict[str, set[Any]] = {}
    for row in records(study.trials[["params", "distributions"]].dropna()):
        for name, kind in json.loads(row["distributions"]).items():
            kinds.setdefault(name, []).append(kind)
        for name, value in params_of(row["params"]).items():
            tried.setdefault(name, set()).add(value)
    rows = [
        {"parameter": name, "range": _range(found), "values_tried": len(tried.get(name, ()))}
        for name, found in kinds.items()
    ]
    return pd.DataFrame(rows)


def _range(kinds: Iterable[Mapping[str, Any]]) -> str:
    found = [kind["attributes"] for kind in kinds]
    if "choices" in found[0]:
        choices = dict.fromkeys(shown(kept_choice(c)) for kind in found for c in kind["choices"])
        return ", ".join(choices)
    low, high = min(kind["low"] for kind in found), max(kind["high"] for kind in found)
    log = ", logarithmic" if found[0].get("log") else ""
    return f"{low:g} to {high:g}{log}"


def settings_table(study: Study) -> pd.DataFrame:
    """Every setting that the study was begun with; a search varies some of them."""
    settings = study.description["settings"]
    values = {n: shown(tuple(v) if isinstance(v, list) else v) for n, v in settings.items()}
    return pd.DataFrame({"setting": list(values), "value": list(values.values())})


def replaced(description: Mapping[str, Any]) -> str:
    """What stands in place of what the space's file says, as far as the study tells, in words.

    Args:
        description: its study.json.
    """
    settings, budget = description["settings"], description.get("budget")
    values = budget.get("values") if isinstance(budget, Mapping) else None
    chosen = [*values] if isinstance(values, Mapping) else []
    names = [name for name in dict.fromkeys([*chosen, BACKBONES]) if settings.get(name)]
    if not names:
        return ""
    told = ", ".join(f"{name} {_in_words(settings[name])}" for name in names)
    who = "Chosen to fit --budget" if chosen else "Chosen by the command"
    mixes = ": its mixes are of these backbones" if BACKBONES in names else ""
    return f"{who}, in place of what the file below says: {told}{mixes}."


def _in_words(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else shown(value)


def provenance(study: Study) -> pd.DataFrame:
    """The provenance of the numbers: versions, commit, split, seeds, plan, machine, times."""
    about = study.description
    settings, trials = about["settings"], study.trials
    rows = {
        "study": study.name,
        "kind": about["kind"],
        "schema version": about["schema_version"],
        "created": about.get("created"),
        "first trial started": _moment(trials["started"].min()),
        "last trial ended": _moment(trials["ended"].max()),
        "accelerator hours": f"{trials['accelerator_s'].sum() / 3600:.3f}",
        "data": _pairs({"name": study.data_name} | dict(about.get("data", {}))),
        "split hash": ", ".join(sorted(set(trials["split_hash"].dropna()))) or None,
        "seeds": _pairs({n: settings.get(n) for n in ("seed", "search.seed", "data.split_seed")}),
        "plan": _pairs(about.get("plan", {})),
        "machine": _pairs(about.get("machine", {})),
        "commit": about.get("git_commit"),
        "versions": _pairs(about.get("versions", {})),
    }
    known = {name: value for name, value in rows.items() if value not in (None, "")}
    return pd.DataFrame({"what": list(known), "value": [str(v) for v in known.values()]})


def _moment(time: Any) -> str | None:
    return None if pd.isna(time) else f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
