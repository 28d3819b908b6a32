"""Who reads a setting: what has no effect beside another one, and what it is left at then.

It is refused where a person sets it, and has its default in what a search proposes: two points that
differ by it alone are one training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from ffl_ray.config.distill_settings import METHOD_NAMES, DistillConfig
from ffl_ray.config.gates import reads_fused
from ffl_ray.config.method_rows import METHODS
from ffl_ray.config.network_settings import FusionConfig
from ffl_ray.config.training_settings import DataConfig, OptimConfig
from ffl_ray.config.values import Section

METHOD, TEACHER, GATES = "distill.method", "distill.teacher", "distill.gates"
SECTIONS: Mapping[str, type[Section]] = {
    "distill": DistillConfig,
    "fusion": FusionConfig,
    "optim": OptimConfig,
    "data": DataConfig,
}
OWN = ("distill.temperature", "distill.ramp_up", "distill.weight")  # none: the method's
FFL_TERMS = ("ensemble_to_fused", "fused_to_branch")
KTG_FUSED = "ktg with fused in distill.gates"
TAUGHT = "independent with distill.teacher"
Settings = Mapping[str, Any]


class Readers(NamedTuple):
    """The values of one setting beside which another has an effect.

    Attributes:
        of: the setting.
        values: of it; of a method's conditions too, `KTG_FUSED` and `TAUGHT`.
        methods: beside which it has an effect whatever the value is.
        switch: a setting that has to be true besides.
    """

    of: str
    values: tuple[str, ...]
    methods: tuple[str, ...] = ()
    switch: str = ""

    def read(self, settings: Settings) -> bool:
        """Whether it has an effect; a method of the user's own may read anything."""
        method = str(settings[METHOD])
        if method not in METHODS and (self.of == METHOD or self.methods):
            return True
        if self._is_off(settings):
            return False
        known = {*_values(settings)} if self.of == METHOD else {str(settings.get(self.of))}
        return not known.isdisjoint(self.values) or method in self.methods

    def _is_off(self, settings: Settings) -> bool:
        return bool(self.switch) and str(settings.get(self.switch)).lower() == "false"

    def beside(self, settings: Settings) -> str:
        """What keeps it from being read, as a message says it."""
        if self._is_off(settings):
            return f"where {self.switch} is false"
        start, is_ = ("for", "") if self.of == METHOD else ("where", " is")
        return f"{start} {self.of}{is_} {settings[self.of]}"

    @property
    def deciding(self) -> set[str]:
        """The settings that it hangs on."""
        return {self.of, self.switch} - {""}

    @property
    def words(self) -> str:
        """Who they are, as a message says it."""
        where = f", where {self.switch} is true" if self.switch else ""
        others = [name for name in METHOD_NAMES if name not in self.values]
        if self.of == METHOD and len(others) < len(self.values):
            return f"every method but {_listed(others)}{where}"
        return f"{_listed([*self.values, *self.methods])} alone{where}"


def _values(settings: Settings) -> Iterator[str]:
    """The method, and which of its conditions hold."""
    method = str(settings[METHOD])
    yield method
    if method == "ktg" and reads_fused(str(settings.get(GATES))):
        yield KTG_FUSED
    if method == "independent" and str(settings.get(TEACHER)) != "None":
        yield TAUGHT


def _methods(*names: str, switch: str = "") -> Readers:
    return Readers(METHOD, names, switch=switch)


def _but(*names: str) -> tuple[str, ...]:
    return tuple(name for name in METHOD_NAMES if name not in names)


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


@cache
def _default(name: str) -> Any:
    section, _, leaf = name.partition(".")
    return SECTIONS[section].model_fields[leaf].default


