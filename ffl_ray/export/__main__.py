"""Export one classifier: `python -m ffl_ray.export STUDY [--pick best|knee]`; --help lists more."""

from __future__ import annotations

import argparse
import sys

from ffl_ray import cli
from ffl_ray.exported.about import FORMATS

DESCRIPTION = """Write one classifier of a study alone: a branch sheds the others and the fusion.

The folder holds a torch.export program, an ONNX graph, safetensors weights, config.json, a model
card and metadata.json. Each file is read back and compared with the trained network first.

picks, over the members of completed trials whose last checkpoint is kept:
  best    the study's objective is best, and the member that it names (with --member: that one)
  knee    the front of validation accuracy against log(MACs) bends most: the point highest above
          the line between its ends, or the cheap end where none lies above it

STUDY/confirmed gives a network that was trained on train and val together: each config's first
seed. There the picks go by the test split, best and knee by the means over all seeds; --trial
names one training, a baseline's too, by its run_id in the table runs, and the choice is yours."""


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
    cli.add_json(made)
    cli.add_storage_path(made)
    made.add_argument(
        "--data-dir", metavar="DIR", help="where the study's data lie on this machine"
    )
    return made


def main(arguments: list[str] | None = None) -> int:
    """The command's exit status."""
    args = parser().parse_args(arguments)
    return cli.guarded(args, lambda: _export(args))


def _export(args: argparse.Namespace) -> int:
    from ffl_ray.export.command import export

    return export(args)


if __name__ == "__main__":
    sys.exit(main())
