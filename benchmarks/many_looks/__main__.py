"""One training, many looks: do they order fusion designs and mixes as real trainings do?

A grid whose points were all trained to their end says what each point is worth. For every group of
its points that differ in the fusion design alone one training is made, with a seed that the grid
has not, and beside it nine heads learn on its branches' maps; for every group that differs in the
mix alone, one training of the fewest branches that hold all mixes, and the ensembles of all subsets
of them are measured. What the looks say is held against the real trainings by rank correlation, and
so is what one seed's real trainings say of the others': more can't be asked.

A training that was looked at is kept under --out, and not made again.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.common import ended, new_parser, show
from benchmarks.many_looks.groups import CHOICES, Group, groups_of
from benchmarks.many_looks.looks import looked_at
from benchmarks.many_looks.ranks import (
    ASKED,
    Ranked,
    by_early,
    by_looks,
    by_others,
    by_seed,
    kendall,
    mean_of,
    noise_free,
    with_all,
    with_the_rest,
    without,
)
from ffl_ray.config.overrides import flatten, shown, with_overrides
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.replay.grid import Grid

GRID = "benchmarks/grids/digits"


def kept(config: ResolvedConfig, folder: Path, threads: int) -> pd.DataFrame:
    """The looks at a training, which is made unless it was made before."""
    text = repr({name: shown(value) for name, value in flatten(config).items()})
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.parquet"
    if not path.exists():
        started = time.perf_counter()
        rows = pd.DataFrame(looked_at(config, threads))
        folder.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
        mix = shown(config.model.mix)
        show(f"  {mix}, {config.fusion.design}: {time.perf_counter() - started:.1f} s")
    return pd.read_parquet(path)


def ranked(
    grid: Grid, groups: Sequence[Group], looks: Sequence[pd.DataFrame], epoch: int
) -> list[Ranked]:
    """Groups with what their looks say after an epoch, counted from 1."""
    objective = grid.objective
    return [
        Ranked(
            looks=group.looked(rows, objective.score, objective.metric)[:, epoch - 1],
            real=group.real[:, :, -1],
            early=group.real[:, :, epoch - 1],
        )
        for group, rows in zip(groups, looks, strict=True)
    ]


def agreement(groups: Sequence[Ranked], names: Sequence[str]) -> pd.DataFrame:
    """How looks and real trainings order the points, and again without the worst one."""
    worst = int(sum(group.real.mean(axis=1).argsort().argsort() for group in groups).argmin())
    rows = {"all points": groups, f"without {names[worst]}": without(groups, worst)}
    return pd.DataFrame([{"": name, **_row(some)} for name, some in rows.items()])


def _row(groups: Sequence[Ranked]) -> dict[str, str]:
    looks, real = with_the_rest(groups, by_looks), with_the_rest(groups, by_seed)
    seeds = mean_of(real)
    return {
        "looks, Spearman": str(mean_of(with_all(groups))),
        "Kendall": str(mean_of(with_all(groups, kendall))),
        "the truth would have": f"{noise_free(seeds.value, groups[0].real.shape[1]):.2f}",
        "real of the other groups": str(mean_of(by_others(groups))),
        "looks, with one seed less": str(mean_of(looks)),
        "real of that seed": str(seeds),
        "difference": str(mean_of([a - b for a, b in zip(looks, real, strict=True)])),
    }


def levels(groups: Sequence[Ranked], names: Sequence[str]) -> pd.DataFrame:
    """The mean rank of each point, 1 being the best, by looks and by real trainings."""
    table = pd.DataFrame(
        {
            "looks": sum((-group.looks).argsort().argsort() + 1.0 for group in groups),
            "real": sum((-group.real.mean(axis=1)).argsort().argsort() + 1.0 for group in groups),
        },
        index=pd.Index(names, name="mean rank"),
    )
    return (table / len(groups)).round(2).reset_index()


def by_epoch(grid: Grid, groups: Sequence[Group], looks: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The looks at each epoch beside real trainings that were stopped there, against the end."""
    rows = []
    for epoch in range(1, grid.epochs + 1):
        at = ranked(grid, groups, looks, epoch)
        rows.append(
            {
                "epoch": epoch,
                "looks": str(mean_of(with_the_rest(at, by_looks))),
                "real, stopped there": str(mean_of(with_the_rest(at, by_early))),
            }
        )
    return pd.DataFrame(rows)


def costs(looks: Sequence[pd.DataFrame]) -> str:
    """What the looks cost."""
    last = [rows[rows["epoch"] == rows["epoch"].max()].iloc[0] for rows in looks]
    total, own = sum(row["cpu_s"] for row in last), sum(row["looks_cpu_s"] for row in last)
    return f"{total:.0f} CPU seconds, of which the heads took {own / total:.0%}"


def tell(grid: Grid, groups: Sequence[Group], looks: Sequence[pd.DataFrame], by: str) -> None:
    """Print what the looks say of one choice, and whether that is enough."""
    choice, names = groups[0].choice, groups[0].names
    at_end = ranked(grid, groups, looks, grid.epochs)
    seeds = at_end[0].real.shape[1]
    show(
        f"\n## {choice}, against {by}: {len(groups)} groups of "
        f"{len(names)} points with {seeds} seeds; {costs(looks)}\n"
    )
    for table in (agreement(at_end, names), levels(at_end, names), by_epoch(grid, groups, looks)):
        show(table.to_markdown(index=False, disable_numparse=True) + "\n")
    found = mean_of(with_all(at_end))
    show(f"at least {ASKED} is {found.verdict}: {found}")


def main() -> None:
    """Look, and print the tables."""
    parser = new_parser(__doc__.split("\n")[0])
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("study", nargs="?", default=GRID, help="a grid, as of ffl_ray.replay")
    parser.add_argument("--storage-path")
    parser.add_argument("--data-dir", help="where its data are, unless it is where they were")
    parser.add_argument(
        "--role", help="such as ensemble: judge real trainings by its metric, not the objective"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trainings", type=int, help="of each choice at most, drawn at random")
    args = parser.parse_args()
    grid, groups = groups_of(args.study, args.storage_path, args.role)
    elsewhere = {"data.dir": args.data_dir} if args.data_dir else {}
    by = f"{args.role}.{grid.objective.metric}" if args.role else grid.objective.name
    for choice in CHOICES:
        some = [group for group in groups if group.choice == choice]
        if args.trainings is not None:
            some = random.Random(0).sample(some, min(args.trainings, len(some)))
        if some:
            folder = Path(args.out) / "many_looks" / grid.name
            configs = [with_overrides(group.config(), elsewhere) for group in some]
            looks = [kept(config, folder, args.threads) for config in configs]
            tell(grid, some, looks, by)


if __name__ == "__main__":
    ended(main)
