"""`ganray doctor`: looks at this machine or at every node of a cluster, and says what is wrong and how to mend it."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ganray.cluster import doctor_node
from ganray.cluster.doctor_checks import judge
from ganray.cluster.doctor_findings import Finding, Seen
from ganray.cluster.doctor_node import View, Wanted, look
from ganray.recipe.uris import is_remote

ANSWER_S = 180.0
PINGS = 5
STYLE = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@dataclass(frozen=True)
class DoctorOptions:
    """What the command line asks for."""

    address: str | None = None
    """A Ray to look at, node by node; None: this machine."""
    start_ray: bool = False
    """Without an address: start a Ray here and look through it."""
    experiment: Path | None = None
    overrides: tuple[str, ...] = ()
    store: str | None = None
    fid_weights: str | None = None
    cluster_file: Path | None = None


def diagnose(options: DoctorOptions) -> list[Finding]:
    """Look everywhere and judge. RecipeError for a wrong experiment file, ClusterError where no Ray answers."""
    wanted = what_to_look_for(options)
    seen = _through_ray(options, wanted) if options.address or options.start_ray else _here(wanted)
    if options.cluster_file is not None:
        from ganray.cluster.launcher import check_cluster_file, missing_mounts

        file = options.cluster_file
        faults = [*check_cluster_file(file), *missing_mounts(file)]
        seen = replace(seen, cluster_file=str(file), cluster_file_faults=faults)
    return judge(seen)


def what_to_look_for(options: DoctorOptions) -> Wanted:
    """The places, data sets and weights of the experiment; without one, the store and the runs alone."""
    from ganray.store.location import store_uri

    if options.experiment is None:
        store = _absolute(store_uri(options.store))
        return Wanted(runs=_absolute("runs"), stores=(store,), fid_weights=options.fid_weights)
    from ganray.cluster.jobs_places import find_places
    from ganray.evaluation.protocols import get_protocol
    from ganray.recipe.experiment import load_experiment

    experiment = load_experiment(options.experiment, options.overrides)
    places = find_places(experiment, options.fid_weights, head_is_here=True)
    data = experiment.sample().data
    return Wanted(
        runs=places.runs,
        stores=tuple(dict.fromkeys([places.runs, _absolute(options.store or places.store)])),
        sources=places.sources,
        resolution=data.resolution,
        fit=data.fit,
        extractors=tuple(dict.fromkeys(get_protocol(name).extractor for name in experiment.protocols)),
        fid_weights=places.weights,
    )


def _absolute(place: str) -> str:
    return place if "://" in place else os.path.abspath(os.path.expanduser(place))


def _here(wanted: Wanted) -> Seen:
    view = look(wanted)
    return Seen(here=view, nodes={view["name"]: view})


def _through_ray(options: DoctorOptions, wanted: Wanted) -> Seen:
    """Ask a process on every living node."""
    from ganray.cluster.settings import start_ray

    start_ray(options.address)
    import ray

    nodes = {name: node for name, node in _named(ray.nodes()).items() if node["Alive"]}
    try:
        with _probes(wanted) as probes:
            views, skew_s, silent = _ask(nodes, replace(wanted, probes=probes))
    finally:
        ray.shutdown()
    here = {"versions": doctor_node.versions(wanted), "token": doctor_node.token(wanted)}
    return Seen(here, views, {name: node["Resources"] for name, node in nodes.items()}, skew_s, silent)


def _named(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Nodes by their host names, with a part of their ids where two share a machine."""
    hosts = [str(node.get("NodeManagerHostname") or node["NodeManagerAddress"]) for node in nodes]
    return {
        host if hosts.count(host) == 1 else f"{host}/{node['NodeID'][:6]}": node for host, node in zip(hosts, nodes)
    }


class Doctor:
    """Sits on one node while it is looked at."""

    def look(self, wanted: Wanted) -> View:
        return look(wanted)

    def clock(self) -> float:
        return doctor_node.clock()


def _ask(nodes: Mapping[str, Mapping[str, Any]], wanted: Wanted) -> tuple[dict[str, View], dict[str, float], list[str]]:
    """Each node's view and the lead of its clock, and a sentence for each node that did not answer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    actor: Any = ray.remote(num_cpus=0, max_restarts=0)(Doctor)
    doctors: dict[str, Any] = {
        name: actor.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote()
        for name, node in nodes.items()
    }
    asked = {name: doctor.look.remote(wanted) for name, doctor in doctors.items()}
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
    views, skew_s, silent = {}, {}, []
    for name, reference in asked.items():
        try:
            views[name] = ray.get(reference, timeout=0)
            skew_s[name] = lead_s(lambda doctor=doctors[name]: ray.get(doctor.clock.remote(), timeout=ANSWER_S))
        except ray.exceptions.GetTimeoutError:
            silent.append(f"{name} started no process, or did not answer, within {ANSWER_S:g} s")
        except ray.exceptions.RayError as error:
            silent.append(f"{name} cannot run GANRay: {str(error).strip().splitlines()[-1]}")
    return views, skew_s, silent


def lead_s(their_clock: Any, own_clock: Any = time.time) -> float:
    """How far a clock is ahead of ours, by the quickest of some answers, as NTP does; good to half of its way."""
    found = []
    for _ in range(PINGS):
        asked = own_clock()
        theirs = their_clock()
        answered = own_clock()
        found.append((answered - asked, theirs - (asked + answered) / 2))
    return float(min(found)[1])


@contextmanager
def _probes(wanted: Wanted) -> Iterator[tuple[str, ...]]:
    """An empty file in each local folder that the nodes have to share, as long as they are asked."""
    made = []
    try:
        for place in {wanted.runs, *wanted.stores}:
            folder = doctor_node.nearest_folder(Path(place))
            if is_remote(place) or str(folder) != place:
                continue  # what is not there yet cannot be seen
            probe = folder / f".doctor-{os.urandom(8).hex()}"
            with suppress(OSError):  # the check of the store says so
                probe.touch()
                made.append(probe)
        yield tuple(str(probe) for probe in made)
    finally:
        for probe in made:
            with suppress(OSError):
                probe.unlink()


def worst(findings: Sequence[Finding]) -> str:
    """`problem`, `warning` or `ok`."""
    levels = {finding.level for finding in findings}
    return next((level for level in ("problem", "warning") if level in levels), "ok")


def as_json(findings: Sequence[Finding]) -> str:
    """The report for machines."""
    return json.dumps({"level": worst(findings), "findings": [asdict(finding) for finding in findings]}, indent=2)


def as_table(findings: Sequence[Finding]) -> Table:
    """The report for people: a line per finding, below it the fix."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        where = f"{finding.node}: " if finding.node else ""
        text = Text(where + finding.text)
        if finding.fix and finding.level != "ok":
            text.append(f"\n→ {finding.fix}", style="cyan")
        table.add_row(Text(finding.level, style=STYLE[finding.level]), finding.check, text)
    return table
