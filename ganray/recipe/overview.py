"""What an experiment file would run, in words."""

import yaml

from ganray.recipe import space
from ganray.recipe.design import SEED
from ganray.recipe.experiment import Experiment
from ganray.recipe.plain import as_written, objective_as_written
from ganray.recipe.recipe import Recipe
from ganray.recipe.schedule import Budget
from ganray.recipe.schedulers import Asha, Pbt, Scheduler

DESIGNS = {"grid": "every combination of the choices", "one_at_a_time": "the baseline and each switch alone"}
"""What a design runs."""


def overview(experiment: Experiment, seed: int = 0, store: str | None = None) -> str:
    """Size of the space or of the design, trials, slots, budget in kimg, and an example recipe as YAML.

    `store` is where results go; left out: what the file says.
    """
    settings = experiment.settings
    recipe = experiment.sample(seed)
    trials = experiment.trials if experiment.is_search else 1
    resources = settings.resources
    gpus = resources.gpus_per_worker
    share = f"{gpus:g} GPU(s)" if isinstance(gpus, float) else "a measured share of a GPU"
    per_worker = f"{resources.cpus_per_worker:g} CPU(s), {'1 GPU where there is one' if gpus is None else share}"
    slots = resources.slots or "as many as the cluster has room for"
    stopping = "no early stopping"
    if settings.search.scheduler:
        stopping = _stopping(settings.search.scheduler, recipe)
    lines = [
        f"experiment  {experiment.name} ({experiment.source.path})",
        f"space       {_space(experiment)}",
        f"search      {trials} trial(s) by {settings.search.sampler}, {_given(experiment)}; {stopping}",
        f"metric      {experiment.metric}, of {', '.join(recipe.evaluation.protocols)}",
        f"budget      {recipe.budget.kimg:g} kimg a trial, scored every {recipe.evaluation.every_kimg:g}; "
        f"at most {trials * _largest_kimg(experiment):g} kimg in all",
        f"slots       {slots}; each {resources.workers_per_trial} worker(s) with {per_worker}",
        f"results     {store or settings.store or settings.runs + '/store'}",
        "",
        f"an example recipe (hash {recipe.hash[:12]}), without the defaults:",
    ]
    written = {**as_written(recipe), "objective": objective_as_written(recipe.objective)}
    example = yaml.safe_dump(written, sort_keys=False, default_flow_style=None, width=100)
    return "\n".join(lines) + "\n" + "\n".join(f"  {line}" for line in example.splitlines())


def _stopping(scheduler: Scheduler, recipe: Recipe) -> str:
    if isinstance(scheduler, Pbt):
        return (
            f"every {scheduler.every_kimg:g} kimg the worst {scheduler.quantile:.0%} take over from the best "
            f"{scheduler.quantile:.0%} (PBT)"
        )
    name = "ASHA" if isinstance(scheduler, Asha) else f"HyperBand ({scheduler.brackets} brackets)"
    grace, factor = scheduler.grace(recipe), scheduler.reduction_factor
    return f"{name} stops weak trials from {grace:g} kimg on (reduction factor {factor:g})"


def _space(experiment: Experiment) -> str:
    if not experiment.is_search:
        return "one recipe"
    if experiment.design is not None:
        recipes = {tuple((k, v) for k, v in params.items() if k != SEED) for params in experiment.design}
        return f"{len(recipes):,} recipe(s), {DESIGNS[experiment.settings.search.sampler]}, not counting seeds"
    combinations, floats = space.size(experiment.space), space.continuous(experiment.space)
    text = f"{combinations:,} combination(s) of choices"
    return text + (f", and {floats} continuous range(s)" if floats else "")


def _given(experiment: Experiment) -> str:
    if experiment.is_search and experiment.design is not None:
        return "all that the design asks for"
    return f"{len(experiment.start_params())} of them given"


def _largest_kimg(experiment: Experiment) -> float:
    """The largest budget of any recipe in the space."""
    budgets = space.representatives({"budget": experiment.space.get("budget", {})})
    return max(Budget.model_validate(drawn.value["budget"]).kimg for drawn in budgets)
