"""A final training: on train and val together, measured once on the test split, at its end.

This is the one place that opens the test split. `worker.run_worker`, for everything that still
chooses, never does.
"""

from __future__ import annotations

from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.data.loader import open_test
from ffl_ray.data.streaming.stream import served
from ffl_ray.errors import DataError, NoTestSplitError
from ffl_ray.training.progress import Progress
from ffl_ray.training.rows import class_rows, member_rows, prediction_rows
from ffl_ray.training.session import Session
from ffl_ray.training.setup import Training
from ffl_ray.training.steps import examined
from ffl_ray.training.worker import run_epochs


def run_final(config: ResolvedConfig, session: Session) -> None:
    """Train from the latest checkpoint, or from scratch, to the last epoch; then open the test.

    Each finished epoch is stored and then reported, without any metric. The last one is stored
    first as it is, and reported only with the members' rows of the test split: whatever goes
    wrong with the test split costs no epoch, and numbers that are stored are never computed
    again.

    Raises:
        TrainingDivergedError: a loss is no finite number any more.
        NoTestSplitError: the test split can't be opened, or is of other classes.
        DataError, SettingError: the data or the config can't be used.
    """
    run_epochs(config, session, test=_with_test)


def _with_test(training: Training, progress: Progress) -> Progress:
    """The progress with the members' rows of the test split in its report."""
    images, info, _ = open_test(training.config.data)
    classes = training.train.info.classes
    if info.classes != classes:
        differing = sorted(set(info.classes) ^ set(classes))
        raise NoTestSplitError(
            f"the test split must hold the classes of the training split; these differ: "
            f"{', '.join(differing)}"
        )
    if len(images) < training.shard.world_size:
        raise NoTestSplitError(
            f"the test split must hold an image for each of the {training.shard.world_size} "
            f"workers, not {len(images)}"
        )
    test = served(images, training.train.info, training.train.device, training.pool)
    try:
        found = examined(training, test)
    except DataError as error:
        raise NoTestSplitError(f"the test split can't be opened: {error}") from error
    rows = member_rows(
        training, found.metrics, progress.epochs_done, None, images=len(images), split="test"
    )
    report = progress.reports[-1]._replace(
        members=rows,
        predictions=prediction_rows(found.predictions, len(images)),
        classes=class_rows(training, found.confusions),
    )
    return progress._replace(report=report)
