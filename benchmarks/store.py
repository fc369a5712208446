"""The store with a million evaluations: appends, the questions people ask, memory; beside SQLite and MLflow.

    python benchmarks/store.py                          # 10,000 trials x 100 evaluations; writes results/store.json
    python benchmarks/store.py --trials 300             # quicker

The rows are made up (a random walk per trial); their number, widths and the spread of values are as in real sweeps.
Before compaction each trial's evaluations are in `--files` files, as many as they would be written at different times
(a million files of one row each would take longer to make than to measure). Each question is asked three times in a
process of its own, and the median is kept: the first answer of a process includes its imports, which are counted apart.

SQLite holds the same rows in one table with the keys' index. Optuna's storage holds the same trials with their
intermediate values, which is all it can hold of them, and MLflow's the same distances as metrics of runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

RESULT = Path(__file__).parent / "results" / "store.json"
PROTOCOLS = ("fid_5k_train", "fd_lite0_1k_train")
WRITERS, APPENDS = 32, 50
START = datetime(2026, 1, 1, tzinfo=UTC)
RECIPE = json.dumps(
    {
        "data": {"source": "catalog:obama", "resolution": 256},
        "generator": {"name": "fastgan", "width": 64},
        "discriminator": {"name": "fastgan", "width": 64},
        "objective": {"loss": {"name": "hinge"}, "penalties": [{"name": "r1", "gamma": 1.0}]},
        "tricks": [{"name": "ema", "decay": 0.999}, {"name": "diffaugment"}],
        "budget": {"kimg": 400.0, "batch_size": 8},
        "seed": 0,
    }
)


def trial_rows(trials: range, experiments: int) -> list[dict[str, Any]]:
    """Trials of several experiments, each of its own recipe and seed."""
    losses = ("hinge", "lsgan", "ragan", "rpgan", "non_saturating")
    return [
        {
            "trial_id": f"{n:012x}",
            "experiment": f"exp{n % experiments:02d}",
            "recipe_json": RECIPE.replace('"seed": 0', f'"seed": {n % 3}').replace("hinge", losses[n % 5]),
            "recipe_hash": f"{n:064x}",
            "dataset": ("obama", "panda", "animalface-cat")[n % 3],
            "dataset_fingerprint": ("f0", "f1", "f2")[n % 3],
            "n_images": 100,
            "resolution": 256,
            "generator": "fastgan",
            "discriminator": ("fastgan", "patch")[n % 2],
            "loss": losses[n % 5],
            "penalties": ["r1"],
            "tricks": ["diffaugment", "ema"],
            "seed": n % 3,
            "budget_kimg": 400.0,
            "batch_size": 8,
            "status": "completed",
            "kimg": 400.0,
            "device_s": 3600.0 + n,
            "created_at": START + timedelta(seconds=n),
            "updated_at": START + timedelta(hours=9, seconds=n),
        }
        for n in trials
    ]


def evaluation_columns(n: int, per_trial: int, experiments: int) -> dict[str, list[Any]]:
    """One trial's evaluations, `per_trial` of them over two protocols."""
    rng = np.random.default_rng(n)
    steps = per_trial // 2
    kimg = np.repeat(400.0 * np.arange(1, steps + 1) / steps, 2)
    frechet = 30 + 300 * np.exp(-kimg / 80) + rng.normal(0, 4, len(kimg)).cumsum() / 10
    count = len(kimg)
    return {
        "trial_id": [f"{n:012x}"] * count,
        "experiment": [f"exp{n % experiments:02d}"] * count,
        "kimg": kimg.tolist(),
        "protocol": list(PROTOCOLS) * steps,
        "extractor": ["inception", "lite0"] * steps,
        "extractor_checksum": ["6726825d" * 8, "c0ffee00" * 8] * steps,
        "n_fake": [5000, 1000] * steps,
        "n_real": [100] * count,
        "frechet": frechet.tolist(),
        "kid": (frechet / 1000).tolist(),
        "kid_stderr": [0.001] * count,
        "memorised": rng.random(count).tolist(),
        "device_s": (kimg * 9).tolist(),
        "grid_uri": [f"s3://bucket/ganray/artifacts/experiment=e/{n:012x}/grid-{k:.0f}.png" for k in kimg],
        "created_at": [START + timedelta(seconds=n + k) for k in kimg],
    }


