"""The data of a study as a person reads them: classes, counts, and the files that are left out."""

from __future__ import annotations

from ffl_ray.console.plain_text import printable_line
from ffl_ray.data.facts import DataFacts

MOST_CLASSES = 8
MOST_FILES = 10


def data_text(facts: DataFacts) -> str:
    """Classes and images, in a line; the files that are skipped, with the reason, in others."""
    each = [f"{name} {n}" for name, n in zip(facts.classes, facts.counts, strict=False)]
    if len(each) > MOST_CLASSES:
        each = [f"{min(facts.counts):,} to {max(facts.counts):,} of each"]
    line = f"{facts.num_classes} classes ({printable_line(', '.join(each))}): "
    line += f"{facts.num_train:,} images to train"
    line += f", {facts.num_val:,} to validate" if facts.num_val else ""
    line += f", {sum(facts.test_counts):,} to test" if facts.test_counts else ""
    files = [*facts.skipped, *(("test: " + name, why) for name, why in facts.test_skipped)]
    skipped = [printable_line(f"skipped {name}: {why}") for name, why in files[:MOST_FILES]]
    if len(files) > MOST_FILES:
        skipped.append(f"skipped {len(files) - MOST_FILES} more: study.json names all")
    return "\n".join([line, *skipped])
