"""Confirmed results, when a study has any: those of the test split, over new seeds."""

from __future__ import annotations

from ffl_ray.reporting.parts import Note, Section
from ffl_ray.reporting.source import Study

FOLDER = "confirmed"


def confirmed(study: Study) -> Section | None:
    """What `python -m ffl_ray.confirm` found, from its own study inside this one."""
    inside = study.storage.child(FOLDER)
    if not inside.exists("study.json"):
        return None
    text = (
        f"This study has confirmed results, in {FOLDER}/ beside its tables: new seeds at full "
        f"length, measured on the test split."
    )
    return Section("Confirmed results", [Note(text)])
