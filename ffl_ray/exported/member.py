"""One member of a trained network as a module of its own, normalisation included."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ffl_ray.config.methods import resolved_from
from ffl_ray.config.older import of_today
from ffl_ray.config.settings import ResolvedConfig, ResolvedModel
from ffl_ray.config.user_code import one_line
from ffl_ray.errors import ExportError, SettingError, on_one_line
from ffl_ray.exported.about import CONFIG, SAFETENSORS, About, code_named_in, parse_about
from ffl_ray.exported.checksums import check_sha256
from ffl_ray.models.builder import build_network
from ffl_ray.models.network import FusionNetwork
from ffl_ray.models.outline import awaiting_weights, on_meta


class Member(nn.Module):
    """A network without the modules that one member does not need, behind its normalisation.

    Args:
        network: is copied and stripped; it stays as it is.
        name: of the member.
        mean: per channel, of pixels in [0, 1].
        std: likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: FusionNetwork, name: str, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.name = name
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1), persistent=False)
        self.network = stripped(network, name)
        self.eval()
        self.requires_grad_(False)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits of images in [0, 1]."""
        return self.network.member(self.name, (images - self.mean) / self.std)


def stripped(network: FusionNetwork, name: str) -> FusionNetwork:
    """A copy of a network in which modules that a member does not need hold no parameters."""
    kept = copy.deepcopy(network)
    _strip(kept, {id(module) for module in kept.member_modules(name)})
    return kept


def _strip(module: nn.Module, kept: set[int]) -> bool:
    """Whether anything below a module is kept; what is not becomes an empty identity."""
    needed = False
    for name, child in module.named_children():
        if id(child) in kept or _strip(child, kept):
            needed = True
        else:
            setattr(module, name, nn.Identity())
    return needed


def rebuilt(about: About) -> Member:
    """An exported member, but for its weights; what its method trained beside it is left out.

    Published initial weights are not fetched: every weight is in the file anyway.
    """
    config = resolved_from(of_today(about.settings))
    plain = config.model.model_copy(update={"pretrained": False})
    if config.model.pretrained:
        with on_meta():
            outlined = _network(config, config.model, about)
        network = awaiting_weights(outlined, lambda: _network(config, plain, about))
    else:
        network = _network(config, plain, about)
    return Member(network, about.member, about.mean, about.std)


def _network(config: ResolvedConfig, model: ResolvedModel, about: About) -> FusionNetwork:
    return build_network(
        model,
        config.fusion,
        config.distill,
        image_shape=about.image_shape,
        num_classes=len(about.classes),
        seed=config.seed,
    )


def read_weights(file: Path) -> dict[str, Tensor]:
    """A state dict of a file, of safetensors or in torch's form, of which weights alone are read.

    Raises:
        Exception: it is none, in the reader's own words.
    """
    if file.suffix == Path(SAFETENSORS).suffix:
        return dict(load_file(file))
    weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return weights


def load_member(folder: str | Path, *, trusted: bool = False) -> Member:
    """The module of an exported folder, from its config.json and model.safetensors.

    Args:
        trusted: a backbone of one's own that config.json names may be imported and run.

    Raises:
        ExportError: the folder is no export, is damaged, or names code and is not trusted.
    """
    place = Path(folder)
    for name in (CONFIG, SAFETENSORS):
        check_sha256(place / name)
    try:
        about = parse_about((place / CONFIG).read_bytes(), place / CONFIG)
        weights = load_file(place / SAFETENSORS)
    except FileNotFoundError as error:
        raise ExportError(f"{place} must hold {CONFIG} and {SAFETENSORS}: {error}") from error
    except SafetensorError as error:
        raise ExportError(f"{place / SAFETENSORS} is damaged: {error}") from error
    own = code_named_in(about.settings)
    if own and not trusted:
        raise ExportError(
            f"{place / CONFIG} names code outside the model, {own[0]}, which would be imported and "
            f"run: --trust allows it for a model of your own, in Python load_member(..., "
            f"trusted=True); model.onnx needs neither"
        )
    try:
        member = rebuilt(about)
    except Exception as error:
        reason = str(error) if isinstance(error, SettingError) else one_line(error)
        raise ExportError(f"{place / CONFIG} can't be rebuilt: {reason}") from error
    try:
        member.load_state_dict(weights)
    except RuntimeError as error:
        line = on_one_line(error)
        raise ExportError(f"{place / SAFETENSORS} does not fit {CONFIG}: {line}") from error
    return member
