"""Where a search saturates: the driver at 10,000 trials, and fake nodes by the dozen.

`driver` opens what the driver is made of (Optuna, scheduler, tables, keeper, view) on a study of so
many made trials and feeds them more, a call at a time; `readers` opens the same studies as a
person does; `nodes` runs Tune itself over fake nodes on this machine, with trials that only
report; `bytes` is what a trial sends; `paper` is what the plan makes of a thousand nodes. Each
stores its figures under `--out`, and `scale.json` there has them all; `--table` prints them.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

from benchmarks.common import ended, new_parser, show
from benchmarks.stress.scaling.measures import MEASURES, store
from benchmarks.stress.scaling.tables import tables


def main() -> int:
    """Measure what was asked for; returns the exit status."""
    parser = new_parser((__doc__ or "").partition("\n")[0])
    names = ", ".join(MEASURES)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"{names} (all)")
    parser.add_argument(
        "--trials", type=int, nargs="+", default=[100, 1000, 10_000], metavar="N", help="so far"
    )
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="of a trial")
    parser.add_argument(
        "--nodes", type=int, nargs="+", default=[1, 5, 10, 20], metavar="N", help="fake nodes"
    )
    parser.add_argument("--per-node", type=int, default=2, metavar="N", help="trials at once")
    parser.add_argument("--fed", type=int, default=200, metavar="N", help="trials over the nodes")
    parser.add_argument("--table", action="store_true", help="print what is known, and stop")
    args = parser.parse_args()
    # What it started ends with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    unknown = set(args.subjects) - set(MEASURES)
    if unknown:
        parser.error(f"subjects are {names}, not {', '.join(sorted(unknown))}")
    out = Path(args.out) / "scale"
    out.mkdir(parents=True, exist_ok=True)
    if args.table:
        show(tables(json.loads((out / "scale.json").read_text())))
        return 0
    for subject in args.subjects or MEASURES:
        store(out / "scale.json", subject, MEASURES[subject](args, out))
    return 0


if __name__ == "__main__":
    ended(main)