def fill(folder: Path, trials: int, per_trial: int, files: int, experiments: int) -> None:
    """Write the store's files as its writers do, without their fsync."""
    from ganray.store.read import partition
    from ganray.store.schema import TABLES
    from ganray.store.store import new_sequence, to_parquet

    def put(table: str, experiment: str, trial_id: str, rows: pa.Table) -> None:
        place = folder / table / partition(experiment)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{trial_id}-{new_sequence()}.parquet").write_bytes(to_parquet(rows))

    empty = {table: pa.schema([f.with_nullable(True) for f in schema]) for table, schema in TABLES.items()}
    for row in trial_rows(range(trials), experiments):
        put("trials", row["experiment"], row["trial_id"], pa.Table.from_pylist([row], schema=empty["trials"]))
    for n in range(trials):
        columns = evaluation_columns(n, per_trial, experiments)
        missing = {f.name: [None] * len(columns["kimg"]) for f in empty["evaluations"] if f.name not in columns}
        rows = pa.Table.from_pydict({**columns, **missing}, schema=empty["evaluations"])
        size = -(-rows.num_rows // files)
        for start in range(0, rows.num_rows, size):
            put("evaluations", columns["experiment"][0], columns["trial_id"][0], rows.slice(start, size))


# The questions, each as one sees it from the outside. Every one is asked in a process of its own.


def ask_few_shot(place: Path) -> int:
    """`ganray table few-shot-256`."""
    from ganray.report.benchmark_table import benchmark_table
    from ganray.store.store import Store

    return len(benchmark_table(Store(place), "few-shot-256").cells)


def ask_across(place: Path) -> int:
    """`ganray leaderboard --dataset obama`."""
    from ganray.report.across import across
    from ganray.report.across_rows import Filter
    from ganray.store.store import Store

    return len(across(Store(place), Filter(dataset="obama")).sections)


def ask_table(place: Path) -> int:
    """Mean of the best FID per data set, discriminator and loss: a benchmark's table as SQL."""
    from ganray.store.query import query
    from ganray.store.store import Store

    sql = (
        "SELECT dataset, discriminator, loss, avg(best), stddev(best), count(*) FROM results "
        "WHERE protocol = 'fid_5k_train' AND status = 'completed' GROUP BY ALL ORDER BY ALL"
    )
    return query(Store(place), sql).num_rows


def ask_leaderboard(place: Path) -> int:
    """The best trials on one data set as SQL."""
    from ganray.store.query import query
    from ganray.store.store import Store

    sql = (
        "SELECT trial_id, best, best_kimg FROM results WHERE dataset = 'obama' AND protocol = 'fid_5k_train' "
        "ORDER BY best LIMIT 20"
    )
    return query(Store(place), sql).num_rows


def ask_curve(place: Path) -> int:
    """All evaluations of one trial."""
    from ganray.store.store import Store

    return Store(place).evaluations(trial_id=f"{77:012x}").num_rows


def ask_sql(place: Path) -> int:
    """An aggregate over every row."""
    from ganray.store.query import query
    from ganray.store.store import Store

    sql = "SELECT protocol, floor(kimg / 40) AS k, avg(frechet) FROM evaluations GROUP BY ALL"
    return query(Store(place), sql).num_rows


_SQLITE_RESULTS = (
    "SELECT t.dataset, t.discriminator, t.loss, avg(b.best), count(*) FROM trials t JOIN (SELECT trial_id, "
    "min(frechet) AS best FROM evaluations WHERE protocol = 'fid_5k_train' GROUP BY trial_id) b USING (trial_id) "
    "GROUP BY 1, 2, 3"
)
_SQLITE_BEST = (
    "SELECT t.trial_id, min(e.frechet), e.kimg FROM trials t JOIN evaluations e USING (trial_id) WHERE t.dataset = "
    "'obama' AND e.protocol = 'fid_5k_train' GROUP BY 1 ORDER BY 2 LIMIT 20"
)


def ask_sqlite(sql: str, *parameters: str) -> Callable[[Path], int]:
    """The same question of a SQLite file."""
    return lambda place: len(sqlite3.connect(place).execute(sql, parameters).fetchall())


def ask_optuna_curve(place: Path) -> int:
    """One trial's intermediate values of Optuna's SQLite storage."""
    from optuna.storages import RDBStorage

    storage = RDBStorage(f"sqlite:///{place}")
    study_id = storage.get_study_id_from_name("bench")
    return len(storage.get_trial(storage.get_trial_id_from_study_id_trial_number(study_id, 7)).intermediate_values)


def ask_optuna_best(place: Path) -> int:
    """The best trials of Optuna's SQLite storage: it reads them all."""
    import optuna

    study = optuna.load_study(study_name="bench", storage=f"sqlite:///{place}")
    return len(sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.value or 0)[:20])


