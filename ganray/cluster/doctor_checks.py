"""What a doctor concludes from what was seen: one function per check, each from views of nodes to findings."""

from collections import Counter
from collections.abc import Callable, Iterator

from ganray.cluster.doctor_findings import GIB, Finding, Level, Seen, count, each_node, or_fine, size
from ganray.cluster.doctor_node import View
from ganray.cluster.doctor_places import (
    check_data,
    check_listening,
    check_shared_folders,
    check_stores,
    check_token,
    check_weights,
)

OLDEST_PYTHON = (3, 11)
SMALL_SHM_BYTES = GIB
FULL_DISK_BYTES, SMALL_DISK_BYTES = GIB, 10 * GIB
FULL_SHARE = 0.95
"""Ray makes no new objects on a disk that is fuller."""
SKEW_WARNS_S, SKEW_FAILS_S = 1.0, 5.0
FEW_FILES, TOO_FEW_FILES = 4096, 256


def judge(seen: Seen) -> list[Finding]:
    """Every check's findings, in the order of `CHECKS`."""
    return [finding for check in CHECKS.values() for finding in check(seen)]


def check_nodes(seen: Seen) -> Iterator[Finding]:
    """Whether every node answered."""
    for said in seen.silent:
        yield Finding("nodes", "problem", said, "ray status; ray list nodes   # then the logs of that node's raylet")
    if seen.ray is not None and not seen.silent:
        yield Finding("nodes", "ok", f"{count(seen.nodes, 'node')} answered")


def check_versions(seen: Seen) -> Iterator[Finding]:
    """Python, Ray, torch and GANRay on every node against this machine."""
    here = seen.here["versions"]
    if tuple(int(part) for part in here["python"].split(".")[:2]) < OLDEST_PYTHON:
        need = ".".join(map(str, OLDEST_PYTHON))
        yield Finding("versions", "problem", f"Python {here['python']} is too old: {need} or newer is needed")
    for package in ("ray", "torch", "ganray"):
        if here[package] is None:
            yield Finding("versions", "problem", f"{package} is not installed here", f"pip install {package}")
    faults = [*each_node(seen, "versions", lambda node, view: _differing(node, view, here))]
    yield from faults
    if not any(fault.level == "problem" for fault in faults):
        agreed = ", ".join(f"{name} {here[name]}" for name in ("python", "ray", "torch", "ganray") if here[name])
        yield Finding("versions", "ok", agreed + (" on every node" if len(seen.nodes) > 1 else ""))


def _differing(node: str, theirs: View, here: View) -> Iterator[Finding]:
    for name in ("python", "ray", "torch", "ganray"):
        if theirs[name] != here[name]:
            there = theirs[name] or "missing"
            # Ray and pickled code need the same; another torch moves numbers, but trains.
            level: Level = "warning" if name == "torch" and theirs[name] else "problem"
            fix = f"{theirs['executable']} -m pip install {name}=={here[name]}"
            if name == "python":
                fix = f"start that node's Ray with Python {here[name]}"
            yield Finding("versions", level, f"{name} is {there} there and {here[name]} here", fix, node)


def check_torch(seen: Seen) -> Iterator[Finding]:
    """Whether torch imports, and sees the GPUs that the driver has."""
    faults = []
    for node, view in seen.nodes.items():
        torch, driver = view["torch"], view["driver"]
        if "error" in torch:
            fix = f"{view['versions'].get('executable', 'python')} -m pip install --force-reinstall torch torchvision"
            faults.append(Finding("torch", "problem", f"torch does not import: {torch['error']}", fix, node))
        elif "error" in driver:
            text = f"nvidia-smi fails: {driver['error']}"
            faults.append(Finding("torch", "problem", text, "reinstall the NVIDIA driver, then reboot the node", node))
        elif len(torch["gpus"]) < len(driver["gpus"]):
            faults.append(_unseen(node, torch, driver))
    yield from faults
    if not faults:
        yield Finding("torch", "ok", _gpus_in_words(seen))


def _unseen(node: str, torch: View, driver: View) -> Finding:
    lacks = f"torch {torch['version']} sees {len(torch['gpus'])} of {count(driver['gpus'], 'GPU')}"
    if torch["cuda"] is None:
        return Finding("torch", "problem", f"{lacks}: it was built for the CPU", "install torch's CUDA build", node)
    if driver.get("cuda") and _major(driver["cuda"]) < _major(torch["cuda"]):
        reason = f"it was built for CUDA {torch['cuda']}, and driver {driver['version']} runs up to {driver['cuda']}"
        fix = f"update the NVIDIA driver, or install the torch that is built for CUDA {_major(driver['cuda'])}"
        return Finding("torch", "problem", f"{lacks}: {reason}", fix, node)
    fix = "echo $CUDA_VISIBLE_DEVICES   # and in a container: docker run --gpus all"
    return Finding("torch", "warning" if torch["gpus"] else "problem", lacks, fix, node)


def _gpus_in_words(seen: Seen) -> str:
    torches = [view["torch"] for view in seen.nodes.values()]
    counted = Counter(name for torch in torches for name in torch["gpus"])
    cuda = ", ".join(sorted({f"CUDA {torch['cuda']}" for torch in torches if torch["gpus"]}))
    if not counted:
        return "no GPU: torch runs on the CPU"
    return f"{', '.join(f'{count} x {name}' for name, count in counted.items())} ({cuda})"


