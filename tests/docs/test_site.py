"""The site builds without a warning, and opens from a disk without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.helpers import ROOT

from ffl_ray.config.methods import METHODS
from ffl_ray.models.fusion import FUSION_DESIGNS

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
NOT_LOADED = {"canonical", "prev", "next"}


class Assets(HTMLParser):
    """What a page makes the browser load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        target = given.get(LOADED.get(tag, ""))
        if target is not None and given.get("rel") not in NOT_LOADED:
            self.found.append(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; any warning of the build ends it with an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    built = subprocess.run(
        [*command, "--site-dir", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return folder


def test_every_page_of_docs_is_in_the_site_and_in_its_search(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    index = json.loads((site / "search/search_index.json").read_text())

    assert {path.stem for path in site.glob("*.html")} == pages | {"404"}
    assert {entry["location"].partition(".html")[0] for entry in index["docs"]} == pages
    assert (site / "search/search_index.js").is_file()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        assets = Assets(page.read_text()).found
        assert assets
        assert [a for a in assets if re.match(r"\w+:|//", a)] == []
        if page.stem != "404":  # which a server shows, from its root
            assert [asset for asset in assets if not (site / asset).is_file()] == []


def test_no_style_or_script_of_the_pages_imports_a_font_or_code(site: Path) -> None:
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", style.read_text())


def test_files_outside_docs_that_pages_link_to_are_in_the_site(site: Path) -> None:
    folder = site / "repository"
    copies = [path for path in folder.rglob("*") if path.is_file()]

    assert folder / "examples/analysis.ipynb" in copies
    for copy in copies:
        original = ROOT / str(copy.relative_to(folder)).removesuffix(".txt")
        assert copy.read_bytes() == original.read_bytes()


def test_the_page_of_methods_says_what_the_tables_of_the_program_say() -> None:
    page = (ROOT / "docs/methods.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+ \| -?\d.*) \|$", page, re.M))

    for name, m in METHODS.items():
        numbers = (m.least_branches, m.trunk_stages, m.temperature, m.ramp_up * 300, m.weight)
        cells = [f"{number:g}" for number in numbers] + ["yes" if m.views else "no"]
        assert rows[name] == " | ".join(cells)
        assert f"\n### `{name}`" in page
        number = m.source.partition("arXiv:")[2]
        assert not number or f"https://arxiv.org/abs/{number}" in page
    for name, design in FUSION_DESIGNS.items():
        stated = re.search(r"Parameters: (.+?)\.\n", design.__doc__ or "")
        assert stated is not None
        row = re.search(rf"^\| `{name}` \|.*$", page, re.M)
        assert row is not None
        assert f"`{stated[1]}`" in row[0]
