"""The messages that docs/faq.md explains are the program's own."""

import ast
import functools
import re

import pytest
from support.documents import prose
from support.helpers import ROOT

ROW = re.compile(r"^\| `([^`]+)` \| .+ \|$", re.M)
GAP = "\0"


def string_of(node: ast.expr) -> str | None:
    """A string as it stands in the code, with a gap for each value put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(string_of(part) or GAP for part in node.values)
    return None


@functools.cache
def strings_of_the_program() -> list[str]:
    return [
        text
        for path in sorted((ROOT / "ffl_ray").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.expr) and (text := string_of(node)) is not None
    ]


MESSAGES = ROW.findall(prose("docs/faq.md"))


def is_said(message: str, text: str) -> bool:
    """Whether a string has the message's parts in order, a value between each two of them."""
    parts = [re.escape(part.strip()) for part in message.split("...") if part.strip()]
    return re.search(f"[^{GAP}]*{GAP}.*?".join(parts), text, re.S) is not None


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_is_explained_is_one_that_the_program_gives(message: str) -> None:
    assert any(is_said(message, text) for text in strings_of_the_program())


def test_most_kinds_of_error_are_explained_and_an_invented_one_would_be_found() -> None:
    assert len(MESSAGES) > 25
    texts = strings_of_the_program()
    assert not any(is_said("data.dir must be a purple folder", text) for text in texts)