def check_gpus(seen: Seen) -> Iterator[Finding]:
    """GPUs as Ray counts them against those that torch sees, on every node."""
    if seen.ray is None:
        return
    faults = []
    for node, resources in seen.ray.items():
        torch = seen.nodes.get(node, {}).get("torch", {})
        if "gpus" not in torch:
            continue
        counted, seen_by_torch = int(resources.get("GPU", 0)), len(torch["gpus"])
        if counted == seen_by_torch:
            continue
        text = f"Ray counts {counted} GPU(s) and torch sees {seen_by_torch}"
        level: Level = "problem" if counted > seen_by_torch else "warning"
        faults.append(Finding("gpus", level, text, f"ray start ... --num-gpus={seen_by_torch}", node))
    yield from faults
    if not faults:
        total = sum(int(resources.get("GPU", 0)) for resources in seen.ray.values())
        yield Finding("gpus", "ok", f"Ray counts {count(range(total), 'GPU')}, as torch does")


def check_shared_memory(seen: Seen) -> Iterator[Finding]:
    """/dev/shm against Ray's object store, which moves to a disk where it does not fit."""

    def judge_node(node: str, view: View) -> Iterator[Finding]:
        has = view["size_bytes"]
        wanted = (seen.ray or {}).get(node, {}).get("object_store_memory", SMALL_SHM_BYTES)
        if has is not None and has < wanted:
            text = f"/dev/shm has {size(has)}, and Ray's object store wants {size(wanted)}: it goes to a slow disk"
            fix = f"mount -o remount,size={size(wanted, '')} /dev/shm   # container: --shm-size={size(wanted, '')}"
            yield Finding("object store", "warning", text, fix, node)

    yield from or_fine(seen, "shared_memory", judge_node, _shm_in_words(seen))


def _shm_in_words(seen: Seen) -> str:
    sizes = [view["shared_memory"].get("size_bytes") for view in seen.nodes.values()]
    known = [found for found in sizes if found]
    return f"/dev/shm has {size(min(known))}" if known else "this system has no /dev/shm"


def check_disk(seen: Seen) -> Iterator[Finding]:
    """Room where runs and temporary files go."""

    def judge_node(node: str, view: View) -> Iterator[Finding]:
        for what, disk in view.items():
            free, whole = disk["free_bytes"], disk["size_bytes"]
            text = f"{size(free)} free for {what} in {disk['folder']}"
            fix = f"du -xh --max-depth=2 {disk['folder']} | sort -h | tail   # or set `runs` to another disk"
            if free < FULL_DISK_BYTES:
                yield Finding("disk", "problem", text, fix, node)
            elif free < SMALL_DISK_BYTES or (what != "runs" and free < (1 - FULL_SHARE) * whole):
                yield Finding("disk", "warning", text, fix, node)

    free = [disk["free_bytes"] for v in seen.nodes.values() if "error" not in v["disk"] for disk in v["disk"].values()]
    yield from or_fine(seen, "disk", judge_node, f"{size(min(free, default=0))} free at least")


def check_open_files(seen: Seen) -> Iterator[Finding]:
    """The limit of open files: Ray's processes keep a socket to each other."""

    def judge_node(node: str, view: View) -> Iterator[Finding]:
        soft = view["soft"]
        if 0 <= soft < FEW_FILES:
            level: Level = "problem" if soft < TOO_FEW_FILES else "warning"
            fix = f"ulimit -n {FEW_FILES * 16 if view['hard'] < 0 else min(FEW_FILES * 16, view['hard'])}"
            if 0 <= view["hard"] < FEW_FILES:
                fix = f"raise `nofile` in /etc/security/limits.conf to {FEW_FILES * 16}, and log in again"
            yield Finding("open files", level, f"a process may have {soft} files open", fix, node)

    limits = [view["open_files"].get("soft", 0) for view in seen.nodes.values()]
    yield from or_fine(seen, "open_files", judge_node, f"{min(limits)} per process")


def check_clocks(seen: Seen) -> Iterator[Finding]:
    """Clock skew: the newest row of a key wins, so clocks that differ choose wrongly."""
    faults = []
    for node, skew in seen.skew_s.items():
        if abs(skew) > SKEW_WARNS_S:
            level: Level = "problem" if abs(skew) > SKEW_FAILS_S else "warning"
            text = f"its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
            faults.append(Finding("clocks", level, text, "timedatectl set-ntp true", node))
    yield from faults
    if seen.skew_s and not faults:
        most = max(abs(skew) for skew in seen.skew_s.values())
        yield Finding("clocks", "ok", f"they agree to {max(most, 0.01):.2f} s")


def check_cluster_file(seen: Seen) -> Iterator[Finding]:
    """What `ganray.cluster.launcher` finds in a cluster.yaml."""
    for fault in seen.cluster_file_faults:
        yield Finding("cluster file", "problem", fault)
    if seen.cluster_file is not None and not seen.cluster_file_faults:
        yield Finding("cluster file", "ok", f"{seen.cluster_file} is valid")


def _major(version: str) -> int:
    return int(version.split(".")[0])


CHECKS: dict[str, Callable[[Seen], Iterator[Finding]]] = {
    "cluster file": check_cluster_file,
    "nodes": check_nodes,
    "versions": check_versions,
    "torch": check_torch,
    "gpus": check_gpus,
    "object store": check_shared_memory,
    "disk": check_disk,
    "open files": check_open_files,
    "shared folders": check_shared_folders,
    "store": check_stores,
    "data": check_data,
    "weights": check_weights,
    "clocks": check_clocks,
    "token": check_token,
    "listening": check_listening,
}
