"""The choice of a member from the tables, on tables made by hand."""

from typing import Any

import pytest

from ffl_ray.config.objectives import parse_objective
from ffl_ray.errors import StudyError
from ffl_ray.export import pick

ACCURACY = parse_objective("fused.accuracy")


def trials(**status: str) -> list[dict[str, Any]]:
    return [{"trial_id": name.removeprefix("t"), "status": value} for name, value in status.items()]


def row(trial: str, member: str, accuracy: float, macs: int, **more: Any) -> dict[str, Any]:
    return {
        "trial_id": trial,
        "member": member,
        "checkpoint": "latest",
        "accuracy": accuracy,
        "nll": 1.0 - accuracy,
        "macs": macs,
    } | more


def found(*rows: dict[str, Any]) -> list[pick.Candidate]:
    ended = dict.fromkeys(sorted({f"t{row['trial_id']}" for row in rows}), "completed")
    return pick.candidates(trials(**ended), rows)


TWO = found(
    row("00000", "branch0", 0.60, 10, role="deployed"),
    row("00000", "branch1", 0.68, 20),
    row("00000", "ensemble", 0.72, 30),
    row("00000", "fused", 0.70, 40, role="whole"),
    row("00001", "branch0", 0.66, 10, role="deployed"),
    row("00001", "branch1", 0.61, 10, role="deployed"),
    row("00001", "ensemble", 0.65, 20),
    row("00001", "fused", 0.71, 25, role="whole"),
)


def test_the_last_checkpoint_of_completed_trials_counts_or_the_best_where_that_was_kept() -> None:
    rows = [
        row("00000", "fused", 0.5, 1),
        row("00000", "fused", 0.9, 1, checkpoint="best"),
        row("00001", "fused", 0.8, 1),
        row("00002", "fused", 0.7, 1),
    ]

    ended = trials(t00000="completed", t00001="pruned", t00002="failed")
    for kept, accuracy in (({}, 0.5), ({"00000": "latest"}, 0.5), ({"00000": "best"}, 0.9)):
        chosen = pick.candidates(ended, rows, kept)
        assert [(c.trial_id, c.accuracy) for c in chosen] == [("00000", accuracy)]


def test_a_study_without_a_completed_trial_has_nothing_to_export() -> None:
    with pytest.raises(StudyError, match="no completed trial to export: let it go on"):
        pick.candidates(trials(t00000="running"), [row("00000", "fused", 0.5, 1)])


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("fused.accuracy", ("00001", "fused")),
        ("fused.nll", ("00001", "fused")),
        ("ensemble.accuracy", ("00000", "ensemble")),
        ("best_branch.accuracy", ("00000", "branch1")),
        ("mean_branch.accuracy", ("00000", "branch1")),
        ("branch0.accuracy", ("00001", "branch0")),
        ("whole.accuracy", ("00001", "fused")),
        ("deployed.accuracy", ("00001", "branch0")),
    ],
)
def test_best_is_the_member_that_the_objective_names(
    objective: str, expected: tuple[str, str]
) -> None:
    chosen = pick.best(TWO, parse_objective(objective), any_member=True)

    assert (chosen.trial_id, chosen.member) == expected


def test_the_best_mean_of_branches_may_lack_the_best_branch() -> None:
    rows = found(
        row("00000", "branch0", 0.80, 1),
        row("00000", "branch1", 0.20, 1),
        row("00001", "branch0", 0.60, 1),
        row("00001", "branch1", 0.70, 1),
    )

    chosen = pick.best(rows, parse_objective("mean_branch.accuracy"), any_member=True)

    assert (chosen.trial_id, chosen.member) == ("00001", "branch1")


def test_with_a_member_given_best_compares_it_among_trials() -> None:
    chosen = pick.best(pick.of_member(TWO, "branch0"), ACCURACY, any_member=False)

    assert (chosen.trial_id, chosen.accuracy) == ("00001", 0.66)


def test_a_method_without_the_named_member_leaves_it_to_the_others() -> None:
    rows = found(row("00000", "ensemble", 0.9, 1), row("00001", "fused", 0.8, 1))

    assert pick.best(rows, ACCURACY, any_member=True).member == "fused"
    assert pick.best(rows[:1], ACCURACY, any_member=True).member == "ensemble"


def test_the_front_holds_what_nothing_beats_in_accuracy_and_cost() -> None:
    front = pick.accuracy_front(TWO)

    assert [(c.accuracy, c.macs) for c in front] == [(0.72, 30), (0.71, 25), (0.68, 20), (0.66, 10)]


def test_the_knee_lies_highest_above_the_line_between_the_ends() -> None:
    # Scaled logarithms of MACs 0, 1/3, 2/3, 1; scaled accuracies 0, 0.5, 0.95, 1.
    rows = found(
        row("00000", "a", 0.50, 10),
        row("00000", "b", 0.60, 100),
        row("00000", "c", 0.69, 1000),
        row("00000", "d", 0.70, 10000),
        row("00000", "beaten", 0.40, 10000),
    )

    assert pick.knee(rows).member == "c"
    assert pick.knee_note(rows) == ""


@pytest.mark.parametrize(
    "rows",
    [
        [row("00000", "only", 0.5, 10)],
        [row("00000", "only", 0.4, 10), row("00000", "dear", 0.42, 40)],
        [
            row("00000", "only", 0.40, 10),
            row("00000", "below the line", 0.405, 30),
            row("00000", "dear", 0.42, 40),
        ],
    ],
)
def test_without_a_bend_the_knee_is_the_cheap_end_and_a_point_has_its_price(
    rows: list[dict[str, Any]],
) -> None:
    assert pick.knee(found(*rows)).member == "only"
    note = pick.knee_note(found(*rows))
    assert (note == "") == (len(rows) == 1)
    if note:  # four times the MACs for two points
        assert "a point of accuracy more costs 2 times the MACs" in note


def test_within_a_limit_the_most_accurate_wins_and_then_the_cheaper() -> None:
    rows = found(
        row("00000", "fused", 0.9, 50), row("00000", "b", 0.8, 40), row("00000", "c", 0.8, 30)
    )

    assert pick.within(rows, 50).member == "fused"
    assert pick.within(rows, 49).member == "c"


def test_a_limit_that_nothing_fits_names_the_smallest() -> None:
    with pytest.raises(StudyError, match=r"at least 10, what branch\d of trial 0000. takes, not 9"):
        pick.within(TWO, 9)


def test_a_trial_is_named_with_or_without_its_zeros() -> None:
    assert pick.of_trial(TWO, "1") == pick.of_trial(TWO, "00001")
    with pytest.raises(StudyError, match="one of 00000, 00001, not '7'"):
        pick.of_trial(TWO, "7")


def test_an_unknown_member_is_refused_with_those_there_are() -> None:
    with pytest.raises(StudyError, match="one of branch0, branch1, ensemble, fused, not 'both'"):
        pick.of_member(TWO, "both")


def test_the_objective_of_a_search_is_its_first_validation_metric() -> None:
    search = {"search.objectives": ["fused.macs", "ensemble.nll"], "objective": "fused.accuracy"}

    assert pick.study_objective({"settings": search}).name == "ensemble.nll"
    assert pick.study_objective({"settings": {"objective": "fused.top5"}}).name == "fused.top5"
