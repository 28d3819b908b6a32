"""Class by class: the best trial on val, a confirmation on the test split, and many classes."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Mapping
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.confirmations import make_confirmation, planned
from support.studies import COMPLETED, make_study

from ffl_ray.report.__main__ import main
from ffl_ray.report.classes import class_blocks
from ffl_ray.report.classes_plot import MOST_CLASSES, confusion_matrix
from ffl_ray.results.classes import Classes, read_classes, write_classes
from ffl_ray.results.storage.storage import Storage
from ffl_ray.training.confusions import Confusions, to_row

NAMES = ["cat", "<u>dog</u>", "fox"]
COUNTS = {(0, 0): 7, (0, 1): 3, (1, 1): 9, (1, 0): 1, (2, 2): 10}


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (98, 48), "red").save(file, "JPEG")
    return file.getvalue()


def keep(folder: Path, trial_id: str, counts: Mapping[tuple[int, int], int] = COUNTS) -> None:
    """Write what a training keeps by class: one picture is none."""
    storage, about = Storage(str(folder)), {"epoch": 3, "split": "val", "split_hash": "ab"}
    found = Confusions(dict(counts), {(0, 1): picture(), (1, 0): b"<svg onload='x'>"})
    rows = [to_row(member, found, NAMES) for member in ("fused", "branch0", "branch1")]
    write_classes(storage, "s", trial_id, [about], rows)


def page_of(folder: Path) -> str:
    assert main([str(folder)]) == 0
    return (folder / "report.html").read_text()


def words(page: str) -> str:
    body = page[page.index("<main>") :]
    return " ".join(unescape(re.sub(r"<script.*?</script>|<[^>]*>", " ", body, flags=re.S)).split())


def test_the_best_trial_is_shown_class_by_class(tmp_path: Path) -> None:
    make_study(tmp_path)
    keep(tmp_path, "00004")
    keep(tmp_path, "00001", {(0, 0): 1})

    page = page_of(tmp_path)

    text = words(page)
    assert "fused of trial 00004, after the last epoch. Measured on the 287 images of the" in text
    assert "cat 10 0.7000 <u>dog</u> (3)" in text
    assert "cat <u>dog</u> 3 10" in text
    shown = re.findall(r'<img alt="" src="data:image/jpeg;base64,([^"]*)">', page)
    assert [base64.b64decode(one) for one in shown] == [picture()]
    assert "<u>dog" not in page[page.index("<main>") :]
    assert "The confusion matrix: a row is a class" in text


@pytest.mark.parametrize("form", ["md", "csv"])
def test_the_tables_hold_the_classes(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path, COMPLETED[:1])
    keep(tmp_path, "00000")

    assert main([str(tmp_path), "--format", form]) == 0

    if form == "csv":
        frame = pd.read_csv(tmp_path / "report" / "classes.csv")
        assert frame["class"].tolist() == ["cat", "<u>dog</u>", "fox"]
        assert frame["accuracy"].tolist() == [0.7, 0.9, 1.0]
    else:
        assert "| cat" in capsys.readouterr().out


def test_a_confirmation_adds_up_its_trainings_on_the_test_split(tmp_path: Path) -> None:
    make_study(tmp_path / "s", COMPLETED[:1])
    plan = planned()
    make_confirmation(tmp_path / "s", plan)
    assert plan.primary is not None
    for run in plan.runs:
        keep(tmp_path / "s" / "confirmed", run.run_id)

    text = words(page_of(tmp_path / "s"))

    members, both = plan.primary.of, len(plan.seeds) * len(plan.primary.of)
    assert f"{' and '.join(members)} of {plan.primary.arm}, its trainings added up. Test" in text
    assert f"cat {10 * both} 0.7000 <u>dog</u> ({3 * both})" in text
    assert "Class by class" not in text  # the search kept none


def test_of_many_classes_the_most_confused_are_drawn() -> None:
    rng = np.random.default_rng(0)
    pairs = Counter(map(tuple, rng.integers(0, 1000, (9000, 2)).tolist()))
    pairs[900, 901] = 99
    images = [sum(pairs[true, p] for p in range(1000)) for true in range(1000)]
    found = Classes([f"n{i:08d}" for i in range(1000)], images, pairs, {})

    figure = confusion_matrix(found).figure

    assert len(figure.data[0].z) == MOST_CLASSES
    assert {"n00000900", "n00000901"} <= set(figure.layout.xaxis.ticktext)
    assert len(found.frame()) == 1000
    assert class_blocks(found, "", None)[0].folded  # type: ignore[union-attr]


@pytest.mark.parametrize(("num_classes", "wrong"), [(100, 20), (12_000, 0)])
def test_a_table_of_many_classes_and_pictures_can_be_read_again(
    num_classes: int, wrong: int, tmp_path: Path
) -> None:
    storage, about = Storage(str(tmp_path)), {"epoch": 3, "split": "val", "split_hash": "ab"}
    counts = {(n, n): 5 for n in range(num_classes)}
    counts |= {(n, (n + k) % num_classes): 1 for n in range(num_classes) for k in range(1, wrong)}
    pictures = {(0, k): bytes(4000) for k in range(1, min(wrong, 5))}
    names = [f"one of the classes, {n}" for n in range(num_classes)]
    row = to_row("fused", Confusions(counts, pictures), names)
    write_classes(storage, "s", "00000", [about], [{**row, "member": f"m{n}"} for n in range(6)])

    assert [row["class"] for row in read_classes(storage, "00000", "m5")] == names
