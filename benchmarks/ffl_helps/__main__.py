"""Does FFL help? CIFAR-100 and CIFAR-10 at 16x16: `python -m benchmarks.ffl_helps --data-dir DIR`.

For each data set one training, which makes the study, and its confirmation: FFL with two ResNet-14
against the backbone alone at equal epochs and at equal seconds, and at equal epochs against the
same network untaught, the independent pair, and one network of the same MACs; every arm with five
seeds, and with more, to ten at most, where a verdict is open, so that it may end at any of these
looks; then one verdict over both data sets. The plan is registered before a test split opens.
Stopped at any point, the same command goes on; seeds are trained one after the other. The storage
path may be copied to another machine without its checkpoints, and the same command goes on there
with its own --data-dir; the epochs of equal seconds stay those of the first machine, and the table
says what they took.

With --searched instead whether searching helps it: 20 trials of the default search on CIFAR-100,
the winner against the default point, whose optimiser gets a search of as many trials. Where the
default point is the winner, it says so, and there is nothing to confirm.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import ended
from ffl_ray import tune
from ffl_ray.config.methods import resolved
from ffl_ray.config.overrides import flatten, parse_assignments, with_overrides
from ffl_ray.confirm import __main__ as confirm
from ffl_ray.confirm.arms import Baselines, new_seeds
from ffl_ray.confirm.chosen import confirmed_form
from ffl_ray.confirm.command import confirm as planned
from ffl_ray.confirm.compared import MARGIN
from ffl_ray.confirm.opponents import Kind
from ffl_ray.confirm.options import check_options
from ffl_ray.confirm.pairs import Chosen
from ffl_ray.confirm.request import Request
from ffl_ray.console.terminal import make_console
from ffl_ray.results.storage.storage import Storage
from ffl_ray.search.space import load_space, settle

SPACE = Path(__file__).with_name("space.py")
SEARCHED, TRIALS = Path(__file__).with_name("searched.py"), 20
DATA_SETS = ("cifar100", "cifar10")
BASELINES: Baselines = "seconds_alone"
SEARCH = "ffl-searched-cifar100"
CAUSES: tuple[Kind, ...] = ("alone", "together", "untaught", "same_macs")


class Experiment(NamedTuple):
    """What is asked for.

    Attributes:
        data_dir: with the files of CIFAR-100 and CIFAR-10.
        storage_path: where the studies are.
        seeds: of every arm.
        most: with more, up to so many, where a verdict is open; none: no more.
        changes: NAME=VALUE, of settings that are to be others than the space's; for trying it out.
    """

    data_dir: str
    storage_path: str
    seeds: int
    most: int | None = None
    changes: Sequence[str] = ()

    def training(self, data: str) -> list[str]:
        """The options of `tune` for the one training that makes a study."""
        named = ["--name", study_of(data), "--storage-path", self.storage_path]
        settings = [f"--set={one}" for one in (f"data.name={data}", *self.changes)]
        return [str(SPACE), *named, "--data-dir", self.data_dir, *settings]

    def confirmation(self, data: str) -> list[str]:
        """The options of `confirm` for a study."""
        arms = ["--arms", *CAUSES, "--baselines", BASELINES]
        return [study_of(data), *self._place(), *arms, *self._seeds()]

    def search(self) -> list[str]:
        """The options of `tune` for the search whose winner is confirmed."""
        named = ["--name", SEARCH, "--storage-path", self.storage_path]
        settings = [f"--set={one}" for one in self.changes]
        return [str(SEARCHED), *named, "--data-dir", self.data_dir, *settings]

    def winner(self) -> list[str]:
        """The options of `confirm` for that winner."""
        sides = ["--top", "1", "--arms", "default", "--tune-baselines", str(TRIALS)]
        return [SEARCH, *self._place(), *sides, *self._seeds()]

    def _seeds(self) -> list[str]:
        race = [] if self.most is None else ["--until-decided", "--max-seeds", str(self.most)]
        return ["--seeds", str(self.seeds), *race]

    def _place(self) -> list[str]:
        places = ["--storage-path", self.storage_path, "--data-dir", self.data_dir]
        return [*places, "--cpus-per-trial", "1"]

    def across(self, data_sets: Sequence[str]) -> list[str]:
        """The options of `confirm` for one verdict over all data sets."""
        return ["--across", *map(study_of, data_sets), "--storage-path", self.storage_path]

    def request(self, data: str) -> Request:
        """The confirmation before there is a study, to see what it takes."""
        changes = parse_assignments([*self.changes])
        places = {"data.name": data, "data.dir": str(Path(self.data_dir).resolve())}
        most = self.most or self.seeds
        several = {"search.num_samples": len(CAUSES) * self.seeds}  # as many at once as fit
        settings = settle(load_space(str(SPACE)), places | changes)
        config = confirmed_form(resolved(settings.training))
        storage = Storage(self.storage_path).study(f"{study_of(data)}-dry-run").child("confirmed")
        kept: Mapping[str, object] = {"baselines": BASELINES, "margin": MARGIN}
        return Request(
            storage=storage,
            name=study_of(data),
            top=1,
            baselines=BASELINES,
            chosen=[Chosen("00000", config)],
            seeds=new_seeds((), most),
            looks=most - self.seeds + 1,
            settings=dict(kept),
            search=with_overrides(settings, several).search,
            ranked_by=settings.objective,
            searched={"settings": flatten(config)},
            address=None,
            dry_run=True,
            kinds=CAUSES,
            search_trials=1,
        )


def study_of(data: str) -> str:
    """The name of a data set's study."""
    return f"ffl-helps-{data}"


def run(experiment: Experiment, data_sets: Sequence[str]) -> int:
    """Train and confirm on each data set, then judge them together; the first bad exit status."""
    for data in data_sets:
        status = tune.main(experiment.training(data)) or confirm.main(experiment.confirmation(data))
        if status:
            return status
    return confirm.main(experiment.across(data_sets)) if len(data_sets) > 1 else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", required=True, metavar="DIR", help="with both CIFARs")
    parser.add_argument("--storage-path", default="~/ray_results", metavar="DIR")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="of every arm")
    parser.add_argument("--max-seeds", type=int, default=10, metavar="N", help="where undecided")
    parser.add_argument("--data", nargs="+", choices=DATA_SETS, default=DATA_SETS)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--searched",
        action="store_true",
        help="the search and its winner, on CIFAR-100; a dry run is of the search alone",
    )
    parser.add_argument("--dry-run", action="store_true", help="measure steps, say hours, and stop")
    args = parser.parse_args(arguments)
    place = str(Path(args.storage_path).expanduser())
    most = args.max_seeds if args.max_seeds > args.seeds else None
    experiment = Experiment(args.data_dir, place, args.seeds, most, args.set)
    for options in (experiment.winner(), *map(experiment.confirmation, args.data)):
        check_options(confirm.parser().parse_args(options))
    if args.searched:
        how = ["--dry-run"] * args.dry_run
        return tune.main([*experiment.search(), *how]) or (
            0 if args.dry_run else confirm.main(experiment.winner())
        )
    if not args.dry_run:
        return run(experiment, args.data)
    for data in args.data:
        make_console().out(f"\n{study_of(data)}")
        planned(experiment.request(data))
    return 0


if __name__ == "__main__":
    ended(main)
