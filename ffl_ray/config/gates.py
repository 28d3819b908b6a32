"""The gates of a knowledge transfer graph: who teaches whom, and when (distill.gates, for ktg).

`1>0=correct,fused>0=through`: branch 1 teaches branch 0 where it is right, and the fused classifier
teaches branch 0. An edge that is not named is cut off, but for a branch's own (`0>0`, its
cross-entropy with the labels), which is open. A gate alone, such as `through`, is that of every
ordered pair of branches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ffl_ray.errors import SettingError

GATES = ("through", "cutoff", "linear", "negative_linear", "correct")
FUSED, ENSEMBLE = "fused", "ensemble"
EVERYONE = "through"
_EDGE = re.compile(r"(?:branch)?(\w+)\s*>\s*(?:branch)?(\w+)\s*=\s*(\w+)")


class Edge(NamedTuple):
    """Who teaches whom: branches by their number, fused or ensemble."""

    source: str
    target: str

    @property
    def is_own(self) -> bool:
        """Whether it is what a branch learns from the labels."""
        return self.source == self.target and self.source.isdecimal()


def parse_gates(value: object) -> object:
    """Canonical text of gates: sorted, without what goes without saying."""
    if not isinstance(value, str) or value in GATES or value.strip().lower() in ("", "none"):
        return value
    return _text({edge: gate for edge, gate in _edges(value).items() if gate != _unnamed(edge)})


def with_labels(gates: str | None) -> str | None:
    """The same gates, but that every branch learns from the labels all the time."""
    if gates is None or gates in GATES:
        return gates
    return _text({edge: gate for edge, gate in _edges(gates).items() if not edge.is_own})


def graph_of(gates: str | None, num_branches: int) -> dict[Edge, str]:
    """The gate of every edge that is not cut off; none: everyone teaches everyone."""
    branches = [str(index) for index in range(num_branches)]
    pairs = [Edge(source, target) for source in branches for target in branches]
    gates = EVERYONE if gates is None else gates
    named = dict.fromkeys([e for e in pairs if not e.is_own], gates) if gates in GATES else None
    found = {e: _unnamed(e) for e in pairs} | (_edges(gates) if named is None else named)
    return {edge: gate for edge, gate in found.items() if gate != "cutoff"}


def reads_fused(gates: str | None) -> bool:
    """Whether the fused classifier is a node of the graph."""
    return FUSED in (gates or "")


def check_gates(gates: str | None, num_branches: int, *, mixed: bool) -> None:
    """Check that a graph is one of this network's members.

    Args:
        mixed: labels are class probabilities.

    Raises:
        SettingError: it is not, a branch learns nothing, or a gate needs the right class.
    """
    graph, branches = graph_of(gates, num_branches), [str(i) for i in range(num_branches)]
    named = _edges(gates) if gates is not None and gates not in GATES else {}
    for edge in named:
        for name in edge:
            if name not in (*branches, FUSED, ENSEMBLE):
                raise SettingError(
                    f"distill.gates must name members of the network, 0 to {num_branches - 1}, "
                    f"{FUSED} or {ENSEMBLE}, not {name!r}"
                )
        if edge.source == edge.target and edge.source not in branches:
            raise SettingError(
                f"distill.gates must have no edge from {edge.source} to itself: a branch alone has "
                f"one, its cross-entropy"
            )
        if edge.target == ENSEMBLE:
            raise SettingError(
                f"distill.gates must not teach {ENSEMBLE}, which has no parameters of its own, as "
                f"{edge.source}>{ENSEMBLE} does"
            )
    for name in branches:
        if not any(edge.target == name for edge in graph):
            raise SettingError(
                f"distill.gates must leave every branch something to learn from, and cut off every "
                f"edge to {name}"
            )
    if mixed and any(gate == "correct" and not edge.is_own for edge, gate in graph.items()):
        raise SettingError(
            "data.mixing must be none for a gate correct of distill.gates, which asks whether a "
            "teacher knows the one right class"
        )


def _unnamed(edge: Edge) -> str:
    """The gate of an edge that is not named."""
    return "through" if edge.is_own else "cutoff"


def _text(edges: Mapping[Edge, str]) -> str:
    return ",".join(f"{s}>{t}={gate}" for (s, t), gate in sorted(edges.items())) or "cutoff"


def _edges(text: str) -> dict[Edge, str]:
    found: dict[Edge, str] = {}
    for part in re.split(r"[,;]", text):
        match = _EDGE.fullmatch(part.strip())
        if match is None or match[3] not in GATES:
            raise ValueError(
                f"must be one of {', '.join(GATES)}, or read like 1>0=correct,fused>0=through "
                f"(at {part.strip()[:100]!r})"
            )
        edge = Edge(match[1], match[2])
        if edge in found:
            raise ValueError(f"must name each edge once, not {edge.source}>{edge.target} twice")
        found[edge] = match[3]
    return found