def ask_mlflow_best(place: Path) -> int:
    """The best runs of MLflow's SQLite store."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{place}")
    experiment = client.get_experiment_by_name("bench")
    return len(client.search_runs([experiment.experiment_id], order_by=["metrics.fid ASC"], max_results=20))


def ask_mlflow_curve(place: Path) -> int:
    """One run's metric history of MLflow's SQLite store."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{place}")
    experiment = client.get_experiment_by_name("bench")
    run = client.search_runs([experiment.experiment_id], max_results=1)[0]
    return len(client.get_metric_history(run.info.run_id, "fid"))


QUESTIONS: dict[str, Callable[[Path], int]] = {
    "ganray table few-shot-256": ask_few_shot,
    "ganray leaderboard": ask_across,
    "table": ask_table,
    "leaderboard": ask_leaderboard,
    "trial": ask_curve,
    "all rows": ask_sql,
    "sqlite table": ask_sqlite(_SQLITE_RESULTS),
    "sqlite leaderboard": ask_sqlite(_SQLITE_BEST),
    "sqlite trial": ask_sqlite("SELECT * FROM evaluations WHERE trial_id = ?", f"{77:012x}"),
    "sqlite all rows": ask_sqlite(
        "SELECT protocol, cast(kimg / 40 AS INT), avg(frechet) FROM evaluations GROUP BY 1, 2"
    ),
    "optuna leaderboard": ask_optuna_best,
    "optuna trial": ask_optuna_curve,
    "mlflow leaderboard": ask_mlflow_best,
    "mlflow trial": ask_mlflow_curve,
}


def ask(question: str, place: Path, times: int = 3, python: str = sys.executable) -> dict[str, float]:
    """Median seconds, seconds of the first answer with its imports, and peak memory of the process that asked."""
    command = [python, __file__, "--ask", question, "--place", str(place), "--times", str(times)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  {question:26} {answer['median_s']:8.3f} s   first {answer['first_s']:.2f} s   {answer['peak_mib']:.0f} MiB"
    )
    return answer


def answer(question: str, place: Path, times: int) -> None:
    """What the process of one question does."""
    seconds, rows = [], 0
    for _ in range(times + 1):
        began = time.perf_counter()
        rows = QUESTIONS[question](place)
        seconds.append(time.perf_counter() - began)
    result = {"median_s": statistics.median(seconds[1:]), "first_s": seconds[0], "peak_mib": peak_mib(), "rows": rows}
    print(json.dumps(result))


