"""The front: all members of completed trials compete."""

import itertools
import random

from ffl_ray.config.objectives import dominates, parse_objectives
from ffl_ray.results.pareto import front, non_dominated

OBJECTIVES = parse_objectives(["fused.accuracy", "fused.macs"])


def trial(trial_id: str, status: str = "completed") -> dict[str, object]:
    return {
        "trial_id": trial_id, "status": status, "model.mix": "2*resnet20", "fusion.design": "sum",
        "distill.temperature": 3.0, "distill.method": "ffl",
    }  # fmt: skip


def member(trial_id: str, name: str, accuracy: float, macs: int) -> dict[str, object]:
    return {
        "trial_id": trial_id, "member": name, "backbone": None, "checkpoint": "latest",
        "accuracy": accuracy, "macs": macs,
    }  # fmt: skip


def test_a_branch_of_one_trial_beats_the_fused_classifier_of_another() -> None:
    members = [
        member("0", "fused", 0.90, 100),
        member("0", "branch0", 0.80, 40),
        member("1", "fused", 0.79, 90),
        member("1", "branch0", 0.70, 10),
        member("2", "fused", 0.99, 1),
    ]

    points = front([trial("0"), trial("1"), trial("2", "pruned")], members, OBJECTIVES)

    found = [(point["trial_id"], point["member"]) for point in points]
    assert found == [("0", "fused"), ("0", "branch0"), ("1", "branch0")]
    assert points[0]["accuracy"] == 0.90
    assert points[0]["model.mix"] == "2*resnet20"


def test_only_the_latest_checkpoint_counts() -> None:
    members = [member("0", "fused", 0.9, 100), member("0", "fused", 0.95, 100)]
    members[1]["checkpoint"] = "best"

    assert [point["accuracy"] for point in front([trial("0")], members, OBJECTIVES)] == [0.9]


def test_the_front_is_what_a_loop_over_all_pairs_finds() -> None:
    generator = random.Random(0)
    scores = [[generator.randint(0, 9) for _ in range(3)] for _ in range(200)]

    slow = {
        i for i, mine in enumerate(scores) if not any(dominates(other, mine) for other in scores)
    }

    found = non_dominated(scores)
    assert set(found) == slow
    assert all(scores[a] >= scores[b] for a, b in itertools.pairwise(found))
