"""Exported members give what the trained ones give, without ffl_ray."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.exported import MEMBERS, SOURCE, Exported, tiny_trained

from ffl_ray.export import load_member
from ffl_ray.export.check import as_input
from ffl_ray.export.folder import export_member
from ffl_ray.exported.member import Member
from ffl_ray.models.cost import count_parameters
from ffl_ray.models.fusion import FUSION_DESIGNS
from ffl_ray.results import load

WITH_TORCH_ALONE = """
import sys
sys.modules["ffl_ray"] = None
import torch
def outputs(folder, images):
    return torch.export.load(folder + "/model.pt2").module()(torch.from_numpy(images)).numpy()
"""
WITH_ONNXRUNTIME_ALONE = """
import sys
sys.modules["ffl_ray"] = sys.modules["torch"] = None
import onnxruntime
def outputs(folder, images):
    session = onnxruntime.InferenceSession(folder + "/model.onnx")
    return session.run(["logits"], {"images": images})[0]
"""
COMPARE = """
import gc
gc.disable()  # what is loaded stays
import numpy as np
for folder in sys.argv[1:]:
    cases = np.load(folder + "/../" + folder.rpartition("/")[2] + ".npz")
    for name in ("random", "real", "one"):
        found, expected = outputs(folder, cases[name]), cases[name + "_logits"]
        assert found.shape == expected.shape, folder
        scale = max(1, abs(expected).max())
        assert abs(found - expected).max() <= 1e-5 * scale, (folder, abs(found - expected).max())
    print(folder)
"""


@pytest.fixture(scope="module")
def designs(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """The fused member of every fusion design, exported."""
    root = tmp_path_factory.mktemp("designs")
    found = {}
    for design in FUSION_DESIGNS:
        trained = tiny_trained(design, exported.trained)
        out = root / design
        export_member(trained, "fused", out, ("pt2", "onnx"), SOURCE, [], print)
        found[design] = Exported(root, {"fused": out}, trained)
    return found


def write_cases(source: Exported, member: str) -> str:
    """Images and the trained network's logits beside an exported folder; returns the folder."""
    generator = torch.Generator().manual_seed(5)
    random = torch.randint(0, 256, (5, 8, 8, 1), generator=generator, dtype=torch.uint8)
    pixels = {"random": random, "real": source.trained.data.val.pixels[:9], "one": random[:1]}
    images = {name: as_input(p) for name, p in pixels.items()}
    logits = {f"{name}_logits": source.logits(member, p) for name, p in pixels.items()}
    folder = source.folders[member]
    np.savez(folder.parent / f"{folder.name}.npz", **(images | logits))  # type: ignore[arg-type]
    return str(folder)


@pytest.mark.parametrize("program", [WITH_TORCH_ALONE, WITH_ONNXRUNTIME_ALONE])
def test_every_member_and_design_is_the_trained_one_where_ffl_ray_is_not(
    program: str, exported: Exported, designs: dict[str, Exported], tmp_path: Path
) -> None:
    folders = [write_cases(exported, member) for member in MEMBERS]
    folders += [write_cases(one, "fused") for one in designs.values()]

    done = subprocess.run(
        [sys.executable, "-I", "-c", program + COMPARE, *folders],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines() == folders


@pytest.mark.parametrize("member", MEMBERS)
def test_weights_and_config_rebuild_the_member(member: str, exported: Exported) -> None:
    pixels = exported.trained.data.val.pixels[:9]

    rebuilt = load_member(exported.folders[member])

    found = rebuilt(torch.from_numpy(as_input(pixels)))
    assert not rebuilt.training
    torch.testing.assert_close(
        found, torch.from_numpy(exported.logits(member, pixels)), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_keeps_the_parameters_of_its_row_and_no_other(
    member: str, exported: Exported
) -> None:
    members = load("mixed", str(exported.storage_path)).members
    row = members[(members.member == member) & (members.checkpoint == "best")].iloc[0]

    alone = load_member(exported.folders[member])

    assert count_parameters(alone) == row.parameters
    if member.startswith("branch"):
        parts = {name.split(".")[1] + name.split(".")[2] for name in alone.state_dict()}
        index = member.removeprefix("branch")
        trunk = exported.trained.network.trunk_of[int(index)]
        assert parts == {f"trunks{trunk}", f"branches{index}", f"classifiers{index}"}
    else:
        fusion = any(name.startswith("network.fusion") for name in alone.state_dict())
        assert fusion == (member == "fused")


def test_stripping_leaves_the_trained_network_whole(exported: Exported) -> None:
    network = exported.trained.network
    before = count_parameters(network)

    Member(network, "branch0", (0.0,), (1.0,))

    assert count_parameters(network) == before
