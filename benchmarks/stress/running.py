"""A search that runs while things are done to it, and what its tables and checkpoints say."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import pandas as pd
import torch

from ffl_ray.bench.processes import MARK
from ffl_ray.errors import StudyError
from ffl_ray.results.reader import load_tables
from ffl_ray.results.storage.storage import Storage

NO_EPOCHS = pd.DataFrame({"trial_id": [], "epoch": [], "loss.total": [], "attempt": [], "time": []})
# A worker whose neighbour was killed may be at the very end of an epoch; nothing recovers faster.
IN_FLIGHT_S = 1.0
SPACE = """
BASE = {
    "data.name": "digits", "data.val_fraction": 0.2, "data.fraction": 0.5,
    "model.mix": "2*resnet20", "optim.epochs": EPOCHS, "optim.batch_size": 64,
    "search.num_samples": 1, "search.scheduler": "none", "search.max_concurrent_trials": 1,
}


def search_space(trial):
    trial.suggest_float("distill.temperature", 1.0, 8.0, log=True)
    return {}
"""


class RunningSearch:
    """One long trial on digits, an epoch about every second; ended with Ctrl-C.

    Args:
        here: a folder of this machine, for what the command prints.
        where: folder or URI of the studies.
        name: of the study; one that is there goes on.
        options: of the command.
        epochs: of the trial.
        mark: that its processes carry in their environment.
    """

    def __init__(
        self,
        here: Path,
        where: str,
        name: str,
        *options: str,
        mark: str,
        epochs: int = 20_000,
    ) -> None:
        self._storage = Storage(where).child(name)
        self._console = here / f"{name}.txt"
        space = here / f"{name}_space.py"
        space.write_text(SPACE.replace("EPOCHS", str(epochs)))
        command = [sys.executable, "-m", "ffl_ray.tune", str(space), "--name", name]
        with self._console.open("a") as console:
            self.process = subprocess.Popen(
                [*command, "--storage-path", where, *options],
                stdout=console,
                stderr=console,
                env=os.environ | {MARK: mark},
            )

    def __enter__(self) -> RunningSearch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self.process.kill()
        self.process.wait()

    def epochs(self) -> pd.DataFrame:
        """Every stored epoch; each once, and none left out, or it is an error."""
        try:
            rows = load_tables(self._storage).epochs
        except StudyError:
            return NO_EPOCHS
        for trial_id, own in rows.groupby("trial_id"):
            numbers = list(own["epoch"])
            assert numbers == list(range(1, len(own) + 1)), f"{trial_id}: epochs {numbers}"
        return rows[list(NO_EPOCHS)]

    def trials(self) -> pd.DataFrame:
        """The trials table."""
        return load_tables(self._storage).trials

    def stored_epochs(self) -> dict[str, int]:
        """Finished epochs by the latest checkpoint of each trial."""
        found = {}
        for name in self._storage.names("checkpoints"):
            data = self._storage.read(f"checkpoints/{name}/latest.pt")
            if data is not None:
                state = torch.load(io.BytesIO(data), weights_only=True)
                found[name] = state["progress"]["epochs_done"]
        return found

    def wait_for_epoch(self, within_s: float) -> None:
        """Return when one more epoch is stored.

        Raises:
            TimeoutError: none came, or the search ended.
        """
        before, until = len(self.epochs()), time.monotonic() + within_s
        while len(self.epochs()) <= before:
            if self.process.poll() is not None or time.monotonic() > until:
                raise TimeoutError(f"no epoch came in {within_s} s: {self.console()}")
            time.sleep(0.3)

    def recovered(self, at: float, within_s: float) -> tuple[float | None, dict[str, int]]:
        """Seconds from a fault to the end of the first epoch that was trained after it.

        An epoch that was finished, and whose report was lost, comes first and does not count.

        Returns:
            The seconds, none if no such epoch came in time, and the fewest finished epochs that
            the checkpoints held meanwhile.
        """
        least, until = self.stored_epochs(), time.monotonic() + within_s
        moment = pd.Timestamp(at + IN_FLIGHT_S, unit="s", tz="UTC")
        while time.monotonic() < until and self.process.poll() is None:
            rows = self.epochs()
            new = rows[rows["time"] > moment] if len(rows) else rows
            for name, done in self.stored_epochs().items():
                least[name] = min(done, least.get(name, done))
            if len(new):
                return float(new["time"].min().timestamp() - at), least
            time.sleep(0.3)
        return None, least

    def console(self) -> str:
        """The end of what the command wrote."""
        return self._console.read_text()[-2000:]