READ_BY: Mapping[str, Readers] = {
    "distill.temperature": _methods(*_but("independent"), TAUGHT),
    "distill.ramp_up": _methods(*_but("independent")),
    "distill.weight": _methods(*_but("ffl", "layered_ffl", "independent")),
    "distill.target_epsilon": _methods("ffl", "layered_ffl", "one", "okddip", "ahbf"),
    **{f"distill.{term}": _methods("ffl", "layered_ffl") for term in FFL_TERMS},
    **{
        f"distill.{term}_{of}": _methods("ffl", "layered_ffl", switch=f"distill.{term}")
        for term in FFL_TERMS
        for of in ("weight", "temperature")
    },
    "distill.kdcl_teacher": _methods("kdcl"),
    "distill.ema_span": _methods("pcl", "dkel"),
    "distill.dml_teacher": _methods("dml"),
    "distill.ce_weight": _methods("cl_ilr"),
    "distill.detach_targets": _methods("dml", "cl_ilr"),
    "distill.averaged_weight": _methods("okdph"),
    "distill.averaged_gradient": _methods("okdph"),
    "distill.student_shares": _methods("okdph"),
    "distill.write_back": _methods("okdph"),
    "distill.write_back_steps": _methods("okdph"),
    GATES: _methods("ktg"),
    "distill.layer_weight": _methods("layered_ffl"),
    "distill.layer_to_branch_weight": _methods("layered_ffl", switch="distill.fused_to_branch"),
    "distill.layer_decay": _methods("layered_ffl"),
    "distill.layer_detach": _methods("layered_ffl"),
    "distill.diversity_weight": _methods("ffsd"),
    "distill.attention_weight": _methods("ffsd"),
    "distill.decoder_weight": _methods("ffsd"),
    "distill.contrast_weight": _methods("mcl", "lmcl"),
    "distill.contrast_temperature": _methods("mcl", "lmcl"),
    "distill.logit_teacher": _methods("mcl"),
    "distill.assistant_weight": _methods("ahbf"),
    "distill.deeper_weight": _methods("ahbf"),
    "distill.early_span": _methods("dkel"),
    "distill.entropy_limit": _methods("confident_dml"),
    "distill.entropy_schedule": _methods("confident_dml"),
    **{
        name: _methods(*(name for name, row in METHODS.items() if row.head == "fusion"), KTG_FUSED)
        for name in ("fusion.design", "optim.fusion_weight_decay")
    },
    "fusion.detach": _methods(
        *(name for name, row in METHODS.items() if row.head and not row.detached), KTG_FUSED
    ),
    "optim.momentum": Readers("optim.optimizer", ("sgd",)),
    "optim.nesterov": Readers("optim.optimizer", ("sgd",)),
    **{  # ffsd and afd train helpers by Adam, whatever the optimiser
        f"optim.{name}": Readers("optim.optimizer", ("adamw",), ("ffsd", "afd"))
        for name in ("beta1", "beta2", "epsilon")
    },
    "optim.lr_milestones": Readers("optim.lr_schedule", ("step",)),
    "optim.lr_decay": Readers("optim.lr_schedule", ("step",)),
    "data.mixing_alpha": Readers("data.mixing", ("mixup", "cutmix")),
    **{
        f"data.{name}": Readers("data.augment", ("standard", "trivial"))
        for name in ("crop_padding", "crop_fill", "flip")
    },
}


DECIDING = {
    name: _default(name)
    for name in sorted({GATES, TEACHER}.union(*(readers.deciding for readers in READ_BY.values())))
}


def left_at(name: str, settings: Settings) -> Any:
    """The value of a setting that has no effect: its default, or the method's own."""
    if name in OWN:
        return float(getattr(METHODS[str(settings[METHOD])], name.partition(".")[2]))
    return _default(name)


def without_effect(settings: Settings) -> dict[str, Any]:
    """What of these settings has no effect beside the others, each with the value it is left at.

    Args:
        settings: by dotted name; values may be text, and one that is missing has its default.
    """
    whole = DECIDING | dict(settings)
    return {
        name: left_at(name, whole)
        for name, readers in READ_BY.items()
        if name in settings and not readers.read(whole)
    }


def values_read(settings: Settings, names: Sequence[str]) -> list[Any]:
    """The values of some settings in their order, none for one that has no effect."""
    unread = without_effect(
        {name: settings[name] for name in (*DECIDING, *names) if name in settings}
    )
    return [None if name in unread else settings[name] for name in names]