def peak_mib() -> float:
    """The most memory that this process has had; unlike getrusage's, without what its parent had when it forked."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def append_concurrently(place: Path) -> dict[str, float]:
    """Single rows by 32 processes at once; raises where one was lost or torn."""
    from ganray.store.store import Store
    from ganray.store.verify import verify

    began = time.perf_counter()
    command = [sys.executable, __file__, "--append", "--place", str(place)]
    children = [subprocess.Popen([*command, "--times", str(n)], stdout=subprocess.PIPE) for n in range(WRITERS)]
    latencies = [float(s) for child in children for s in child.communicate()[0].decode().split()]
    seconds = time.perf_counter() - began
    store = Store(place)
    rows, torn = store.evaluations().num_rows, verify(store).torn
    if rows != WRITERS * APPENDS or torn or len(latencies) != rows:
        raise SystemExit(f"{WRITERS * APPENDS} rows were written, {rows} are there, {len(torn)} files are torn")
    return {
        "writers": WRITERS,
        "rows": rows,
        "lost": 0,
        "torn": 0,
        "median_ms": 1000 * statistics.median(latencies),
        "p99_ms": 1000 * statistics.quantiles(latencies, n=100)[-1],
        "seconds_with_start_of_processes": seconds,
    }


def append(place: Path, writer: int) -> None:
    """What one of the writers does."""
    from ganray.store.schema import EvaluationRow
    from ganray.store.store import Store

    store = Store(place)
    for n in range(APPENDS):
        row = EvaluationRow(
            trial_id=f"w{writer}", experiment="append", kimg=float(n), protocol="p", extractor="e",
            extractor_checksum="c", n_fake=1, n_real=1, frechet=1.0,
        )  # fmt: skip
        began = time.perf_counter()
        store.put_evaluation(row)
        print(time.perf_counter() - began)


def make_sqlite(path: Path, trials: int, per_trial: int, experiments: int) -> None:
    """The same rows in two tables of SQLite, with the keys as the index."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    first, example = trial_rows(range(1), experiments)[0], evaluation_columns(0, 2, experiments)
    connection.execute(f"CREATE TABLE trials ({', '.join(first)}, PRIMARY KEY (trial_id))")
    connection.execute(f"CREATE TABLE evaluations ({', '.join(example)}, PRIMARY KEY (trial_id, kimg, protocol))")
    for row in trial_rows(range(trials), experiments):
        values = [
            json.dumps(v) if isinstance(v, list) else str(v) if isinstance(v, datetime) else v for v in row.values()
        ]
        connection.execute(f"INSERT INTO trials VALUES ({', '.join('?' * len(values))})", values)
    for n in range(trials):
        columns = evaluation_columns(n, per_trial, experiments)
        columns["created_at"] = [str(v) for v in columns["created_at"]]
        rows = zip(*columns.values())
        connection.executemany(f"INSERT INTO evaluations VALUES ({', '.join('?' * len(columns))})", rows)
    connection.commit()
    connection.close()


def make_optuna(path: Path, trials: int, per_trial: int) -> None:
    """The trials with their intermediate values in Optuna's SQLite storage."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name="bench", storage=f"sqlite:///{path}")
    for n in range(trials):
        columns = evaluation_columns(n, per_trial, 1)
        values = {
            int(k * 1000): v
            for k, v, p in zip(columns["kimg"], columns["frechet"], columns["protocol"])
            if p == PROTOCOLS[0]
        }
        study.add_trial(optuna.trial.create_trial(value=min(values.values()), intermediate_values=values))


def make_mlflow(path: Path, trials: int, per_trial: int) -> None:
    """The trials as runs of MLflow's SQLite store, their distances as a metric."""
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{path}")
    experiment = client.create_experiment("bench")
    for n in range(trials):
        columns = evaluation_columns(n, per_trial, 1)
        run = client.create_run(experiment)
        metrics = [
            Metric("fid", v, 0, int(k * 1000))
            for k, v, p in zip(columns["kimg"], columns["frechet"], columns["protocol"])
            if p == PROTOCOLS[0]
        ]
        client.log_batch(run.info.run_id, metrics=metrics)


