"""What store and study must be after any fault: compared with an undisturbed run, file by file and through Store."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

VOLATILE = {
    "evaluations": {"created_at", "seconds", "device_s", "grid_uri", "pairs_uri", "checkpoint_uri"},
    "curves": {"created_at", "images_per_s", "memory_bytes"},
}
"""Columns that say when, where and how fast: two runs of one recipe differ in them."""
KEYS = {"evaluations": ("trial_id", "kimg", "protocol"), "curves": ("trial_id", "kimg")}

Key = tuple[Any, ...]


@dataclass
class Verdict:
    """What is wrong; all empty after a sweep that lost nothing."""

    unfinished: list[str] = field(default_factory=list)
    """Trials of the undisturbed run that are not completed."""
    lost: list[Key] = field(default_factory=list)
    """Rows that the undisturbed run has."""
    doubled: list[Key] = field(default_factory=list)
    """Keys that readers see twice, or rows written again with other numbers."""
    different: list[Key] = field(default_factory=list)
    """Rows whose numbers are not, bit for bit, those of the undisturbed run."""
    unknown: list[Key] = field(default_factory=list)
    """Rows that the undisturbed run does not have."""
    study: list[str] = field(default_factory=list)
    """What Optuna's study says otherwise than the store."""
    repeated: int = 0
    """Rows written again, equal: the work between a checkpoint and a fault. Not an error."""
    evaluations: int = 0
    """Evaluations of the undisturbed run."""

    @property
    def is_clean(self) -> bool:
        return not (self.unfinished or self.lost or self.doubled or self.different or self.unknown or self.study)


def judge(store: Path, name: str, reference: Path, file: Path | None = None, study: Path | None = None) -> Verdict:
    """Compare the sweep `name` in a local store with its undisturbed run; with `study`, Optuna's journal as well."""
    from ganray.store.store import Store

    verdict = Verdict()
    mine, theirs = Store(store), Store(reference)
    status = {row["trial_id"]: (row["status"], row["kimg"]) for row in mine.trials(name).to_pylist()}
    wanted = {row["trial_id"]: (row["status"], row["kimg"]) for row in theirs.trials(name).to_pylist()}
    verdict.unfinished = [f"{t}: {status.get(t)}" for t in wanted if status.get(t) != wanted[t]]
    verdict.unfinished += [f"{t}: not a trial of this sweep" for t in status if t not in wanted]
    for table in KEYS:
        _judge_table(verdict, table, store, name, getattr(mine, table)(name), getattr(theirs, table)(name))
    if study is not None:
        assert file is not None
        verdict.study = judge_study(study, file, mine)
    return verdict


def _judge_table(verdict: Verdict, table: str, store: Path, name: str, mine: Any, theirs: Any) -> None:
    seen = _by_key(table, mine.to_pylist())
    wanted = {key: rows[0] for key, rows in _by_key(table, theirs.to_pylist()).items()}
    raw = raw_rows(store, table, name)
    if table == "evaluations":
        verdict.evaluations = len(wanted)
    for key, rows in _by_key(table, raw).items():
        verdict.repeated += len(rows) - 1
        if any(not _equal(row, rows[0]) for row in rows) or len(seen.get(key, [])) > 1:
            verdict.doubled.append((table, *key))
        if key not in wanted:
            verdict.unknown.append((table, *key))
        elif not all(_equal(row, wanted[key]) for row in rows):
            verdict.different.append((table, *key))
    verdict.lost += [(table, *key) for key in wanted if key not in seen]


def judge_study(study: Path, file: Path, store: Any) -> list[str]:
    """Each trial COMPLETE once with the store's last value, none RUNNING; what is otherwise."""
    import optuna

    from ganray.cluster.study import study_storage
    from ganray.recipe.experiment import load_experiment

    experiment = load_experiment(file)
    last: dict[str, tuple[float, float]] = {}
    for row in store.evaluations(experiment.name).to_pylist():
        if row["protocol"] == experiment.metric:
            last[row["trial_id"]] = max(last.get(row["trial_id"], (-1.0, 0.0)), (row["kimg"], row["frechet"]))
    faults: list[str] = []
    complete: dict[str, int] = defaultdict(int)
    for trial in optuna.load_study(study_name=experiment.name, storage=study_storage(study)).get_trials():
        if not trial.state.is_finished():
            faults.append(f"trial {trial.number} is {trial.state.name}")
        elif trial.state.name == "COMPLETE":
            trial_id = experiment.fixed(trial.params).trial_id(experiment.name)
            complete[trial_id] += 1
            if trial.value != last[trial_id][1]:
                faults.append(f"trial {trial.number} has {trial.value}, the store {last[trial_id][1]}")
    return faults + [
        f"{trial_id} is COMPLETE {complete[trial_id]} times" for trial_id in last if complete[trial_id] != 1
    ]


def raw_rows(store: Path, table: str, name: str) -> list[dict[str, Any]]:
    """Every row of every file, read by pyarrow alone, in the order of writing."""
    files = sorted((store / table / f"experiment={name}").glob("*.parquet"))
    rows = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    return sorted(rows, key=lambda row: row["created_at"])


def _by_key(table: str, rows: list[dict[str, Any]]) -> dict[Key, list[dict[str, Any]]]:
    found: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        key = tuple(round(row[k], 9) if k == "kimg" else row[k] for k in KEYS[table])
        found[key].append({k: v for k, v in row.items() if k not in VOLATILE[table] and k != "experiment"})
    return found


def _equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(
        a[k] == b[k] or (isinstance(a[k], float) and isinstance(b[k], float) and math.isnan(a[k]) and math.isnan(b[k]))
        for k in a
    )
