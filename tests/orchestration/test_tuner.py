"""What Tune gives up though it may be started again is run in another round."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.overrides import flatten
from ffl_ray.config.settings import Config, SearchConfig
from ffl_ray.orchestration import final_runs
from ffl_ray.orchestration.final_run import FinalRun
from ffl_ray.orchestration.recorder import Obstacle, Recorder
from ffl_ray.orchestration.retention import CheckpointRetention, best_of_search
from ffl_ray.orchestration.scheduler import StudyScheduler
from ffl_ray.orchestration.tuner import run_rounds, stopper_of
from ffl_ray.planning.layout import Plan
from ffl_ray.results.steering import ask_to_stop
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables


class Rounds:
    """Rounds that lose what they are told to, of trials that end otherwise."""

    def __init__(self, lost: Sequence[set[str]], *, others: int = 0, message: str = "") -> None:
        self._lost = list(lost)
        self._others = others
        self._message = message
        self.done = 0

    def fit(self) -> Any:
        self.lost = self._lost[self.done]
        self.done += 1
        return SimpleNamespace(lost=self.lost, obstacle=SimpleNamespace(message=self._message))

    def unended(self) -> int:
        return len(self.lost) + self._others


@pytest.mark.parametrize(
    ("lost", "others", "message", "rounds"),
    [
        ([set()], 0, "", 1),
        ([{"00003"}, set()], 0, "", 2),
        ([{"00003"}, {"00003"}, {"00003"}], 0, "", 3),  # max_failures is 2
        ([{"00003"}], 4, "", 1),  # a person stopped it, or the time was over
        ([{"00003"}], 0, "no space left on device", 1),
    ],
)
def test_there_is_another_round_while_only_lost_trials_are_left(
    lost: list[set[str]], others: int, message: str, rounds: int
) -> None:
    made = Rounds(lost, others=others, message=message)

    run_rounds(made.fit, made.unended, max_failures=2)

    assert made.done == rounds


class SilentView:
    """A view that notes who ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def trial_started(self, trial_id: str, config: Config) -> None:
        pass

    def epoch_finished(self, trial_id: str, row: dict[str, Any]) -> None:
        pass

    def trial_ended(self, trial_id: str, status: str, row: dict[str, Any]) -> None:
        self.ended.append(f"{trial_id} {status}")


def tune_trial(number: int, failures: int) -> Any:
    config = {"trial_id": f"{number:05d}", "settings": flatten(Config()), "num_workers": 1}
    return SimpleNamespace(
        trial_id=f"tune {number}",
        config=config,
        num_failures=failures,
        max_failures=2,
        pickled_error_file=None,
    )


def test_a_trial_that_never_began_or_has_a_retry_left_is_lost_and_another_has_failed(
    tmp_path: Path,
) -> None:
    storage, view = Storage(str(tmp_path)), SilentView()
    tables = StudyTables(storage, "study")
    columns = {"params": "{}", "distributions": "{}", "sampler_state": "{}"}
    retention = CheckpointRetention(storage, best_of_search((), 1))
    recorder = Recorder(tables, retention, StudyScheduler(), lambda _: columns, view, {}, 2)
    unbegun, begun, failed = (tune_trial(n, failures) for n, failures in enumerate((1, 2, 3)))
    for trial in (begun, failed):
        recorder.on_trial_start(0, [], cast(Any, trial))

    for trial in (unbegun, begun, failed):
        recorder.on_trial_error(0, [], cast(Any, trial))

    assert recorder.lost == {"00000", "00001"}
    status = {row["trial_id"]: row["status"] for row in tables.trials.rows}
    assert status == {"00001": "interrupted", "00002": "failed"}
    assert view.ended == ["00002 failed"]


@pytest.mark.parametrize(
    ("others", "begun_before", "rounds"),
    [
        ("end", False, [3, 1, 1]),  # max_failures is 2
        ("are not begun", False, [3]),  # a person stopped it
        ("are not begun", True, [3]),  # and they had failed in an earlier command
    ],
)
def test_final_runs_have_another_round_while_only_lost_ones_are_left(
    others: str,
    begun_before: bool,
    rounds: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = StudyTables(Storage(str(tmp_path)), "study")
    config = resolved_from({})
    runs = [FinalRun(f"{number:05d}", str(number), config) for number in range(3)]
    for run in runs[1:] if begun_before else []:
        tables.start(run.run_id, config)
        tables.end(run.run_id, "failed", ("ValueError", "bad luck"))
    counts: list[int] = []

    def tuner(*args: Any) -> Any:
        """A Tune that loses the first run, and of the others does as it is told."""
        count, recorder = args[3], args[6]
        counts.append(count)

        def fit() -> None:
            for number in range(count if others == "end" else 1):
                trial = tune_trial(number, failures=3 if number else 2)
                recorder.on_trial_start(0, [], trial)
                recorder.on_trial_error(0, [], trial)

        return SimpleNamespace(fit=fit)

    monkeypatch.setattr(final_runs, "make_tuner", tuner)
    monkeypatch.setattr(final_runs, "ray_state", lambda: nullcontext(""))

    search = SearchConfig(max_failures=2)
    final_runs.run_final_runs(tables, runs, search, Plan(1, 1, 1, 0), title="runs", again="again")

    assert counts == rounds


def test_a_stop_from_outside_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr("ffl_ray.orchestration.stop_asked.time", clock)
    storage, view = Storage(str(tmp_path)), SilentView()
    retention = CheckpointRetention(storage, best_of_search((), 1))
    tables = StudyTables(storage, "study")
    made = [Recorder(tables, retention, StudyScheduler(), lambda _: {}, view, {}, 2) for _ in "ab"]
    first = stopper_of(made[0], None)
    assert not first.stop_all()

    ask_to_stop(storage)

    assert not first.stop_all()  # it looks again in some seconds
    assert all(stopper_of(made[1], late).stop_all() for late in (None, Obstacle()))
