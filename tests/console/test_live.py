"""What a person sees, whatever the names and errors in it."""

import io
import shlex

import pytest
from rich.console import Console

from ffl_ray.config.methods import resolved
from ffl_ray.config.objectives import parse_objective
from ffl_ray.config.overrides import with_overrides
from ffl_ray.config.settings import Config
from ffl_ray.console.live import MOST_RUNNING, StudyView
from ffl_ray.console.result_tables import best_table, next_text, where_text
from ffl_ray.console.terminal import duration
from ffl_ray.console.train_view import TrainView
from ffl_ray.console.trial_text import row_words, trial_words

FUSED = parse_objective("fused.accuracy")
LONG = with_overrides(Config(), {"optim.epochs": 30})
ROW = {
    "trial_id": "00000", "status": "failed", "epochs_done": 1, "epochs_planned": 3,
    "objective_value": 0.5, "objective_values": [0.5],
    "val.fused.accuracy": 0.5, "val.ensemble.accuracy": 0.5, "val.best_branch.accuracy": 0.4,
    "model.mix": "resnet20+wrn16_2", "fusion.design": "sum", "distill.temperature": 2.0,
    "distill.method": "ffl",
    "error_type": "RuntimeError", "error": "[/third_party/gloo/pair.cc:534] closed [rank1]",
}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (245, "4:05"), (3723, "1:02:03")]
)
def test_a_duration_reads_like_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_full_of_brackets_is_shown_as_it_is(terminal: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=160, highlight=False)

    with StudyView(console, "study [/x]", 2, FUSED, [ROW]) as view:
        view.trial_started("00001", Config())
        view.epoch_finished("00001", {"epoch": 1, "objective_value": 0.7})
        view.trial_ended("00001", "failed", ROW)
    console.print(best_table([ROW], [FUSED]))
    console.out(where_text("/data/[run1]/study", "/data/[run1]/study/trials"))

    assert "study [/x]" in out.getvalue()
    assert 'pd.read_parquet("/data/[run1]/study/trials")' in out.getvalue()
    if not terminal:
        assert "[/third_party/gloo/pair.cc:534] closed [rank1]" in out.getvalue()


def test_what_is_to_be_exported_after_a_search_is_what_is_confirmed_before() -> None:
    commands = [shlex.split(line) for line in next_text("'my studies/mine'").splitlines()]

    (confirm,) = (words for words in commands if "ffl_ray.confirm" in words)
    (export,) = (words for words in commands if "ffl_ray.export" in words)
    assert confirm[3:] == ["my studies/mine", "--top", "3", "--seeds", "5"]
    assert export[3:] == ["my studies/mine/confirmed", "--out", "model"]


def test_of_many_running_trials_the_first_are_shown_and_the_others_counted() -> None:
    console = Console(file=io.StringIO(), width=160, record=True)
    view = StudyView(console, "study", 10_000, FUSED)
    for number in range(1000 + MOST_RUNNING):
        view.trial_started(f"{number:05d}", Config())

    console.print(view)

    text = console.export_text()
    assert f"{MOST_RUNNING - 1:05d}  0/" in text
    assert f"{MOST_RUNNING:05d}" not in text
    assert "and 1,000 more" in text


def begun(trial_id: str, epochs_done: int) -> dict[str, object]:
    """The row of a trial of which an earlier run trained some epochs of 30."""
    rows = {"trial_id": trial_id, "epochs_done": epochs_done, "epochs_planned": 30}
    return ROW | {"status": "interrupted"} | rows


def drawn(view: StudyView) -> str:
    console = Console(file=io.StringIO(), width=160, record=True)
    console.print(view)
    return console.export_text()


@pytest.mark.parametrize(
    ("objective", "label", "trial_id"),
    [("fused.accuracy", "highest so far", "00001"), ("fused.nll", "lowest so far", "00000")],
)
def test_the_first_by_its_value_is_not_called_best(
    objective: str, label: str, trial_id: str
) -> None:
    rows = [
        ROW | {"trial_id": f"{i:05d}", "status": "completed", "objective_value": value}
        for i, value in enumerate((0.5, 0.6))
    ]

    text = drawn(
        StudyView(Console(file=io.StringIO()), "study", 2, parse_objective(objective), rows)
    )

    (line,) = [line for line in text.splitlines() if trial_id in line]
    assert line.startswith(label)
    assert "best" not in text


def test_what_was_interrupted_is_still_to_go() -> None:
    view = StudyView(Console(file=io.StringIO()), "study", 6, FUSED, elapsed_s=26.0)
    for trial_id, epochs in (("00000", 2), ("00001", 4)):
        view.trial_started(trial_id, LONG)
        view.epoch_finished(trial_id, {"epoch": epochs, "objective_value": 0.5})
        view.trial_ended(trial_id, "interrupted", begun(trial_id, epochs))

    text = drawn(view)

    assert "0 of 6 trials" in text
    assert "left" not in text


