"""`ganray reproduce` without Ray: which experiments it writes and sweeps, and what it does when called again."""

import shutil

import pytest
from rich.console import Console

from ganray.cluster import reproduce as module
from ganray.cluster.reproduce import Options, check_before_start, experiment_name, make_plan, reproduce, submissions
from ganray.errors import ClusterError, DataError
from ganray.recipe.experiment import load_experiment
from ganray.report.after_sweep import SweepResult
from ganray.report.benchmark_table import benchmark_table
from ganray.report.benchmarks import load_benchmark
from ganray.store.schema import EvaluationRow, TrialRow
from ganray.store.store import Store

CELL = "dcgan:hubble"


@pytest.fixture
def benchmark():
    return load_benchmark("samples-64")


@pytest.fixture
def options(tmp_path):
    return Options(tmp_path / "runs", Store(tmp_path / "store"))


class Sweeps:
    """Stands in for `run_sweep`: a trial per seed, each with the status that `fate` gives its seed."""

    def __init__(self):
        self.calls, self.fate, self.error, self.stop_after = [], {}, None, None

    def __call__(self, experiment, options, console):
        self.calls.append((experiment.name, [p["seed"] for p in experiment.design], options.resume))
        if self.error:
            raise self.error
        store, folder = Store(experiment.settings.store), experiment.settings.runs
        (module.Path(folder) / experiment.name).mkdir(parents=True, exist_ok=True)
        (module.Path(folder) / experiment.name / "experiment.json").touch()
        recipes = [experiment.fixed(params) for params in experiment.design]
        before = {row["trial_id"]: row["status"] for row in store.trials(experiment.name).to_pylist()}
        ended = failed = 0
        for i, recipe in enumerate(recipes):
            trial_id = recipe.trial_id(experiment.name)
            status = before.get(trial_id, "running")
            if status == "running" and (self.stop_after is None or i < self.stop_after):
                status = self.fate.get(recipe.seed, "completed")
                put(store, experiment.name, recipe, trial_id, status)
            elif status == "running":
                put(store, experiment.name, recipe, trial_id, "running")
            ended, failed = ended + (status == "completed"), failed + (status == "failed")
        return SweepResult(
            experiment=experiment.name, file=experiment.source.path, store=store, metric=experiment.metric,
            trials=len(recipes), ended=ended, failed=failed, seconds=1.0,
        )  # fmt: skip


def put(store, experiment, recipe, trial_id, status):
    store.put_trial(
        TrialRow(
            trial_id=trial_id, experiment=experiment, recipe_json=recipe.model_dump_json(), recipe_hash=recipe.hash,
            dataset=recipe.data.source.split(":")[1], dataset_fingerprint="f", n_images=100,
            resolution=recipe.data.resolution, generator=recipe.generator.name,
            discriminator=recipe.discriminator.name, loss=recipe.objective.loss.name, seed=recipe.seed,
            budget_kimg=recipe.budget.kimg, batch_size=recipe.budget.batch_size, status=status, device="cpu",
            kimg=recipe.budget.kimg, device_s=40.0, diagnosis="NaN" if status == "failed" else None,
        )
    )  # fmt: skip
    if status == "completed":
        store.put_evaluation(
            EvaluationRow(
                trial_id=trial_id, experiment=experiment, kimg=recipe.budget.kimg, protocol="fd_lite0_200_train",
                extractor="lite0", extractor_checksum="c", n_fake=200, n_real=100, frechet=300.0 + recipe.seed,
            )
        )  # fmt: skip


@pytest.fixture
def sweeps(monkeypatch):
    found = Sweeps()
    monkeypatch.setattr(module, "run_sweep", found)
    return found


@pytest.fixture
def call(benchmark, options, sweeps):
    """call(...) is one `ganray reproduce`; returns what it swept."""

    def call(cells=(CELL,), **changes):
        sweeps.calls = []
        found, absent = make_plan(benchmark, options, list(cells), **changes)
        return reproduce(found, absent, options, Console(quiet=True)), sweeps.calls

    return call


def test_one_sweep_a_cell_and_the_table_is_filled(call, benchmark, options):
    _, calls = call(["dcgan:*"])
    assert calls == [
        (f"samples-64.dcgan.{name}", [0, 1, 2], False) for name in ("hubble", "ihc", "retina", "gravel")
    ]  # fmt: skip
    board = benchmark_table(options.store, benchmark)
    assert [cell.ours.mean for cell in board.row(benchmark.methods[0])] == [301.0] * 4
    assert call(["dcgan:*"])[1] == []


def test_the_file_that_was_swept_runs_by_hand(call, options, benchmark):
    call()
    experiment = load_experiment(options.runs / "samples-64.dcgan.hubble.yaml")
    assert experiment.settings.store == options.store.uri
    assert experiment.metric == benchmark.protocol
    assert [experiment.fixed(params).seed for params in experiment.design] == [0, 1, 2]
    cell = benchmark.runnable[0]
    assert experiment.sample() == cell.recipe(0)


def test_an_interrupted_sweep_is_resumed_and_only_what_is_missing_runs(call, sweeps):
    sweeps.stop_after = 1
    outcomes, _ = call(["dcgan:hubble", "dcgan:ihc"])
    assert len(outcomes) == 1  # Ctrl-C ends all of it
    assert outcomes[0].is_unfinished
    sweeps.stop_after = None
    _, calls = call()
    assert calls == [("samples-64.dcgan.hubble", [0, 1, 2], True)]
    assert call()[1] == []


