"""What stopping cost, from the trials that were finished all the same."""

from __future__ import annotations

from typing import Any

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.results.pruning import pruning_cost

NLL = parse_objectives(["fused.nll"])


def row(name: str, value: float, status: str = "completed", audited: int | None = None) -> Any:
    return {
        "trial_id": name, "status": status, "objective_values": [value], "audited_epoch": audited
    }  # fmt: skip


def test_the_audited_ones_are_placed_among_the_others() -> None:
    rows = [row("a", 0.1), row("b", 0.3), row("c", 0.2, audited=5), row("d", 0.4, audited=5)]
    rows += [row(f"p{n}", 0.5, "pruned") for n in range(6)]

    said = pruning_cost(rows, NLL)

    assert "of 8 trials that were to be stopped 2, drawn at random, were finished" in said
    assert "0 of them came out best: at most 66% of those stopped would have" in said
    assert "The best of them, c, has fused.nll 0.2000, place 2 among the 2 others" in said


def test_one_that_comes_out_best_is_said_and_that_nothing_is_known_without_audits() -> None:
    rows = [row("a", 0.2), row("c", 0.1, audited=5)]
    stopped = [row(f"p{n}", 0.5, "pruned") for n in range(6)]

    assert "1 of them came out best" in pruning_cost(rows, NLL)
    assert pruning_cost(rows[:1], NLL) == ""
    assert pruning_cost(rows[:1] + stopped, NLL) == (
        "what stopping cost 6 trials is not known: search.audit_trials finished none"
    )
    assert pruning_cost(rows[1:] + stopped, NLL).startswith("what stopping cost 7 trials is not")
