"""The gates of a knowledge transfer graph as search parameters, one for each ordered pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ffl_ray.config.gates import ENSEMBLE, FUSED, GATES, parse_gates

PREFIX = "gates."


class SuggestsCategorical(Protocol):
    """The part of `optuna.Trial` that gates need."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> Any:
        """One of the choices."""
        ...


def suggest_gates(
    trial: SuggestsCategorical,
    *,
    num_branches: int,
    others: Sequence[str] = (),
    gates: Sequence[str] = GATES,
    own: Sequence[str] = ("through",),
) -> object:
    """Suggest who teaches whom, and when, for distill.method ktg.

    The parameters are `gates.1>0` and so on: a gate for every ordered pair of branches and, for
    each of the others, one to every branch.

    Args:
        num_branches: how many branches the trial has.
        others: fused and ensemble, where they may teach as well.
        gates: to choose from.
        own: gates of a branch's cross-entropy to choose from, if it is to be searched; a branch
            that nobody teaches keeps it open.

    Returns:
        The suggested `distill.gates`; a search space need not return it again.

    Raises:
        ValueError: fewer than two branches, or another name of a member or a gate.
    """
    _check(num_branches, others, gates, own)
    branches, chosen = [str(index) for index in range(num_branches)], {}
    for target in branches:
        taught = False
        for source in (*branches, *others):
            if source != target:
                name = f"{PREFIX}{source}>{target}"
                chosen[name] = trial.suggest_categorical(name, list(gates))
                taught |= chosen[name] != "cutoff"
        if taught and len(own) > 1:
            name = f"{PREFIX}{target}>{target}"
            chosen[name] = trial.suggest_categorical(name, list(own))
    return gates_from_params(chosen)["distill.gates"]


def gates_from_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's parameters, those of gates as `distill.gates`."""
    edges = [f"{n.removeprefix(PREFIX)}={g}" for n, g in params.items() if n.startswith(PREFIX)]
    others = {name: value for name, value in params.items() if not name.startswith(PREFIX)}
    return others | ({"distill.gates": parse_gates(",".join(edges))} if edges else {})


def _check(
    num_branches: int, others: Sequence[str], gates: Sequence[str], own: Sequence[str]
) -> None:
    if num_branches < 2:
        raise ValueError(f"num_branches must be at least 2, not {num_branches}")
    if not set(others) <= {FUSED, ENSEMBLE}:
        raise ValueError(f"others must be of {FUSED} and {ENSEMBLE}, not {list(others)}")
    if not gates or not own or not {*gates, *own} <= set(GATES):
        raise ValueError(f"gates must be of {', '.join(GATES)}, not {[*gates, *own]}")
