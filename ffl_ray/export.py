"""Export one classifier: `python -m ffl_ray.export STUDY [--pick best|knee]`; --help lists more."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ffl_ray
from ffl_ray import cli
from ffl_ray.errors import SettingError

if TYPE_CHECKING:
    from ffl_ray.exporting.card import Source
    from ffl_ray.exporting.pick import Candidate
    from ffl_ray.exporting.trained import Trained
    from ffl_ray.results.storage import Storage

DESCRIPTION = """Write one classifier of a study alone: a branch sheds the others and the fusion.

The folder holds a torch.export program, an ONNX graph, safetensors weights, config.json, a model
card and metadata.json. Each file is read back and compared with the trained network first.

picks, over the members of completed trials whose best checkpoint is kept:
  best    the study's objective is best, and the member that it names (with --member: that one)
  knee    the front of validation accuracy against log(MACs) bends most: the point highest above
          the line between its ends"""
FORMATS = ("pt2", "onnx", "safetensors")
UNITS = {"K": 10**3, "M": 10**6, "G": 10**9}
Row = dict[str, Any]


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("export", DESCRIPTION)
    made.set_defaults(settings=False)
    made.add_argument("study", help="its name, folder or URI")
    rule = made.add_mutually_exclusive_group()
    rule.add_argument("--pick", choices=("best", "knee"), default="best", help="(default best)")
    rule.add_argument(
        "--max-macs", metavar="N", help="the most accurate within N MACs, such as 40M"
    )
    made.add_argument("--member", help="fused, ensemble, branch0, ...; by default the pick decides")
    made.add_argument("--trial", metavar="ID", help="pick among the members of this trial alone")
    made.add_argument(
        "--out", metavar="DIR", help="a new folder (default STUDY-TRIAL-MEMBER, here)"
    )
    made.add_argument(
        "--format",
        action="append",
        choices=FORMATS,
        help="write only this; may be given again (default all)",
    )
    made.add_argument(
        "--table",
        action="store_true",
        help="also measure size and latency of every member beside the full network",
    )
    made.add_argument("--storage-path", metavar="DIR", help="where studies are kept")
    made.add_argument(
        "--data-dir", metavar="DIR", help="where the study's data lie on this machine"
    )
    made.add_argument("--version", action="version", version=ffl_ray.__version__)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _export(args))


def _export(args: argparse.Namespace) -> int:
    from ffl_ray.console import make_console
    from ffl_ray.exporting.folder import check_free, export_member
    from ffl_ray.exporting.trained import load_trained, with_checkpoints
    from ffl_ray.results.reader import find_study, load, read_description, records

    storage = find_study(args.study, args.storage_path)
    description = read_description(storage)
    results = load(args.study, args.storage_path)
    trials = {row["trial_id"]: row for row in records(results.trials)}
    members = records(results.members)
    choice, note = _choose(args, storage, description, trials, members, with_checkpoints(storage))
    out = Path(args.out or f"{description['study']}-{choice.trial_id}-{choice.member}")
    check_free(out)
    console = make_console()
    console.out(
        f"trial {choice.trial_id}, {choice.member}: validation accuracy {choice.accuracy:.4f}, "
        f"{choice.row['parameters']:,} parameters, {choice.macs:,} MACs"
    )
    if note:
        console.out(note)
    trial = trials[choice.trial_id]
    with console.status("opening the data and the checkpoint") as status:
        trained = load_trained(storage, trial, choice.row["epoch"], args.data_dir)
        source = _source(args, storage, description, trials, choice, trained)
        speeds = _speeds(trained, members, choice.trial_id) if args.table else []
        formats = [name for name in FORMATS if name in (args.format or FORMATS)]
        written = export_member(
            trained, choice.member, out, formats, source, speeds, say=status.update
        )
    for name, size in written.size.items():
        console.out(
            f"{out / name}  {size:,} bytes, differs by at most "
            f"{written.differences[name].logits:.1e} from the trained member"
        )
    if speeds:
        _print_speeds(speeds)
    console.out(f"card {out / 'README.md'}; python -m ffl_ray.predict {out} IMAGE...")
    return 0


def _choose(
    args: argparse.Namespace,
    storage: Storage,
    description: Row,
    trials: dict[str, Row],
    members: list[Row],
    kept: set[str],
) -> tuple[Candidate, str]:
    """The member to export, and a line when a better one can't be because its weights are gone.

    Raises:
        StudyError: nothing fits, or no trial that fits has its checkpoint.
    """
    from ffl_ray.errors import StudyError
    from ffl_ray.exporting import pick
    from ffl_ray.exporting.trained import retrain_command, trial_config

    objective = pick.study_objective(description)
    limit = None if args.max_macs is None else parse_macs(args.max_macs)
    found = pick.candidates(trials.values(), members)
    if args.trial is not None:
        found = pick.of_trial(found, args.trial)
    if args.member is not None:
        found = pick.of_member(found, args.member)

    def chosen(pool: list[Candidate]) -> Candidate:
        if limit is not None:
            return pick.within(pool, limit)
        if args.pick == "knee":
            return pick.knee(pool)
        return pick.best(pool, objective, any_member=args.member is None)

    first = chosen(found)
    if first.trial_id in kept:
        return first, ""
    name = f"{description['study']}-{first.trial_id}"
    gone = (
        f"the checkpoint of trial {first.trial_id} ({first.member}, accuracy {first.accuracy:.4f}) "
        f"was not kept: search with a larger search.keep_checkpoints, or train it again: "
        f"{retrain_command(trial_config(trials[first.trial_id]), name)}"
    )
    left = [candidate for candidate in found if candidate.trial_id in kept]
    if not left or (limit is not None and all(c.macs > limit for c in left)):
        raise StudyError(gone)
    return chosen(left), f"note: the pick of all would be another, but {gone}"


def parse_macs(text: str) -> int:
    """A number of multiply-accumulates: 40000000, 40e6 or 40M.

    Raises:
        SettingError: it is none.
    """
    unit = UNITS.get(text[-1:].upper(), 1)
    try:
        number = round(float(text if unit == 1 else text[:-1]) * unit)
    except (ValueError, OverflowError):
        number = 0
    if number < 1:
        raise SettingError(f"--max-macs must be a positive number such as 40M, not {text!r}")
    return number


def _source(
    args: argparse.Namespace,
    storage: Storage,
    description: Row,
    trials: dict[str, Row],
    choice: Candidate,
    trained: Trained,
) -> Source:
    from ffl_ray.exporting.card import Source
    from ffl_ray.exporting.confirmed import confirmed_accuracy
    from ffl_ray.exporting.folder import versions
    from ffl_ray.exporting.member import portable
    from ffl_ray.exporting.trained import retrain_command, trial_config

    completed = sum(row["status"] == "completed" for row in trials.values())
    config = portable(trial_config(trials[choice.trial_id]))
    return Source(
        study=description["study"],
        trial_id=choice.trial_id,
        chosen=_rule(args),
        num_trials=completed,
        split_hash=trained.data.split_hash,
        num_train=len(trained.data.train),
        num_val=len(trained.data.val),
        row=dict(choice.row),
        confirmed=confirmed_accuracy(storage, choice.trial_id, choice.member),
        retrain=retrain_command(config, f"{description['study']}-{choice.trial_id}"),
        trained_with=description["versions"],
        exported_with=versions(),
        git_commit=description.get("git_commit"),
    )


def _rule(args: argparse.Namespace) -> str:
    """How the member was chosen, as a sentence."""
    among = "" if args.trial is None else f" of trial {args.trial}"
    who = "members" if args.member is None else f"{args.member} members"
    if args.max_macs is not None:
        return f"Chosen as the most accurate of the {who}{among} within {args.max_macs} MACs."
    rule = {
        "best": "by the study's objective",
        "knee": "at the knee of validation accuracy against log(MACs)",
    }[args.pick]
    return f"Chosen {rule} among the {who}{among}."


def _speeds(trained: Trained, members: list[Row], trial_id: str) -> list[Any]:
    from ffl_ray.exporting.speed import speeds

    names = sorted({row["member"] for row in members if row["trial_id"] == trial_id})
    return list(speeds(trained, names))


def _print_speeds(speeds: list[Any]) -> None:
    from rich.table import Table

    from ffl_ray.console import make_console
    from ffl_ray.exporting.speed import HEADINGS, rows_of

    table = Table(title="one image, on this machine; share of the full network", box=None)
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if index else "left")
    for row in rows_of(speeds):
        table.add_row(*row)
    make_console().print(table)


if __name__ == "__main__":
    sys.exit(main())
