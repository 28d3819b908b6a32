"""The README's picture: `python docs/pictures.py STUDY OUT.svg` draws a study's best trials.

It shows what `ffl_ray.tune` prints at its end, from the study's tables alone.
"""

import io
import re
import sys
from pathlib import Path

from rich.console import Console

import ffl_ray.results
from ffl_ray.console import best_table
from ffl_ray.results.history import study_objectives
from ffl_ray.results.reader import find_study


def main(study: str, out: str) -> None:
    """Write the picture of a study."""
    trials = ffl_ray.results.load(study).trials
    console = Console(record=True, width=112, file=io.StringIO(), force_terminal=True)
    counts = trials.status.value_counts()
    console.print(f"{len(trials)} trials: {', '.join(f'{n} {s}' for s, n in counts.items())}\n")
    objectives = study_objectives(find_study(study))
    console.print(best_table(trials.to_dict("records"), objectives, count=8))
    drawn = console.export_svg(title=f"python -m ffl_ray.tune {study.rpartition('/')[2]}")
    # The fonts that Rich would load from elsewhere: any monospaced one of the reader's does.
    Path(out).write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL))


if __name__ == "__main__":
    main(*sys.argv[1:])
