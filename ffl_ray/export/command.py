"""The command `export`: a member is chosen, written, and described."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from ffl_ray.config.methods import holds_out
from ffl_ray.config.overrides import with_overrides
from ffl_ray.confirm.tables import FINAL_KINDS, accuracy_of_run, confirmed_accuracy
from ffl_ray.console.json_object import tell
from ffl_ray.console.terminal import make_console
from ffl_ray.data.loader import load_train_val
from ffl_ray.export.card import Source, Written
from ffl_ray.export.choice import Rows, choose
from ffl_ray.export.folder import Say, check_free, export_member, versions
from ffl_ray.export.pick import Candidate
from ffl_ray.export.rule import Rule, parse_macs
from ffl_ray.export.speed import FULL, HEADINGS, Speed, rows_of, speeds
from ffl_ray.export.trained import Trained, kept_checkpoints, load_trained, retrain_command
from ffl_ray.exported.about import FORMATS
from ffl_ray.files import with_tilde
from ffl_ray.results.classes import Classes, classes_of
from ffl_ray.results.description import read_description
from ffl_ray.results.reader import find_study, load_tables, records
from ffl_ray.results.schema import row_config
from ffl_ray.results.storage.access import as_argument
from ffl_ray.results.storage.storage import Storage

Row = dict[str, Any]


class Study(NamedTuple):
    """A study to export from.

    Attributes:
        storage: its folder.
        description: what its study.json says.
        trials: rows of the trials table by trial_id.
        members: rows of the members table.
    """

    storage: Storage
    description: Row
    trials: dict[str, Row]
    members: list[Row]

    @property
    def is_final(self) -> bool:
        """Whether its trainings are final runs, measured on the test split."""
        return self.description["kind"] in FINAL_KINDS


def export(args: argparse.Namespace) -> int:
    """The exit status of an export with these options."""
    limit = None if args.max_macs is None else parse_macs(args.max_macs)
    rule = Rule(args.pick, limit, args.member, args.trial)
    study = _open(args)
    kept = kept_checkpoints(study.storage)
    rows = Rows(study.description, study.trials, study.members, kept)
    choice = choose(rule, rows, as_argument(study.storage.parent))
    chosen, note = choice.candidate, choice.note
    name = study.description["study"].replace("/", "-")
    out = Path(args.out or f"{name}-{chosen.trial_id}-{chosen.member}")
    check_free(out)
    make_console().out("\n".join([_words(study, chosen), *([note] if note else [])]))
    sentence = rule.sentence(choice.among, final=study.is_final)
    written = _write(args, study, chosen, sentence, out)
    _show(written, out)
    tell(
        study=study.description["study"],
        location=study.storage.location,
        folder=str(out.resolve()),
        member=dict(chosen.row),
        note=note or None,
        files={
            name: {"bytes": size, "difference": written.differences[name].logits}
            for name, size in written.size.items()
        },
        speeds=[speed._asdict() for speed in written.speeds],
    )
    return 0


def _open(args: argparse.Namespace) -> Study:
    storage = find_study(args.study, args.storage_path)
    description = read_description(storage)
    results = load_tables(storage)
    trials = {row["trial_id"]: row for row in records(results.trials)}
    return Study(storage, description, trials, records(results.members))


def _words(study: Study, chosen: Candidate) -> str:
    split = "test" if study.is_final else "validation"
    when = "the last" if chosen.row["checkpoint"] == "latest" else "its best"
    return (
        f"trial {chosen.trial_id}, {chosen.member} after epoch {chosen.row['epoch']}, {when}: "
        f"{split} accuracy {chosen.accuracy:.4f}, "
        f"{chosen.row['parameters']:,} parameters, {chosen.macs:,} MACs"
    )


def _write(
    args: argparse.Namespace, study: Study, chosen: Candidate, sentence: str, out: Path
) -> Written:
    """Write what was chosen, its costs measured beside the full network's if that is asked for.

    Args:
        sentence: how it was chosen, for the card.
    """
    with make_console().status("opening the data and the checkpoint") as status:
        trial, epoch = study.trials[chosen.trial_id], chosen.row["epoch"]
        trained = load_trained(
            study.storage,
            trial,
            epoch,
            args.data_dir,
            final=study.is_final,
            which=chosen.row["checkpoint"],
        )
        source = _source(study, chosen, trained, sentence)
        measured = _speeds(trained, study, chosen.trial_id, status.update) if args.table else []
        formats = [name for name in FORMATS if name in (args.format or FORMATS)]
        return export_member(
            trained, chosen.member, out, formats, source, measured, say=status.update
        )


def _num_train(trained: Trained, *, is_final: bool) -> int:
    """Images that the weights were trained on."""
    held = is_final and holds_out(trained.config)
    data = load_train_val(trained.config.data) if held else trained.data
    return len(data.train)


def _source(study: Study, chosen: Candidate, trained: Trained, sentence: str) -> Source:
    description, trials = study.description, study.trials
    name, trial_id = description["study"], chosen.trial_id
    accuracy = accuracy_of_run if study.is_final else confirmed_accuracy
    folder = trained.config.data.dir and with_tilde(trained.config.data.dir)
    config = with_overrides(row_config(trials[trial_id]), {"data.dir": folder})
    retrain = retrain_command(config, f"{name}-{trial_id}")
    if study.is_final:
        words = [] if folder is None else ["--data-dir", folder]
        retrain = shlex.join(["python", "-m", "ffl_ray.confirm", name.rpartition("/")[0], *words])
    return Source(
        study=name,
        trial_id=trial_id,
        chosen=sentence,
        num_trials=sum(row["status"] == "completed" for row in trials.values()),
        split_hash=trained.data.split_hash,
        num_train=_num_train(trained, is_final=study.is_final),
        num_val=len(trained.data.val),
        row=dict(chosen.row),
        confirmed=accuracy(study.storage, trial_id, chosen.member),
        retrain=retrain,
        trained_with=description["versions"],
        exported_with=versions(),
        git_commit=description.get("git_commit"),
        classes=_classes(study, chosen),
        held_out=holds_out(trained.config),
    )


def _classes(study: Study, chosen: Candidate) -> Classes | None:
    """How the chosen member does by class, where that is known of the epoch that is exported."""
    if chosen.row["checkpoint"] != "latest":
        return None
    return classes_of(study.storage, [chosen.trial_id], chosen.member)


def _speeds(trained: Trained, study: Study, trial_id: str, say: Say) -> list[Speed]:
    """The costs of every member of a trial, and of the full network.

    Args:
        say: is told what is measured; in a pipe, where nothing moves, lines say what was.
    """
    names = sorted({row["member"] for row in study.members if row["trial_id"] == trial_id})
    console, found, all_names = make_console(), [], [*names, FULL]
    measured = speeds(trained, names)
    for place, name in enumerate(all_names, start=1):
        say(f"measuring {name}, {place} of {len(all_names)}")
        found.append(next(measured))
        if not console.is_terminal:
            console.out(f"measured {name}, {place} of {len(all_names)}")
    return found


def _show(written: Written, out: Path) -> None:
    console = make_console()
    for name, size in written.size.items():
        console.out(
            f"{out / name}  {size:,} bytes, differs by at most "
            f"{written.differences[name].logits:.1e} from the trained member"
        )
    if written.speeds:
        console.print(_speed_table(written.speeds))
    console.out(f"card {out / 'README.md'}; ffl-ray predict {shlex.quote(str(out))} IMAGE...")


def _speed_table(measured: Sequence[Speed]) -> Table:
    table = Table(title="one image, on this machine; share of the full network", box=None)
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if index else "left")
    for row in rows_of(measured):
        table.add_row(*row)
    return table
