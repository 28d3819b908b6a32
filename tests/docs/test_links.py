"""Links and anchors of README.md and docs/ lead somewhere."""

import posixpath
import re

import pytest
from support.documents import PAGES, anchors, links, prose
from support.helpers import ROOT

ELSEWHERE = ("https://", "http://", "mailto:")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page: str) -> None:
    lost = []
    for target in links(page):
        if target.startswith(ELSEWHERE):
            continue
        path, _, anchor = target.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        found = (ROOT / file).exists()
        if not found or (anchor and (not file.endswith(".md") or anchor not in anchors(file))):
            lost.append(target)

    assert lost == []


def test_links_that_leave_the_repository_are_encrypted_and_to_papers_mostly() -> None:
    found = {target for page in PAGES for target in links(page) if target.startswith(ELSEWHERE)}

    assert found
    assert [target for target in found if not target.startswith("https://")] == []
    paper = re.compile(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}")
    papers = [target for target in found if paper.fullmatch(target)]
    assert len(papers) > len(found) / 2


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_one_title_and_no_empty_heading(page: str) -> None:
    headings = re.findall(r"^(#+)\s*(.*)$", prose(page), re.M)

    assert [level for level, _ in headings].count("#") == 1
    assert all(text for _, text in headings)
