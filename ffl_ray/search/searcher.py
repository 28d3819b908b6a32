"""The searcher: what Optuna would try next, and the truth about what became of it."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from ffl_ray.config.constraints import parse_constraint
from ffl_ray.config.methods import resolved
from ffl_ray.config.objectives import VALUE, Objective, Row
from ffl_ray.config.overrides import flatten, with_overrides
from ffl_ray.config.settings import Config, ResolvedConfig, SearchConfig
from ffl_ray.models.registry import check_weights_here
from ffl_ray.results.columns import BASELINE, DEFAULT, PLAIN, PLAIN_ID
from ffl_ray.results.description import MOVES
from ffl_ray.results.history import PastTrial, new_optuna_study
from ffl_ray.results.sampler_state import plain_state
from ffl_ray.results.steering import Steering
from ffl_ray.search.asked_points import asked_points
from ffl_ray.search.distributions import drawn_columns
from ffl_ray.search.drafts import draft
from ffl_ray.search.excerpt import Excerpt
from ffl_ray.search.first_points import Params, default_point, read_points, untried
from ffl_ray.search.grid import Grid, key_of
from ffl_ray.search.mirror import Mirror
from ffl_ray.search.optuna_private import fixed_trial
from ffl_ray.search.priors import WithPriors
from ffl_ray.search.repeats import REPEATED, Repeats
from ffl_ray.search.samplers import new_sampler
from ffl_ray.search.space import SearchSpace, trial_config
from ffl_ray.search.warm_start import PriorTrial, WarmStart
from ffl_ray.training.session import Report

# Samplers that learn from whole generations.
GENERATIONS = ("nsga2", "cmaes")


class StudySearcher:
    """A searcher over an Optuna study of one or several objectives; Ray Tune's is made of it.

    Ray's own OptunaSearch tells Optuna that a trial which a scheduler stopped is complete, with
    the value of its last epoch. Here a trial is COMPLETE only when its planned epochs are done;
    one stopped before is PRUNED, with every intermediate value (of several objectives Optuna
    keeps none, and a pruned trial stays out of the front); one without a finite value, or with
    an error, has failed. So has, for Optuna, the plain baseline: no sampler learns from it.

    Args:
        space: proposes settings, on top of `base`.
        search: seed and settings of the sampler.
        objectives: what to search for.
        past: trials of an earlier run; the interrupted ones, and those that were proposed and
            never started, go on before new ones start.
        make_job: from a trial's id and config to what Tune's function is given.
        warm_start: proposes the first trials.
        plain: the config of the plain baseline, which is trial 1 and no point of the space.
        known_members: the members of a config's network, as rows with what they cost; points that
            break a constraint by these are passed over.
        mirror: is told everything that the study is told.
        steering: says which points somebody asks for meanwhile; they are tried next.
    """

    def __init__(
        self,
        space: SearchSpace,
        base: Config,
        search: SearchConfig,
        objectives: Sequence[Objective],
        *,
        make_job: Callable[[str, ResolvedConfig], dict[str, Any]],
        past: Sequence[PastTrial] = (),
        warm_start: WarmStart | None = None,
        plain: ResolvedConfig | None = None,
        known_members: Callable[[ResolvedConfig], Sequence[Row]] | None = None,
        mirror: Mirror | None = None,
        steering: Steering | None = None,
    ) -> None:
        self._storage = InMemoryStorage()
        self.study = new_optuna_study(objectives, past, storage=self._storage)
        self._objectives = tuple(objectives)
        self._search = search
        self._warm_start, self._plain = warm_start, plain
        self._constraints = [parse_constraint(text) for text in search.constraints]
        self._known_members = known_members
        self._bounds = [one for one in self._constraints if known_members and one.is_known_before]
        self._mirror, self._steering = mirror, steering
        self._waiting = self._unfinished(past)
        for trial in past:
            if trial.config is not None and not base.model.pretrained:
                check_weights_here(trial.config)
        self._space, self._base, self._make_job = space, base, make_job
        self._grid = Grid(space.suggest, search.seed) if search.sampler == "grid" else None
        self._excerpt = Excerpt(self.study, search)
        self._had = {key_of(trial.params) for trial in self._trials()}
        self._repeats = Repeats(past)
        self._default = default_point(space.suggest, base)
        self._first, self._best = self._untried_points()
        self._asked: dict[str, optuna.Trial] = {}
        self._planned: dict[str, int] = {}
        self._reported: dict[str, int] = {}
        if mirror is not None:
            mirror.open(self.study.trials)

    def _untried_points(self) -> tuple[list[Params], list[Params]]:
        """The defaults and what was asked for, and the best of other studies, none tried yet."""
        had: list[Params] = [trial.params for trial in self._trials()]
        points = read_points(self._space.suggest, self._search.enqueue)
        first = untried([self._default, *points], had)
        taught = self._warm_start.best_points() if self._warm_start else []
        return first, untried(taught, [*had, *first])

    def _unfinished(self, past: Sequence[PastTrial]) -> list[tuple[int, PastTrial | None]]:
        """Numbers that go on, each with what it was; none of those that never started."""
        known = {int(trial.trial_id): trial for trial in past}
        return [
            (number, known.get(number))
            for number in range(len(self._trials()))
            if number not in known or known[number].goes_on
        ]

    @property
    def has_unfinished(self) -> bool:
        """Whether the next trial is one that was begun in an earlier run."""
        return bool(self._waiting)

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The next trial's job; the id in it is its number in the study."""
        number, past = self._waiting.pop(0) if self._waiting else (None, None)
        if past is not None:
            trial = optuna.Trial(self.study, int(past.trial_id))
            config = resolved(self._where_data_are(past))
        elif self._plain is not None and self._place(number) == int(PLAIN_ID):
            trial, config = fixed_trial(self.study, number, {}), self._plain
            trial.set_user_attr(BASELINE, PLAIN)
        else:
            trial = self._ask(number)
            config = trial_config(self._space, self._base, trial)
            config = self._repeats.begun(config, trial.params)
            self._had.add(key_of(trial.params))
            if trial.number == 0 and trial.params == self._default:
                trial.set_user_attr(BASELINE, DEFAULT)
        self._asked[trial_id] = trial
        self._planned[trial_id] = config.optim.epochs
        self._reported[trial_id] = max(past.epochs, default=0) if past else 0
        if self._mirror is not None:
            self._mirror.begin(self._known(trial.number))
        return self._make_job(f"{trial.number:05d}", config)

    def _where_data_are(self, past: PastTrial) -> Config:
        """The config of a trial that goes on; its data may have moved meanwhile."""
        assert past.config is not None, "a trial that goes on has one"
        base = flatten(self._base)
        now = {name: base[name] for name in MOVES if name not in past.params}
        return with_overrides(past.config, now)

    def _ask(self, number: int | None) -> optuna.Trial:
        """A new trial, or the one of a number that never started."""
        place = self._place(number)
        first = int(place == 0)  # trial 0 is the default's
        asked = asked_points(self._steering, self._space.suggest, self._base)
        self._first[first:first] = untried(asked, [trial.params for trial in self._trials()])
        if self._bounds or self._repeats.are_passed_over(place):
            params = self._kept(place)
        else:
            params = self._fixed(place) or self._excerpt.propose(self._space.suggest, place)
        self.study.sampler = self._sampler(place)
        trial = fixed_trial(self.study, number, params)
        if self._search.sampler in GENERATIONS:
            trial.relative_params  # noqa: B018 the sampler notes the trial's generation
        return trial

    def _place(self, number: int | None) -> int:
        """The number that the next trial gets."""
        return len(self._trials()) if number is None else number

    def _sampler(self, place: int, attempt: int = 0) -> BaseSampler:
        """The sampler of a number's trial."""
        made = new_sampler(self._search, place, attempt)
        return WithPriors(made, self._space.priors, self._search) if self._space.priors else made

    def _kept(self, place: int) -> Params:
        """The parameters of a number's trial: new if they can be, within known bounds."""
        before: Params | None = None
        while True:
            owed = bool(self._first) or self._grid is not None
            fixed = self._fixed(place)
            if fixed == before:  # a warm start has no other
                fixed = {}
            study = self._excerpt.at(place) or self.study
            at = functools.partial(self._sampler, place), functools.partial(self._excess, place)
            params, excess = draft(study, self._search, place, fixed, *at)
            if not fixed:
                self._repeats.end(excess)
            if excess <= (REPEATED if owed else 0) or not fixed:
                return params
            before = fixed

    def _excess(self, place: int, trial: optuna.Trial) -> float:
        """By how much a point breaks the known bounds at worst, as a share of each, or repeats."""
        config = trial_config(self._space, self._base, trial)
        members = self._known_members(config) if self._known_members and self._bounds else []
        had = self._repeats.excess(config) if self._repeats.are_passed_over(place) else 0.0
        return max([had, *(bound.excess(members) for bound in self._bounds)])

    def _fixed(self, place: int) -> Params:
        """The parameters of a number's trial that no sampler draws."""
        if self._first:
            return self._first.pop(0)
        if self._grid is not None:
            return self._grid.take(self._had)
        if self._warm_start is None or place >= self._search.startup_trials:
            return {}
        if self._best:
            return self._best.pop(0)
        return self._warm_start.suggest(self._space.suggest, self._search, place, self._seen())

    def _seen(self) -> list[PriorTrial]:
        """The completed trials of this study, by its first objective."""
        sign = 1 if self._objectives[0].maximised else -1
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [PriorTrial(trial.params, sign * trial.values[0]) for trial in done]

    def _trials(self) -> list[FrozenTrial]:
        """All trials as Optuna has them, to read: `study.trials` copies every one."""
        return self.study.get_trials(deepcopy=False)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass on the objective of a finished epoch; an epoch that a retry repeats is known."""
        value, epoch = result.get(VALUE), result.get("epoch", 0)
        if value is None or not math.isfinite(value) or epoch <= self._reported[trial_id]:
            return
        self._reported[trial_id] = epoch
        if len(self._objectives) > 1:
            return
        trial = self._asked[trial_id]
        trial.report(value, step=epoch)
        if self._mirror is not None:
            self._mirror.report(trial.number, epoch, value)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell how a trial ended: COMPLETE, PRUNED or FAIL.

        Tune does not pass the result at which a scheduler stops to `on_trial_result`.
        """
        result = result or {}
        self.on_trial_result(trial_id, result)
        trial = self._asked.pop(trial_id)
        values = self._values(result)
        if values:
            self._note_constraints(trial, result["report"].members)
        if error or not values or trial.user_attrs.get(BASELINE) == PLAIN:
            self.study.tell(trial, state=TrialState.FAIL)
        elif result["epoch"] < self._planned[trial_id]:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, values=values)
        if self._mirror is not None:
            self._mirror.end(self._known(trial.number))

    def _values(self, result: dict[str, Any]) -> list[float]:
        """The objectives after the latest epoch, if all are numbers; else nothing."""
        report: Report | None = result.get("report")
        if report is None:
            return []
        values = [objective.value(report.members) for objective in self._objectives]
        return values if all(math.isfinite(value) for value in values) else []

    def _note_constraints(self, trial: optuna.Trial, members: Sequence[Row]) -> None:
        """Tell by how much a trial breaks each constraint that its members can be held to."""
        for constraint in self._constraints:
            excess = constraint.excess(members)
            if math.isfinite(excess):
                trial.set_constraint(constraint.name, excess)

    def optuna_columns(self, number: int) -> dict[str, str]:
        """A trial's parameters, distributions and sampler's state: columns, each as JSON."""
        trial = self._known(number)
        state = plain_state({"trial": trial.system_attrs, "study": self._study_state()})
        noted = {"sampler_state": json.dumps(state)} | trial.user_attrs
        return drawn_columns(trial) | noted

    def _known(self, number: int) -> FrozenTrial:
        return self._trials()[number]

    def _study_state(self) -> dict[str, Any]:
        """The latest attribute that the sampler gave the study: NSGA-II's parents."""
        study_id = self._storage.get_study_id_from_name(self.study.study_name)
        attributes = self._storage.get_study_system_attrs(study_id)
        return dict(list(attributes.items())[-1:])
