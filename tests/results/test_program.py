"""Programs told by what they do."""

from __future__ import annotations

import pytest

from ffl_ray.results.program import program_hash

TEXT = '''"""A space."""
BASE = {"seed": 1}  # of all


def search_space(trial):
    """Nothing."""
    return {}
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("A space.", "Another text.", True),
        ('"""A space."""\n', "", True),
        ("  # of all", "", True),
        ("\n\n\n", "\n\n", True),
        ('    """Nothing."""\n', "", True),
        ('    """Nothing."""\n    return {}', '    """Nothing."""', False),
        ('"seed": 1', '"seed": 2', False),
        ('"seed": 1', "'seed': (1)", True),
        ("return {}", "return {", False),
    ],
)
def test_comments_docstrings_and_layout_do_nothing(old: str, new: str, *, same: bool) -> None:
    assert old in TEXT
    assert (program_hash(TEXT) == program_hash(TEXT.replace(old, new))) == same


@pytest.mark.parametrize("text", ["return (", "x = '\0'", "(" * 10_000, "-" * 100_000 + "1"])
def test_what_is_no_program_is_told_by_its_letters(text: str) -> None:
    assert program_hash(text) == program_hash(text) != program_hash(f"{text} ")
