"""Population based training (arXiv 1711.09846) on warm slots, by Tune's own scheduler, in rounds of all members.

Every `every_kimg` all members are paused where they are. The worst take over the best ones' Tune checkpoints and
recipes; then slots go on with the members in turn. The rounds are synchronous, so weights move between members of the
same kimg alone: a curve has neither gap nor repetition, and its kimg is what its weights have been shown. Nor does the
speed of a slot choose who takes over from whom: all draws follow from `search.seed`, the trial and the round.

A member that takes over has the other's networks, EMA, optimizer moments and whole recipe, structure included, and then
changes the numbers that act anew in each step (`ganray.recipe.population`). What cannot change under trained weights
stays the other's: networks, sizes of buffers, frozen layers. The member keeps its id, its folder and its seed.
"""

import functools
import logging
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining, TrialScheduler
from ray.tune.schedulers.pbt import _PBTTrialState
from ray.tune.search import ConcurrencyLimiter, Searcher

from ganray.cluster.schedulers import Past
from ganray.errors import ClusterError, RecipeError
from ganray.recipe.experiment import Experiment
from ganray.recipe.population import explore, own_seed
from ganray.recipe.schedulers import Pbt
from ganray.recipe.space import Params
from ganray.trial.member import FIRST, MEMBER, OURS, Exploit, Member

LOG = logging.getLogger(__name__)

ATTEMPTS = 100


class Population(PopulationBasedTraining):
    """Tune's PBT with its rounds counted in kimg, kept over restarts, and more members than slots.

    Tune refuses search algorithms under PBT, since they would be told values of recipes that they did not propose. Ours
    draws at random, and listens to nothing.
    """

    def __init__(self, experiment: Experiment, past: Sequence[Past], members: int, slots: int) -> None:
        spec = experiment.settings.search.scheduler
        assert isinstance(spec, Pbt)
        super().__init__(
            time_attr="kimg",
            perturbation_interval=spec.every_kimg,
            quantile_fraction=spec.quantile,
            resample_probability=spec.resample_probability,
            perturbation_factors=spec.perturb,  # type: ignore[arg-type]
            custom_explore_fn=_unchanged,  # `_get_new_config` explores: it must know who takes over
            log_config=False,
            synch=True,
        )
        self.experiment, self.spec, self.members = experiment, spec, members
        self.allowed: Callable[[], float] = functools.partial(float, slots)
        """Members that may train side by side now: nodes come and go."""
        self.lineages = {each.trial_id: each.lineage for each in past}
        self.round = _rounds_passed(spec, past, members)
        """The last round that has been held."""

    # What Tune calls

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        if trial in self._trial_state:
            return  # its slot died, and it is begun again
        if not self._trial_state:
            _keep_slots_warm(tune_controller, trial, self.members)
        self._trial_state[trial] = _PBTTrialState(trial)
        first = params_of(trial)
        lineage = self.lineages.get(self.experiment.fixed(first).trial_id(self.experiment.name), ())
        params = lineage[-1]["params"] if lineage else first
        member = Member(self.experiment.fixed(params), self.spec.every_kimg, self.round)
        trial.set_config({"slot": trial.config["slot"], **params, FIRST: first, MEMBER: member})

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        member: Member = trial.config[MEMBER]
        if member.exploit is not None:  # it is done: the trial has come further
            trial.set_config({**trial.config, MEMBER: replace(member, exploit=None)})
        if not member.is_due(result["kimg"]):
            return str(TrialScheduler.CONTINUE)
        self._save_trial_state(self._trial_state[trial], self.spec.generation(result["kimg"]), result, trial)
        return str(TrialScheduler.PAUSE)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Asked at every step of Tune: hold the round when all wait for it, then let them go on in turn."""
        if self._is_round_due():
            self._hold_round(tune_controller)
        paused = [trial for trial in self._trial_state if trial.status == Trial.PAUSED and not self._waits(trial)]
        return paused[0] if paused and self.free_slots > 0 else None

    # What the search asks

    @property
    def free_slots(self) -> float:
        """Slots on which no member trains or is about to."""
        return self.allowed() - sum(trial.status in (Trial.RUNNING, Trial.PENDING) for trial in self._trial_state)

    @property
    def is_complete(self) -> bool:
        """Whether all members have been drawn."""
        return len(self._trial_state) >= self.members

    @property
    def has_ended(self) -> bool:
        return self.is_complete and all(trial.is_finished() for trial in self._trial_state)

    def has(self, params: Params) -> bool:
        """Whether a member began with these parameters."""
        return any(trial.config[FIRST] == params for trial in self._trial_state)

    # The round

    def _waits(self, trial: Trial) -> bool:
        return trial.status == Trial.PAUSED and self._trial_state[trial].last_train_time > self.round

    def _is_round_due(self) -> bool:
        alive = [trial for trial in self._trial_state if not trial.is_finished()]
        return bool(alive) and self.is_complete and all(self._waits(trial) for trial in alive)

    def _hold_round(self, tune_controller: Any) -> None:
        self.round += 1
        worst, best = self._worst_and_best()
        for trial in best:
            self._checkpoint_or_exploit(trial, tune_controller, best, [])
        for trial in worst:
            donor = self._chance(trial).choice(best)
            if self._trial_state[donor].last_checkpoint:
                self._exploit(tune_controller, trial, donor)
            else:
                LOG.warning("%s goes on by itself: Tune has no checkpoint of %s", self._id(trial), self._id(donor))
        for trial in self._trial_state:
            if trial.status == Trial.PAUSED:
                member = trial.config[MEMBER]
                trial.set_config({**trial.config, MEMBER: replace(member, generation=self.round)})

    def _worst_and_best(self) -> tuple[list[Trial], list[Trial]]:
        """Those who take over, and those whom they take from, of the members that are just in this round.

        A member may be further: then others have been added to the population, and come after it.
        """
        paused = [trial for trial in self._trial_state if trial.status == Trial.PAUSED]
        here = [trial for trial in paused if self._trial_state[trial].last_train_time == self.round]
        here.sort(key=lambda trial: (self._trial_state[trial].last_score, self._id(trial)))
        n = min(math.ceil(len(here) * self.spec.quantile), len(here) // 2)
        return here[:n], here[len(here) - n :]

    def _get_new_config(self, trial: Trial, trial_to_clone: Trial) -> tuple[dict[str, Any], dict[str, Any]]:
        """The other's parameters, changed, with the member's own seed; the other's as they are where no change fits."""
        theirs, chance = own_seed(params_of(trial_to_clone), trial.config[FIRST]), self._chance(trial)
        params, recipe = theirs, None
        for _ in range(ATTEMPTS):
            try:
                params = explore(self.experiment.space, theirs, self.spec, chance)
                recipe = self.experiment.fixed(params)
                break
            except RecipeError:
                params = theirs
        result: Any = self._trial_state[trial_to_clone].last_result  # it has come to this round, so there is one
        changed = {name: (theirs[name], value) for name, value in params.items() if value != theirs[name]}
        member = replace(
            trial.config[MEMBER],
            recipe=recipe or self.experiment.fixed(theirs),
            exploit=Exploit(result["kimg"], self._id(trial_to_clone), changed, params),
        )
        return {"slot": trial.config["slot"], **params, FIRST: trial.config[FIRST], MEMBER: member}, {}

    def _chance(self, trial: Trial) -> random.Random:
        return random.Random(f"{self.experiment.settings.search.seed}/{self._id(trial)}/{self.round}")

    def _id(self, trial: Trial) -> str:
        return self.experiment.fixed(trial.config[FIRST]).trial_id(self.experiment.name)


