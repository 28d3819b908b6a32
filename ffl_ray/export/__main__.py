"""Export one classifier: `python -m ffl_ray.export STUDY [--pick best|knee]`; --help lists more."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffl_ray import cli

if TYPE_CHECKING:
    from ffl_ray.export.card import Source
    from ffl_ray.export.pick import Candidate
    from ffl_ray.export.speed import Speed
    from ffl_ray.export.trained import Trained
    from ffl_ray.results.storage.storage import Storage

DESCRIPTION = """Write one classifier of a study alone: a branch sheds the others and the fusion.

The folder holds a torch.export program, an ONNX graph, safetensors weights, config.json, a model
card and metadata.json. Each file is read back and compared with the trained network first.

picks, over the members of completed trials whose best checkpoint is kept:
  best    the study's objective is best, and the member that it names (with --member: that one)
  knee    the front of validation accuracy against log(MACs) bends most: the point highest above
          the line between its ends

STUDY/confirmed gives a network that was trained on train and val together: each config's first
seed. There the picks go by the test split, best and knee by the means over all seeds; --trial
names one training and leaves the choice to you."""
FORMATS = ("pt2", "onnx", "safetensors")
Row = dict[str, Any]


def parser() -> argparse.ArgumentParser:
    """The command's options; building it loads neither torch nor ray."""
    made = cli.new_parser("export", DESCRIPTION)
    cli.add_study(made)
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
    cli.add_storage_path(made)
    made.add_argument(
        "--data-dir", metavar="DIR", help="where the study's data lie on this machine"
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _export(args))


def _export(args: argparse.Namespace) -> int:
    from ffl_ray.confirm.tables import FINAL_KINDS
    from ffl_ray.console.terminal import make_console
    from ffl_ray.export.choice import Rule, choose, parse_macs
    from ffl_ray.export.final_choice import choose_final
    from ffl_ray.export.folder import check_free, export_member
    from ffl_ray.export.trained import load_trained, with_checkpoints
    from ffl_ray.results.reader import find_study, load_tables, read_description, records

    limit = None if args.max_macs is None else parse_macs(args.max_macs)
    rule = Rule(args.pick, limit, args.member, args.trial)
    storage = find_study(args.study, args.storage_path)
    description = read_description(storage)
    results = load_tables(storage)
    trials = {row["trial_id"]: row for row in records(results.trials)}
    members = records(results.members)
    final = description["kind"] in FINAL_KINDS
    kept = with_checkpoints(storage, final=final)
    if final:
        choice, note = choose_final(rule, description, trials, members, kept), ""
    else:
        choice, note = choose(rule, description, trials, members, kept)
    study = description["study"].replace("/", "-")
    out = Path(args.out or f"{study}-{choice.trial_id}-{choice.member}")
    check_free(out)
    console = make_console()
    console.out(
        f"trial {choice.trial_id}, {choice.member}: {'test' if final else 'validation'} "
        f"accuracy {choice.accuracy:.4f}, "
        f"{choice.row['parameters']:,} parameters, {choice.macs:,} MACs"
    )
    if note:
        console.out(note)
    with console.status("opening the data and the checkpoint") as status:
        trial = trials[choice.trial_id]
        trained = load_trained(storage, trial, choice.row["epoch"], args.data_dir, final=final)
        chosen = rule.sentence(final=final)
        source = _source(storage, description, trials, choice, trained, chosen)
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


def _source(
    storage: Storage,
    description: Row,
    trials: dict[str, Row],
    choice: Candidate,
    trained: Trained,
    chosen: str,
) -> Source:
    from ffl_ray.confirm.tables import accuracy_of_run, confirmed_accuracy
    from ffl_ray.export.card import Source
    from ffl_ray.export.folder import versions
    from ffl_ray.export.member import portable
    from ffl_ray.export.trained import retrain_command
    from ffl_ray.results.schema import row_config

    final = choice.row["split"] == "test"
    config = portable(row_config(trials[choice.trial_id]))
    retrain = retrain_command(config, f"{description['study']}-{choice.trial_id}")
    if final:
        retrain = f"python -m ffl_ray.confirm {description['study'].rpartition('/')[0]}"
    return Source(
        study=description["study"],
        trial_id=choice.trial_id,
        chosen=chosen,
        num_trials=sum(row["status"] == "completed" for row in trials.values()),
        split_hash=trained.data.split_hash,
        num_train=len(trained.data.train),
        num_val=len(trained.data.val),
        row=dict(choice.row),
        confirmed=(accuracy_of_run if final else confirmed_accuracy)(
            storage, choice.trial_id, choice.member
        ),
        retrain=retrain,
        trained_with=description["versions"],
        exported_with=versions(),
        git_commit=description.get("git_commit"),
    )


def _speeds(trained: Trained, members: list[Row], trial_id: str) -> list[Speed]:
    from ffl_ray.export.speed import speeds

    names = sorted({row["member"] for row in members if row["trial_id"] == trial_id})
    return list(speeds(trained, names))


def _print_speeds(speeds: list[Speed]) -> None:
    from rich.table import Table

    from ffl_ray.console.terminal import make_console
    from ffl_ray.export.speed import HEADINGS, rows_of

    table = Table(title="one image, on this machine; share of the full network", box=None)
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if index else "left")
    for row in rows_of(speeds):
        table.add_row(*row)
    make_console().print(table)


if __name__ == "__main__":
    sys.exit(main())
