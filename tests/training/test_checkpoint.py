"""Checkpoints: whole, of this format, and never code."""

import io
import pickle

import pytest
import torch
from torch import nn

from ffl_ray.errors import StudyError
from ffl_ray.training.checkpoint import dump_checkpoint, latest_checkpoint, load_checkpoint
from ffl_ray.training.progress import Progress


def trained() -> tuple[nn.Linear, torch.optim.SGD]:
    network = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    torch.autograd.backward(network(torch.ones(1, 3)).sum())
    optimizer.step()
    return network, optimizer


def test_weights_momentum_and_progress_come_back() -> None:
    network, optimizer = trained()
    progress = Progress(3, 2, 0.5, 12.5, "a=1")
    other, other_optimizer = nn.Linear(3, 2), None
    other_optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)

    found = load_checkpoint(dump_checkpoint(network, optimizer, progress), other, other_optimizer)

    assert found == progress
    assert torch.equal(network.weight, other.weight)
    momentum = [o.state[p]["momentum_buffer"] for o, p in (
        (optimizer, network.weight), (other_optimizer, other.weight))]  # fmt: skip
    assert torch.equal(*momentum)


@pytest.mark.parametrize("keep", [0, 10, 500])
def test_a_checkpoint_cut_short_is_an_error(keep: int) -> None:
    network, optimizer = trained()
    data = dump_checkpoint(network, optimizer, Progress())

    with pytest.raises(StudyError, match="a checkpoint can't be read"):
        load_checkpoint(data[:keep], network, optimizer)


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, torch.AcceleratorError])
def test_a_gpu_that_fails_under_a_checkpoint_is_not_the_checkpoints_fault(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    network, optimizer = trained()
    data = dump_checkpoint(network, optimizer, Progress())

    def fail(*_: object) -> None:
        raise kind("CUDA error: out of memory")

    monkeypatch.setattr("ffl_ray.training.checkpoint.optimizer_state", fail)

    with pytest.raises(kind):
        load_checkpoint(data, network, optimizer)


def test_a_checkpoint_of_another_format_is_an_error() -> None:
    buffer = io.BytesIO()
    torch.save({"format": 99}, buffer)

    with pytest.raises(StudyError, match="its format is 99"):
        load_checkpoint(buffer.getvalue(), nn.Linear(3, 2))


class Bomb:
    """Pickled, it would run code on loading."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a checkpoint ran code",))


def test_a_checkpoint_that_holds_code_is_refused_unrun() -> None:
    buffer = io.BytesIO()
    torch.save({"format": 1, "network": Bomb()}, buffer)

    for data in (buffer.getvalue(), pickle.dumps(Bomb())):
        with pytest.raises(StudyError, match="a checkpoint can't be read"):
            load_checkpoint(data, nn.Linear(3, 2))


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", "cut", "flipped"])
def test_a_training_goes_on_from_its_best_epoch_where_the_latest_checkpoint_is_damaged(
    damage: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    network, optimizer = trained()
    latest, best = (dump_checkpoint(network, optimizer, Progress(n)) for n in (3, 2))
    middle = latest.index(network.weight.detach().numpy().tobytes())
    bad = {
        "cut": latest[: len(latest) // 2],
        "flipped": latest[:middle] + b"\x55" + latest[middle + 1 :],
    }
    files = {"latest.pt": damage if isinstance(damage, bytes) else bad[damage], "best.pt": best}

    assert latest_checkpoint(files.get) == best
    assert "latest.pt is damaged; the training goes on from its best epoch" in caplog.text
    files["best.pt"] = best[:100]
    assert latest_checkpoint(files.get) is None
    assert "the training goes on from scratch" in caplog.text


def test_a_whole_checkpoint_is_the_latest_one_and_none_is_none() -> None:
    network, optimizer = trained()
    latest, best = (dump_checkpoint(network, optimizer, Progress(n)) for n in (3, 2))

    assert latest_checkpoint({"latest.pt": latest, "best.pt": best}.get) == latest
    assert latest_checkpoint(lambda name: None) is None
