"""Every Python block of README.md and docs/ runs, page by page, and prints what is shown below."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.documents import PAGES, Block, blocks
from support.helpers import ROOT

from ffl_ray.config.settings import Config
from ffl_ray.search.points import check_space
from ffl_ray.search.space import load_space, settle

RUN = {"python", "console"}
READ = {"yaml"}
NOT_RUN = {"text": "formulas, and what the Python block above printed"}
WITH_PYTHON = [page for page in PAGES if any(b.language == "python" for b in blocks(page))]
SPACES = [b for page in PAGES for b in blocks(page) if "def search_space(" in b.text]


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: str, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    printed = ""

    for block in blocks(page):
        if block.language == "python":
            exec(compile(block.text, block.place, "exec"), namespace)
            printed = capsys.readouterr().out
        elif block.language == "text" and printed:
            heads = [text.splitlines()[0].split() for text in (block.text, printed)]
            assert heads[0] == heads[1], f"{block.place} begins otherwise than what is printed"
            printed = ""


@pytest.mark.usefixtures("prepared")
def test_what_the_readme_reads_is_of_completed_trials_and_one_row_a_member() -> None:
    code = [block for block in blocks("README.md") if "results.load(" in block.text]
    found: dict[str, Any] = {}

    exec(compile(code[0].text, code[0].place, "exec"), found)

    statuses = set(found["trials"].status)
    assert {"completed", "pruned"} <= statuses
    assert set(found["done"].status) == {"completed"}
    every = found["members"].query("member == 'fused'").trial_id
    assert every.duplicated().any()
    assert sorted(found["fused"].trial_id) == sorted(found["done"].trial_id)
    assert len(found["best"]) == found["done"].num_branches.nunique()


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize("block", SPACES, ids=lambda block: block.place)
def test_a_search_space_that_is_shown_can_be_searched(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT / block.folder)
    path = tmp_path / "my_space.py"
    path.write_text(block.text)

    space = load_space(str(path))
    settled = settle(space, {})

    assert check_space(space, settled.training, search=settled.search)
    assert settled.training != Config()


def test_yaml_that_is_shown_can_be_read() -> None:
    for block in [b for page in PAGES for b in blocks(page) if b.language == "yaml"]:
        assert list(yaml.safe_load_all(block.text)), block.place


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_left_out_in_silence(page: str) -> None:
    unknown = [b.place for b in blocks(page) if b.language not in RUN | READ | set(NOT_RUN)]

    assert unknown == []
