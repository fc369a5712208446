"""What a further trial costs beyond its training: a warm slot, beside the documented nested form, in one run.

    python benchmarks/trial_overhead.py [--trials 6] [--workers 1]

Both forms run the same trials, which sleep for a known time instead of training, one after the other on the same Ray:
- warm slot: GANRay's Slot, its mailbox and worker loop; only `run_trial` is replaced by the sleep.
- nested: Ray's documented form, a driver function per trial that builds a TorchTrainer with a TuneReportCallback.
Overhead of a trial = time from the end of the trial before it to its own end, less the sleep. The first trial of each
form, which pays for the start, is reported apart.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

SLEEP_S = 1.0
RESULT = Path(__file__).parent / "results" / "trial_overhead.json"
FILE = """
name: overhead
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8}
discriminator: {name: dcgan, width: 4}
optimizers: {generator: {lr: {log_uniform: [1e-4, 1e-3]}}}
budget: {kimg: 1, batch_size: 8}
evaluation: {protocols: [fd_lite0_200_train], every_kimg: 1}
search: {sampler: random}
"""


def replace_training() -> None:
    """Runs in every Ray process: a trial sleeps and reports, so that what is left is overhead."""
    from ganray.trial import run
    from ganray.trial.job import Outcome, Report

    def sleeping_trial(job, world, tell, **_):
        time.sleep(SLEEP_S)
        if world.is_main:
            tell(Report(job.trial_id, 1.0, {"fd_lite0_200_train": 1.0}, {}, SLEEP_S, True))
        return Outcome(job.trial_id, "completed", 1.0)

    run.run_trial = sleeping_trial


def clock_callback():
    """A Tune callback that notes when each trial ends."""
    from ray import tune

    class Clock(tune.Callback):
        def __init__(self):
            self.ends = []

        def on_trial_complete(self, iteration, trials, trial, **info):
            self.ends.append(time.monotonic())

    return Clock()


def run_warm(trials, workers, folder):
    """Seconds of each trial on one warm slot, the first one with the slot's start."""
    from ray import tune

    from ganray.cluster.resources import TUNE_CPUS, Demand
    from ganray.cluster.slot import Slot, SlotConfig
    from ganray.cluster.study import build_search, study_storage
    from ganray.recipe.experiment import load_experiment

    file = folder / "overhead.yaml"
    file.write_text(FILE)
    experiment = load_experiment(file)
    clock = clock_callback()
    slot = SlotConfig(experiment, folder, str(folder / "store"), experiment.metric, Demand(workers, 1.0, 0.0), None)
    tuner = tune.Tuner(
        tune.with_resources(Slot, {"CPU": TUNE_CPUS}),
        param_space={"slot": slot},
        tune_config=tune.TuneConfig(
            metric=experiment.metric, mode="min", num_samples=trials, max_concurrent_trials=1, reuse_actors=True,
            search_alg=build_search(experiment, study_storage(folder / "study.log"), [], 0),
        ),
        run_config=tune.RunConfig(name="warm", storage_path=str(folder), verbose=0, callbacks=[clock]),
    )  # fmt: skip
    return timed(tuner, clock)


def run_nested(trials, workers, folder):
    """Seconds of each trial in the documented form."""
    from ray import tune

    clock = clock_callback()

    def nested_trial(config):
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
        from ray.tune.integration.ray_train import TuneReportCallback

        def worker(_):
            import ray.train

            time.sleep(SLEEP_S)
            ray.train.report({"value": 1.0})

        TorchTrainer(
            worker,
            train_loop_config={},
            scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": 0.9}),
            run_config=RunConfig(storage_path=str(folder / "nested"), callbacks=[TuneReportCallback()]),
        ).fit()

    tuner = tune.Tuner(
        tune.with_resources(nested_trial, {"CPU": 0.01}),
        param_space={"lr": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=1, reuse_actors=True),
        run_config=tune.RunConfig(name="nested", storage_path=str(folder), verbose=0, callbacks=[clock]),
    )
    return timed(tuner, clock)


def timed(tuner, clock):
    started = time.monotonic()
    grid = tuner.fit()
    if grid.num_errors:
        raise SystemExit(f"trials failed: {grid.errors[0]}")
    return [b - a for a, b in zip([started, *clock.ends], clock.ends)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()

    import os

    import ray

    from ganray.cluster.settings import ENVIRONMENT
    from ganray.trial.environment import versions

    os.environ.update(ENVIRONMENT)
    # The dashboard stays on: without it the nested form never releases its placement groups (ray #54305).
    ray.init(
        address="local",
        log_to_driver=False,
        runtime_env={"worker_process_setup_hook": replace_training, "env_vars": ENVIRONMENT},
    )
    replace_training()
    with tempfile.TemporaryDirectory() as folder:
        warm = run_warm(options.trials, options.workers, Path(folder))
        nested = run_nested(options.trials, options.workers, Path(folder))
    ray.shutdown()
    found = {
        "command": f"python benchmarks/trial_overhead.py --trials {options.trials} --workers {options.workers}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
        "sleep_s": SLEEP_S,
        "warm": summary(warm),
        "nested": summary(nested),
    }
    found["nested_over_warm"] = round(
        found["nested"]["further_trial_overhead_s"] / found["warm"]["further_trial_overhead_s"], 1
    )
    RESULT.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


def summary(seconds):
    further = [s - SLEEP_S for s in seconds[1:]]
    return {
        "first_trial_s": round(seconds[0], 2),
        "further_trial_overhead_s": round(statistics.median(further), 3),
        "further_trial_overhead_range_s": [round(min(further), 3), round(max(further), 3)],
    }


if __name__ == "__main__":
    main()
