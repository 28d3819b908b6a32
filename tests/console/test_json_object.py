"""--json: one object on standard output and all else on standard error; docs/json.md lists it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.confirmations import make_confirmation, planned
from support.helpers import ROOT
from support.studies import COMPLETED, Made, make_study

from ffl_ray.bench import measuring
from ffl_ray.bench.__main__ import parser as bench_parser
from ffl_ray.bench.figures import Figure, Found
from ffl_ray.config.settings import SearchConfig
from ffl_ray.confirm.command import show_confirmed
from ffl_ray.console.json_object import json_object, plain, tell
from ffl_ray.orchestration.search_study import show_outcome
from ffl_ray.report.__main__ import main as report

EVERY = {"command", "status"}


def documented(command: str) -> set[str]:
    """The fields of a command by the page."""
    found, current = set(), ""
    for line in (ROOT / "docs/json.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) < 3 or not line.startswith("| "):
            continue
        current = cells[0].strip("`| ") or current
        if current == command:
            found |= set(re.findall(r"`(\w+)`", cells[1]))
    return found


def told(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out = capfd.readouterr().out
    assert out.count("\n") == 1
    found: dict[str, Any] = json.loads(out)
    return found


def test_whatever_else_is_written_goes_to_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with json_object("x"):
        print("by python")  # noqa: T201
        os.write(1, b"by a library\n")
        subprocess.run(["echo", "by a process"], check=True)
        tell(a=1)
    print("after")  # noqa: T201

    out, err = capfd.readouterr()
    assert out == '{"command": "x", "a": 1}\nafter\n'
    assert {"by python", "by a library", "by a process"} <= set(err.splitlines())


def test_what_is_missing_is_null() -> None:
    values = {"a": np.nan, "b": [np.int64(3), pd.NA], "c": pd.Timestamp("2026-01-02"), "d": pd.NaT}

    assert plain(values) == {"a": None, "b": [3, None], "c": "2026-01-02T00:00:00", "d": None}
    assert plain(np.array([[True, False]])) == [[True, False]]


def test_nothing_is_told_where_nothing_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    tell(a=1)

    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("objectives", [["fused.accuracy"], ["fused.accuracy", "fused.macs"]])
def test_a_search_tells_its_trials_and_the_best(
    objectives: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trials = (*COMPLETED, Made(COMPLETED[0].params, "pruned", 1))
    tables = make_study(tmp_path, trials, objectives)

    with json_object("tune"):
        began = time.monotonic() - 60
        assert show_outcome(tables, SearchConfig(num_samples=6), 3.0, started=began) == 0

    found = told(capfd)
    assert documented("tune") == found.keys() - EVERY
    assert found["seconds"] >= 60  # the trials alone took 3
    assert found["trials"] == {"completed": 5, "pruned": 1}
    best = found["best"]
    assert best["params"] == COMPLETED[int(best["trial_id"])].params
    fused = next(row for row in best["members"] if row["member"] == "fused")
    assert best["values"]["fused.accuracy"] == fused["accuracy"]
    assert bool(found["front"]) == (len(objectives) > 1)


def test_a_search_without_a_completed_trial_has_no_best(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tables = make_study(tmp_path, [Made(COMPLETED[0].params, "failed", 0, ("E", "m"))])

    with json_object("tune"):
        show_outcome(tables, SearchConfig(num_samples=1), 3.0, started=time.monotonic())

    assert told(capfd)["best"] is None


def test_a_confirmation_tells_its_verdicts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path / "s", COMPLETED[:1])
    plan = planned()
    tables = make_confirmation(tmp_path / "s", plan)

    with json_object("confirm"):
        show_confirmed(plan, tables)

    found = told(capfd)
    assert documented("confirm") - {"across"} == found.keys() - EVERY
    assert found["trainings"] == {"asked": len(plan.runs), "waiting": 0}
    assert {row["verdict"] for row in found["comparisons"]}


@pytest.mark.parametrize(("form", "field"), [("csv", "files"), ("md", "text")])
def test_a_report_tells_where_it_is(
    form: str, field: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, COMPLETED[:1])

    assert report([str(tmp_path), "--format", form, "--json"]) == 0

    found = told(capfd)
    assert found.keys() - EVERY == documented("report") - ({"files", "text"} - {field})
    assert found["status"] == 0
    assert found[field]
    if form == "csv":
        assert all(Path(place).is_file() for place in found["files"])


def test_what_is_refused_is_an_object_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert report([str(tmp_path / "none"), "--json"]) == 2

    out, err = capfd.readouterr()
    found = json.loads(out)
    assert (found["command"], found["status"]) == ("report", 2)
    assert err == f"error: {found['error']}\n"


def test_a_measure_tells_its_figures(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    args = bench_parser().parse_args(["input", "--out", str(tmp_path)])
    figures = [Figure("images_per_s", 3.5, "a rate")]

    with json_object("bench"):
        measuring.measure(args, {"input": lambda _: Found("input", "title", figures)})

    found = told(capfd)
    assert documented("bench") == found.keys() - EVERY
    assert found["figures"] == {"images_per_s": 3.5}
    assert len(pd.read_parquet(found["table"])) == 1


def test_a_name_that_no_encoding_has_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    with json_object("x"):
        tell(location=os.fsdecode(b"/a/\xff"), study="é")

    assert told(capfd) == {"command": "x", "location": "/a/\udcff", "study": "é"}
