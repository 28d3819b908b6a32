"""The model card: what stands in an exported folder's README.md."""

from __future__ import annotations

from typing import Any, NamedTuple

from ffl_ray.config.image_shapes import brought_kind
from ffl_ray.config.methods import mix_of
from ffl_ray.config.older import of_today
from ffl_ray.config.overrides import mix_name, shown, with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.confirm.tables import ConfirmedAccuracy
from ffl_ray.console.plain_text import in_markdown, printable_line
from ffl_ray.export.card_classes import classes_text
from ffl_ray.export.check import TOLERANCE, Difference
from ffl_ray.export.example import examples
from ffl_ray.export.markdown_table import table
from ffl_ray.export.speed import HEADINGS, Speed, rows_of
from ffl_ray.export.trained import changed_settings
from ffl_ray.exported.about import LABELS, About
from ffl_ray.results.classes import Classes

PREPROCESSING = {
    "digits": "8x8 grey images of single handwritten digits, bright on dark",
    "cifar10": "32x32 colour images",
    "cifar100": "32x32 colour images",
    "folder": "the middle square of each image, resized (bicubic) to the input size, in colour",
}
OWN_DATA = "images as your own data set gives them"


class Source(NamedTuple):
    """The provenance of an exported member.

    Attributes:
        study: its name.
        trial_id: of the trial.
        chosen: the rule that chose it, in a sentence.
        num_trials: completed trials that it was chosen among.
        split_hash: names the train/val split.
        num_train: images trained on.
        num_val: images validated on; none in a final run.
        held_out: those are left out in a final run, since on them something is measured.
        row: of the members table: the metrics and costs at the exported epoch, by its split.
        confirmed: accuracy on the test split over several seeds, if known.
        retrain: the command that trains the config again.
        trained_with: versions at training.
        exported_with: versions at export.
        git_commit: of the program that trained, if known.
        classes: how it does class by class at that epoch, if known.
    """

    study: str
    trial_id: str
    chosen: str
    num_trials: int
    split_hash: str
    num_train: int
    num_val: int
    row: dict[str, Any]
    confirmed: ConfirmedAccuracy | None
    retrain: str
    trained_with: dict[str, str]
    exported_with: dict[str, str]
    git_commit: str | None
    classes: Classes | None = None
    held_out: bool = False

    @property
    def final_images(self) -> str:
        """What a final run of the config trains on."""
        return (
            "train (without val, where something is measured)" if self.held_out else "train + val"
        )

    @property
    def is_final(self) -> bool:
        """Whether these very weights were measured on the test split, at the end of a final run."""
        return bool(self.row["split"] == "test")


class Written(NamedTuple):
    """The files of an export.

    Attributes:
        size: bytes by name.
        sha256: by name, of these and of config.json.
        differences: of each from the trained member.
        speeds: of the members and the full network, where they were measured.
    """

    size: dict[str, int]
    sha256: dict[str, str]
    differences: dict[str, Difference]
    speeds: list[Speed]


def card(about: About, source: Source, written: Written) -> str:
    """The card, in Markdown."""
    config = with_overrides(Config(), of_today(about.settings))
    source = _in_markdown(source)
    title = f"{source.study}, trial {source.trial_id}: {about.member}"
    sections = [
        f"---\npipeline_tag: image-classification\ntags: [ffl_ray, {config.data.name}]\n---",
        f"# {title}",
        _introduction(about, source, config),
        "## Intended use\n\n" + _intended_use(about, config),
        "## Results\n\n" + _results(source),
        "## Class by class\n\n" + classes_text(source.classes, source.is_final),
        "## Input and output\n\n" + _input(about, config),
        "## Use\n\n" + _use(about, written),
        "## Files\n\n" + _files(source, written),
    ]
    if written.speeds:
        heading = "Size and speed beside the full network"
        note = "One image at a time on the machine that exported; share: of the full network's."
        sections.append(
            f"## {heading}\n\n{note}\n\n{table(HEADINGS, rows_of(written.speeds), right=True)}"
        )
    sections += ["## Training\n\n" + _training(source, config)]
    return "\n\n".join(sections) + "\n"


def _in_markdown(source: Source) -> Source:
    """The same with texts that a study.json or a table may hold, as Markdown shows them."""
    return source._replace(
        study=in_markdown(source.study),
        row={k: in_markdown(v) if isinstance(v, str) else v for k, v in source.row.items()},
        trained_with={in_markdown(k): in_markdown(v) for k, v in source.trained_with.items()},
        git_commit=source.git_commit and in_markdown(source.git_commit),
        retrain=printable_line(source.retrain).replace("`", "'"),
    )


def _introduction(about: About, source: Source, config: Config) -> str:
    row = source.row
    mix = mix_name(mix_of(config))
    what = {
        "fused": f"The fused classifier of {mix} (fusion: {config.fusion.design})",
        "ensemble": f"The ensemble, the mean of the branches' logits, of {mix}",
        "averaged": f"The mean of the branches' weights, a {row['backbone']}, of {mix}",
    }.get(about.member, f"One branch, {row['backbone']}, of a network of {mix}")
    if about.member.startswith("mean_teacher"):
        what += ", its weights averaged over the training's last part"
    how = f"{what}, trained together by `{config.distill.method}`"
    if len(mix_of(config)) == 1:
        how = f"One network, {mix}, trained alone"
    return (
        f"{how} on {config.data.name} and exported alone: {row['parameters']:,} parameters, "
        f"{row['macs']:,} multiply-accumulates per image. {source.chosen}"
    )