class MemberSearch(ConcurrencyLimiter):
    """Draws the members of a population, each as a slot falls free, and no recipe twice."""

    def __init__(self, searcher: Searcher, population: Population) -> None:
        super().__init__(searcher, max_concurrent=population.members)
        self.population, self.refused = population, 0

    def suggest(self, trial_id: str) -> Any:
        population = self.population
        if population.is_complete:
            # Not FINISHED before all have ended: Tune would close the slot of a member that it pauses.
            return Searcher.FINISHED if population.has_ended else None
        if population.free_slots <= 0:
            return None
        params = super().suggest(trial_id)
        if not isinstance(params, dict) or not population.has(params):
            return params
        self.on_trial_complete(trial_id, error=True)
        self.refused += 1
        if self.refused < ATTEMPTS:
            return None  # Tune asks again, with another id
        raise ClusterError(
            f"the space has too few recipes for a population of {population.members}: widen it, or lower search.trials"
        )

    def get_state(self) -> dict[str, Any]:
        """Tune saves this to restore a sweep; ours is resumed from the study."""
        return {}


def params_of(trial: Trial) -> Params:
    """The sampler's parameters in a trial's Tune config."""
    return {name: value for name, value in trial.config.items() if name not in OURS}


def _rounds_passed(spec: Pbt, past: Sequence[Past], members: int) -> int:
    """The last round that an earlier run of the sweep has held.

    A round is held when all have come to it, so all are in the same interval, or at its end. At the end, what was taken
    over there tells whether the round was held; where nobody had got so far as to take over, it is held again.
    """
    alive = [trial for trial in past if trial.status == "running"]
    if len(alive) < members:
        return 0  # a member has not even begun
    rounds = {spec.generation(max((kimg for kimg, _ in trial.scores), default=0.0)) for trial in alive}
    held = {spec.generation(record["kimg"]) for trial in past for record in trial.lineage}
    first = min(rounds)
    return first if len(rounds) > 1 or first in held else max(0, first - 1)


def _keep_slots_warm(tune_controller: Any, trial: Trial, members: int) -> None:
    """Have Tune keep the actors of all paused trials: it keeps one, and a slot takes half a minute to start."""
    controller = getattr(tune_controller, "_tune_controller", tune_controller)
    controller._actor_cache.increase_max(trial.placement_group_factory, members)


def _unchanged(config: dict[str, Any]) -> dict[str, Any]:
    return config
