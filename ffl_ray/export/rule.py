"""The rule that a command's options make of what to export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from ffl_ray.config.objectives import Objective
from ffl_ray.errors import SettingError
from ffl_ray.export import pick
from ffl_ray.export.pick import Candidate

UNITS = {"K": 10**3, "M": 10**6, "G": 10**9}


class Rule(NamedTuple):
    """A rule that chooses among members.

    Attributes:
        pick: best or knee, where there is no limit.
        max_macs: the limit of multiply-accumulates, if any.
        member: the only one to choose among trials, if given.
        trial: the only one to choose a member of, if given.
    """

    pick: Literal["best", "knee"] = "best"
    max_macs: int | None = None
    member: str | None = None
    trial: str | None = None

    def among(self, found: Sequence[Candidate]) -> Sequence[Candidate]:
        """The candidates that the rule leaves.

        Raises:
            StudyError: none has this trial or member.
        """
        if self.trial is not None:
            found = pick.of_trial(found, self.trial)
        return found if self.member is None else pick.of_member(found, self.member)

    def choose(self, found: Sequence[Candidate], objective: Objective) -> Candidate:
        """The rule's pick of these candidates.

        Raises:
            StudyError: none is within the limit.
        """
        if self.max_macs is not None:
            return pick.within(found, self.max_macs)
        if self.pick == "knee":
            return pick.knee(found)
        return pick.best(found, objective, any_member=self.member is None)

    def note(self, found: Sequence[Candidate]) -> str:
        """What is to be said of the pick of these candidates, if anything."""
        is_knee = self.pick == "knee" and self.max_macs is None
        return pick.knee_note(found) if is_knee else ""

    def sentence(self, found: Sequence[Candidate], *, final: bool = False) -> str:
        """The rule, and what it did with these candidates, for a card.

        Args:
            final: it chose among final runs.
        """
        if not final:
            return self._sentence("validation", found)
        if self.trial is not None and self.pick == "best" and self.max_macs is None:
            return self._sentence("test", found)
        over = "" if self.trial is not None else " By means over all seeds."
        return (
            f"{self._sentence('test', found)}{over} The test split chose it, so expect somewhat "
            f"less of new images."
        )

    def _sentence(self, split: str, found: Sequence[Candidate]) -> str:
        who = "members" if self.member is None else f"{self.member} members"
        among = "" if self.trial is None else f" of trial {self.trial}"
        if self.max_macs is not None:
            return f"Chosen as the most accurate of the {who}{among} within {self.max_macs:,} MACs."
        if self.pick == "best":
            return f"Chosen by the study's objective among the {who}{among}."
        front = f"{split} accuracy against log(MACs)"
        if pick.has_knee(found):
            return f"Chosen at the knee of {front} among the {who}{among}."
        return (
            f"Chosen at the cheap end of the front of {front} among the {who}{among}, as it has no "
            f"knee."
        )


def parse_macs(text: str) -> int:
    """A number of multiply-accumulates: 40000000, 40e6 or 40M.

    Raises:
        SettingError: it is none.
    """
    unit = UNITS.get(text[-1:].upper(), 1)
    try:
        number = round(float(text if unit == 1 else text[:-1]) * unit)
    except (ValueError, OverflowError):
        number = 0
    if number < 1:
        raise SettingError(f"--max-macs must be a positive number such as 40M, not {text!r}")
    return number
