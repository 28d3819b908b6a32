"""A table in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(
    headings: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, right: bool = False
) -> str:
    """A Markdown table.

    Args:
        right: align all columns but the first to the right.
    """
    rule = ["---", *(["---:" if right else "---"] * (len(headings) - 1))]
    lines = (
        " | ".join(cell.replace("|", "\\|") for cell in row) for row in (headings, rule, *rows)
    )
    return "\n".join(f"| {line} |" for line in lines)
