"""`python -m ffl_ray.report`: one file that opens offline, for studies in every state."""

import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs
from support.forked import run
from support.helpers import ROOT
from support.studies import COMPLETED, POINTS, Made, make_study

from ffl_ray.report.__main__ import main
from ffl_ray.report.style import styled, template

LOST = ("TrainingDivergedError", "loss is not finite <after> step 3")
STATES: dict[str, tuple[Made, ...]] = {
    "completed": COMPLETED,
    "one trial": COMPLETED[:1],
    "only failures": tuple(Made(point, "failed", 0, LOST) for point in POINTS),
    "pruned only": tuple(Made(point, "pruned", 1) for point in POINTS),
    "running": (
        Made(POINTS[0]),
        Made(POINTS[1], "pruned", 1),
        Made(POINTS[2], "running", 2),
        Made(POINTS[3], "running", 0),
    ),
    "just started": (Made(POINTS[0], "running", 0),),
}
PLOTS = {
    "completed": 9,
    "one trial": 3,
    "only failures": 0,
    "pruned only": 3,
    "running": 3,
    "just started": 0,
}


def page_of(folder: Path) -> str:
    assert main([str(folder)]) == 0
    return (folder / "report.html").read_text()


def words(page: str) -> str:
    """A page's text, without its scripts, styles and tags."""
    body = page[page.index("<main>") :]
    return " ".join(unescape(re.sub(r"<script.*?</script>|<[^>]*>", " ", body, flags=re.S)).split())


@pytest.mark.parametrize("state", STATES)
def test_a_study_in_any_state_gives_a_page_without_an_empty_plot(
    state: str, tmp_path: Path
) -> None:
    make_study(tmp_path, STATES[state])

    page = page_of(tmp_path)

    library, body = page.split("<main>")
    assert body.count("<figure>") == body.count("Plotly.newPlot(") == PLOTS[state]
    assert not re.search(r"Plotly.newPlot\(\s*\S+,\s*\[\]", body)
    assert library.count(get_plotlyjs()) == (PLOTS[state] > 0)
    for heading in ("Best trials", "Accuracy against inference cost", "Failures", "Provenance"):
        assert f"<h2>{heading}</h2>" in page


def test_a_figure_copies_none_of_plotlys_style_and_its_page_has_it(tmp_path: Path) -> None:
    make_study(tmp_path, COMPLETED[:1])

    page = page_of(tmp_path)

    assert "template" not in styled(go.Figure()).to_plotly_json()["layout"]
    text = json.dumps(template()["layout"]["colorscale"], separators=(",", ":"))
    assert page.count(text) == PLOTS["one trial"]
    assert '"plot_bgcolor":"white"' in page


def test_a_page_asks_nobody_for_anything(tmp_path: Path) -> None:
    make_study(tmp_path)

    page = page_of(tmp_path)

    tags = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert "default-src 'none'" in tags
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", tags)
    assert "<link" not in tags
    assert "cdn.plot.ly" not in re.sub(r"<script>.*?</script>", "", page, count=1, flags=re.S)
    assert '"showSendToCloud": false' in page


@pytest.mark.parametrize(
    ("state", "sentences"),
    [
        ("completed", ["5 trials: 5 completed", "Best by fused.accuracy: trial 00004 with 0.8500",
                       "95% interval over 287 images: 0.804 to 0.887",
                       "Measured on the 287 images of the validation split; the search chose",
                       "under each value, how many of its trials completed",
                       "<four dimensions>"]),
        ("one trial", ["No importance for fused.accuracy: it compares 4 trials with an epoch",
                       "No slices: they compare completed trials, and there is one.",
                       "No history of the search"]),
        ("only failures", ["TrainingDivergedError loss is not finite <after> step 3 5",
                           "No trial has completed yet",
                           "No front of accuracy against cost"]),
        ("pruned only", ["No trial has completed: these are the best of the others",
                         "No front of accuracy against cost",
                         "No slices: they compare completed trials, and there are none."]),
        ("running", ["Not finished:", "2 trials were running"]),
        ("just started", ["no epoch finished yet", "No best trials: none has a value yet."]),
    ],
)  # fmt: skip
def test_what_can_not_be_shown_is_said(state: str, sentences: list[str], tmp_path: Path) -> None:
    make_study(tmp_path, STATES[state])

    text = words(page_of(tmp_path))

    for sentence in sentences:
        assert sentence in text, sentence


