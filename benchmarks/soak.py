"""Many tiny trials while something is killed at random again and again; then the store against an undisturbed run.

    python benchmarks/soak.py [--trials 200] [--seconds 600] [--every 30] [--seed 0]

A worker, a Train controller, a Tune actor or a whole node (a new one comes a few seconds later) is killed every EVERY
seconds for SECONDS seconds, on a Ray of four nodes on this machine. What, whose and the pauses follow from the seed.
A slot needs half a minute and more to come back on two cores: with shorter pauses little else than starting goes on.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.faults.harness import Cluster
from tests.faults.plugs import Rig, run_undisturbed, write_file
from tests.faults.processes import kill

RESULT = Path(__file__).parent / "results" / "soak.json"
EVALUATIONS = 2
AWAY_S = 5.0
KINDS = ("worker", "controller", "tune actor", "node")


def pull_one(rig: Rig, kind: str) -> str | None:
    """Kill one of this kind, if there is one just now; which it was."""
    role = rig.random.choice(("worker", "tune actor")) if kind == "node" else kind
    victims = rig.some(role, 1)
    if not victims:
        return None
    if kind != "node":
        kill(victims)
        return kind
    number = rig.cluster.node_of(victims[0])
    rig.cluster.kill_node(number)
    time.sleep(AWAY_S)
    rig.cluster.add_node(wait=False)
    return kind


def soak(folder: Path, *, trials: int, seconds: float, every_s: float, seed: int, nodes: int = 3) -> dict[str, object]:
    """The kills, the resumes that were needed, and the verdict."""
    file = write_file(folder, trials=trials, workers=1, evaluations=EVALUATIONS)
    reference = run_undisturbed(file)
    kills: list[dict[str, object]] = []
    with Cluster(nodes, folder) as cluster:
        rig = Rig(cluster, file, trials=trials, evaluations=EVALUATIONS, seed=seed)
        rig.start()
        rig.wait_for_rows()
        began = time.monotonic()
        while time.monotonic() - began < seconds and rig.sweep.process.poll() is None:
            time.sleep(rig.random.uniform(0.5, 1.5) * every_s)
            if rig.sweep.process.poll() is None and (kind := pull_one(rig, rig.random.choice(KINDS))):
                kills.append({"kind": kind, "at_s": round(time.monotonic() - began, 1)})
                print(f"{time.strftime('%T')} {kind}; {len(rig.rows.keys())} evaluations", flush=True)
        code, resumes = rig.finish(3600), 0
        while code != 0 and resumes < 5:
            print(rig.sweep.text, f"the sweep ended with {code}", sep="\n", flush=True)
            resumes += 1
            rig.start("--resume")
            code = rig.finish(3600)
        took_s = time.monotonic() - began
        left = cluster.left_behind()
    return {
        "trials": trials,
        "every_s": every_s,
        "seed": seed,
        "nodes": nodes,
        "seconds_of_kills": seconds,
        "seconds": round(took_s, 1),
        "kills": dict(Counter(str(one["kind"]) for one in kills)),
        "course": kills,
        "exit_code": code,
        "resumes": resumes,
        "left_behind": left,
        "verdict": dataclasses.asdict(rig.judge(reference)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--every", type=float, default=30.0, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-write", action="store_true", help="print the result without keeping it")
    parser.add_argument("--keep", type=Path, help="a folder for all files; left out: a temporary one")
    options = parser.parse_args()

    from ganray.trial.environment import versions

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("GANRAY_CACHE_DIR", str(folder.absolute() / "cache"))
        found = soak(
            folder.absolute(), trials=options.trials, seconds=options.seconds, every_s=options.every, seed=options.seed
        )
    found = {
        "command": f"python benchmarks/soak.py --trials {options.trials} --seconds {options.seconds:g} "
        f"--every {options.every:g} --seed {options.seed}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
        **found,
    }
    print(json.dumps(found, indent=2))
    if not options.no_write:
        RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
