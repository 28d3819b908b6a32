"""What of a step a worker takes, and whose rows it needs beside its own."""

import torch

from ffl_ray.data.augment import Draws, draw
from ffl_ray.data.shards import Shard, Step, eval_steps, train_steps

ROWS = torch.arange(10)


def steps(rank: int, *, mixed: bool) -> list[Step]:
    return list(train_steps(10, 6, Shard(rank, 2), mixed=mixed))


def test_a_workers_draws_are_those_of_its_images() -> None:
    draws = draw(10, padding=1, flip=True, generator=torch.Generator().manual_seed(0))
    step = steps(1, mixed=False)[0]

    taken = Draws(*map(step.of, draws))

    assert torch.equal(taken.shifts, draws.shifts[3:6])
    assert torch.equal(taken.flips, draws.flips[3:6])


def test_the_partner_of_a_workers_last_image_is_the_next_workers_first() -> None:
    for rank, partners in ((0, [1, 2, 3]), (1, [4, 5, 0])):
        step = steps(rank, mixed=True)[0]

        own, found = step.with_partners(step.of(ROWS))

        assert torch.equal(own, ROWS[step.taken])
        assert found.tolist() == partners


def test_one_worker_needs_no_rows_beside_its_own() -> None:
    (first, _) = train_steps(10, 6, Shard(), mixed=True)

    own, partners = first.with_partners(first.of(ROWS))

    assert own.tolist() == [0, 1, 2, 3, 4, 5]
    assert partners.tolist() == [1, 2, 3, 4, 5, 0]


def test_an_evaluation_leaves_out_the_steps_that_give_a_worker_nothing() -> None:
    sizes = [[s.taken.stop - s.taken.start for s in eval_steps(7, 6, Shard(r, 2))] for r in (0, 1)]

    assert sizes == [[3], [3, 1]]
