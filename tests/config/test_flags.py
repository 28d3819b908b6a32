"""Command-line flags: made from the settings' marks, read back under the settings' names."""

import argparse

from ffl_ray import train, tune
from ffl_ray.cli import overrides_of, resources_of
from ffl_ray.config.flags import add_flags, flag_values
from ffl_ray.config.overrides import settings
from ffl_ray.config.settings import Config, SearchConfig

TUNE = (
    "--data-dir", "photos", "--seed", "7", "--num-samples", "4", "--objective", "fused.accuracy",
    "--objective", "macs", "--sampler", "random", "--scheduler", "none", "--warm-start", "before",
    "--max-concurrent-trials", "2", "--num-workers", "3", "--cpus-per-trial", "4",
    "--gpus-per-trial", "0.5", "--time-budget-s", "60", "--budget", "1h30m",
    "--max-failures", "1", "--track", "wandb",
)  # fmt: skip


def test_every_flag_is_read_under_the_names_of_the_settings_that_it_sets() -> None:
    args = tune.parser().parse_args(TUNE)

    assert flag_values(args) == {
        "data.dir": "photos",
        "seed": 7,
        "search.seed": 7,
        "search.num_samples": 4,
        "search.objectives": ["fused.accuracy", "macs"],
        "search.sampler": "random",
        "search.scheduler": "none",
        "search.warm_start": ["before"],
        "search.max_concurrent_trials": 2,
        "search.num_workers": 3,
        "search.cpus_per_trial": 4,
        "search.gpus_per_trial": 0.5,
        "search.time_budget_s": "60",
        "search.budget_s": "1h30m",
        "search.max_failures": 1,
        "search.track": ["wandb"],
    }


def test_a_flag_that_is_not_given_sets_nothing() -> None:
    assert flag_values(tune.parser().parse_args([])) == {}


def test_a_training_keeps_its_settings_apart_from_its_resources() -> None:
    args = train.parser().parse_args(["--seed", "7", "--num-workers", "2", "--set", "seed=5"])

    assert overrides_of(args) == {"seed": 7}
    assert resources_of(args, 1).num_workers == 2
    assert (resources_of(args, 6).num_samples, resources_of(args, 6).seed) == (6, 0)


def test_help_names_the_choices_and_says_what_may_be_given_again() -> None:
    parser = argparse.ArgumentParser()

    add_flags(parser, lambda one: one.name in ("search.sampler", "search.track"))

    text = " ".join(parser.format_help().split())
    assert "(tpe, random, gp, nsga2, cmaes, grid)" in text
    assert text.endswith("may be given again")


def test_a_training_goes_on_with_other_values_of_what_changes_nothing_in_it() -> None:
    assert {one.name for one in settings(Config) if one.marks.may_change} == {
        "data.dir",
        "data.download",
        "data.num_loader_processes",
        "compute.checkpoint_interval_s",
        "compute.per_class",
        "compute.predictions",
    }


def test_what_may_change_when_a_search_goes_on_is_marked_and_resources_may() -> None:
    marked = {one.name: one.marks for one in settings(SearchConfig, "search.")}

    assert {name for name, marks in marked.items() if marks.resource} == {
        "search.max_concurrent_trials",
        "search.num_workers",
        "search.cpus_per_trial",
        "search.gpus_per_trial",
        "search.mps",
        "search.one_process",
    }
    assert {name for name, marks in marked.items() if marks.may_change and not marks.resource} == {
        "search.num_samples",
        "search.enqueue",
        "search.time_budget_s",
        "search.budget_s",
        "search.max_failures",
        "search.keep_checkpoints",
        "search.track",
    }
