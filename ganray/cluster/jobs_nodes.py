"""Before a job's sweep starts: does every node have the code's dependencies, the images, and the folders to write to?

`python -m ganray.cluster.jobs_nodes` in the folder of the job. Nodes that autoscaling starts later are not looked at.
"""

import json
import logging
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganray.cluster.jobs_driver import MANIFEST, python_fault
from ganray.errors import ClusterError, GanrayError

_ANSWER_S = 180.0


def main() -> int:
    """Look at every node; print what is missing. 2 where something is."""
    try:
        check_nodes(json.loads(Path(MANIFEST).read_text(encoding="utf-8")))
    except GanrayError as error:
        print(f"ganray: {error}", file=sys.stderr)
        return 2
    return 0


def check_nodes(manifest: Mapping[str, Any]) -> None:
    """Raises ClusterError, one paragraph, naming each node and what it lacks."""
    import ray

    try:
        ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises several kinds, bare ones among them
        raise ClusterError(_at_start(" ".join(str(error).split()))) from None
    probes = {}
    try:
        probes = _put_probes(manifest["folders"])
        faults = _ask_nodes({**manifest, "probes": list(probes.values())})
    finally:
        for probe in probes.values():
            with suppress(OSError):
                os.unlink(probe)
        ray.shutdown()
    if faults:
        raise ClusterError("the job cannot run on this cluster: " + "; ".join(faults))


def _ask_nodes(manifest: Mapping[str, Any]) -> list[str]:
    """`node NAME: what it lacks`, of each node where something lacks."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(look_at_this_node)
    asked = {
        look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            manifest
        ): node.get("NodeManagerHostname") or node["NodeManagerAddress"]
        for node in ray.nodes()
        if node["Alive"]
    }
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_S)
    faults = [f"node {asked[reference]} started no process within {_ANSWER_S:g} s" for reference in late]
    for reference in ready:
        try:
            found = ray.get(reference)
        except Exception as error:  # Ray's own: the runtime environment, a node that went away
            found = [f"it cannot run the job's code ({str(error).strip().splitlines()[-1]})"]
        faults += [f"node {asked[reference]}: {fault}" for fault in found]
    return list(dict.fromkeys(faults))


def look_at_this_node(manifest: Mapping[str, Any]) -> list[str]:
    """What this node lacks, each with its fix."""
    if fault := python_fault(manifest["requirements"]):
        return [fault]
    from ganray.data.sources import open_source
    from ganray.errors import DataError

    faults = []
    for source in manifest["sources"]:
        try:
            open_source(source)
        except (DataError, OSError) as error:
            faults.append(str(error))
    faults += [f"there is no file {path}" for path in manifest["files"] if not os.path.isfile(path)]
    faults += [
        f"it does not see the {os.path.dirname(path)} of the head (name a file system that all nodes share, or a URI "
        f"such as s3://BUCKET/runs, with --set runs=...)"
        for path in manifest["probes"]
        if not os.path.exists(path)
    ]
    return faults


def _put_probes(folders: Iterable[str]) -> dict[str, str]:
    """An empty file in each folder, which is made where it is missing. ClusterError where that fails."""
    probes = {}
    for folder in folders:
        path = os.path.join(folder, f".ganray-probe-{secrets.token_hex(4)}")
        try:
            os.makedirs(folder, exist_ok=True)
            Path(path).touch()
        except OSError as error:
            raise ClusterError(
                f"the head cannot write to {folder}: {error.strerror}; name another place with --set runs=... and "
                f"--set store=..."
            ) from None
        probes[folder] = path
    return probes


def _at_start(text: str) -> str:
    """Ray lets a process join only with the Ray and the Python, to the last digit, that the cluster runs with."""
    if "cluster was started with" not in text:
        return f"Ray on the head does not let the job in: {text}"
    return (
        f"{sys.executable} does not fit the cluster. {text}. Name the Python that Ray was started with by --python PATH"
    )


if __name__ == "__main__":
    sys.exit(main())
