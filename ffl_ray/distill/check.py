"""Checks of a config before anything trains.

Torch is loaded for own code, a teacher, and a method that asks for maps of some shape alone.
"""

from ffl_ray.config.batch_checks import check_batches
from ffl_ray.config.methods import method_of
from ffl_ray.config.roles import check_roles
from ffl_ray.config.settings import ResolvedConfig
from ffl_ray.config.user_code import is_own
from ffl_ray.errors import SettingError
from ffl_ray.models.registry import check_model

# What a loss reads whose shape may not suit it; for what it makes anew `check_model` asks enough.
SHAPED = frozenset({"stage_maps", "fused_map"})
ANEW = frozenset({"later_stages"})


def check_config(config: ResolvedConfig) -> None:
    """Check what the settings of one training mean together.

    Raises:
        SettingError: as `check_model`, `check_batches` and `check_roles` do, a method of the user's
            own breaks its contract or can't be built of such branches, a teacher from outside does
            not suit the data, or a folder of data is named that nothing would read.
    """
    if config.data.name == "digits" and config.data.dir is not None:
        raise SettingError(
            f"data.dir must be none where data.name is digits, which is embedded and reads no "
            f"folder, not {config.data.dir!r}: name your data, as with --set data.name=folder"
        )
    check_model(config)
    check_batches(config)
    check_roles(config)
    if config.distill.teacher is not None:
        from ffl_ray.distill.outside import check_outside  # loads torch

        check_outside(config)
    if is_own(config.distill.method):
        from ffl_ray.distill.user_method import check_contract  # loads torch

        check_contract(config.distill, len(config.model.mix))
    needs = method_of(config.distill).needs
    if needs & SHAPED and (not needs & ANEW or is_own(config.distill.method)):
        from ffl_ray.distill.networks import check_built  # loads torch

        check_built(config)
