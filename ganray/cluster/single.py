"""One recipe on Ray Train, without Tune."""

from pathlib import Path

from rich.console import Console

from ganray.cluster.settings import start_ray
from ganray.recipe.experiment import Experiment
from ganray.recipe.recipe import Recipe
from ganray.store.store import Store
from ganray.trial.job import Outcome, Report, TrialJob, check_batch
from ganray.trial.local import make_job, pausable, prepare_folder, say_outcome
from ganray.trial.progress import ProgressBar


def train_on_ray(
    experiment: Experiment,
    recipe: Recipe,
    *,
    resume: bool,
    fresh: bool = False,
    address: str | None,
    verbose: bool,
    fid_weights: Path | None,
) -> Outcome:
    """Train on `resources.workers_per_trial` Ray Train workers; Ctrl-C leaves a resumable checkpoint.

    Raises ClusterError where the workers do not fit, TrainingError with the diagnosis where the trial fails.
    """
    resources = experiment.settings.resources
    check_batch(recipe, resources.workers_per_trial)
    job = make_job(experiment, recipe, fid_weights)
    prepare_folder(job, resume=resume, fresh=fresh)
    Store(job.store).check_writable()
    cluster = start_ray(address, verbose=verbose)

    import ray

    from ganray.cluster.capacity import alive_nodes
    from ganray.cluster.group import WorkerGroup
    from ganray.cluster.resources import count_slots, demand_of

    try:
        demand = demand_of(resources, cluster, recipe.runtime.device)
        count_slots(demand, alive_nodes())
        group = WorkerGroup(demand, job.files.runs.place(job.files.relative), "train")
        try:
            outcome = _follow(group, job)
        finally:
            group.close()
    finally:
        ray.shutdown()
    say_outcome(job, outcome, Console(stderr=True))
    if outcome.status == "running":
        raise SystemExit(130)
    return outcome


def _follow(group, job: TrialJob) -> Outcome:  # type: ignore[no-untyped-def]
    """Show results as they come until the last one, or until Ctrl-C."""
    job_id = group.submit(job)
    metrics: dict[str, float] = {}
    with pausable() as paused, ProgressBar(job.recipe.budget.kimg, Console(stderr=True)) as bar:
        while True:
            result = group.next_result(job_id, stop=paused.is_set)
            if result is None:
                return Outcome(job.trial_id, "running", bar.kimg, metrics)
            if result["status"] == "failed":
                return Outcome(job.trial_id, "failed", result["kimg"], metrics, result["diagnosis"])
            metrics = {name: result[name] for name in job.recipe.evaluation.protocols}
            bar.tell(Report(job.trial_id, result["kimg"], metrics, {}, result["wall_s"], result["status"]))
            if result["done"]:
                return Outcome(job.trial_id, "completed", result["kimg"], metrics, None, result["wall_s"])
