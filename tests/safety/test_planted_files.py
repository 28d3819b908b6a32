"""Links and pipes where we read and write: in a study that was sent, beside it, and in /tmp."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.studies import make_study

from ffl_ray import results, spot
from ffl_ray.config.objectives import parse_objectives
from ffl_ray.console.log import everything_else_to, log_file
from ffl_ray.errors import StudyError
from ffl_ray.export.folder import new_folder
from ffl_ray.files import replaced, user_folder
from ffl_ray.report.__main__ import main as report
from ffl_ray.results.reader import find_study
from ffl_ray.results.storage.storage import Storage
from ffl_ray.results.study import StudyTables
from ffl_ray.trackers.tensorboard_files import TensorBoardFiles
from ffl_ray.trackers.tracker import Place, TrackedTrial
from ffl_ray.training.preemption import is_preempted, lock_path

OBJECTIVES = parse_objectives(["fused.accuracy"])


@pytest.fixture
def precious(tmp_path: Path) -> Iterator[Path]:
    """A file of the user's, which is as it was when all is done."""
    place = tmp_path / "home" / "thesis.txt"
    place.parent.mkdir()
    place.write_text("mine")
    yield place
    assert place.read_text() == "mine"
    assert list(place.parent.iterdir()) == [place]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    make_study(tmp_path / "study")
    return tmp_path / "study"


@contextmanager
def at_once() -> Iterator[None]:
    """Fail, rather than hang on a pipe that nobody writes to."""
    ended = threading.Event()
    threading.Thread(target=lambda: ended.wait(20) or os._exit(3), daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def link_to_file(place: Path, precious: Path) -> None:
    place.symlink_to(precious)


def link_to_folder(place: Path, precious: Path) -> None:
    place.symlink_to(precious.parent)


def link_to_nothing(place: Path, precious: Path) -> None:
    place.symlink_to(precious.with_name("new"))


def pipe(place: Path, precious: Path) -> None:
    os.mkfifo(place)


Plant = Callable[[Path, Path], None]
PLANTS: tuple[Plant, ...] = (link_to_file, link_to_folder, link_to_nothing, pipe)


@contextmanager
def planted(place: Path, plant: Plant, precious: Path) -> Iterator[None]:
    """Something else in the place of a study's own file or folder, meanwhile."""
    aside = place.with_name(f"aside-{place.name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        place.rename(aside)
    plant(place, precious)
    try:
        yield
    finally:
        place.unlink()
        if aside.exists():
            aside.rename(place)


@pytest.mark.parametrize("plant", PLANTS)
def test_no_command_opens_a_study_with_what_leads_elsewhere(
    plant: Plant, study: Path, precious: Path
) -> None:
    names = ["study.json", "trials", "checkpoints", "checkpoints/00000", "confirmed", ".copies"]
    names += [".lock", "report", "report.html", "log.txt", "tensorboard", "wandb", "mlflow.db"]
    for name in names:
        with at_once(), planted(study / name, plant, precious):
            refused = rf"{name} is (a link to|no regular file)"
            with pytest.raises(StudyError, match=refused):
                find_study(str(study))
            with pytest.raises(StudyError, match=refused):
                StudyTables(Storage(str(study)), "made", OBJECTIVES)
    find_study(str(study))


def trial_events(study: Path) -> None:
    TensorBoardFiles(Place("made", study, "")).start(TrackedTrial("t1", {}, {}))


def logged(study: Path) -> None:
    with everything_else_to(log_file(Storage(str(study)))):
        pass


USES: dict[str, Callable[[Path], object]] = {
    "trials/part-00000.parquet": lambda study: results.load(str(study)),
    ".copies/trials": lambda study: Storage(str(study)).write("trials/a", b"", copied=True),
    "report/trials.csv": lambda study: Storage(str(study)).child("report").write("trials.csv", b""),
    "checkpoints/00000/latest.pt": lambda study: (
        Storage(str(study)).child("checkpoints/00000").read("latest.pt")
    ),
    "checkpoints/00001/best.pt": lambda study: Storage(str(study)).write(
        "checkpoints/00001/best.pt", b"weights"
    ),
    "checkpoints/00002": lambda study: Storage(str(study)).delete("checkpoints/00002"),
    "log.txt": logged,
    "tensorboard/t1": trial_events,
}


@pytest.mark.parametrize("plant", PLANTS)
def test_what_leads_elsewhere_is_not_used_wherever_it_lies(
    plant: Plant, study: Path, precious: Path
) -> None:
    for name, use in USES.items():
        refused = pytest.raises(StudyError, match=rf"{name} is (a link to|no reg)|half-written")
        with at_once(), planted(study / name, plant, precious), refused:
            use(study)


def test_a_study_that_its_owner_linked_as_a_whole_is_read_and_written(
    study: Path, tmp_path: Path
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "mine").symlink_to(study)

    assert find_study("mine", str(tmp_path / "results")).location == str(study)
    assert report(["mine", "--storage-path", str(tmp_path / "results"), "--format", "csv"]) == 0
    assert (study / "report").is_dir()


def test_a_name_that_can_be_guessed_is_not_written_through(
    study: Path, precious: Path, tmp_path: Path
) -> None:
    for name in (".report.html", ".model"):
        (study / f"{name}.{os.getpid()}").symlink_to(precious)
    (study / "report.html").symlink_to(precious)

    with replaced(study / "report.html") as file:
        file.write(b"page")
    (study / "report.html").chmod(0o600)
    Storage(str(study)).write("report.html", b"another page")
    with new_folder(study / "model") as folder:
        (folder / "card").write_text("a card")

    assert (study / "report.html").read_bytes() == b"another page"
    assert not (study / "report.html").is_symlink()
    assert (study / "model" / "card").exists()
    with pytest.raises(OSError, match="full"), replaced(study / "report.html") as file:
        raise OSError("the disk is full")
    assert sum(path.name.startswith((".report", ".model")) for path in study.iterdir()) == 2


@pytest.mark.parametrize("plant", PLANTS)
def test_a_log_or_lock_elsewhere_than_in_a_study_is_a_regular_file(
    plant: Plant, tmp_path: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFL_RAY_PREEMPTION", str(tmp_path / "mark"))
    for place in (tmp_path / "mine.log.txt", lock_path()):
        plant(place, precious)

    log = tmp_path / "mine.log.txt"
    with at_once():
        with pytest.raises(OSError, match=r"mine\.log\.txt"), everything_else_to(log):
            pass
        assert spot.main(["--cloud", "aws", "--metadata", "http://127.0.0.1:9"]) == 1


def test_marks_lie_in_a_folder_of_this_user_alone(
    monkeypatch: pytest.MonkeyPatch, precious: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uid = os.getuid()
    folder = user_folder()
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (uid, 0o700)
    monkeypatch.delenv("FFL_RAY_PREEMPTION", raising=False)
    assert lock_path().parent == folder

    nobody = 900_000_000 + os.getpid()  # another run of this test has a number of its own
    monkeypatch.setattr("os.getuid", lambda: nobody)
    monkeypatch.setattr("ffl_ray.spot.ray_executable", lambda: "true")
    other = Path(f"/tmp/ffl_ray-{nobody}")
    other.unlink(missing_ok=True)  # of a run that was killed
    other.symlink_to(precious.parent)
    try:
        assert spot.main(["--now", "0"]) == 1
        assert "it must be a folder of this user" in capsys.readouterr().out
        assert not is_preempted()
    finally:
        other.unlink()
