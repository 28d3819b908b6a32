"""How an exported classifier does class by class, in its card and in pictures beside it."""

from __future__ import annotations

import math

from ffl_ray.console.plain_text import in_markdown
from ffl_ray.export.markdown_table import table
from ffl_ray.results.classes import Classes, Pair

MOST_CLASSES, MOST_PAIRS = 50, 5
Rows = list[tuple[str, ...]]


def pictures_of(found: Classes) -> dict[str, bytes]:
    """The files of pictures that the card shows, by name."""
    return {_name(place): found.pictures[pair] for place, pair in _pictured(found)}


def classes_text(found: Classes | None, is_final: bool) -> str:
    """The card's section, as far as it is known.

    Args:
        is_final: the numbers are of the test split.
    """
    if found is None:
        return "Not known: the study did not keep it (`compute.per_class`)."
    rows, split = class_rows(found), "test" if is_final else "validation"
    most = f", the {len(rows)} hardest of {len(found.names)}"
    said = f"On the {split} split, the hardest first{most * (len(rows) < len(found.names))}."
    parts = [said, table(("class", "images", "accuracy"), rows, right=True)]
    confused = confused_rows(found)
    if confused:
        headings = ("class", "taken for", "images", "the surest of these mistakes")
        parts += ["The most frequent mistakes:", table(headings, confused)]
    return "\n\n".join(parts)


def class_rows(found: Classes) -> Rows:
    """The classes, the hardest first, of very many the hardest alone: name, images, accuracy."""
    return [
        (in_markdown(row["class"]), f"{row['images']:,}", _share(row["accuracy"]))
        for row in found.frame().head(MOST_CLASSES).to_dict("records")
    ]


def confused_rows(found: Classes) -> Rows:
    """The most frequent mistakes: class, what it was taken for, how many of how many, a picture."""
    named = {pair: _name(place) for place, pair in _pictured(found)}
    return [
        (
            in_markdown(found.names[true]),
            in_markdown(found.names[taken_for]),
            f"{found.counts[true, taken_for]:,} of {found.images[true]:,}",
            f"![]({named[true, taken_for]})" if (true, taken_for) in named else "",
        )
        for true, taken_for in found.mistakes()[:MOST_PAIRS]
    ]


def _pictured(found: Classes) -> list[tuple[int, Pair]]:
    pairs = [pair for pair in found.mistakes()[:MOST_PAIRS] if pair in found.pictures]
    return list(enumerate(pairs, start=1))


def _name(place: int) -> str:
    return f"confused-{place}.jpg"


def _share(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"