def test_more_seeds_are_an_experiment_of_their_own(call):
    assert call(seeds=2)[1] == [("samples-64.dcgan.hubble.seeds-0-1", [0, 1], False)]
    assert call(seeds=6)[1] == [("samples-64.dcgan.hubble.seeds-2-to-5", [2, 3, 4, 5], False)]
    assert call(seeds=6)[1] == []


def test_another_budget_is_an_experiment_of_its_own(call):
    assert call(kimg=0.5)[1] == [("samples-64.dcgan.hubble.0.5kimg", [0, 1, 2], False)]
    assert call()[1] == [("samples-64.dcgan.hubble", [0, 1, 2], False)]
    assert call(kimg=0.5)[1] == []


def test_failed_seeds_are_retried_on_request_only(call, sweeps):
    sweeps.fate = {1: "failed"}
    outcomes, _ = call()
    assert outcomes[0].results[0].failed == 1
    assert call()[1] == []
    assert call(retry_failed=True)[1] == [("samples-64.dcgan.hubble.seeds-1.retry-1", [1], False)]
    sweeps.fate = {}
    assert call(retry_failed=True)[1] == [("samples-64.dcgan.hubble.seeds-1.retry-2", [1], False)]
    assert call(retry_failed=True)[1] == []


def test_a_cell_that_another_machine_began_is_resumed_from_its_rows(call, sweeps, options):
    sweeps.stop_after = 0
    call()
    shutil.rmtree(options.runs)  # of the other machine only the rows are here
    sweeps.stop_after = None
    assert call()[1] == [("samples-64.dcgan.hubble", [0, 1, 2], True)]
    assert call()[1] == []


def test_an_earlier_sweep_with_more_seeds_than_are_asked_for_is_left_alone(call, sweeps):
    sweeps.stop_after = 0
    call(seeds=6)
    sweeps.stop_after = None
    assert call(seeds=2)[1] == [("samples-64.dcgan.hubble.seeds-0-1", [0, 1], False)]


def test_a_seed_that_was_scored_by_other_weights_is_trained_again(call, options, benchmark):
    call(seeds=2)
    recipe = benchmark.runnable[0].recipe(0)
    for n in range(4):  # most of the table's trials were scored by other weights since
        trial_id = recipe.trial_id(f"newer-{n}")
        put(options.store, f"newer-{n}", recipe, trial_id, "completed")
        score = {"protocol": "fd_lite0_200_train", "extractor": "lite0", "n_fake": 200, "n_real": 100, "frechet": 1.0}
        options.store.put_evaluation(
            EvaluationRow(trial_id=trial_id, experiment=f"newer-{n}", kimg=recipe.budget.kimg,
                          extractor_checksum="new", **score)
        )  # fmt: skip
    assert call(seeds=2)[1] == [("samples-64.dcgan.hubble.seeds-1.retry-1", [1], False)]


def test_a_cell_that_cannot_run_does_not_stop_the_others(call, sweeps):
    sweeps.error = ClusterError("no slot fits")
    outcomes, calls = call(["dcgan:hubble", "patch:hubble"])
    assert [outcome.error for outcome in outcomes] == ["no slot fits"] * 2
    assert len(calls) == 2


def test_names_stay_short_and_tell_seeds_apart(benchmark, options):
    found, _ = make_plan(benchmark, options, [CELL])
    job = found.jobs[0]
    assert experiment_name(job, (0, 1, 2)) == "samples-64.dcgan.hubble"
    assert experiment_name(job, (4,)) == "samples-64.dcgan.hubble.seeds-4"
    assert experiment_name(job, (0, 2)) == "samples-64.dcgan.hubble.seeds-0-2"
    assert experiment_name(job, tuple(range(100))) == "samples-64.dcgan.hubble.seeds-0-to-99"
    odd, even = (experiment_name(job, tuple(range(i, 90, 2))) for i in (0, 1))
    assert odd != even
    assert len(odd) < 60


def test_a_file_of_a_like_name_with_another_recipe_is_left_alone(call, options, benchmark):
    call()
    file = options.runs / "samples-64.dcgan.hubble.yaml"
    other = options.runs / "samples-64.dcgan.hubble.mine.yaml"
    other.write_text(
        file.read_text().replace("width: 12", "width: 8").replace("name: samples-64.dcgan.hubble", "name: x")
    )
    found, _ = make_plan(benchmark, options, [CELL], seeds=4)
    (submission,) = submissions(found.jobs[0], options)
    assert submission.file.name == "samples-64.dcgan.hubble.seeds-3.yaml"


def test_data_that_is_not_here_is_named_with_the_command_before_anything_starts(options):
    found, absent = make_plan(load_benchmark("few-shot-256"), options, ["fastgan:obama", "skip:panda"])
    assert "ganray data fetch obama" in absent["fastgan:obama"]
    assert "ganray data fetch panda" in absent["skip:panda"]
    with pytest.raises(DataError, match="nothing can run, for the data of skip:panda, fastgan:obama is not on this"):
        check_before_start(found, absent, options)


def test_cells_with_data_run_although_others_have_none(call, sweeps, benchmark, options, monkeypatch):
    real = module.open_source

    def open_source(place):
        if place == "sample:ihc":
            raise DataError("sample:ihc is not here")
        return real(place)

    monkeypatch.setattr(module, "open_source", open_source)
    found, absent = make_plan(benchmark, options, ["dcgan:hubble", "dcgan:ihc"])
    assert list(absent) == ["dcgan:ihc"]
    check_before_start(found, absent, options)
    assert [name for name, _, _ in call(["dcgan:hubble", "dcgan:ihc"])[1]] == ["samples-64.dcgan.hubble"]
