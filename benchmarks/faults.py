"""Every plug pulled on a real Ray of four nodes on this machine: noticed after, went on after, lost, doubled.

    python benchmarks/faults.py [--only NAME ...] [--no-write]

One sweep of two-worker trials suffers all of it, one fault per trial; whatever ends the driver is followed by --resume.
At the end its store is compared, row by row and bit for bit, with a run of the same recipes without Ray and faults.
A fault that is not survived is noted, the driver is ended, and the next fault follows a --resume.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.faults.harness import Cluster
from tests.faults.plugs import Fault, Rig, run_undisturbed, write_file
from tests.faults.pulls import FAULTS, NODES, pull_all

RESULT = Path(__file__).parent / "results" / "faults.json"
EVALUATIONS = 6


def measure(folder: Path, names: list[str]) -> dict[str, object]:
    """The table, and the verdict over the whole store."""
    trials = 2 * len(names) + 2  # some go on to the next trial before the next plug is pulled
    file = write_file(folder, trials=trials, workers=2, evaluations=EVALUATIONS)
    with Cluster(NODES, folder) as cluster:
        rig = Rig(cluster, file, trials=trials, evaluations=EVALUATIONS)
        rig.start()
        failed = pull_all(rig, names)
        if rig.sweep.process.poll() is not None:
            rig.start("--resume")
        code = rig.finish(900)
        left = cluster.left_behind()
        said = rig.sweep.text
    verdict = rig.judge(run_undisturbed(file))
    print(said, code, left, verdict, sep="\n")
    table = [row(fault, verdict, failed) for fault in rig.faults]
    return {
        "trials": trials,
        "evaluations": verdict.evaluations,
        "exit_code": code,
        "left_behind": left,
        "verdict": dataclasses.asdict(verdict),
        "table": table,
        "not_survived": failed,
    }


def row(fault: Fault, verdict, failed: dict[str, str]) -> dict[str, object]:
    """A line of the table; rows lost and doubled are those of the trial that the fault interrupted."""
    return {
        "fault": fault.name,
        "injected": FAULTS[fault.name][0],
        "detected_after_s": fault.detected_s,
        "recovered_after_s": fault.recovered_s,
        "evaluations_lost": sum(fault.trial in key and key[0] == "evaluations" for key in verdict.lost),
        "evaluations_doubled": sum(fault.trial in key and key[0] == "evaluations" for key in verdict.doubled),
        "exit_code": fault.code,
        "note": fault.note,
        "survived": fault.name not in failed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--no-write", action="store_true", help="print the result without keeping it")
    parser.add_argument("--keep", type=Path, help="a folder for all files; left out: a temporary one")
    options = parser.parse_args()

    from ganray.trial.environment import versions

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("GANRAY_CACHE_DIR", str(folder / "cache"))
        found = measure(folder.absolute(), options.only)
    found = {
        "command": "python benchmarks/faults.py",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
        **found,
    }
    print(json.dumps(found, indent=2))
    if not options.no_write:
        RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
