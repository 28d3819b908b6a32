"""What `bench input` measures on, and what it concludes."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.late import Late

from ffl_ray.bench.__main__ import parser
from ffl_ray.bench.input import default_counts, found_of
from ffl_ray.bench.photos import write_photos
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.errors import SettingError

input_ = Late("benchmarks.compare.input")  # it imports torchvision


def test_made_files_have_the_size_and_the_weight_of_photographs(tmp_path: Path) -> None:
    write_photos(tmp_path / "a", 4, seed=1)
    write_photos(tmp_path / "b", 4, seed=1)

    files = sorted((tmp_path / "a").rglob("*.jpg"))
    assert [file.parent.name for file in files] == ["class0", "class1", "class2", "class3"]
    assert 80_000 < np.mean([file.stat().st_size for file in files]) < 140_000
    for file in files:
        assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()
        with Image.open(file) as image:
            assert image.size == (500, 375)
            spectrum = np.abs(np.fft.rfft2(np.asarray(image.convert("L"), dtype=float)))
        falls = spectrum[1:4, 1:4].mean() / spectrum[40:80, 40:80].mean()
        assert 10 < falls < 100  # as the frequency: from about 2.5 to 85


def rates(step: float) -> dict[str, list[float]]:
    rising = {"read": 9000.0, "decode": 400.0, "stream_1": 300.0, "plain_1": 200.0}
    values = rising | {"stream_2": 600.0, "plain_2": 300.0, "step": step}
    return {name: [0.9 * value, value, 1.2 * value] for name, value in values.items()}


@pytest.mark.parametrize(
    ("step", "limit", "needed"), [(450.0, "training", 2), (1000.0, "input", 4)]
)
def test_the_bottleneck_is_named_and_how_many_processes_would_balance(
    step: float, limit: str, needed: int
) -> None:
    found = found_of(rates(step), [1, 2], "about", cpus=2)

    figures = {figure.name: figure.value for figure in found.figures}
    assert figures["bottleneck"] == limit
    assert figures["balanced_processes"] == needed
    assert (len(found.lines) == 2) == (needed > 2)


def test_imagefolder_is_compared_by_the_same_number_of_processes() -> None:
    figures = {figure.name: figure.value for figure in input_.compared(rates(450.0))}

    assert figures["plain_2_images_per_s"] == pytest.approx(300.0)
    assert figures["stream_2_over_plain"] == pytest.approx(2.0)


def test_processes_are_counted_in_powers_of_two_up_to_the_cpus() -> None:
    assert [default_counts(cpus) for cpus in (1, 2, 6, 64)] == [
        [1],
        [1, 2],
        [1, 2, 4],
        [1, 2, 4, 8, 16],
    ]


def test_the_options_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    given = parser().parse_args(["input", "--processes", "4,1"])
    assert isinstance(given, argparse.Namespace)
    assert given.processes == [1, 4]
    with pytest.raises(SystemExit):
        parser().parse_args(["input", "--processes", "0"])
    assert "must be at least 1, not 0" in capsys.readouterr().err
    with pytest.raises(SettingError):
        with_overrides(Config(), {"data.num_loader_processes": 0})
