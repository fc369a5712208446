"""One long-suffering sweep: what is pulled, when it was noticed, when the interrupted trial went on."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from tests.faults.harness import ROOT, Cluster, Sweep
from tests.faults.judge import Verdict, judge
from tests.faults.processes import kill, wait_for

PATIENCE_S = 300.0
"""How long a sweep may take to come to the middle of a trial, or to go on with it."""

FILE = """
name: faults
data: {{source: "sample:hubble", resolution: 32}}
generator: {{name: dcgan, width: 4, latent_dim: 8}}
discriminator: {{name: dcgan, width: 4}}
tricks: [{{name: ema, decay: 0.9}}, {{name: flips}}, {{name: diffaugment}}]
budget: {{kimg: {kimg:g}, batch_size: 8}}
evaluation: {{protocols: [tiny], every_kimg: 0.032}}
seed: {{choice: {seeds}}}
search: {{sampler: grid}}
resources: {{workers_per_trial: {workers}, gpus_per_worker: 0}}
runtime: {{device: cpu}}
"""


def write_file(folder: Path, *, trials: int, workers: int, evaluations: int) -> Path:
    """An experiment file whose recipes are known beforehand: one per seed, with so many evaluations each."""
    file = folder / "faults.yaml"
    seeds = list(range(trials))
    file.write_text(FILE.format(kimg=evaluations * 0.032, seeds=seeds, workers=workers))
    return file


def run_undisturbed(file: Path) -> Path:
    """Train the same recipes without Ray and without faults; the store with their rows."""
    store, runs = file.parent / "undisturbed", file.parent / "undisturbed-runs"
    command = [sys.executable, "-m", "tests.faults.reference", str(file), "--store", str(store), "--runs", str(runs)]
    cache = os.environ.get("GANRAY_CACHE_DIR", str(file.parent / "cache"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GANRAY_CACHE_DIR": cache}
    subprocess.run(command, check=True, env=environment, cwd=file.parent, timeout=1200)
    return store


@dataclass
class Fault:
    """One plug that was pulled."""

    name: str
    detected_s: float | None = None
    """Until another process of the sweep ended or was started for it, or the driver ended."""
    recovered_s: float | None = None
    """Until the next new evaluation of the interrupted trial; where someone had to type --resume, from then."""
    trial: str = ""
    code: int | None = None
    """Exit code of a driver that had to end."""
    note: str = ""


class Rows:
    """The evaluations of a local store as its files hold them; each file is read once."""

    def __init__(self, store: Path, name: str) -> None:
        self._folder = store / "evaluations" / f"experiment={name}"
        self._read: dict[str, list[dict[str, Any]]] = {}

    def all(self) -> list[dict[str, Any]]:
        """In the order of writing."""
        for file in self._folder.glob("*.parquet"):
            if file.name not in self._read:
                columns = ["trial_id", "kimg", "created_at"]
                self._read[file.name] = pq.ParquetFile(file).read(columns=columns).to_pylist()
        return sorted((row for rows in self._read.values() for row in rows), key=lambda row: row["created_at"])

    def keys(self, since_s: float = 0.0) -> set[tuple[str, float]]:
        """Trial and kimg of what was written later than this wall-clock time."""
        return {
            (row["trial_id"], round(row["kimg"], 6)) for row in self.all() if row["created_at"].timestamp() >= since_s
        }


class Rig:
    """A cluster, one experiment on it, and the sweep that runs now."""

    def __init__(self, cluster: Cluster, file: Path, *, trials: int, evaluations: int, seed: int = 0) -> None:
        self.cluster, self.file, self.trials, self.evaluations = cluster, file, trials, evaluations
        self.store = file.parent / "runs" / "store"
        self.rows = Rows(self.store, file.stem)
        self.random = random.Random(seed)
        self.faults: list[Fault] = []
        self.sweeps: list[Sweep] = []

    @property
    def sweep(self) -> Sweep:
        """The newest sweep."""
        return self.sweeps[-1]

    def start(self, *flags: str, terminal: bool = False) -> Sweep:
        """Begin the sweep, or go on with it."""
        self.sweeps.append(Sweep(self.cluster, self.file, *flags, terminal=terminal))
        return self.sweep

    def wait_for_rows(self) -> None:
        """Wait for the first evaluation."""
        self._wait(self.rows.all, "the first evaluation")

    def midway(self) -> str:
        """Wait until a trial that no fault has hit yet has been evaluated, and is not near its end; its id."""

        def found() -> str | None:
            rows = self.rows.all()
            if not rows or not self.cluster.family.of_role("worker"):
                return None
            trial = rows[-1]["trial_id"]
            done = len({row["kimg"] for row in rows if row["trial_id"] == trial})
            is_new = rows[-1]["created_at"].timestamp() > time.time() - 30
            is_first = trial not in [fault.trial for fault in self.faults]  # what is lost is to have one reason
            return trial if is_new and is_first and 0 < done < self.evaluations - 1 else None

        return str(self._wait(found, "the middle of a trial"))

    def strike(self, name: str, victims: Callable[[], list[psutil.Process]]) -> Fault:
        """SIGKILL some processes in the middle of a trial; wait until it goes on by itself."""
        self.midway()
        time.sleep(self.random.uniform(0.0, 1.5))
        trial = self.midway()
        return self.watch(name, trial, victims(), kill)

    def watch(
        self, name: str, trial: str, victims: list[psutil.Process], act: Callable[[list[psutil.Process]], object]
    ) -> Fault:
        """Do something to processes of the sweep, and measure what comes of it."""
        assert victims, f"nothing to kill for {name}"
        fault = Fault(name, trial=trial)
        self.faults.append(fault)
        before, keys = self._pids(), self.rows.keys()
        spared = before - {process.pid for process in victims}
        began, began_wall_s = time.monotonic(), time.time()
        act(victims)

        def reacted() -> bool:
            now = self._pids()
            return bool(now - before or spared - now)

        self._wait(reacted, f"a sign that {name} was noticed")
        fault.detected_s = round(time.monotonic() - began, 1)
        since_s = began_wall_s + fault.detected_s

        def goes_on() -> bool:
            new = self.rows.keys(since_s) - keys
            return any(key[0] == trial for key in new) or len({key[0] for key in new}) > 1

        self._wait(goes_on, f"an evaluation after {name}")
        fault.recovered_s = round(time.monotonic() - began, 1)
        return fault

    def stop(self, name: str, act: Callable[[Sweep], object], *, wait_s: float = 120.0) -> Fault:
        """Do something in the middle of a trial that ends the driver; wait for its end."""
        fault = Fault(name, trial=self.midway())
        self.faults.append(fault)
        began = time.monotonic()
        act(self.sweep)
        fault.code = self.sweep.wait(wait_s)
        fault.detected_s = round(time.monotonic() - began, 1)
        return fault

    def resume(self, fault: Fault, *, terminal: bool = False) -> Fault:
        """Type --resume after the fault that ended the driver; wait until the trial goes on."""
        keys, began = self.rows.keys(), time.monotonic()
        self.start("--resume", terminal=terminal)

        def goes_on() -> bool:
            # Workers outlive their driver for some seconds: the interrupted trial may be complete by now.
            return bool(self.rows.keys() - keys)

        self._wait(goes_on, f"an evaluation after {fault.name} and --resume")
        fault.recovered_s = round(time.monotonic() - began, 1)
        return fault

    def finish(self, timeout_s: float) -> int:
        """The exit code at the end of all trials."""
        return self.sweep.wait(timeout_s)

    def judge(self, reference: Path) -> Verdict:
        """Compare everything with the undisturbed run."""
        study = self.file.parent / "runs" / self.file.stem / "study.log"
        return judge(self.store, self.file.stem, reference, self.file, study)

    def some(self, role: str, count: int | None = None) -> list[psutil.Process]:
        """Processes of this role, all or so many."""
        found = self.cluster.family.of_role(role)
        return found if count is None else self.random.sample(found, min(count, len(found)))

    def node_with(self, role: str) -> int:
        """A node that runs such a process."""
        return self.cluster.node_of(self.some(role, 1)[0])

    def kill_node(self, name: str, role: str) -> Fault:
        """Pull the plug of a node that runs such a process."""
        self.midway()
        trial = self.midway()
        number = self.node_with(role)
        return self.watch(name, trial, self.cluster.members(number), lambda _: self.cluster.kill_node(number))

    def wait_until_actors_end(self, timeout_s: float = 90.0) -> None:
        """Ray has noticed that the driver is gone."""
        wait_for(lambda: not self.cluster.family.of_jobs(), timeout_s, "the end of all actors")

    def _pids(self) -> set[int]:
        return {process.pid for process in self.cluster.family.of_jobs()}

    def _wait(self, find: Callable[[], Any], what: str) -> Any:
        """The first true answer, while the sweep runs; AssertionError with what it said where it ends before."""

        def find_unless_ended() -> Any:
            if self.sweep.process.poll() is not None:
                raise AssertionError(f"the sweep ended with {self.sweep.process.returncode} before {what}")
            return find()

        try:
            return wait_for(find_unless_ended, PATIENCE_S, what)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"{error}; it said:\n{self.sweep.text}") from None
