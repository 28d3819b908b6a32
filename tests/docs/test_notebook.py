"""The notebook runs on the study that is shipped, and shows what running it gives."""

import json
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient
from support.helpers import ROOT

EXAMPLES = ROOT / "examples"
STUDY = EXAMPLES / "digits-study"
QUESTIONS = ("num_branches", "model.mix", "fusion.design", "distill.temperature")


def printed(notebook: nbformat.NotebookNode) -> list[str]:
    """What each cell printed: how a kernel cuts that into outputs is a matter of time."""
    return [
        "".join(
            output["text"]
            for output in cell.get("outputs", [])
            if output["output_type"] == "stream" and output["name"] == "stdout"
        )
        for cell in notebook.cells
    ]


# Jupyter's own: an event loop that the kernel's client closes late.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_answers_the_four_questions_as_its_stored_outputs_say() -> None:
    stored, fresh = (nbformat.read(EXAMPLES / "analysis.ipynb", as_version=4) for _ in range(2))

    client = NotebookClient(fresh, timeout=120, resources={"metadata": {"path": str(EXAMPLES)}})
    client.execute()

    said = "".join(printed(fresh))
    for question in QUESTIONS:
        assert re.search(rf"^{question}: .*(n = \d+|nothing can be said)", said, re.M), question
    assert printed(stored) == printed(fresh)


def test_the_shipped_study_is_small_and_names_no_machine_s_path() -> None:
    files = [path for path in STUDY.rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in files) < 300_000
    assert {path.relative_to(STUDY).parts[0] for path in files} == {
        "study.json", "trials", "epochs", "members",
    }  # fmt: skip
    texts = [(STUDY / "study.json").read_text()]
    for table in ("trials", "epochs", "members"):
        frame = pd.read_parquet(STUDY / table)
        texts += [str(v) for name in frame for v in frame[name] if isinstance(v, str)]
    found = [text for text in texts if re.search(r"(?<![\w.])/(?:\w+/)+\w*", text)]
    assert found == []


def test_the_shipped_study_is_a_finished_search_of_the_four_dimensions() -> None:
    about = json.loads(Path(STUDY / "study.json").read_text())
    trials = pd.read_parquet(STUDY / "trials")

    assert about["kind"] == "search"
    assert len(trials) == about["settings"]["search.num_samples"]
    assert set(trials["status"]) <= {"completed", "pruned", "failed"}
    for question in QUESTIONS:
        assert trials[question].nunique() > 1
