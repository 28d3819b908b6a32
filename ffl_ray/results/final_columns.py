"""The columns of what `confirm` and `reproduce` write: name, type, unit and meaning."""

from __future__ import annotations

from ffl_ray.results.columns import BOOL, FLOAT, INT, MEMBER, TEXT, Column

_ARM = [
    Column("arm", TEXT, "", "name of a config that was trained with every seed"),
    Column("trial_id", TEXT, "", "of the search's trial that it was; null for a baseline"),
]


def _interval(name: str, unit: str, what: str) -> list[Column]:
    """Mean, spread and interval of a quantity."""
    return [
        Column(f"{name}.mean", FLOAT, unit, f"{what}, mean over the seeds"),
        Column(f"{name}.std", FLOAT, unit, "standard deviation of the sample; null below two"),
        Column(f"{name}.low", FLOAT, unit, "lower end of the mean's 95% interval"),
        Column(f"{name}.high", FLOAT, unit, "its upper end"),
    ]


RUNS = [
    Column("run_id", TEXT, "", "trial_id of the training in the tables beside this one"),
    *_ARM,
    Column("seed", INT, "", "of weights, data order and augmentation"),
    Column("error_type", TEXT, "", "class of the error that ended it, so that no number has it"),
]
SUMMARY = [
    *_ARM,
    Column(
        "role",
        TEXT,
        "",
        "config: of the search; baseline: what it is held against, untaught but for the default "
        "point",
    ),
    Column("mix", TEXT, "", "backbones of the branches"),
    Column("method", TEXT, "", "how the members teach each other"),
    Column("epochs", INT, "epochs", "length of each training"),
    MEMBER,
    Column("backbone", TEXT, "", "of a branch, or of its average; null for ensemble and fused"),
    Column("n", INT, "seeds", "trainings behind the row"),
    Column("images", INT, "images", "of the test split"),
    *_interval("accuracy", "fraction", "top-1 on the test split"),
    *_interval("nll", "nats", "negative log-likelihood on the test split"),
    Column("parameters", INT, "", "of the member deployed alone"),
    Column("macs", INT, "", "multiply-accumulates of one image"),
    Column("over", TEXT, "", "what the intervals are over: seeds, or seeds and images"),
    Column("accelerator_s", FLOAT, "s", "of a whole training, mean over the seeds"),
]
COMPARISONS = [
    *_ARM,
    Column("member", TEXT, "", "of the config"),
    Column("equal", TEXT, "", "of both sides: epochs, or accelerator-seconds of training"),
    Column("kind", TEXT, "", "of the baseline: alone, together, untaught, same_macs or default"),
    Column("baseline", TEXT, "", "arm that it is compared with"),
    Column("baseline_member", TEXT, "", "of the baseline"),
    Column("metric", TEXT, "", "accuracy or nll, on the test split"),
    Column("n", INT, "seeds", "pairs of trainings with the same seed"),
    Column("mean", FLOAT, "", "of the config, over these seeds"),
    Column("baseline_mean", FLOAT, "", "of the baseline, likewise"),
    *_interval("difference", "", "config minus baseline, paired by seed"),
    Column("over", TEXT, "", "what the interval is over: seeds, or seeds and images"),
    Column(
        "parity",
        TEXT,
        "",
        "tuned against tuned: the baseline was searched for as the config "
        "was; tuned against inherited: it takes the config's settings; tuned against default: it "
        "is the search's default point; untuned against untuned: the search had one trial; null in "
        "older tables",
    ),
    Column("search_trials", INT, "trials", "of the search that the config was chosen in"),
    Column("baseline_trials", INT, "trials", "of the baseline's own search; null: it had none"),
    Column("primary", BOOL, "", "whether it is tested at 5% by itself, the others by Holm"),
    Column("margin", FLOAT, "fraction", "differences below it do not matter; of accuracy alone"),
    Column("verdict", TEXT, "", "better, worse, equal, undecided, or why there is none"),
    Column("p", FLOAT, "", "that there is no difference, corrected by Holm"),
    Column("p_equal", FLOAT, "", "that it is the margin or more (two one-sided tests), likewise"),
    Column("detectable", FLOAT, "", "least true difference that is seen at a power of 80%"),
    Column(
        "more_seeds",
        INT,
        "seeds",
        "more than n, that would settle it in a new plan of a fixed number; below 0 where it "
        "needs fewer than a race; null: it is, or none would",
    ),
    Column("more_images", BOOL, "", "whether images would where no seeds do; null: seeds do"),
    Column(
        "more_s", FLOAT, "s", "accelerator-seconds of a new plan with n + more_seeds on both sides"
    ),
    Column("macs", INT, "", "multiply-accumulates of one image through the config's member"),
    Column("baseline_macs", INT, "", "through the baseline's"),
    Column("epochs", INT, "epochs", "of the config"),
    Column("baseline_epochs", INT, "epochs", "of the baseline"),
    Column("accelerator_s", FLOAT, "s", "of a training of the config, mean over the seeds"),
    Column("baseline_accelerator_s", FLOAT, "s", "of a training of the baseline, likewise"),
]
CONFIRMED = {"runs": RUNS, "summary": SUMMARY, "comparisons": COMPARISONS}
_REPRODUCED = [
    Column("study", TEXT, "", "name of the study"),
    Column("table", TEXT, "", "the published table, as `ffl_ray.reproduce` names it"),
    Column("row", TEXT, "", "the row in it: published backbone and method"),
    Column("published_backbone", TEXT, "", "as it is printed there"),
    Column("published_method", TEXT, "", "likewise"),
    Column("data.name", TEXT, "", "the setting of ours"),
    Column("distill.method", TEXT, "", "likewise"),
    Column("model.mix", TEXT, "", "likewise"),
    Column("figure", TEXT, "", "the member of ours that is compared, or a difference of two"),
    Column("published_mean", FLOAT, "fraction", "top-1 on test; null where only a range is given"),
    Column("published_std", FLOAT, "fraction", "of the authors' runs; null when not printed"),
    Column("band_low", FLOAT, "fraction", "published mean - 2 std, or the range's low end"),
    Column("band_high", FLOAT, "fraction", "published mean + 2 std, or the range's high end"),
    Column("n", INT, "", "runs of ours, one a seed"),
    Column("mean", FLOAT, "fraction", "of ours, on test after the last epoch"),
    Column("std", FLOAT, "fraction", "of ours, of the sample; null below two runs"),
    Column("low", FLOAT, "fraction", "low end of the 95% interval of ours, Student's t"),
    Column("high", FLOAT, "fraction", "its high end"),
    Column("difference", FLOAT, "fraction", "mean of ours minus the published one"),
    Column("verdict", TEXT, "", "in band, out of band, undecided, or why there is none"),
    Column("seeds", INT, "seeds", "that would tell, of the same mean and spread; if undecided"),
    Column("departures", TEXT, "", "what makes ours incomparable; null: nothing"),
    Column("source", TEXT, "", "where it is published"),
    Column("cautions", TEXT, "", "what to know before believing a difference"),
]
REPRODUCED = {"reproduced": _REPRODUCED}
