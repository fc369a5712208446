"""What share of their time warm slots train or evaluate over a sweep of many short trials, and where the rest goes.

    python benchmarks/utilisation.py [--trials 50] [--kimg 2]

A real sweep (Tune, Optuna's TPE, ASHA) on this machine: two slots of one CPU, real training and real evaluations of
the quickstart's networks. Each worker notes what it does; nothing else is changed. The time of a slot counts from the
end of its first trial, which pays for imports, to the end of its last one.
- training: steps of the loop, with its readings
- evaluation: samples, features, distances
- records: what an evaluation leaves: rows, pictures, checkpoint
- verdict: a report waits until Tune and ASHA have judged it
- loading: a trial before its first step (images, features of the reals, networks, the trial's lock and row)
- ending: a trial after its last step
- next job: from the end of a trial to the beginning of the next one on that slot
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "utilisation.json"
VARIABLE = "GANRAY_BENCHMARK_NOTES"
PARTS = ("training", "evaluation", "records", "verdict", "loading", "ending", "next job")
FILE = """
name: utilisation
data: {{source: "sample:hubble", resolution: 64}}
generator: {{name: dcgan, width: 12, latent_dim: 64}}
discriminator: {{choice: [{{name: dcgan, width: 12}}, {{name: dcgan, width: 12, spectral_norm: true}}]}}
objective: {{loss: {{choice: [{{name: hinge}}, {{name: non_saturating}}, {{name: lsgan}}, {{name: ragan}}]}}}}
tricks: [{{name: ema, decay: 0.99}}, {{name: flips}}]
optimizers: {{generator: {{lr: {{log_uniform: [2.0e-4, 1.0e-3]}}}}}}
budget: {{kimg: {kimg}, batch_size: 8}}
evaluation: {{protocols: [fd_lite0_200_train], every_kimg: {every}}}
search: {{trials: {trials}, startup_trials: 10, scheduler: {{name: asha, grace_kimg: {every}, reduction_factor: 2}}}}
resources: {{workers_per_trial: 1, cpus_per_worker: 1, gpus_per_worker: 0, slots: 2}}
runtime: {{device: cpu}}
"""


def take_notes() -> None:
    """Runs in every Ray process: `run_trial` and its parts note their seconds in a file of this process."""
    from ganray.trial import run

    spent: dict[str, float] = defaultdict(float)

    def timed(name, function):
        def call(*arguments, **options):
            begun = time.monotonic()
            try:
                return function(*arguments, **options)
            finally:
                spent[name] += time.monotonic() - begun

        return call

    run_trial = run.run_trial

    def noted(job, world, tell, **options):
        spent.clear()
        begun = time.monotonic()
        outcome = run_trial(job, world, timed("verdict", tell), **options)
        ended = time.monotonic()
        note = {"trial": job.trial_id, "status": outcome.status, "begun": begun, "ended": ended, **spent}
        with open(Path(os.environ[VARIABLE]) / f"{os.getpid()}.jsonl", "a") as file:
            file.write(json.dumps(note) + "\n")
        return outcome

    def train(state, *arguments, **options):
        spent["first_step"] = time.monotonic()
        try:
            return loop(state, *arguments, **options)
        finally:
            spent["last_step"] = time.monotonic()

    loop, run.train, run.run_trial = run.train, train, noted
    run.assess = timed("evaluation", run.assess)
    run._Trial._evaluate = timed("whole_evaluation", run._Trial._evaluate)


def parts_of(notes):
    """Seconds of each part over one slot's trials after its first, and of all of them."""
    seconds = dict.fromkeys(PARTS, 0.0)
    for before, note in pairwise(notes):
        first, last = note.get("first_step", note["ended"]), note.get("last_step", note["ended"])
        evaluation, verdict = note.get("evaluation", 0.0), note.get("verdict", 0.0)
        whole = note.get("whole_evaluation", 0.0)
        in_loop = "first_step" in note
        seconds["training"] += last - first - whole
        seconds["evaluation"] += evaluation
        seconds["records"] += whole - evaluation - verdict if in_loop else 0.0
        seconds["verdict"] += verdict
        seconds["loading"] += first - note["begun"] - (0.0 if in_loop else verdict)
        seconds["ending"] += note["ended"] - last
        seconds["next job"] += note["begun"] - before["ended"]
    return seconds


def run(trials, kimg, folder):
    """Run the sweep; return its result and the notes of each slot's worker."""
    from rich.console import Console

    from ganray.cluster.sweep import SweepOptions, run_sweep
    from ganray.recipe.experiment import load_experiment

    file = folder / "utilisation.yaml"
    file.write_text(FILE.format(trials=trials, kimg=kimg, every=kimg / 2))
    os.chdir(folder)  # runs/ and the store
    (folder / "notes").mkdir()
    start(folder / "notes")
    result = run_sweep(load_experiment(file), SweepOptions(), Console(width=160))
    texts = [path.read_text() for path in sorted((folder / "notes").glob("*.jsonl"))]
    return result, [[json.loads(line) for line in text.splitlines()] for text in texts]


def start(notes):
    import ray

    from ganray.cluster.settings import ENVIRONMENT

    os.environ.update(ENVIRONMENT)
    variables = {**ENVIRONMENT, VARIABLE: str(notes), "OMP_NUM_THREADS": "1"}
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        runtime_env={"worker_process_setup_hook": take_notes, "env_vars": variables},
    )  # fmt: skip


def summary(slots):
    """Shares of slot time after warm-up."""
    seconds = {part: sum(parts_of(notes)[part] for notes in slots) for part in PARTS}
    total = sum(notes[-1]["ended"] - notes[0]["ended"] for notes in slots)
    trials = sum(len(notes) - 1 for notes in slots)
    shares = {part: spent / total for part, spent in seconds.items()}
    return {
        "slot_seconds_after_warm_up": round(total, 1),
        "trials_after_warm_up": trials,
        "seconds_of_a_trial": round(total / trials, 2),
        "share_training_or_evaluation": round(shares["training"] + shares["evaluation"] + shares["records"], 4),
        "share_without_records": round(shares["training"] + shares["evaluation"], 4),
        "shares": {part: round(share, 4) for part, share in shares.items()},
        "seconds_of_a_trial_by_part": {part: round(spent / trials, 3) for part, spent in seconds.items()},
        "first_trial_s": [round(notes[0]["ended"] - notes[0]["begun"], 1) for notes in slots],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--kimg", type=float, default=2.0)
    parser.add_argument("--note", default="", help="What else the machine was doing.")
    options = parser.parse_args()

    from ganray.cluster.status import read_status
    from ganray.trial.environment import versions
    from ganray.trial.folder import Runs

    load_before = os.getloadavg()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        result, slots = run(options.trials, options.kimg, folder)
        status = read_status(Runs.at(folder / "runs"), "utilisation")
        os.chdir("/")
    found = {
        "command": f"python benchmarks/utilisation.py --trials {options.trials} --kimg {options.kimg:g}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
        "load_before": [round(load, 1) for load in load_before],
        "load_after": [round(load, 1) for load in os.getloadavg()],
        "note": options.note,
        "trials": options.trials,
        "ended": result.ended,
        "failed": result.failed,
        "seconds_of_the_sweep": round(result.seconds, 1),
        **summary([notes for notes in slots if len(notes) > 1]),
        "utilisation_in_status": status.utilisation if status else None,
    }
    RESULT.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
