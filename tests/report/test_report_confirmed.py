"""Confirmed results in a report: finished, half-finished and damaged; studies of final runs."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from support.confirmations import CHOSEN, finish, make_confirmation, planned, rows_of
from support.helpers import small_config
from support.studies import COMPLETED, make_study

from ffl_ray.confirm.confirmation import write_tables
from ffl_ray.confirm.look import record_look
from ffl_ray.confirm.race import rounds
from ffl_ray.confirm.tables import read_confirmed
from ffl_ray.orchestration.final_run import waiting_runs
from ffl_ray.report.__main__ import main
from ffl_ray.report.blocks import Missing, Plot
from ffl_ray.report.confirmed_plot import differences
from ffl_ray.results.description import describe_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.results.writer import KeyedTable

UNTOUCHED = "the test split is untouched"
PUBLISHED = {
    "study": "again", "table": "anchors", "row": "resnet-32/ffl", "published_mean": 0.7,
    "mean": 0.71, "low": 0.70, "high": 0.72, "n": 3, "verdict": "in band", "source": "A paper",
    "cautions": "another split",
}  # fmt: skip


def page_of(folder: Path) -> str:
    assert main([str(folder)]) == 0
    return (folder / "report.html").read_text()


def words(page: str) -> str:
    body = page[page.index("<main>") :]
    return " ".join(unescape(re.sub(r"<script.*?</script>|<[^>]*>", " ", body, flags=re.S)).split())


def test_a_search_shows_what_was_confirmed_of_it(tmp_path: Path) -> None:
    make_study(tmp_path / "s", COMPLETED[:1])
    before = page_of(tmp_path / "s")
    plan = planned().as_registered()
    record_look(plan, make_confirmation(tmp_path / "s", plan).storage)

    page = page_of(tmp_path / "s")

    assert UNTOUCHED in words(before)
    text = words(page)
    assert UNTOUCHED not in text
    for sentence in (
        "Apart from the confirmed results all of it is selection data",
        "Each member against its baseline: difference, 95% interval, verdict",
        "Test split, 359 images, measured once after the last epoch; 3 seeds, none of the search's",
        "trained on train + val, 1,438 images",
        "Against training without teaching: config minus baseline",
        "independent 2*resnet20, 3 epochs",
        "4,000,000",
        "primary comparison 00004: branches against independent resnet20, 6 epochs: branch0",
        f"Looks at this test split from {tmp_path}",
        "s/confirmed confirm",
        "better",
    ):
        assert sentence in text, sentence
    assert page.count("<figure>") == before.count("<figure>") + 1


def test_the_tables_hold_means_intervals_costs_and_verdicts(tmp_path: Path) -> None:
    make_study(tmp_path / "s")
    make_confirmation(tmp_path / "s")

    assert main([str(tmp_path / "s"), "--format", "csv"]) == 0

    stored = read_confirmed(Storage(str(tmp_path / "s/confirmed")))
    confirmed = pd.read_csv(tmp_path / "s/report/confirmed.csv").set_index(["arm", "member"])
    fused = confirmed.loc[[("00004", "fused")]].iloc[0]
    expected = next(r for r in stored["summary"] if (r["arm"], r["member"]) == ("00004", "fused"))
    assert (fused["n"], fused["accuracy"]) == (3, pytest.approx(expected["accuracy.mean"]))
    assert fused["accuracy_low"] == pytest.approx(expected["accuracy.low"])
    assert ("independent resnet20, 3 epochs", "branch0") in confirmed.index
    assert ("independent resnet20, 3 epochs", "ensemble") not in confirmed.index
    compared = pd.read_csv(tmp_path / "s/report/comparisons.csv")
    assert len(compared) == len(stored["comparisons"])
    one = compared.iloc[0]
    for column in ("difference_low", "difference_high", "macs", "baseline_macs",
                   "accelerator_s", "baseline_accelerator_s"):  # fmt: skip
        assert pd.notna(one[column]), column
    assert set(compared["verdict"]) == {row["verdict"] for row in stored["comparisons"]}


def test_the_picture_has_each_pair_once_in_its_verdicts_colour(tmp_path: Path) -> None:
    make_confirmation(tmp_path / "s")
    rows = read_confirmed(Storage(str(tmp_path / "s/confirmed")))["comparisons"]
    rows[0]["verdict"], rows[2]["verdict"] = "equal", "not all seeds: no verdict"

    plot = differences(rows, "")

    assert isinstance(plot, Plot)
    drawn = {trace.name: trace for trace in plot.figure.data}
    places = [place for trace in drawn.values() for place in trace.y]
    assert sorted(places) == list(range(len(rows) // 2))
    assert list(drawn["no verdict"].x) == [100 * rows[2]["difference.mean"]]
    assert drawn["equal"].x[0] == pytest.approx(100 * rows[0]["difference.mean"])
    assert len(drawn["better"].x) == sum(
        row["verdict"] == "better" and row["metric"] == "accuracy" for row in rows
    )
    assert sum("<b>" in label for label in plot.figure.layout.yaxis.ticktext) == 1
    assert isinstance(differences([], ""), Missing)


@pytest.mark.parametrize("form", ["html", "md", "csv"])
def test_a_half_finished_confirmation_says_how_far_it_is(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "my studies" / "moved"
    make_study(moved)
    make_confirmation(moved, completed=2)

    assert main([str(moved), "--format", form]) == 0

    if form == "md":
        count = len(planned().runs)
        text = capsys.readouterr().out
        assert f"No confirmed results yet: 2 of {count} trainings of the confirmation" in text
        assert f"python -m ffl_ray.confirm '{moved}' goes on with it." in text
        assert UNTOUCHED not in text


def test_a_race_that_has_ended_goes_on_with_nothing(tmp_path: Path) -> None:
    make_study(tmp_path / "s")
    plan = planned(CHOSEN[:1], range(1000, 1008))._replace(looks=5)
    tables = make_confirmation(tmp_path / "s", plan, completed=0)
    for runs in rounds(plan, tables):
        for run in waiting_runs(tables, runs):
            tables.start(run.run_id, run.config)
            finish(tables, run.run_id, run.config, rows_of(run.config))
    write_tables(plan, tables)

    text = words(page_of(tmp_path / "s"))

    done = len(tables.trials.rows)
    assert done < len(plan.runs)
    without = plan._replace(pairs=[], merged=["The search found it."])
    write_tables(without, tables)
    said = json.loads((tmp_path / "s/confirmed/study.json").read_text()) | without.dump()
    (tmp_path / "s/confirmed/study.json").write_text(json.dumps(said, default=str))
    alone = words(page_of(tmp_path / "s"))
    assert "The race has ended" in alone
    assert "The search found it." in alone
    assert f"The race has ended: {done} of at most {len(plan.runs)} trainings" in text
    assert "goes on with it" not in text


def test_tables_that_are_behind_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_study(tmp_path / "s")
    make_confirmation(tmp_path / "s", planned(seeds=(1000,)))
    few, many = planned(seeds=(1000,)), planned(seeds=(1000, 1001))
    tables = StudyTables(Storage(str(tmp_path / "s/confirmed")), "s/confirmed")
    place = tmp_path / "s/confirmed/study.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | many.dump()))
    for run in many.final_runs[len(few.runs) : len(few.runs) + 1]:
        tables.start(run.run_id, run.config)
        finish(tables, run.run_id, run.config, rows_of(run.config))

    assert main([str(tmp_path / "s"), "--format", "md"]) == 0

    count = len(few.runs)
    said = (
        f"{count + 1} of {2 * count} trainings of the confirmation have completed, and the tables"
    )
    assert f"{said} are of {count} of them" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("study.json", "{", "study.json is damaged"),
        ("summary/part-00000.parquet", "PAR1", "part-00000.parquet can't be read"),
    ],
)
def test_a_damaged_confirmation_is_a_sentence_in_the_report(
    name: str, content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path / "s")
    make_confirmation(tmp_path / "s")
    (tmp_path / "s/confirmed" / name).write_text(content)

    assert main([str(tmp_path / "s"), "--format", "md"]) == 0

    text = capsys.readouterr().out
    assert "The confirmed results can't be shown" in text
    assert message in text
    assert "## Best trials" in text


def test_a_confirmation_has_a_report_of_its_own(tmp_path: Path) -> None:
    make_confirmation(tmp_path / "s")
    count = len(planned().runs)

    page = page_of(tmp_path / "s/confirmed")
    assert main([str(tmp_path / "s/confirmed"), "--format", "csv"]) == 0

    text = words(page)
    assert f"A confirmation on digits. {count} trainings: {count} completed" in text
    assert f"All {count} trainings of the confirmation have completed." in text
    assert "Best trials" not in text
    assert "None" not in text
    assert page.count("<figure>") == 1
    tested = pd.read_csv(tmp_path / "s/confirmed/report/test.csv", dtype={"run_id": str})
    rows = tested[(tested["arm"] == "00004") & (tested["member"] == "fused")]
    assert list(rows["seed"]) == [1000, 1001, 1002]
    assert rows["accuracy"].iloc[0] == pytest.approx(0.88 + 0.001 * (1000 % 7))
    trials = pd.read_csv(tmp_path / "s/confirmed/report/trials.csv")
    assert list(trials["seed"].unique()) == [1000, 1001, 1002]


@pytest.mark.parametrize("completed", [0, 1])
def test_a_confirmation_that_runs_has_a_report(completed: int, tmp_path: Path) -> None:
    make_confirmation(tmp_path / "s", completed=completed)

    text = words(page_of(tmp_path / "s/confirmed"))

    assert f"No confirmed results yet: {completed} of {len(planned().runs)} trainings" in text
    assert ("No test metrics: no training has completed yet." in text) == (completed == 0)
    assert "1 trial was running" in text


@pytest.mark.parametrize("held", [True, False])
def test_a_reproduction_shows_published_and_ours(
    held: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = Storage(str(tmp_path))
    description = describe_study("reproduce", {"reproduce.table": "anchors", "seed": 0})
    tables = StudyTables.open(storage, "again", description, ())
    config = small_config()
    tables.start("00000", config)
    finish(tables, "00000", config, rows_of(config))
    if held:
        KeyedTable(storage, "reproduced", "row").update("resnet-32/ffl", **PUBLISHED)

    assert main([str(tmp_path), "--format", "md"]) == 0

    text = capsys.readouterr().out
    assert ("in band" in text and "A paper" in text and "another split" in text) == held
    assert ("Nothing is held against the published values yet" in text) == (not held)
    assert "A reproduction on digits. 1 training: 1 completed" in text
    assert "| fused" in text


def test_a_search_that_is_not_confirmed_has_no_such_section(tmp_path: Path) -> None:
    make_study(tmp_path, COMPLETED[:2])

    assert "Confirmed results" not in page_of(tmp_path)
