"""CUDA graphs of training and evaluation steps: recorded once a training, and replayed.

A step of a small network is a thousand kernels of microseconds, and launching each costs the host
as long. Recorded as a CUDA graph, a step is one launch (PyTorch notes, "CUDA graphs",
whole-network capture). What changes from epoch to epoch, learning rate and distill weight, lies on
the device, where the graph reads it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from ffl_ray.data.batches import Batch
from ffl_ray.distill.terms import SCHEDULES
from ffl_ray.training.engine import LossRow, Step
from ffl_ray.training.recording import Captures, Recording
from ffl_ray.training.turns import new_stream, waiting

# Measuring kernels takes seconds, and gains a part of a millisecond a step.
TUNED_STEPS = 5_000


class CudaGraphs:
    """What one training on a GPU keeps from its first step to its last.

    Nothing in it points back to it: its memory is free as soon as the training is gone.

    Args:
        captures: of this training.
        steps_planned: of the whole training.

    Attributes:
        lr, distill_weight: of the epoch, which recorded steps read; one weight for each schedule.
        steps, evaluation: what takes the training's steps, and those of its evaluations.
    """

    def __init__(self, captures: Captures, *, steps_planned: int) -> None:
        device = captures.device
        self.captures = captures
        self.tunes = steps_planned >= TUNED_STEPS
        self.lr = torch.zeros((), device=device)
        self.distill_weight = torch.zeros(len(SCHEDULES), dtype=torch.float64, device=device)
        self.steps: RecordedSteps | None = None
        self.evaluation: Recording | None = None
        self._device, self._makes_on = device, new_stream(device)

    @property
    def records(self) -> bool:
        """Whether recording is allowed."""
        return self.captures.allowed

    @property
    def replays(self) -> int:
        """Training steps that were taken by a graph."""
        return self.steps.recording.replays if self.steps else 0

    def close(self) -> None:
        """Let go what was recorded: an error holds frames, and NCCL waits for the last graph."""
        for recording in (self.steps and self.steps.recording, self.evaluation):
            if recording:
                recording.close()

    def made_ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches, each made on a stream of its own while the step before it runs.

        Two steps may be under way: the host waits for the one before them, and only then is that
        one's batch let go.
        """
        self._makes_on.wait_stream(torch.cuda.current_stream(self._device))
        under_way: list[tuple[Batch, torch.cuda.Event]] = []
        ahead = self._made(batches)
        while ahead is not None:
            batch, ready = ahead
            torch.cuda.current_stream(self._device).wait_event(ready)
            if len(under_way) == 2:
                if not under_way[0][1].query():  # type: ignore[no-untyped-call]
                    with waiting():
                        under_way[0][1].synchronize()
                del under_way[0]
            ahead = self._made(batches)
            yield batch
            done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            torch.cuda.current_stream(self._device).record_event(done)
            under_way.append((batch, done))

    def _made(self, batches: Iterator[Batch]) -> tuple[Batch, torch.cuda.Event] | None:
        with torch.cuda.stream(self._makes_on):
            batch = next(batches, None)
            return None if batch is None else (batch, self._makes_on.record_event())


class RecordedSteps:
    """What takes all steps of a training: the first few one by one, and the others by a graph."""

    def __init__(self, step: Step, captures: Captures, *, tunes: bool) -> None:
        self.network = step.network
        self.world_size = step.world_size
        self._names: list[str] = []
        compute = partial(_step_sums, step, self._names)
        self.recording = Recording(captures, "a training step", compute, tunes=tunes)

    def run(self, batch: Batch) -> LossRow:
        """Take a step on a batch."""
        return LossRow(self.recording.run(batch), self._names)


def _step_sums(step: Step, names: list[str], batch: Batch) -> Tensor:
    """The sums of a step that is taken, by one kernel after the other or into a graph.

    Args:
        names: become those of the sums.
    """
    groups = [group for group in step.optimizer.param_groups if "capturable" in group]
    # AdamW asks for a promise that it counts its steps on the device: fused, it does.
    capturing = torch.cuda.is_current_stream_capturing()
    try:
        for group in groups:
            group["capturable"] = capturing
        row = step.run(batch)
    except RuntimeError:
        step.optimizer.zero_grad(set_to_none=True)
        raise
    finally:
        for group in groups:
            group["capturable"] = False
    names[:] = row.names
    return row.sums
