"""A study that somebody else wrote: it stays in its folder, and its texts stay texts."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from plotly.offline import get_plotlyjs
from support.confirmations import planned
from support.studies import COMPLETED, Made, make_study, params

from ffl_ray import results
from ffl_ray.config.objectives import parse_objectives
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config
from ffl_ray.confirm.confirmation import Confirmation
from ffl_ray.console.log import everything_else_to
from ffl_ray.console.plain_text import in_markdown, in_spreadsheet, printable, printable_line
from ffl_ray.console.result_tables import best_table
from ffl_ray.console.terminal import make_console
from ffl_ray.data.facts import facts_in
from ffl_ray.errors import SettingError, StudyError
from ffl_ray.export.predictions import Output
from ffl_ray.orchestration.retention import CheckpointRetention, best_of_search
from ffl_ray.report.__main__ import main as report
from ffl_ray.results.description import check_name
from ffl_ray.results.guard import flaw_in, is_plain_id
from ffl_ray.results.parts import Parts
from ffl_ray.results.storage.storage import COPIES, Storage
from ffl_ray.results.study import StudyTables

OUTSIDE = (
    "../../x",
    "/etc/passwd",
    "..",
    ".",
    "a/b",
    "a\\b",
    "",
    "x" * 101,
    "a\n",
    "\x1b[31m",
    "é",
)
few = settings(max_examples=60, derandomize=True, deadline=None, database=None)
OBJECTIVES = parse_objectives(["fused.accuracy"])
SCRIPT = "<script>alert(1)</script>"
ESCAPE = "\x1b]0;owned\x07[red]x[/red]\u202e"
LINK = "![pixel](http://evil/p.png) [click](javascript:x) <a href='http://evil'>y</a> :smile:"
FORMULA = '=cmd|"/c calc"!A1'
NAME = f"{FORMULA}\n# {LINK}{ESCAPE}{SCRIPT}"


def change(folder: Path, table: str, column: str, value: str) -> None:
    """Write a value into the first row of a table, as no writer of ours would."""
    path = folder / table / "part-00000.parquet"
    found = pq.read_table(path, use_threads=False)
    rows = found.to_pylist()
    rows[0][column] = value
    pq.write_table(pa.Table.from_pylist(rows, schema=found.schema), path)


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_id_or_name_leads_out_of_a_folder(name: str) -> None:
    assert not is_plain_id(name)
    with pytest.raises(SettingError, match="--name must be"):
        check_name(name)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("trials", "trial_id"),
        ("epochs", "trial_id"),
        ("members", "trial_id"),
        ("members", "member"),
    ],
)
def test_an_id_in_a_table_that_leads_out_is_refused(
    table: str, column: str, tmp_path: Path
) -> None:
    make_study(tmp_path)
    change(tmp_path, table, column, "../../x")

    with pytest.raises(StudyError, match=rf"a {column} must be letters.*not '../../x'"):
        results.load(str(tmp_path))
    if table == "trials":
        change(tmp_path / COPIES, table, column, "../../x")  # or it would be mended from there
        with pytest.raises(StudyError, match="must be letters"):
            StudyTables(Storage(str(tmp_path)), "made", OBJECTIVES)


def test_a_run_of_a_confirmation_that_leads_out_is_refused() -> None:
    run = {"run_id": "../../x", "arm": "a", "seed": 1}
    described = {"kind": "confirm", "settings": {}, "ranked_by": "", "chosen": [], "seeds": []}

    with pytest.raises(StudyError, match=r"'../../x' is no name of a run"):
        Confirmation.load(described | {"arms": [], "pairs": [], "runs": [run]}, "place")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"looks": 10**9}, "looks must be from 1 to 497, not 1000000000"),
        ({"looks": 0}, "looks must be from 1 to 497, not 0"),
        ({"looks": "2"}, "looks must be from 1 to 497, not 2"),
        ({"top": -1}, "top must be a number from 0 on, not -1"),
        ({"search_trials": True}, "search_trials must be a number from 0 on, not True"),
    ],
)
def test_a_confirmation_with_numbers_that_there_can_not_be_is_refused(
    change: dict[str, object], said: str
) -> None:
    described = {"kind": "confirm", "settings": {}, **planned().dump()} | change

    with pytest.raises(StudyError, match=f"^place/study.json is damaged: {said}$"):
        Confirmation.load(described, "place")


@pytest.mark.parametrize(
    "change", [{"num_train": -1}, {"num_val": 2**41}, {"num_classes": 2**20 + 1}, {"num_val": True}]
)
def test_facts_of_data_that_there_can_not_be_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"of the data, {next(iter(change))} is"):
        facts_in({"num_train": 3} | change)


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({"study": "../../x"}, "the study's name is '../../x'"),
        ({"study": "a\x00b"}, "the study's name is"),
        ({"study": 3}, "'study' is 3"),
        ({"kind": "../x"}, "the kind of study is '../x'"),
        ({"settings": []}, r"'settings' is \[\]"),
        ({"versions": {"torch": {}}}, "a version is {}"),
        ({"schema_version": True}, "'schema_version' is True"),
        ({"space": 1}, "'space' is 1"),
        ({"plan": {"workers": [1, 2**62]}}, "'plan.workers.1' is 4611686018427387904, beyond 9007"),
        (
            {"settings": {"search.num_samples": -(10**99)}},
            "'settings.search.num_samples' is -100",
        ),
    ],
)
def test_a_description_of_another_shape_is_damage(change: dict[str, object], flaw: str) -> None:
    whole = {"schema_version": 3, "study": "mine", "kind": "search", "settings": {}}

    assert flaw_in(whole) is None
    assert flaw_in(whole | {"study": "mine/confirmed"}) is None
    assert re.match(flaw, str(flaw_in(whole | change)))


def test_what_a_link_leads_to_is_neither_written_nor_tidied(tmp_path: Path) -> None:
    precious = tmp_path / "precious" / "00000"
    precious.mkdir(parents=True)
    (precious / "thesis.txt").write_text("mine")
    study = tmp_path / "study"
    make_study(study)
    (study / "checkpoints").symlink_to(tmp_path / "precious")

    with pytest.raises(StudyError, match="checkpoints is a link to"):
        StudyTables(Storage(str(study)), "made", OBJECTIVES)

    (study / "checkpoints").unlink()
    (study / "checkpoints").mkdir()
    (study / "checkpoints" / "00000").symlink_to(precious)
    with pytest.raises(StudyError, match="00000 is a link to"):
        StudyTables(Storage(str(study)), "made", OBJECTIVES)
    with pytest.raises(StudyError, match="00000 is a link to"):
        CheckpointRetention(Storage(str(study)), best_of_search(OBJECTIVES, 0)).apply([])
    assert (precious / "thesis.txt").read_text() == "mine"


def test_data_that_are_unpacked_stay_in_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchvision unpacks what was downloaded once its md5 is right; the filter is Python's."""
    from torchvision.datasets.utils import extract_archive

    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        entry = tarfile.TarInfo("../escaped")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    (tmp_path / "inside").mkdir()

    with pytest.raises(Exception, match="outside|escaped"):
        extract_archive(str(archive), str(tmp_path / "inside"))

    assert not (tmp_path / "escaped").exists()


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A study whose error, class of error, mix and creation time want to be more than texts."""
    failed = Made(params(2, 0, "sum", 2.0), "failed", 1, (SCRIPT, f"{ESCAPE}{SCRIPT}"))
    make_study(tmp_path / "study", (*COMPLETED, failed))
    for column in ("model.mix", "fusion.design", "distill.method", "data.name"):
        change(tmp_path / "study", "trials", column, NAME)
    change(tmp_path / "study", "members", "backbone", NAME)
    file = tmp_path / "study" / "study.json"
    more = {"created": f"{ESCAPE}{SCRIPT}", "git_commit": SCRIPT, "space": f"```\n{SCRIPT}{ESCAPE}"}
    file.write_text(json.dumps(json.loads(file.read_text()) | more))
    return tmp_path / "study"


def test_texts_of_a_study_are_no_script_in_its_page(hostile: Path, tmp_path: Path) -> None:
    assert report([str(hostile), "--out", str(tmp_path / "page.html")]) == 0

    page = (tmp_path / "page.html").read_text()
    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)" in page
    texts = page.replace(get_plotlyjs(), "")
    assert "&lt;a href=" in texts
    assert not re.search(r"(<|\\u003c)a (?!href=\"#s)", texts)
    assert not {"\x1b", "\x07", "\u202e"} & {*texts}
    assert not re.search(r"\\u00(1b|07)", texts)


def test_texts_of_a_study_are_no_tags_and_no_controls_in_markdown(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report([str(hostile), "--format", "md"]) == 0

    shown = capsys.readouterr().out
    fenced = shown.split("````python")[1].split("\n````")[0]
    assert SCRIPT in fenced
    assert SCRIPT not in shown.replace(fenced, "")
    tokens = markdown_tokens(shown)
    assert not {"link_open", "image", "html_inline", "html_block"} & tokens
    assert printable(shown) == shown
    assert "\x1b" not in shown


def markdown_tokens(text: str) -> set[str]:
    """The kinds of what a Markdown reader makes of a text."""
    found = MarkdownIt("commonmark").enable("table").parse(text)
    return {one.type for token in found for one in (token, *(token.children or ()))}


def test_texts_of_a_study_are_no_formulas_in_csv(hostile: Path, tmp_path: Path) -> None:
    assert report([str(hostile), "--format", "csv", "--out", str(tmp_path / "csv")]) == 0

    for path in (tmp_path / "csv").iterdir():
        for row in csv.reader(io.StringIO(path.read_text())):
            assert not [cell for cell in row if re.match(r"\s*[=+@-]", cell) and not number(cell)]
            assert not [cell for cell in row if printable_line(cell) != cell]
    assert "'=cmd" in (tmp_path / "csv" / "trials.csv").read_text()


def number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@few
@given(st.text("=+-@;\t\n\r\"', 0aé\x1b\uff1d", max_size=8))
def test_no_text_begins_a_formula_in_any_cell(text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([in_spreadsheet(text)])

    for separator in ",;":
        for row in csv.reader(io.StringIO(out.getvalue()), delimiter=separator):
            assert not [c for c in row if re.match("\\s*[=+@\uff1d-]", c) and not number(c)]


@few
@given(st.text("[]()!<>&`\\\\#|*_\n\"'a:/x\u202e\x1b", max_size=12))
def test_no_text_is_more_than_a_text_in_markdown(text: str) -> None:
    for shown in (f"by {in_markdown(text)}, said", f"# {in_markdown(text)}{in_markdown(text)}"):
        allowed = {"inline", "text", "em_open", "em_close", "strong_open", "strong_close"}
        blocks = {"paragraph_open", "paragraph_close", "heading_open", "heading_close"}
        assert markdown_tokens(shown) <= allowed | blocks


def test_texts_of_a_study_steer_no_terminal_and_no_markup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = flatten(Config()) | {
        "trial_id": "00000", "status": "completed", "epochs_done": 1, "objective_values": [0.5],
        "val.fused.accuracy": 0.5, "val.ensemble.accuracy": 0.5, "val.best_branch.accuracy": 0.5,
        "model.mix": ESCAPE, "distill.method": f"[link=x]{ESCAPE}", "fusion.design": "[red]",
        "distill.temperature": 2.0,
    }  # fmt: skip
    monkeypatch.setattr(sys, "__stdout__", out := io.StringIO())
    console = make_console()
    console.width = 300

    console.print(best_table([row], OBJECTIVES))
    console.print(f"{ESCAPE} :smile: [link=x]")
    console.out(ESCAPE)

    assert "\x1b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert out.getvalue().count("[red]x[/red]") == 4
    assert out.getvalue().count("[link=x]") == 2
    assert ":smile:" in out.getvalue()


def test_a_log_and_predictions_hold_no_control_sequences_and_no_lines_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with everything_else_to(tmp_path / "log.txt"):
        print(f"a {ESCAPE}")  # noqa: T201
    for form in ("", "csv", "json"):
        args = argparse.Namespace(json=form == "json", csv=form == "csv")
        Output(args).row(f"{NAME}.png", [(NAME, 0.5)])

    shown = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & {*(tmp_path / "log.txt").read_text(), *shown}
    assert len(shown.splitlines()) == 4
    assert shown.splitlines()[2].startswith("\"'=cmd")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b\tc\nd", "a b\tc\nd"),
        ("é 数据 😀", "é 数据 😀"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\x00\x07\x9b", "a\\x00\\x07\\x9b"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_line_is_one_line_and_markdown_has_no_tag() -> None:
    assert printable_line(" a \r\n b ") == "a b"
    assert in_markdown("<b>&\n# x") == "&lt;b>&amp; # x"


def test_altered_bytes_of_a_part_are_found(tmp_path: Path) -> None:
    make_study(tmp_path)
    path = tmp_path / "epochs" / "part-00000.parquet"
    data = path.read_bytes()
    whole = Parts(Storage(str(tmp_path)), "epochs").read(path.name)
    found = 0
    for at in range(100, len(data) - 8, len(data) // 60):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            read = Parts(Storage(str(tmp_path)), "epochs").read(path.name)
        except StudyError:
            found += 1
        else:
            assert read.equals(whole)

    assert found > 20