def test_a_trial_that_goes_on_stands_where_it_was_and_its_earlier_epochs_are_no_pace() -> None:
    past = [begun("00000", 20), begun("00001", 15)]
    view = StudyView(Console(file=io.StringIO()), "study", 2, FUSED, past, elapsed_s=100.0)
    for row in past:
        view.trial_started(str(row["trial_id"]), LONG)
    assert "20/30" in drawn(view)

    view.trial_ended("00000", "completed", begun("00000", 30))
    view.epoch_finished("00001", {"epoch": 20, "objective_value": 0.5})

    assert "about 1:07 left" in drawn(view)  # 15 epochs took 100 s, and 10 are left


def test_a_search_that_has_a_time_has_no_more_left() -> None:
    view = StudyView(
        Console(file=io.StringIO()), "study", 6, FUSED, elapsed_s=45.0, most_s=lambda: 9
    )
    view.trial_started("00000", LONG)
    view.trial_ended("00000", "completed", begun("00000", 30))

    assert "about 0:09 left" in drawn(view)


def test_the_best_trials_are_the_completed_ones_by_their_latest_accuracy() -> None:
    rows = [
        ROW | {"trial_id": "00001", "status": "pruned", "objective_values": [0.99]},
        ROW | {"trial_id": "00002", "status": "completed", "objective_values": [0.80]},
        ROW | {"trial_id": "00003", "status": "completed", "objective_values": [0.90]},
        ROW | {"trial_id": "00004", "status": "failed", "objective_values": None},
    ]
    out = io.StringIO()

    Console(file=out, width=160).print(best_table(rows, [FUSED]))

    order = [line.split()[0] for line in out.getvalue().splitlines()[2:]]
    assert order == ["00003", "00002", "00001"]


def test_what_does_not_vary_stands_once_and_no_name_is_cut() -> None:
    mix = "+".join(f"my_own_package.backbones:a_long_name_{i}" for i in range(3))
    rows = [
        ROW | {"trial_id": f"{i:05d}", "fusion.design": d} for i, d in enumerate(("sum", "gated"))
    ]
    rows = [row | {"model.mix": mix, "objective_values": [0.5]} for row in rows]
    out = io.StringIO()

    for width in (80, 200):
        Console(file=out, width=width).print(best_table(rows, [FUSED]))

    narrow, wide = out.getvalue().split("best trials, validation")[1:]
    assert "…" not in narrow + wide
    assert "gated" in wide
    assert f"epoch; all with mix {mix}, method ffl, temperature 2.00" in wide.replace("\n", " ")
    assert "method" not in wide.splitlines()[1]
    varying = [ROW | {"model.mix": m, "objective_values": [0.5]} for m in (mix, "resnet20")]
    Console(file=out, width=60).print(best_table(varying, [FUSED]))
    assert "".join(out.getvalue().split()).count("a_long_name_2") >= 3
    assert "…" not in out.getvalue()


def test_a_config_in_words_counts_equal_branches() -> None:
    assert trial_words(resolved(Config())) == "2*resnet32 concat_depthwise T=3.00"


def test_a_method_without_a_fusion_design_is_named_instead() -> None:
    assert row_words(ROW | {"distill.method": "dml"}) == "resnet20+wrn16_2 dml T=2.00"
    assert row_words(ROW | {"distill.method": "independent"}) == "resnet20+wrn16_2 independent"


def test_every_method_that_fuses_is_shown_with_its_design() -> None:
    assert row_words(ROW | {"distill.method": "dccl"}) == "resnet20+wrn16_2 dccl sum T=2.00"
    graph = ROW | {"distill.method": "ktg", "distill.gates": "fused>0=through,fused>1=through"}
    assert row_words(graph) == "resnet20+wrn16_2 ktg sum T=2.00"
    assert row_words(graph | {"distill.gates": None}) == "resnet20+wrn16_2 ktg T=2.00"
    taught = ROW | {"distill.method": "independent", "distill.teacher": "there"}
    assert row_words(taught) == "resnet20+wrn16_2 independent T=2.00"


def test_a_training_without_a_fused_classifier_prints_what_it_has() -> None:
    out = io.StringIO()
    row = {
        "epoch": 1, "loss.total": 2.0, "val.fused.accuracy": None, "images_per_s": 100.0,
        "val.ensemble.accuracy": 0.5, "val.branches.accuracy": [0.4, 0.45],
    }  # fmt: skip

    TrainView(Console(file=out, width=160), 2).epoch_finished(row)

    assert "ensemble 0.5000  branches 0.4000 0.4500" in out.getvalue()
    assert "fused" not in out.getvalue()
