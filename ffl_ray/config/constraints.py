"""Constraints of a search: bounds on what a member costs, or on how good it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from ffl_ray.config.objectives import Objective, Row, parse_objective

_FORM = re.compile(r"([^<>=]+)(<=|>=)([^<>=]+)")


class Constraint(NamedTuple):
    """A bound that a config must keep to be called best.

    Attributes:
        name: as it is written, such as deployed.macs<=50000000.
        of: the metric or cost that is bounded.
        bound: its least or its most value.
        at_most: whether it is the most.
    """

    name: str
    of: Objective
    bound: float
    at_most: bool

    @property
    def is_known_before(self) -> bool:
        """Whether the network alone decides it, before anything is trained."""
        return self.of.metric in ("macs", "parameters") and self.of.member != "best_branch"

    def excess(self, members: Iterable[Row]) -> float:
        """By how much of the bound a training with these member rows breaks it.

        0 or less: it is kept. Infinite: a value is missing.

        Raises:
            KeyError: no row of its member.
        """
        try:
            value = self.of.value(members)
        except TypeError:  # a latency that was not measured
            return math.inf
        over = value - self.bound if self.at_most else self.bound - value
        return over / (abs(self.bound) or 1.0)


def parse_constraint(text: str) -> Constraint:
    """A constraint from a text such as `deployed.macs<=50e6`.

    A cost without a member is that of the deployed one.

    Raises:
        ValueError: it has another form, or names no member, metric or number.
    """
    form = _FORM.fullmatch(text.strip())
    try:
        bound = float(form[3]) if form else math.nan
    except ValueError:
        bound = math.nan
    if form is None or not math.isfinite(bound):
        raise ValueError("must read like deployed.macs<=50e6 or ensemble.accuracy>=0.9")
    of = parse_objective(form[1], "deployed")
    return Constraint(f"{of.name}{form[2]}{bound:.10g}", of, bound, form[2] == "<=")
