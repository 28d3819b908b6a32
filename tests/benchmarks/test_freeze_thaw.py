"""Freeze-thaw: what its model says is right on made curves, and it sees nothing before its time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from support.grids import EPOCHS, make_grid

from benchmarks.freeze_thaw.curves import expected_ends, fenced
from benchmarks.freeze_thaw.gain import expected_gain, gain_rate
from benchmarks.freeze_thaw.luck import rank_correlations, regret_of_best
from benchmarks.freeze_thaw.process import Process, Told
from benchmarks.freeze_thaw.search import FreezeThaw
from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.replay.grid import Grid, Run, open_grid
from ffl_ray.search.product import Point, Product
from ffl_ray.search.space import SearchSpace


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    place = tmp_path_factory.mktemp("grids") / "grid"
    make_grid(place)
    return open_grid(str(place))


def made_curves(count: int) -> np.ndarray:
    """Curves of four epochs: each step halves what is left of the first value, with noise."""
    generator = np.random.default_rng(0)
    steps = [generator.normal(size=count)]
    for sd in (0.5, 0.2, 0.1):
        steps.append(0.5 * steps[-1] - 1 + sd * generator.normal(size=count))
    return np.stack(steps, axis=1)


def test_the_end_of_a_curve_is_expected_as_its_chain_goes_on() -> None:
    ends = expected_ends(made_curves(10_000))

    assert ends.slope == pytest.approx([0.125, 0.25, 0.5, 1], abs=0.01)
    assert ends.intercept == pytest.approx([-1.75, -1.5, -1, 0], abs=0.01)
    assert ends.variance == pytest.approx([0.0356, 0.02, 0.01, 0.0], rel=0.05)


def test_a_step_that_few_took_is_learned_from_all_who_took_the_others() -> None:
    curves = made_curves(2_000)
    curves[5:, 2:] = np.nan

    ends = expected_ends(curves)

    assert np.isfinite(np.stack(ends)).all()
    assert ends.variance[0] > ends.variance[1] > ends.variance[2] > ends.variance[3] == 0


def test_what_is_worse_than_the_fence_counts_as_the_fence() -> None:
    curves = np.array([[0.0], [0.5], [1.0], [1.0], [1.0], [80.0], [np.nan]])

    kept = fenced(curves)

    assert kept[:5] == pytest.approx(curves[:5])
    assert 1.0 < kept[5, 0] < 3.0
    assert np.isnan(kept[6, 0])


def test_the_worth_of_points_is_the_posterior_of_the_textbook() -> None:
    distances = np.abs(np.subtract.outer(np.arange(4.0), np.arange(4.0)))[None] / 3
    told = Told(np.array([0, 2, 2]), np.array([1.0, -1.0, 0.0]), np.array([0.0, 0.1, 0.4]), 0, 2.0)

    found = Process(distances, np.random.default_rng(0)).believe(told)

    share = 1 / (1 + np.exp(-0.5))
    prior = 2 * share * np.exp(-distances[0])
    noise = np.linalg.inv(
        prior[np.ix_(told.places, told.places)] + np.diag(told.variances + 2 * (1 - share))
    )
    ones = np.ones(3)
    mean = ones @ noise @ told.ends / (ones @ noise @ ones + 1 / 2)
    gain = prior[:, told.places] @ noise
    assert found.mean == pytest.approx(mean + gain @ (told.ends - mean))
    assert found.variance == pytest.approx(np.diag(prior - gain @ prior[told.places]))


def test_the_gain_of_a_plan_with_one_look_is_what_playing_it_gains() -> None:
    variances = np.array([[1.0, 0.7, 0.2]])
    mean, best, trained = np.array([0.3]), 0.0, np.array([0])

    rate = gain_rate(mean, variances, np.array([2.0]), trained, best)[0]

    generator = np.random.default_rng(0)
    after_one = 0.3 + np.sqrt(0.3) * generator.normal(size=100_000)
    after_all = after_one + np.sqrt(0.5) * generator.normal(size=100_000)
    played = [
        np.where(after_one < bound, np.maximum(best - after_all, 0), 0).mean()
        / (2.0 * (1 + (after_one < bound).mean()))
        for bound in np.linspace(-1, 2, 16)
    ]
    without = expected_gain(mean, np.sqrt(np.array([0.8])), best)[0] / 4
    assert rate == pytest.approx(max(*played, without), rel=0.05)
    assert gain_rate(mean, variances, np.array([4.0]), trained, best)[0] == pytest.approx(rate / 2)


class Unseen(tuple[float, ...]):
    """The values of a training, which are read one by one."""

    read = 0

    def __iter__(self) -> Iterator[float]:
        raise AssertionError

    def __getitem__(self, epoch: object) -> float:  # type: ignore[override]
        assert isinstance(epoch, int)
        assert epoch <= self.read
        self.read = max(self.read, epoch + 1)
        return super().__getitem__(epoch)


@pytest.mark.parametrize(
    ("how", "budget_s"),
    [
        (FreezeThaw("freeze-thaw"), 30.0),
        (FreezeThaw("freeze-thaw"), 60.0),
        (FreezeThaw("rest after any epoch", at_once=True), 60.0),
        (FreezeThaw("ASHA's rung", rests=False, stops=True), 60.0),
    ],
)
def test_a_search_reads_no_value_of_an_epoch_that_is_not_trained(
    how: FreezeThaw, budget_s: float, grid: Grid
) -> None:
    runs = {
        point: [run._replace(values=Unseen(run.values)) for run in found]
        for point, found in grid.runs.items()
    }

    early = {"optim.lr_schedule": "constant", "distill.ramp_up": 0.25} if how.stops else {}
    base = with_overrides(grid.product.base, early)  # of which two epochs are fair

    ended = [
        *how.run(grid._replace(runs=runs, product=grid.product._replace(base=base)), 0, budget_s)
    ]

    times = [trial.at_s for trial in ended]
    assert times == sorted(times)
    assert budget_s - 10 < times[-1] <= budget_s
    assert all((trial.score is None) == (trial.epochs < EPOCHS) for trial in ended)
    assert any(trial.epochs < EPOCHS for trial in ended) == how.stops
    seen = [(run.values, run.seconds) for found in runs.values() for run in found]
    read_s = [sum(seconds[: values.read]) for values, seconds in seen if isinstance(values, Unseen)]
    assert 0 < sum(read_s) <= budget_s


def test_what_limits_a_search_is_read_off_a_grid_of_known_luck() -> None:
    def runs(*lasts: float) -> list[Run]:
        return [Run("", (1 - last, last, last), (1.0, 1.0, 1.0), failed=False) for last in lasts]

    found: dict[Point, list[Run]] = {
        ("good",): runs(0.8, 0.9),
        ("lucky",): runs(0.99, 0.5),
        ("bad",): runs(0.1, 0.2),
    }
    objective = parse_objective("fused.accuracy")
    product = Product(SearchSpace("", {}, lambda _: {}), (), Config())
    grid = Grid("made", product, objective, epochs=3, workers=1, runs=found)

    assert regret_of_best(grid, 1) == 0
    assert regret_of_best(grid, 2) == pytest.approx(0.85 - 0.745)
    assert rank_correlations(grid) == [pytest.approx((-1, -1)), pytest.approx((1, 1))]
