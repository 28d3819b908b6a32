"""What is asked of the images and labels of a batch: by the settings, and by a method."""

from __future__ import annotations

from ffl_ray.config.methods import method_of
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.errors import SettingError


def check_batches(config: ResolvedConfig) -> None:
    """Check that batches can be made as the settings say, and are such as the method needs.

    Raises:
        SettingError: images of a class do not divide a batch, or are blended; or the method needs
            hard labels, or images of one class, and is given none. What the method asks for comes
            first: the images of a class are then its own choice.
    """
    needs, who = method_of(config.distill).needs, f"distill.method {config.distill.method}"
    if "hard_labels" in needs:
        check_hard_labels(config, who)
    if "positives" in needs and config.data.mixing != "none":
        raise SettingError(
            f"data.mixing must be none for {who}, which compares images of one class, not "
            f"{config.data.mixing}"
        )
    wanted, batch_size = config.data.images_per_class, config.optim.batch_size
    if batch_size % wanted:
        raise SettingError(
            f"data.images_per_class must divide optim.batch_size, {batch_size}, and {wanted} "
            f"does not"
        )
    if wanted > 1 and config.data.mixing != "none":
        raise SettingError(
            f"data.images_per_class must be 1 where data.mixing is {config.data.mixing}, which "
            f"blends images that lie side by side, not {wanted}"
        )
    if "positives" in needs and wanted < 2:
        raise SettingError(
            f"data.images_per_class must be at least 2 for {who}, which compares images of one "
            f"class, not {wanted}"
        )


def check_hard_labels(config: ResolvedConfig, who: str) -> None:
    """Check that every image has one class.

    Args:
        who: needs that, such as `distill.method mcl`.

    Raises:
        SettingError: labels are mixed or smoothed.
    """
    if config.data.mixing != "none":
        raise SettingError(
            f"data.mixing must be none for {who}, which needs one class for each image, not "
            f"{config.data.mixing}"
        )
    if config.distill.label_smoothing:
        raise SettingError(
            f"distill.label_smoothing must be 0 for {who}, which needs one class for each image, "
            f"not {config.distill.label_smoothing:g}"
        )
