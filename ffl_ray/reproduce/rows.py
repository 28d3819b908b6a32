"""Published values: what a row and a table of them are."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ffl_ray.reproduce.recipes import RECIPES

Figure = Literal["branch0", "mean_branch", "fused", "fused - mean_branch"]


class Band(NamedTuple):
    """The range in which a value is expected; an open end is None. In percent."""

    low: float | None
    high: float | None


class Row(NamedTuple):
    """One published value, and the training that is held against it.

    Attributes:
        backbone: as it is printed there.
        label: the method as it is printed there.
        recipe: of the training, a name in RECIPES.
        figure: which of our members, or difference of two, is compared.
        mean: percent; None where only a range is given.
        std: percent over the authors' runs; None where none is printed.
        range: expected range, where that is given in place of a mean.
        cautions: what to know before believing a difference.
    """

    backbone: str
    label: str
    recipe: str
    figure: Figure
    mean: float | None
    std: float | None = None
    range: Band | None = None
    cautions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name that --rows takes: `resnet-32/ffl-s`."""
        return f"{self.backbone}/{self.label}".lower().replace(" ", "-")

    @property
    def method(self) -> str:
        """The setting distill.method."""
        return RECIPES[self.recipe].method

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of a difference: where the training is from, and the cautions."""
        return (RECIPES[self.recipe].words, *self.cautions)

    @property
    def band(self) -> Band | None:
        """The range, or the mean with two standard deviations to each side; None without both."""
        if self.range is not None:
            return self.range
        if self.mean is None or self.std is None:
            return None
        return Band(self.mean - 2 * self.std, self.mean + 2 * self.std)


class Table(NamedTuple):
    """The rows of one source.

    Attributes:
        data: the setting data.name.
        title: what the table is, in a line.
        source: where its numbers are printed.
        peta_macs: 10^15 multiply-accumulates of all its trainings with three seeds.
        cautions: what holds for every row.
    """

    data: Literal["cifar10", "cifar100"]
    title: str
    source: str
    rows: tuple[Row, ...]
    peta_macs: int
    cautions: tuple[str, ...] = ()
