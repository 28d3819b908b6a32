"""A report's tables as Markdown, or as CSV files."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import pandas as pd

from ffl_ray.console.plain_text import in_markdown, in_spreadsheet
from ffl_ray.report.blocks import Block, Code, Missing, Note, Section, Table
from ffl_ray.report.numbers import readable_frame


def markdown(name: str, made: str, sections: Sequence[Section]) -> str:
    """Headings, sentences and pipe tables; plots stay out."""
    lines = [f"# {in_markdown(name)}", "", in_markdown(made)]
    for section in sections:
        lines += ["", f"## {section.title}"]
        for block in section.blocks:
            lines += _lines(block)
    return "\n".join(lines) + "\n"


def _lines(block: Block) -> list[str]:
    if isinstance(block, Note | Missing):
        return ["", in_markdown(block.text)]
    if isinstance(block, Code):
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", block.text)), default=0))
        return ["", f"{block.title}:", "", f"{fence}python", block.text.rstrip(), fence]
    if isinstance(block, Table):
        caption = ["", in_markdown(block.caption)] if block.caption else []
        return [*caption, "", _pipes(block)]
    return []


def _pipes(table: Table) -> str:
    frame = readable_frame(table.frame).map(in_markdown).replace({r"\|": r"\\|"}, regex=True)
    return str(frame.to_markdown(index=False, disable_numparse=True))


def csv_files(tables: Sequence[Table]) -> dict[str, str]:
    """Each table as a CSV file: its name and its text, with every digit."""
    return {f"{table.name}.csv": _csv(table.frame) for table in tables}


def _csv(frame: pd.DataFrame) -> str:
    neutral = functools.cache(in_spreadsheet)
    texts = frame.select_dtypes(include=["object", "string"]).columns
    shown = frame.assign(
        **{n: frame[n].map(lambda v: neutral(v) if isinstance(v, str) else v) for n in texts}
    )
    return str(shown.to_csv(index=False))
