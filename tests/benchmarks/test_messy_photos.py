"""The folder of the tutorial's afternoon: what the page says of it is what is found in it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from support.late import Late

from benchmarks.common import ended
from ffl_ray.config.settings import DataConfig
from ffl_ray.data.folder import notes, open_train
from ffl_ray.errors import DataError

messy = Late("benchmarks.messy_photos")  # it imports torchvision


def test_the_folder_has_what_the_tutorial_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.messy_photos.EACH", 14)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (200, 32, 32, 3)).astype(np.uint8)
    messy.make(SimpleNamespace(targets=[*range(10)] * 20, data=pixels), tmp_path, random)
    settings = DataConfig(name="folder", dir=str(tmp_path))

    with pytest.raises(DataError, match="Neuer Ordner must hold images"):
        open_train(settings)
    (tmp_path / "Neuer Ordner").rmdir()
    found = open_train(settings)

    assert found.info.classes == ("Autos", "Flugzeuge", "Katzen", "Rehe im Wald", "Vögel")
    assert notes(settings)[1] == "passed over, no images: 2 .db, 1 .txt, 1 hidden"
    kinds, broken = set(), []
    for path in (path for name in found.info.classes for path in (tmp_path / name).rglob("*.*")):
        if path.suffix != ".db":
            try:
                with Image.open(path) as image:
                    image.load()
                    kinds.add((path.suffix, image.mode))
            except OSError:
                broken.append(path.name)
    assert broken == ["abgebrochen.jpg"]
    jpegs = {(".jpg", "RGB"), (".JPG", "RGB"), (".jpeg", "RGB"), (".jpg", "L")}
    assert kinds == jpegs | {(".png", "RGB"), (".PNG", "RGBA"), (".png", "I;16")}


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (True, r"error: PHOTOS must be a folder that is not there yet, not .*/photos\n"),
        (False, r"error: DATA must be a folder of CIFAR-10, not .*/data: .*\n"),
    ],
)
def test_a_folder_that_is_there_and_data_that_are_not_are_refused_in_a_line(
    there: bool,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    photos = tmp_path / "photos"
    monkeypatch.setattr(sys, "argv", ["messy_photos", str(tmp_path / "data"), str(photos)])
    if there:
        photos.mkdir()
        monkeypatch.setattr("benchmarks.messy_photos.CIFAR10", lambda *_, **__: None)

    with pytest.raises(SystemExit) as ended_with:
        ended(messy.main)

    assert ended_with.value.code == 2
    assert re.fullmatch(message, capfd.readouterr().err)
    assert photos.exists() == there


def test_a_search_that_fails_ends_a_benchmark_with_a_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    command = [sys.executable, "-c", "exit(3)"]

    with pytest.raises(SystemExit):
        ended(lambda: subprocess.run(command, check=True).returncode)

    assert re.fullmatch(r"error: .* ended with exit status 3\n", capfd.readouterr().err)
