"""The trial that is called best: the cheapest within one standard error."""

import io
from typing import Any

import pytest
from rich.console import Console

from ffl_ray.config.objectives import parse_objectives
from ffl_ray.console.result_tables import best_table
from ffl_ray.results.best import called_best, ranked

ONE = parse_objectives(["ensemble.accuracy"])
# Of 400 images at .80 one standard error is .02.
VALUES = {"0": (0.80, 900), "1": (0.785, 300), "2": (0.77, 100), "3": (0.79, 500)}


def row(trial_id: str, value: float, state: str = "{}") -> dict[str, Any]:
    names = ("model.mix", "fusion.design", "distill.method", "distill.temperature", "epochs_done")
    columns: dict[str, Any] = dict.fromkeys(names)
    columns |= {f"val.{name}.accuracy": 0.5 for name in ("fused", "ensemble", "best_branch")}
    return columns | {
        "trial_id": trial_id, "status": "completed", "objective_values": [value],
        "sampler_state": state, "model.mix": "2*resnet20", "distill.method": "ffl",
        "fusion.design": "sum",
    }  # fmt: skip


def members(trial_id: str) -> list[dict[str, Any]]:
    latest = {"member": "ensemble", "checkpoint": "latest", "images": 400}
    return [latest | {"macs": VALUES[trial_id][1]}, latest | {"checkpoint": "best", "macs": 1}]


ROWS = [row(trial_id, value) for trial_id, (value, _) in VALUES.items()]


def test_baselines_are_in_the_table_however_bad_and_named() -> None:
    plain = row("1", 0.2) | {"baseline": "plain", "distill.method": "independent"}
    out = io.StringIO()

    Console(file=out, width=160).print(best_table([row("9", 0.9), plain, *ROWS], ONE, count=2))

    *_, first, _, third = out.getvalue().strip().splitlines()
    assert first.split()[0] == "9"
    assert third.split()[:2] == ["1", "plain"]
    assert "; all with mix 2*resnet20; all but the plain one with method ffl" in out.getvalue()


def test_the_cheapest_within_one_standard_error_is_called_best() -> None:
    best = called_best(ranked(ROWS, ONE), ONE, members)

    assert best is not None
    assert (best.trial_id, best.macs, best.top_id, best.top_macs) == ("1", 300, "0", 900)
    assert best.error == pytest.approx(0.02)


def test_of_trials_that_differ_by_their_seed_the_mean_counts_not_the_luckiest() -> None:
    lucky = [row("0", 0.95) | {"seed": 1}, row("1", 0.60) | {"seed": 2}]
    steady = row("2", 0.78) | {"seed": 1, "fusion.design": "mean"}

    best = called_best(ranked([*lucky, steady], ONE), ONE, members)

    assert best is not None
    assert (best.trial_id, best.top_id, best.seeds) == ("2", "2", 1)
    again = called_best(
        ranked([lucky[0], lucky[1] | {"objective_values": [0.9]}, steady], ONE), ONE, members
    )
    assert again is not None
    assert (again.trial_id, again.seeds) == ("0", 2)


def test_a_mean_says_of_how_many_seeds_it_is() -> None:
    """Pruning leaves a config the seeds that were lucky."""
    lucky = [row("0", 0.95) | {"seed": 1}]
    pruned = [row("1", 0.5) | {"status": "pruned", "seed": seed} for seed in (2, 3)]
    trials = [*lucky, *pruned, row("2", 0.78) | {"seed": 1, "fusion.design": "mean"}]

    best = called_best(ranked(trials, ONE), ONE, members, trials=trials)

    assert best is not None
    assert best.why == "0 is called best by 1 of 3 seeds"
    more = [*trials, row("3", 0.93) | {"seed": 4}]
    best = called_best(ranked(more, ONE), ONE, members, trials=more)
    assert best is not None
    assert best.why.startswith("0 is called best by the mean over 2 of 4 seeds")


def test_one_that_breaks_a_constraint_is_not_called_best() -> None:
    broken = [row("1", 0.785, '{"trial": {"constraints:ensemble.macs<=9": 0.5}}')]
    rows = [*ROWS[:1], *broken, *ROWS[2:]]

    best = called_best(ranked(rows, ONE), ONE, members)

    assert best is not None
    assert best.trial_id == "3"
    assert [entry["trial_id"] for entry in ranked(rows, ONE)] == ["0", "3", "2", "1"]
    alone = called_best(ranked(broken, ONE), ONE, members)
    assert alone is not None
    assert alone.trial_id == "1"


def test_of_a_metric_without_a_known_error_the_best_value_wins_and_of_several_there_is_none() -> (
    None
):
    nll = parse_objectives(["ensemble.nll"])
    both = parse_objectives(["ensemble.accuracy", "ensemble.macs"])

    best = called_best(ranked(ROWS, nll), nll, members)

    assert best is not None
    assert (best.trial_id, best.error) == ("2", 0)
    assert called_best(ROWS, both, members) is None
    assert called_best([], ONE, members) is None


def test_the_table_says_which_is_called_best_and_why() -> None:
    out = io.StringIO()
    best = called_best(ranked(ROWS, ONE), ONE, members)

    Console(file=out, width=160).print(best_table(ROWS, ONE, best))

    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["1", "0", "3", "2"]
    said = " ".join(" ".join(lines[6:]).split())
    assert said.startswith("1 is called best: within one standard error (0.0200) of 0, at 300 MACs")
