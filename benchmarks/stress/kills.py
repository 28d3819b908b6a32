"""kill -9 of the driver of a 20-trial search at ten random moments, then 20 trials more.

Each time the same command goes on. Shown: every trial ended, none run twice, no finished epoch
lost or doubled, and proposals equal to those of a search that was never killed: by random
sampling, where nothing depends on what two trials at once finish first.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd

from benchmarks.common import ended, out_folder, search, show, tune_command
from ffl_ray.results import load

KILLS = 10
OPTIONS = (
    "digits", "--sampler", "random", "--set", "data.fraction=0.5", "--set", "optim.epochs=8",
    "--num-samples",
)  # fmt: skip


def epochs_of(out: Path, name: str) -> dict[tuple[str, int], float]:
    """Every stored epoch's training loss."""
    folder = out / name / "epochs"
    if not folder.is_dir():
        return {}
    rows = pd.read_parquet(folder)
    keys = zip(rows["trial_id"], rows["epoch"], strict=True)
    found = dict(zip(keys, rows["loss.total"], strict=True))
    assert len(found) == len(rows), "an epoch is stored twice"
    return found


def kill_once(out: Path, name: str, delay_s: float) -> bool:
    """Start the search and kill its driver some seconds after the first new epoch, if it lives."""
    before = len(epochs_of(out, name))
    process = subprocess.Popen(tune_command(out, name, *OPTIONS, "20"), stdout=subprocess.DEVNULL)
    while process.poll() is None and len(epochs_of(out, name)) == before:
        time.sleep(0.1)
    time.sleep(delay_s)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


def main() -> None:
    """Run the killed and the quiet search and print what became of both."""
    out = out_folder(__doc__ or "")
    out.mkdir(parents=True, exist_ok=True)
    generator = random.Random(0)
    seen: dict[tuple[str, int], float] = {}
    kills = 0
    for _ in range(KILLS):
        kills += kill_once(out, "killed", generator.uniform(0, 4))
        now = epochs_of(out, "killed")
        lost = [key for key, loss in seen.items() if now.get(key) != loss]
        show(f"kill {kills}: {len(now)} epochs stored, {len(lost)} lost or changed")
        seen = now
    killed = search(out, "killed", *OPTIONS, "20").trials
    quiet = search(out, "quiet", *OPTIONS, "20").trials
    after = epochs_of(out, "killed")
    lost = [key for key, loss in seen.items() if after.get(key) != loss]
    show(f"\nafter {kills} kills: {killed['status'].value_counts().to_dict()}")
    show(f"trials {len(killed)}, ids in order: {list(killed['trial_id']) == ids(20)}")
    total = killed["epochs_done"].sum()
    show(f"epochs: {len(after)} stored, {total} by the trials' rows, {len(lost)} lost")
    show(f"same proposals as the quiet search: {list(killed['params']) == list(quiet['params'])}")
    subprocess.run(
        tune_command(out, "killed", *OPTIONS, "40"), check=True, stdout=subprocess.DEVNULL
    )
    more = load("killed", str(out)).trials
    same = list(more["params"][:20]) == list(killed["params"])
    show(
        f"extended to 40: {more['status'].value_counts().to_dict()}, first 20 as they were: {same}"
    )


def ids(count: int) -> list[str]:
    """The first trial ids of a study."""
    return [f"{number:05d}" for number in range(count)]


if __name__ == "__main__":
    ended(main)