def test_networks_without_a_fused_member(tmp_path: Path) -> None:
    trials = [trial._replace(fused=False) for trial in COMPLETED]
    make_study(tmp_path, trials, objectives=("ensemble.accuracy",))

    page = page_of(tmp_path)

    assert '"name":"fused"' not in page
    assert "Best by ensemble.accuracy: trial 00004" in words(page)
    assert page.count("<figure>") == PLOTS["completed"]


def test_several_objectives_are_set_against_each_other(tmp_path: Path) -> None:
    make_study(tmp_path, objectives=("fused.accuracy", "fused.macs", "ensemble.nll"))

    page = page_of(tmp_path)

    text = words(page)
    assert "fused.accuracy against fused.macs of 5 completed trials" in text
    assert "fused.accuracy against ensemble.nll of 5 completed trials" in text
    assert "importance for fused.macs" not in text


def test_a_training_has_a_page_without_a_search(tmp_path: Path) -> None:
    make_study(tmp_path, COMPLETED[:1], kind="train")

    text = words(page_of(tmp_path))

    assert "A training on digits" in text
    assert "Importance" not in text
    assert "Accuracy of each member of trial 00000 (2*resnet20)" in text


def test_confirmed_results_are_mentioned_where_there_are_any(tmp_path: Path) -> None:
    make_study(tmp_path)
    assert "Confirmed results" not in page_of(tmp_path)
    make_study(tmp_path / "confirmed", kind="confirm")

    assert "Confirmed results" in page_of(tmp_path)


def test_markdown_is_printed_and_csv_fills_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, (*COMPLETED, Made(POINTS[0], "failed", 0, ("Kind", "a | b\nc"))))

    assert main([str(tmp_path), "--format", "md"]) == 0
    text = capsys.readouterr().out
    assert main([str(tmp_path), "--format", "csv"]) == 0

    assert text.startswith("# made\n")
    assert "| 00004" in text
    assert r"a \| b c" in text
    assert "plotly" not in text
    trials = pd.read_csv(tmp_path / "report" / "trials.csv", dtype={"trial_id": str})
    assert list(trials["trial_id"]) == [f"{i:05d}" for i in range(6)]
    assert trials["fused.accuracy"][4] == pytest.approx(0.85, abs=1e-12)
    front = pd.read_csv(tmp_path / "report" / "front.csv")
    assert front["macs"].is_monotonic_decreasing
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {
        "trials.csv", "answers.csv", "best.csv", "front.csv", "failures.csv", "space.csv",
        "settings.csv", "provenance.csv",
    }  # fmt: skip
    assert capsys.readouterr().out.splitlines()[0] == f"{tmp_path}/report/trials.csv"


def test_tables_alone_load_neither_optuna_nor_plotly() -> None:
    heavy = "{'optuna', 'plotly', 'torch', 'ray'}"
    code = f"import sys, ffl_ray.report.command; print({heavy} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stdout == "set()\n"


def test_out_and_an_address(tmp_path: Path) -> None:
    make_study(tmp_path / "mine", COMPLETED[:1])
    out = tmp_path / "new" / "page.md"

    assert main(["mine", "--storage-path", str(tmp_path), "--format", "md", "--out", str(out)]) == 0
    assert main([f"file://{tmp_path}/mine", "--format", "csv"]) == 0

    assert out.read_text().startswith("# made")
    assert (tmp_path / "mine" / "report" / "best.csv").exists()


def test_a_study_that_can_not_be_read_is_one_line_and_status_2(tmp_path: Path) -> None:
    make_study(tmp_path)
    shutil.rmtree(tmp_path / "members")

    done = run("report", str(tmp_path))

    assert done.returncode == 2
    assert done.stderr == (
        f"error: {tmp_path} is half-written: it has no members table; copy the whole folder again "
        f"from where it was written, or start its command again\n"
    )


@pytest.mark.parametrize("form", ["html", "md", "csv"])
def test_a_study_without_a_trial_is_one_line_and_status_2(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, ())

    assert main([str(tmp_path), "--format", form]) == 2

    assert capsys.readouterr().err == (
        f"error: {tmp_path} has no trial yet: wait for its first one, or start its command again\n"
    )
    assert not (tmp_path / "report.html").exists()
