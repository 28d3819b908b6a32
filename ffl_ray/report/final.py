"""The sections of a study of final runs: nothing in it was validated, all is of the test split."""

from __future__ import annotations

import pandas as pd

from ffl_ray.config.methods import trained_on
from ffl_ray.report.blocks import Block, Missing, Section, Table
from ffl_ray.report.confirmed import TITLE, confirmed_blocks
from ffl_ray.report.plotting import Plots
from ffl_ray.report.source import MIX, Study
from ffl_ray.results.reader import read_rows, records

REPRODUCED = "reproduced"
METRICS = ["accuracy", "top5", "nll", "ece"]
LEFT_OUT = ["study", "table", "source", "cautions"]


def final_sections(study: Study, plots: Plots | None) -> list[Section]:
    """Its comparison, and the test metrics of every training."""
    if study.description["kind"] == "confirm":
        results = Section(TITLE, confirmed_blocks(study.storage, plots))
    else:
        results = Section("Published and ours", _reproduced(study))
    return [results, Section("Every training", [_tested(study)])]


def tested(study: Study) -> pd.DataFrame:
    """The members of every completed training, as measured on the test split."""
    arms = {run["run_id"]: run["arm"] for run in study.description.get("runs", [])}
    done = study.trials[study.trials["status"] == "completed"]
    about = done[["trial_id", MIX, "distill.method", "seed", "epochs_done", "accelerator_s"]]
    columns = ["trial_id", "member", "role", "images", *METRICS, "parameters", "macs"]
    members = study.members[study.members["split"] == "test"][columns]
    found = about.merge(members, on="trial_id").rename(columns={"trial_id": "run_id"})
    if arms:
        found.insert(1, "arm", found["run_id"].map(arms))
    empty = [name for name in METRICS if found[name].isna().all()]
    return found.drop(columns=empty)


def _tested(study: Study) -> Block:
    found = tested(study)
    if found.empty:
        return Missing("No test metrics: no training has completed yet.")
    count = found["run_id"].nunique()
    text = (
        f"The members of {count} completed training{'s' * (count > 1)}, one seed each: test split, "
        f"measured once after the last epoch; trained on {trained_on(records(study.trials))}."
    )
    return Table("test", text, found)


def _reproduced(study: Study) -> list[Block]:
    rows = read_rows(study.storage, REPRODUCED) if study.storage.exists(REPRODUCED) else []
    if not rows:
        return [
            Missing(
                "Nothing is held against the published values yet: that happens when the command "
                "ends."
            )
        ]
    frame = pd.DataFrame(rows)
    sources = ", ".join(sorted(set(frame["source"].dropna())))
    cautions = "; ".join(dict.fromkeys(frame["cautions"].dropna()))
    text = (
        f"Published ({sources}) and ours: test split after the last epoch, n seeds, trained on "
        f"{trained_on(records(study.trials))}; low and high are our mean's 95% interval, Student's "
        f"t. In band: our mean lies in the band; out of band: our whole interval lies outside; "
        f"else undecided."
        f"{' Cautions: ' * bool(cautions)}{cautions}"
    )
    shown = frame.drop(columns=[name for name in LEFT_OUT if name in frame])
    return [Table(REPRODUCED, text, shown.dropna(axis="columns", how="all"))]
