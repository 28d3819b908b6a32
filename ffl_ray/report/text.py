"""A report's tables as Markdown, or as CSV files."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ffl_ray.console.plain_text import in_markdown
from ffl_ray.report.blocks import Code, Missing, Note, Part, Section, Table
from ffl_ray.report.numbers import readable_frame


def markdown(name: str, made: str, sections: Sequence[Section]) -> str:
    """Headings, sentences and pipe tables; plots stay out."""
    lines = [f"# {in_markdown(name)}", "", in_markdown(made)]
    for section in sections:
        lines += ["", f"## {section.title}"]
        for part in section.parts:
            lines += _lines(part)
    return "\n".join(lines) + "\n"


def _lines(part: Part) -> list[str]:
    if isinstance(part, Note | Missing):
        return ["", in_markdown(part.text)]
    if isinstance(part, Code):
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", part.text)), default=0))
        return ["", f"{part.title}:", "", f"{fence}python", part.text.rstrip(), fence]
    if isinstance(part, Table):
        caption = ["", in_markdown(part.caption)] if part.caption else []
        return [*caption, "", _pipes(part)]
    return []


def _pipes(table: Table) -> str:
    frame = readable_frame(table.frame).map(in_markdown).replace({r"\|": r"\\|"}, regex=True)
    return str(frame.to_markdown(index=False, disable_numparse=True))


def csv_files(tables: Sequence[Table]) -> dict[str, str]:
    """Each table as a CSV file: its name and its text, with every digit."""
    return {f"{table.name}.csv": str(table.frame.to_csv(index=False)) for table in tables}
