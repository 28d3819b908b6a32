"""Texts that somebody else may have written, made fit to show: names, errors, classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from ffl_ray.config.redaction import redacted

KEPT = "\n\t"
# Control characters steer a terminal; those that turn the direction make a text read as another.
FORMULA = re.compile(r"(^\s*|;\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
NUMBER = re.compile(r"[+-]?(\d+([.]\d*)?|[.]\d+)(e[+-]?\d+)?", re.IGNORECASE)
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def printable(text: str) -> str:
    """A text without credentials, whose control characters are spelled out as Python does."""
    return spelled_out(redacted(text))


def spelled_out(text: str) -> str:
    """A text whose control characters are spelled out, as Python writes them."""
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
    """A text that Markdown shows as it is: no tag, link, image or line of its own."""
    escaped = re.sub(r"([\\`\[])", r"\\\1", printable_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def in_spreadsheet(text: str) -> str:
    """A text that a spreadsheet shows as it is: what would begin a formula has a ' before it.

    Where a ; separates cells, as in some languages, one begins behind each of them.
    """
    line = printable_line(text).replace("\t", " ")
    return line if NUMBER.fullmatch(line) else FORMULA.sub(r"\1'", line)


def _harmless(character: str) -> bool:
    return character in KEPT or unicodedata.category(character) not in HIDDEN
