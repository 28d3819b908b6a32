"""The comparisons of a confirmation: each pair's difference, and the verdict on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ffl_ray.confirm.measured import Estimated, Measured, Values, effect_of
from ffl_ray.confirm.pairs import Arm, Pair
from ffl_ray.confirm.tables import METRICS, Row, interval_columns
from ffl_ray.errors import SettingError
from ffl_ray.results.crossed import Effect
from ffl_ray.results.looks import ONCE, Looked
from ffl_ray.results.statistics import DIRECTIONS, Summary, summary
from ffl_ray.results.verdicts import Difference, Judged, judged

MARGIN = 0.5  # points of accuracy


def check_margin(margin: float) -> None:
    """Check a margin, in points of accuracy.

    Raises:
        SettingError: it is none.
    """
    if not 0 < margin <= 100:
        raise SettingError(
            f"--margin must be above 0 and at most 100 points of accuracy, not {margin}"
        )


class Compared(NamedTuple):
    """One metric of a pair, with its difference.

    Attributes:
        mine: of the config, by the seeds that both sides have.
        others: of the baseline.
        seeds: the differences of the seeds' means.
        found: the difference; none: no seed is complete.
        looks: the same at each earlier look of a race.
        failed: how many seeds one side's training failed with: they are waited for no more.
        fails: one side has no seed, and failed with as many as the first look has.
    """

    pair: Pair
    metric: str
    mine: Summary
    others: Summary
    seeds: Summary
    found: Estimated | None
    looks: Sequence[Effect] = ()
    failed: int = 0
    fails: bool = False

    @property
    def effect(self) -> Effect | None:
        """The difference, with what of it is chance."""
        return None if self.found is None else self.found.effect


def comparison_rows(
    pairs: Sequence[Pair],
    arms: Sequence[Arm],
    measured: Mapping[str, Measured],
    margin: float,
    primary: Pair | None = None,
    *,
    looked: Looked = ONCE,
    planned: int = 0,
    search_trials: int = 0,
) -> list[Row]:
    """Two rows of the comparisons table for each pair, one of each metric.

    Args:
        margin: differences of accuracy below it do not matter, a fraction.
        primary: the pair whose accuracy is tested at 5%; all others together by Holm's method.
        looked: how often they are looked at, after every seed from the first look on, and may end.
        planned: seeds; looked at once, there is no verdict before all of them are there.
        search_trials: that the configs were chosen among; 0: it is not known.
    """
    by_name = {arm.name: arm for arm in arms}
    found = [
        _compared(pair, metric, measured[pair.arm], measured[pair.baseline], looked)
        for pair in pairs
        for metric in METRICS
    ]
    verdicts = _verdicts(found, margin, primary, planned if looked.looks == 1 else 0)
    return [
        _row(one, verdict, by_name, measured, margin, primary)
        | parity_columns(by_name[one.pair.baseline], search_trials, one.pair.kind)
        for one, verdict in zip(found, verdicts, strict=True)
    ]


def parity_columns(baseline: Arm, search_trials: int, kind: str) -> Row:
    """Whether both sides were searched for, and with how many trials.

    Args:
        kind: of the comparison. The search's default point was not found by searching.
    """
    is_default, trials = kind == "default", search_trials or None
    ours, theirs = "tuned", "default" if is_default else "inherited"
    if search_trials == 1:
        ours = theirs = "untuned"
    own = None
    if baseline.tuned is not None:
        theirs, own = "tuned", baseline.tuned.trials
    elif baseline.trial_id is not None and not is_default:  # it is a config of the search itself
        theirs, own = "tuned", trials
    return {
        "parity": f"{ours} against {theirs}",
        "search_trials": trials,
        "baseline_trials": own,
    }


def _compared(
    pair: Pair, metric: str, ours: Measured, theirs: Measured, looked: Looked
) -> Compared:
    mine = ours.means(pair.members, metric)
    others = theirs.means(pair.baseline_members, metric)
    both = sorted(mine.keys() & others.keys())
    images, of_images = (
        theirs.cost(pair.baseline_members[0], "images"),
        _of_images(pair, metric, ours, theirs),
    )

    def after(seeds: Sequence[int]) -> Estimated:
        means = summary(mine[seed] - others[seed] for seed in seeds)
        kept = {seed: of_images[seed] for seed in seeds if seed in of_images}
        found = effect_of(means, kept, metric, images)
        return found._replace(effect=found.effect._replace(**looked._asdict()))

    counts = range(looked.first, len(both)) if looked.looks > 1 else ()
    return Compared(
        pair,
        metric,
        summary(mine[seed] for seed in both),
        summary(others[seed] for seed in both),
        summary(mine[seed] - others[seed] for seed in both),
        after(both) if both else None,
        [after(both[:count]).effect for count in counts],
        len({*ours.failed, *theirs.failed}),
        any(
            not side and len(of.failed) >= looked.first
            for side, of in ((mine, ours), (others, theirs))
        ),
    )


def _of_images(pair: Pair, metric: str, ours: Measured, theirs: Measured) -> dict[int, Values]:
    """The differences on each image, by the seeds of which both sides kept them."""
    mine = ours.of_images(pair.members, metric)
    others = theirs.of_images(pair.baseline_members, metric)
    return {
        seed: mine[seed] - others[seed]
        for seed in mine.keys() & others.keys()
        if len(mine[seed]) == len(others[seed])
    }


def _verdicts(
    found: Sequence[Compared], margin: float, primary: Pair | None, planned: int
) -> list[Judged]:
    """The verdict on each: the primary one alone, and the rest as one family."""
    margins = [margin if one.metric == "accuracy" else None for one in found]
    differences = [
        Difference(
            one.effect, DIRECTIONS[one.metric], its, one.looks, planned - one.failed, one.fails
        )
        for one, its in zip(found, margins, strict=True)
    ]
    first = [_is_primary(one, primary) for one in found]
    alone = judged([one for one, it_is in zip(differences, first, strict=True) if it_is])
    family = iter(judged([one for one, it_is in zip(differences, first, strict=True) if not it_is]))
    return [alone[0] if it_is else next(family) for it_is in first]


def _is_primary(one: Compared, primary: Pair | None) -> bool:
    return one.pair == primary and one.metric == "accuracy"


def _row(
    one: Compared,
    verdict: Judged,
    arms: Mapping[str, Arm],
    measured: Mapping[str, Measured],
    margin: float,
    primary: Pair | None,
) -> Row:
    pair, ours, theirs = one.pair, measured[one.pair.arm], measured[one.pair.baseline]
    mine_s, others_s = (summary(side.accelerator_s.values()).mean for side in (ours, theirs))
    difference = one.seeds if one.effect is None else one.effect.summary(one.seeds.std)
    more = None if verdict.seeds is None else verdict.seeds - one.seeds.n
    return {
        "arm": pair.arm,
        "member": pair.member,
        "equal": pair.equal,
        "kind": pair.kind or None,
        "baseline": pair.baseline,
        "baseline_member": pair.baseline_member,
        "trial_id": arms[pair.arm].trial_id,
        "metric": one.metric,
        "primary": _is_primary(one, primary),
        "n": one.seeds.n,
        "mean": one.mine.mean,
        "baseline_mean": one.others.mean,
        **interval_columns("difference", difference),
        "over": one.found and one.found.over,
        "margin": margin if one.metric == "accuracy" else None,
        **{name: getattr(verdict, name) for name in ("verdict", "p", "p_equal", "detectable")},
        "more_seeds": more,
        "more_images": verdict.images,
        "more_s": verdict.seeds and verdict.seeds * ((mine_s or 0) + (others_s or 0)),
        "macs": ours.mean_macs(pair.members),
        "baseline_macs": theirs.mean_macs(pair.baseline_members),
        "epochs": arms[pair.arm].settings["optim.epochs"],
        "baseline_epochs": arms[pair.baseline].settings["optim.epochs"],
        "accelerator_s": mine_s,
        "baseline_accelerator_s": others_s,
    }


def whom_words(row: Row) -> tuple[str, str | None]:
    """What a comparison is with, and where that takes its settings from."""
    is_default = row.get("kind") == "default"
    name = "the search's default point" if is_default else "training without teaching"
    return name, row.get("parity")


def parity_words(comparisons: Sequence[Row]) -> str:
    """What the baselines of these rows take their settings from, in a sentence or two."""
    rows: dict[str, Row] = {str(row.get("parity")): row for row in comparisons}
    said = []
    for parity, row in rows.items():
        if parity == "tuned against tuned":
            said.append(
                f"Tuned against tuned: a search on validation data for each baseline too, with "
                f"{_counts(comparisons)} trials, as the configs' with {row['search_trials']}."
            )
        elif parity == "tuned against inherited":
            said.append(
                "Tuned against inherited: the baselines take the settings that the configs were "
                "searched with; --tune-baselines N searches for theirs."
            )
        elif parity == "tuned against default":
            said.append(
                "Tuned against default: the search's default point keeps its settings; "
                "--tune-baselines N searches for those of its optimiser."
            )
        elif parity == "untuned against untuned":
            said.append("Untuned against untuned: the search had one trial.")
    return " ".join(said)


def _counts(comparisons: Sequence[Row]) -> str:
    """How many trials the searches for baselines had."""
    tuned = [row for row in comparisons if row.get("parity") == "tuned against tuned"]
    counts = sorted({row["baseline_trials"] for row in tuned if row["baseline_trials"]})
    return " to ".join(str(count) for count in dict.fromkeys([*counts[:1], *counts[-1:]]))


def corrected(comparisons: Sequence[Row]) -> str:
    """How the verdicts of these rows are corrected for how many they are, in words."""
    count = sum(row["p"] is not None for row in comparisons)
    if not count:
        return ""
    first = any(row.get("primary") and row["p"] is not None for row in comparisons)
    if first and count == 1:
        return "The primary comparison is tested at 5%."
    family = f"among the {count - 1} others" if count > 2 else "in the other one"
    alone = (
        f"The primary comparison is tested at 5%; {family}"
        if first
        else f"Among the {count} verdicts"
    )
    return (
        f"{alone} a difference where there is none is said with a probability of 5% at "
        f"most for all together (Holm), and so is equal where the margin is passed."
    )
