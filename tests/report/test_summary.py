"""The overview's cautions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from support.studies import POINTS, Made, make_study

from ffl_ray.report.blocks import Note, Table
from ffl_ray.report.sections import sections
from ffl_ray.report.source import Study, open_study
from ffl_ray.report.summary import overview
from ffl_ray.results.storage.storage import Storage


def text_of(folder: Path) -> str:
    blocks = overview(open_study(Storage(str(folder))))
    return " ".join(block.text for block in blocks if isinstance(block, Note))


def section_of(study: Study, title: str) -> list[Table]:
    found = next(section for section in sections(study) if section.title == title)
    return [block for block in found.blocks if isinstance(block, Table)]


def test_trials_that_were_pruned_while_they_guessed_are_counted(tmp_path: Path) -> None:
    make_study(tmp_path, [Made(POINTS[0]), *(Made(point, "pruned", 1) for point in POINTS[1:])])
    place = tmp_path / "study.json"
    description = json.loads(place.read_text())
    assert "at chance" not in text_of(tmp_path)

    for num_val, expected in ((20, "4 of 4 pruned trials were stopped at chance"), (2000, "")):
        data = {"num_classes": 2, "num_train": 80, "num_val": num_val, "split_hash": "ab12"}
        place.write_text(json.dumps(description | {"data": data}))

        said = text_of(tmp_path)

        assert expected in said
        assert ("0.724 at most, where guessing among 2 classes gives 0.500" in said) == (
            num_val == 20
        )


def test_the_best_is_the_trial_that_the_search_called_best(tmp_path: Path) -> None:
    tables = make_study(tmp_path)
    study = open_study(Storage(str(tmp_path)))
    few = replace(study, members=study.members.assign(images=25))

    said = [" ".join(b.text for b in overview(one) if isinstance(b, Note)) for one in (study, few)]

    assert "Best by fused.accuracy: trial 00004 with" in said[0]
    assert "Best by fused.accuracy: trial 00001 with" in said[1]
    assert "the cheapest within one standard error (0.0" in said[1]
    assert "of trial 00004" in said[1]
    ((table,), (of_few,)) = [section_of(one, "Best trials") for one in (study, few)]
    assert list(table.frame["trial_id"])[:2] == ["00004", "00003"]
    assert list(of_few.frame["trial_id"])[:2] == ["00001", "00004"]
    assert "is called best" not in table.caption
    assert "00001 is called best: within one standard error" in of_few.caption
    tables.trials.update("00004", sampler_state='{"trial": {"constraints:macs<=9": 0.5}}')
    tables.trials.store()
    assert "Best by fused.accuracy: trial 00003 with" in text_of(tmp_path)


def test_what_one_seed_was_lucky_with_is_no_best_here_either(tmp_path: Path) -> None:
    lucky, steady = dict(POINTS[0]), dict(POINTS[1])
    trials = [Made(lucky), Made(lucky, settings={"seed": 1}), Made(steady)]
    tables = make_study(tmp_path, trials)
    for trial_id, value in (("00000", 0.9), ("00001", 0.3), ("00002", 0.8)):
        tables.trials.update(trial_id, objective_values=[value])
    tables.trials.store()

    said = text_of(tmp_path)
    assert "Best by fused.accuracy: trial 00002 with" in said
    assert "each config ran with 1 to 2 seeds, and the test split is untouched" in said


def test_the_best_by_a_mean_over_seeds_is_said_to_be(tmp_path: Path) -> None:
    lucky, steady = (0.9, 0.3), (0.8, 0.8)
    trials = [Made(point, settings={"seed": seed}) for point in POINTS[:2] for seed in (0, 1)]
    tables = make_study(tmp_path, trials)
    for number, value in enumerate((*lucky, *steady)):
        tables.trials.update(f"{number:05d}", objective_values=[value])
    tables.trials.store()

    said = text_of(tmp_path)

    assert "Best by fused.accuracy: trial 00002 with" in said
    assert ", by the mean over its 2 seeds" in said
