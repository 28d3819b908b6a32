"""Which number format a training computes in."""

import pytest
import torch
from support.helpers import MemorySession, small_config

from ffl_ray.errors import SettingError
from ffl_ray.training.precision import LEAST_CPU_PIXELS, bfloat16_pays, format_of
from ffl_ray.training.setup import prepared

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("setting", "native", "pixels", "expected"),
    [
        ("float32", True, 10**9, False),
        ("bfloat16", False, 1, True),
        ("auto", True, LEAST_CPU_PIXELS, True),
        ("auto", True, LEAST_CPU_PIXELS - 1, False),
        ("auto", False, 10**9, False),
    ],
)
def test_a_cpu_computes_in_bfloat16_when_told_or_when_it_gains_by_it(
    setting: str, native: bool, pixels: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities = {"avx512_f": True, "avx512_bf16": native, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert (format_of(setting, CPU, pixels, 1) == "bfloat16") is expected


def test_small_and_large_networks_of_a_comparison_are_trained_in_one_format(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capabilities = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    found = []

    for mix in ("2*resnet8", "2*wrn16_4"):  # 1 and 21 million MACs
        config = small_config(model__mix=mix, model__trunk_stages=0)
        with prepared(config, MemorySession()) as training:
            found.append((training.precision.name, training.costs["ensemble"].macs > 2e7))

    assert found == [("float32", False), ("float32", True)]


def test_a_torch_that_does_not_tell_what_the_cpu_can_gives_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)

    assert format_of("auto", CPU, 10**9, 1) == "float32"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True)])
def test_a_gpu_computes_in_bfloat16_if_it_does_so_by_itself(
    capability: tuple[int, int], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)

    assert bfloat16_pays(torch.device("cuda"), 1) is expected


def test_tf32_where_there_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match="compute.precision=tf32 must have a GPU .*, not cpu"):
        format_of("tf32", CPU, 1, 1)
