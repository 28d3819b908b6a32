"""Trainings in threads of this process, by turns: what a `GpuHost` has them do."""

from __future__ import annotations

import logging
import os
import threading
import time

import psutil
import torch

from ffl_ray.orchestration.failures import (
    failure_of,
    is_out_of_memory,
    preemption_for_ray,
    retry_may_help,
)
from ffl_ray.orchestration.job import Job, Told
from ffl_ray.orchestration.local import (
    GpuLostError,
    give_back_memory,
    gpu_is_lost,
    train_again_without_memory,
)
from ffl_ray.training.recording import Captures, empty_cache
from ffl_ray.training.session import Report
from ffl_ray.training.turns import Seat, Turns, seated, waiting

WAIT_S = 1.0
LOOK_EVERY_S = 0.5
# Between two trials of one actor less passes, so that the next one finds what the last has loaded.
IDLE_S = 20.0
LOG = logging.getLogger(__name__)


class HostedTraining:
    """A training in a thread, which waits after each report until that was acted on.

    Args:
        pid: process that asked for it.
    """

    def __init__(self, job: Job, pid: int, turns: Turns) -> None:
        self.job, self.pid = job, pid
        self._seat = Seat(turns)
        self._changed = threading.Condition()
        self._told: Told | None = None
        self._reports = self._heard = 0
        self._thread = threading.Thread(target=self._train, name=job.trial_id, daemon=True)
        self._thread.start()

    def told(self, heard: int) -> Told | None:
        """What it tells next; None when that is nothing for a second."""
        with self._changed:
            self._heard = heard
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._told is not None, WAIT_S)
            told, self._told = self._told, None
            return told

    def stop(self) -> None:
        """Ask it to end at its next turn."""
        with self._changed:
            self._seat.stopped = True
            self._changed.notify_all()

    def join(self) -> None:
        """Return when it has ended."""
        self._thread.join()

    def _train(self) -> None:
        device = torch.device("cuda", 0) if self.job.gpus_per_worker else torch.device("cpu")
        try:
            with seated(self._seat, device), preemption_for_ray():
                train_again_without_memory(self.job, self._report)
        except BaseException as error:
            self._end(error)
        else:
            self._tell(Told())
        finally:
            give_back_memory()

    def _end(self, error: BaseException) -> None:
        """Tell how it ended, whatever was raised: who waits for it would wait for ever."""
        if isinstance(error, SystemExit) and self._seat.stopped:
            return
        if is_out_of_memory(error):
            self._let_go(error)
        if self._has_lost_gpu(error):
            _end_process(str(error))
        elif isinstance(error, Exception) and (retry_may_help(error) or is_out_of_memory(error)):
            self._tell(Told(error=error))
        else:
            self._tell(Told(failure=failure_of(error)))

    def _let_go(self, error: BaseException) -> None:
        """Free what it held on the GPU: it goes on by itself, beside its neighbours here."""
        error.__traceback__ = None  # whose frames hold the training
        with self._seat.turns.taken_here():  # nobody captures meanwhile
            empty_cache()

    def _has_lost_gpu(self, error: BaseException) -> bool:
        if not isinstance(error, RuntimeError) or isinstance(error, GpuLostError):
            return isinstance(error, GpuLostError)
        with self._seat.turns.taken_here():  # nobody captures meanwhile
            return gpu_is_lost()

    def _report(self, report: Report) -> None:
        with waiting():
            self._reports += 1
            self._tell(Told(report))
            with self._changed:
                self._changed.wait_for(lambda: self._heard >= self._reports or self._seat.stopped)

    def _tell(self, told: Told) -> None:
        with self._changed:
            self._told = told
            self._changed.notify_all()


class HostedTrainings:
    """The trainings of a process.

    Args:
        num_threads: that torch uses in each.
    """

    def __init__(self, num_threads: int) -> None:
        # Once for the process: one that ended would set the others' too.
        torch.set_num_threads(num_threads)
        self._turns = Turns()
        self._trainings: dict[str, HostedTraining] = {}
        self._used_s = time.monotonic()

    def begin(self, job: Job, pid: int) -> None:
        """Begin one; those of the same trial, or of the process that asks, have ended then."""
        self._used_s = time.monotonic()
        for one in list(self._trainings.values()):
            if one.job.trial_id == job.trial_id or one.pid == pid:
                self.stop(one.job.trial_id, one.pid)
        self._trainings[job.trial_id] = HostedTraining(job, pid, self._turns)

    def told(self, trial_id: str, heard: int) -> Told | None:
        """What one tells next; None when that is nothing for a second."""
        return self._trainings[trial_id].told(heard)

    def stop(self, trial_id: str, pid: int) -> None:
        """End one that a process asked for; nothing where it was ended before."""
        one = self._trainings.get(trial_id)
        if one is not None and one.pid == pid:
            one.stop()
            one.join()
            if self._trainings.get(trial_id) is one:  # and not the next attempt's
                del self._trainings[trial_id]
        self._used_s = time.monotonic()

    def watch(self) -> None:
        """Look after them for ever."""
        while True:
            time.sleep(LOOK_EVERY_S)
            try:
                self.look()
            except Exception:
                LOG.exception("not looked after the trainings of this process")

    def look(self) -> None:
        """End what nobody waits for any more, a training or the process, and what can't go on."""
        for trial_id, one in list(self._trainings.items()):
            if not psutil.pid_exists(one.pid):
                self.stop(trial_id, one.pid)
        if not self._trainings and time.monotonic() - self._used_s > IDLE_S:
            _end_process("")
        if Captures.left_capturing:
            _end_process("a CUDA graph was refused, and this torch keeps memory ever after")


def _end_process(why: str) -> None:
    """End this process at once: its trainings go on in others."""
    if why:
        LOG.error("the process that trials share ends: %s", why)
    os._exit(1 if why else 0)
