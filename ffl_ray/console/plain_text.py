"""Texts that somebody else may have written, made fit to show: names, errors, classes."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from ffl_ray.config.redaction import redacted

KEPT = "\n\t"
# Control characters steer a terminal; those that turn the direction make a text read as another.
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    """A text without credentials, whose control characters are spelled out as Python does."""
    text = redacted(text)
    if text.isprintable():
        return text
    return "".join(c if _harmless(c) else c.encode("unicode_escape").decode() for c in text)


def printable_line(text: str) -> str:
    """A printable text as one line."""
    return printable(" ".join(line.strip() for line in text.splitlines()).strip())


def printable_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A table's row with printable texts."""
    return {k: printable_line(v) if isinstance(v, str) else v for k, v in row.items()}


def in_markdown(text: str) -> str:
    """A text that Markdown shows as it is: no tag, no line of its own."""
    return printable_line(text).replace("&", "&amp;").replace("<", "&lt;")


def _harmless(character: str) -> bool:
    return character in KEPT or unicodedata.category(character) not in HIDDEN