def measure(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Any]]:
    """Everything, in order; yields each result as soon as it is known."""
    from ganray.store.compact import compact
    from ganray.store.store import Store

    trials, per_trial, experiments = arguments.trials, arguments.per_trial, arguments.experiments
    yield "append", append_concurrently(folder / "append")
    place = folder / "store"
    began = time.perf_counter()
    fill(place, trials, per_trial, arguments.files, experiments)
    print(f"{trials} trials, {trials * per_trial} evaluations written in {time.perf_counter() - began:.0f} s")
    (place / "ganray-store.json").write_text('{"format": "ganray-store", "schema_version": 2, "readable_from": 1}')
    questions = [q for q in QUESTIONS if not q.startswith(("sqlite", "optuna", "mlflow"))]
    print("before compaction")
    yield "before", {q: ask(q, place, times=1) for q in questions}
    began = time.perf_counter()
    done = list(compact(Store(place)))
    yield (
        "compaction",
        {
            "seconds": time.perf_counter() - began,
            "files_before": sum(c.files_before for c in done),
            "files_after": sum(c.files_after for c in done),
            "bytes_before": sum(c.bytes_before for c in done),
            "bytes_after": sum(c.bytes_after for c in done),
            "peak_mib_of_this_process": peak_mib(),
        },
    )
    print("after compaction")
    yield "after", {q: ask(q, place) for q in questions}
    print("SQLite")
    make_sqlite(folder / "rows.sqlite", trials, per_trial, experiments)
    answers = {q: ask(q, folder / "rows.sqlite") for q in QUESTIONS if q.startswith("sqlite")}
    yield "sqlite", {"bytes": (folder / "rows.sqlite").stat().st_size, **answers}
    for name, python in (("optuna", sys.executable), ("mlflow", arguments.mlflow)):
        if python is None:
            print("MLflow is left out: name a Python that has it with --mlflow")
            continue
        print(name)
        place = folder / f"{name}.sqlite"
        numbers = ["--trials", str(arguments.others), "--per-trial", str(per_trial)]
        subprocess.run([python, __file__, "--make", name, "--place", str(place), *numbers], check=True)
        answers = {q: ask(q, place, times=1, python=python) for q in QUESTIONS if q.startswith(name)}
        values = arguments.others * per_trial // 2
        yield name, {"version": version_in(python, name), "trials": arguments.others, "values": values, **answers}


def version_in(python: str, package: str) -> str:
    """A package's version in another Python."""
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--per-trial", type=int, default=100, help="evaluations of each trial")
    parser.add_argument("--files", type=int, default=2, help="files that hold one trial's evaluations at first")
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("--others", type=int, default=1_000, help="trials that are put into Optuna and MLflow")
    parser.add_argument("--mlflow", metavar="PYTHON", help="a Python that has MLflow, which wants another pyarrow")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    parser.add_argument("--make", choices=("optuna", "mlflow"), help=argparse.SUPPRESS)
    parser.add_argument("--append", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--times", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        answer(arguments.ask, arguments.place, arguments.times)
    elif arguments.make:
        make = make_optuna if arguments.make == "optuna" else make_mlflow
        make(arguments.place, arguments.trials, arguments.per_trial)
    elif arguments.append:
        append(arguments.place, arguments.times)
    else:
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    """Measure everything and write it down."""
    with tempfile.TemporaryDirectory(prefix="ganray-store-") as folder:
        results = dict(measure(arguments, Path(folder)))
    versions = {package: version(package) for package in ("pyarrow", "duckdb", "optuna")}
    content = {
        "command": "python " + " ".join(["benchmarks/store.py", *sys.argv[1:]]),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        "versions": {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **versions},
        "trials": arguments.trials,
        "evaluations": arguments.trials * arguments.per_trial,
        **results,
    }
    arguments.output.write_text(json.dumps(content, indent=1) + "\n")
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