def _intended_use(about: About, config: Config) -> str:
    return (
        f"For images like those it was trained on ({config.data.name}), in research and "
        f"comparison. It answers with one of its {len(about.classes)} classes whatever the image "
        f"shows. It was measured on that data set alone: how it does on other images, and whom "
        f"its mistakes would harm, is not known, so do not let it decide about people."
    )


def _results(source: Source) -> str:
    row = source.row
    rows = [
        ("accuracy", f"{row['accuracy']:.4f}"),
        ("top-5 accuracy", _number(row["top5"])),
        ("negative log-likelihood", _number(row["nll"])),
        ("expected calibration error", _number(row["ece"])),
    ]
    if source.is_final:
        note = (
            f"On {row['images']:,} images of the test split, by these very weights, once, after "
            f"the last epoch ({row['epoch']}). They were trained on {source.final_images}; no "
            f"epoch was chosen."
        )
        return f"{note}\n\n{table(('test', 'value'), rows, right=True)}{_seeds(source)}"
    is_best = row["checkpoint"] == "best"
    which, what = ("best", "the epoch and the trial") if is_best else ("last", "the trial")
    note = (
        f"On {source.num_val:,} validation images, after the {which} epoch ({row['epoch']}). The "
        f"same images chose {what} (of {source.num_trials} completed), so expect somewhat less of "
        f"new images."
    )
    return f"{note}\n\n{table(('validation', 'value'), rows, right=True)}\n\n{_test(source)}"


def _test(source: Source) -> str:
    found = source.confirmed
    if found is None:
        return (
            "Test accuracy: not known. `python -m ffl_ray.confirm` had not confirmed this trial "
            "when it was exported."
        )
    return (
        f"Test accuracy: {found.words}, n = {found.seeds}: that of the same settings trained again "
        f"on {source.final_images} with other seeds, not of these very weights, which were never "
        f"measured on the test split. {in_markdown(found.sentence)}"
    ).rstrip()


def _seeds(source: Source) -> str:
    """The accuracy over all seeds, where a confirmation says it."""
    found = source.confirmed
    if found is None:
        return ""
    return (
        f"\n\nThe same settings over all seeds, this one among them: test accuracy {found.words}, "
        f"n = {found.seeds}. {in_markdown(found.sentence)}"
    ).rstrip()


def _input(about: About, config: Config) -> str:
    channels, height, width = about.image_shape
    kind = "grey" if channels == 1 else "RGB"
    data_form = "folder" if brought_kind(config.data.name) else config.data.name
    return "\n".join(
        (
            f"- Input `images`: float32 [batch, {channels}, {height}, {width}], {kind}, pixels "
            f"divided by 255 and so in [0, 1]. Any batch.",
            f"- Normalisation is inside the model; do not normalise. It subtracts "
            f"{list(about.mean)} and divides by {list(about.std)}.",
            f"- As in training: {PREPROCESSING.get(data_form, OWN_DATA)}. "
            f"`ffl-ray predict` takes the middle square of any image file and resizes "
            f"it (bicubic).",
            f"- Output `logits`: float32 [batch, {len(about.classes)}]; softmax gives "
            f"probabilities. Classes in order: {', '.join(map(in_markdown, about.classes))}. "
            f"`{LABELS}` has a line for each.",
        )
    )


def _use(about: About, written: Written) -> str:
    found = [
        "Stay outside of this folder, whose path is FOLDER: Python imports what lies where it is "
        "started.",
        "```\nffl-ray predict FOLDER IMAGE_OR_FOLDER...\n```",
    ]
    found += [f"```python\n{code}\n```" for code in examples(about, written.size)]
    return "\n\n".join(found)


def _files(source: Source, written: Written) -> str:
    rows = [
        (f"`{name}`", f"{size:,}", f"{d.logits:.1e}", f"{d.probabilities:.1e}")
        for (name, size), d in zip(written.size.items(), written.differences.values(), strict=True)
    ]
    images = max(d.images for d in written.differences.values())
    split = "training" if source.is_final else "validation"
    note = (
        f"Each file was read back and compared with the trained network on {images} images, "
        f"random and of the {split} split: the largest difference of a logit (as a share of "
        f"the largest logit where that is above 1) and of a probability; at most {TOLERANCE:g} "
        f"is let through."
    )
    headings = ("file", "bytes", "logits", "probabilities")
    return f"{note}\n\n{table(headings, rows, right=True)}"


def _training(source: Source, config: Config) -> str:
    changed = [f"{name}={shown(value)}" for name, value in changed_settings(config).items()]
    images = f"{source.num_train:,} images to train, {source.num_val:,} to validate"
    if source.is_final:
        images = f"{source.final_images}, {source.num_train:,} images to train"
    rows = [
        ("data", f"{config.data.name}, {images}"),
        ("split hash", source.split_hash),
        ("study", source.study),
        ("trial", source.trial_id),
        ("settings that are not the defaults", ", ".join(changed) or "none"),
        ("train again", f"`{source.retrain}`"),
        ("trained with", _versions(source.trained_with)),
        ("exported with", _versions(source.exported_with)),
        ("commit", source.git_commit or "not known"),
    ]
    return f"{table(('', ''), rows)}\n\nEvery setting is in `config.json`."


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
