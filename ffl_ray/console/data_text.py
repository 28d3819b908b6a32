"""The data of a study as a person reads them: classes, counts, and the files that are left out."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath

from ffl_ray.console.plain_text import printable_line
from ffl_ray.data.facts import DataFacts

MOST_CLASSES = 8
MOST_OF_FOLDER = 30
MOST_FILES = 10


def data_text(facts: DataFacts) -> str:
    """Classes and images, in a line; test split and skipped files, with the reason, in others."""
    left_out = Counter(PurePath(name).parent.name for name, _ in facts.skipped)
    pairs = zip(facts.classes, facts.counts, strict=False)
    counts = {name: count - left_out[name] for name, count in pairs}
    each = [f"{name} {count}" for name, count in counts.items()]
    if len(each) > (MOST_OF_FOLDER if facts.notes else MOST_CLASSES):
        each = [f"{min(counts.values()):,} to {max(counts.values()):,} of each"]
    line = f"{facts.num_classes} classes ({printable_line(', '.join(each))}): "
    line += f"{facts.num_train:,} images to train"
    line += f", {facts.num_val:,} to validate" if facts.num_val else ""
    num_test = sum(facts.test_counts) - len(facts.test_skipped)
    line += f", {num_test:,} to test" if facts.test_counts else ""
    files = [*facts.skipped, *(("test: " + name, why) for name, why in facts.test_skipped)]
    skipped = [printable_line(f"skipped {name}: {why}") for name, why in files[:MOST_FILES]]
    if len(files) > MOST_FILES:
        skipped.append(f"skipped {len(files) - MOST_FILES} more: study.json names all")
    return "\n".join([line, *map(printable_line, facts.notes), *skipped])
