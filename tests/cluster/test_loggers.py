"""Ray's loggers behind ours: driven by made-up events of Tune; TensorBoard and MLflow are the real ones."""

import importlib
import io
import math
import pickle
import secrets
import sys
import threading
import types
from types import SimpleNamespace

import pytest

from ganray.cluster import detached_logger, loggers
from ganray.cluster.detached_logger import DetachedLogger, loggable, plain_key
from ganray.cluster.loggers import build_loggers, check_loggers
from ganray.errors import RecipeError
from ganray.recipe.experiment import load_experiment
from ganray.recipe.loggers import Aim, MLflow, TensorBoard, WeightsAndBiases
from ganray.trial.folder import Runs
from ganray.trial.member import FIRST, MEMBER

FILE = """
name: demo
data: {source: "sample:hubble", resolution: 32}
generator: {name: dcgan, width: 4, latent_dim: 8}
discriminator: {name: dcgan, width: 4}
objective: {loss: {choice: [{name: hinge}, {name: lsgan, c: {uniform: [0.8, 1.0]}}]}}
tricks: [{name: ema, decay: 0.9}, {choice: [null, {name: flips}]}]
budget: {kimg: 1, batch_size: 8}
evaluation: {protocols: [fd_lite0_200_train], every_kimg: 1}
search: {sampler: random}
"""


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "demo.yaml"
    file.write_text(FILE)
    return load_experiment(file, check=False)


@pytest.fixture
def params(experiment):
    return experiment.params_of({"objective": {"loss": {"name": "lsgan", "c": 0.9}}, "tricks": [{"name": "ema"}]})


@pytest.fixture
def ours(experiment, params):
    return experiment.fixed(params).trial_id("demo")


def trial_of(params, name="tune1"):
    config = {"slot": threading.Lock(), **params}  # a lock stands for what no logger may pickle or print
    return SimpleNamespace(trial_id=name, config=config, get_ray_actor_ip=lambda: "10.0.0.1")


def result(kimg, metric, status="running", done=False, **more):
    return {
        "trial": "ours", "kimg": kimg, "fd": metric, "status": status, "done": done, "train/loss_d": 0.5,
        "config": {"slot": object()}, "pid": 7, "hostname": "h", "time_total_s": 1.0, "training_iteration": 3,
        "timestamp": 1, **more,
    }  # fmt: skip


def drive(callback, trial, *results, error=False):
    callback.setup()
    callback.on_trial_start(0, [], trial)
    for number, found in enumerate(results):
        callback.on_trial_result(number, [], trial, found)
    (callback.on_trial_error if error else callback.on_trial_complete)(9, [], trial)
    callback.on_experiment_end([])
    assert not callback._thread.is_alive()


def test_only_finite_numbers_are_logged_and_steps_are_images():
    numbers = loggable(result(1.5, math.inf, diagnoses="x", slot="s", **{"train/loss_g": math.nan}))
    assert numbers == {"kimg": 1.5, "train/loss_d": 0.5, "timesteps_total": 1500, "training_iteration": 1500}


def test_names_of_parameters_are_such_as_every_tracker_takes():
    assert plain_key("objective.loss[lsgan].c") == "objective.loss.lsgan.c"
    assert plain_key("tricks[1]") == "tricks.1"


class Recorder:
    """A logger of Ray's kind that notes its calls, and fails when it is told to."""

    def __init__(self):
        self.calls, self.down = [], set()

    def _note(self, name, *arguments):
        self.calls.append((name, *arguments))
        if name in self.down:
            raise ConnectionError(f"{name}: no route to host")

    def setup(self):
        self._note("setup")

    def log_trial_start(self, trial):
        self._note("start", str(trial), trial.config, trial.evaluated_params)

    def log_trial_result(self, iteration, trial, numbers):
        self._note("result", trial.trial_id, numbers["kimg"])

    def log_trial_end(self, trial, failed):
        self._note("end", trial.trial_id, failed)

    def on_experiment_end(self, trials):
        self._note("over")

    @property
    def names(self):
        return [call[0] for call in self.calls]


@pytest.fixture
def recorded(tmp_path, experiment):
    inner = Recorder()
    return inner, DetachedLogger("recorder", inner, Runs.at(tmp_path / "runs"), experiment)


def test_loggers_see_our_id_and_plain_parameters_without_the_slot(recorded, params, ours):
    inner, callback = recorded
    drive(callback, trial_of(params), result(1, 30.0), result(2, 20.0, "completed", True))
    plain = {plain_key(key): "none" if value is None else value for key, value in params.items()}
    assert "slot" not in plain
    assert any("lsgan" in key for key in plain)
    assert inner.calls == [
        ("setup",), ("start", ours, plain, plain), ("result", ours, 1.0), ("result", ours, 2.0), ("end", ours, False),
        ("over",),
    ]  # fmt: skip


@pytest.mark.parametrize(("status", "error"), [("failed", False), ("running", True)])
def test_a_failed_recipe_and_a_dead_slot_are_failures_there(recorded, params, ours, status, error):
    inner, callback = recorded
    drive(callback, trial_of(params), result(1, 30.0, status), error=error)
    assert ("end", ours, True) in inner.calls


def test_a_member_of_a_population_has_one_run_under_the_recipe_that_it_began_with(recorded, params, ours):
    inner, callback = recorded
    trial = trial_of({**params, "objective.loss[lsgan].c": 0.8, FIRST: params, MEMBER: object()})
    callback.setup()
    for number in range(2):  # it is paused between rounds
        callback.on_trial_start(0, [], trial)
        callback.on_trial_result(0, [], trial, result(number, 30.0))
    callback.on_trial_complete(0, [], trial)
    callback.on_experiment_end([])
    assert inner.names == ["setup", "start", "result", "result", "end", "over"]
    assert inner.calls[1][1] == ours
    assert set(inner.calls[1][2]) == {plain_key(key) for key in params}


def test_parameters_that_fit_no_recipe_are_logged_under_tunes_own_id(recorded):
    inner, callback = recorded
    drive(callback, trial_of({"objective.loss": "no-such-loss"}, "tune7"))
    assert inner.calls[1][1] == "tune7"


def test_a_server_that_is_down_is_told_of_once_and_the_sweep_goes_on(recorded, params, caplog, monkeypatch):
    inner, callback = recorded
    inner.down = {"start", "result", "end"}
    monkeypatch.setenv("WANDB_API_KEY", "no route to host")  # stands for a secret in the error's text
    drive(callback, trial_of(params), result(1, 30.0), result(2, 20.0))
    assert caplog.text.count("the logger recorder failed, the sweep goes on: ConnectionError") == 1
    assert "start: ***" in caplog.text
    assert callback.lost == 3  # the start and two results; an end without a start is no event
    assert "3 event(s) are missing there" in caplog.text


def test_a_trial_whose_start_was_lost_is_started_when_the_server_is_back(recorded, params, ours):
    inner, callback = recorded
    first = threading.Event()
    original = inner.log_trial_start

    def start(trial):
        if not first.is_set():
            first.set()
            raise ConnectionError("down")
        original(trial)

    inner.log_trial_start = start
    drive(callback, trial_of(params), result(1, 30.0))
    assert inner.names == ["setup", "start", "result", "end", "over"]


def test_a_set_up_that_fails_is_tried_again_after_a_pause(recorded, params, monkeypatch):
    inner, callback = recorded
    inner.down = {"setup"}
    drive(callback, trial_of(params), result(1, 30.0), result(2, 20.0))
    assert inner.names == ["setup"]

    inner = Recorder()
    callback = DetachedLogger("recorder", inner, callback.runs, callback.experiment)
    inner.down = {"setup"}
    monkeypatch.setattr(detached_logger, "SETUP_PAUSE_S", 0.0)
    drive(callback, trial_of(params), result(1, 30.0))
    assert inner.names == ["setup"] * 4  # start, result, end, the end of all: each tries


def test_a_logger_that_hangs_neither_holds_up_events_nor_the_end(recorded, params, monkeypatch, caplog):
    inner, callback = recorded
    released = threading.Event()
    inner.log_trial_start = lambda trial: released.wait()
    monkeypatch.setattr(detached_logger, "GOODBYE_S", 0.1)
    trial = trial_of(params)
    callback.setup()
    callback.on_trial_start(0, [], trial)
    for number in range(5):
        callback.on_trial_result(number, [], trial, result(number, 30.0))
    callback.on_experiment_end([])
    assert "has not got everything" in caplog.text
    released.set()


def test_tune_may_pickle_it(recorded):
    pickle.loads(pickle.dumps(recorded[1]))


def events(folder):
    """Scalars of an event file: {tag: {step: value}}."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    (file,) = folder.glob("events.out.tfevents.*")
    found, texts, data = {}, [], io.BytesIO(file.read_bytes())
    while header := data.read(8):
        data.read(4)
        content = data.read(int.from_bytes(header, "little"))
        assert int.from_bytes(data.read(4), "little") == masked_crc32c(content)
        event = Event.FromString(content)
        texts.append(str(event))
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found, "".join(texts)


def test_tensorboard_gets_an_event_file_per_trial(tmp_path, experiment, params, ours):
    runs = Runs.at(tmp_path / "runs")
    (callback,) = build_loggers((TensorBoard(name="tensorboard"),), runs, experiment)
    drive(callback, trial_of(params), result(0.5, 30.0), result(1.0, math.inf), result(1.5, 20.0, "completed", True))
    scalars, text = events(tmp_path / "runs" / "demo" / "tensorboard" / ours)
    assert scalars["ray/tune/fd"] == {500: 30.0, 1500: 20.0}
    assert scalars["ray/tune/train/loss_d"] == {500: 0.5, 1000: 0.5, 1500: 0.5}
    assert "ray/tune/done" not in scalars
    assert "objective.loss.lsgan.c" in text  # among the hyperparameters
    assert callback.lost == 0


def test_event_files_of_remote_runs_go_to_the_uri(experiment, params, ours, tmp_path):
    runs = Runs.at(f"memory://{secrets.token_hex(4)}/runs")
    (callback,) = build_loggers((TensorBoard(name="tensorboard"),), runs, experiment)
    drive(callback, trial_of(params), result(0.5, 30.0))
    (file,) = (runs.folder / "demo" / "tensorboard" / ours).iterdir()
    copy = tmp_path / "copy"
    assert runs.fetch(f"demo/tensorboard/{ours}/{file.name}", copy)
    assert copy.read_bytes() == file.read_bytes()


def test_mlflow_gets_a_run_per_trial(tmp_path, experiment, params, ours, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = f"sqlite:///{tmp_path / 'runs' / 'demo' / 'mlflow.db'}"
    (callback,) = build_loggers((MLflow(name="mlflow"),), Runs.at(tmp_path / "runs"), experiment)
    drive(callback, trial_of(params), result(0.5, 30.0), result(1.0, 20.0, "failed", True))
    assert callback.lost == 0
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("demo").experiment_id])
    assert (run.info.run_name, run.info.status) == (ours, "FAILED")
    assert run.data.params["objective.loss.lsgan.c"] == "0.9"
    assert run.data.tags["experiment"] == "demo"
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "fd")] == [(500, 30.0), (1000, 20.0)]


class AimRun(dict):
    """Stands in for aim.Run."""

    made = []

    def __init__(self, repo, experiment):
        super().__init__()
        self.repo, self.experiment, self.tracked, self.closed = repo, experiment, [], False
        self.made.append(self)

    def track(self, value, name, epoch, step, context):
        self.tracked.append((name, step, value))

    def close(self):
        self.closed = True


@pytest.fixture
def aim(monkeypatch):
    sdk = types.ModuleType("aim.sdk")
    sdk.Repo, sdk.Run = object, AimRun
    package = types.ModuleType("aim")
    package.sdk = sdk
    package.__spec__ = importlib.machinery.ModuleSpec("aim", None)
    monkeypatch.setitem(sys.modules, "aim", package)
    monkeypatch.setitem(sys.modules, "aim.sdk", sdk)
    monkeypatch.delitem(sys.modules, "ray.tune.logger.aim", raising=False)
    monkeypatch.setattr(AimRun, "made", [])
    yield AimRun.made
    sys.modules.pop("ray.tune.logger.aim", None)


def test_aim_gets_a_run_per_trial(tmp_path, experiment, params, ours, aim):
    check_loggers((Aim(name="aim"),))
    (callback,) = build_loggers((Aim(name="aim"),), Runs.at(tmp_path / "runs"), experiment)
    drive(callback, trial_of(params), result(0.5, 30.0), result(1.0, math.inf))
    assert callback.lost == 0
    (run,) = aim
    assert (run.repo, run.experiment, run.closed) == (str(tmp_path / "runs" / "demo" / "aim"), "demo", True)
    assert run["trial_id"] == ours
    assert run["hparams"]["objective.loss.lsgan.c"] == 0.9
    assert [(step, value) for name, step, value in run.tracked if name == "ray/tune/fd"] == [(500, 30.0)]


def test_a_missing_package_is_refused_before_anything_starts_with_the_command(monkeypatch):
    monkeypatch.setattr(loggers.importlib.util, "find_spec", lambda name: None)
    for spec, package in ((MLflow(name="mlflow"), "mlflow-skinny"), (Aim(name="aim"), "aim")):
        with pytest.raises(RecipeError, match=f"loggers: {spec.name} .* pip install {package}"):
            check_loggers((spec,))
    check_loggers(())


def test_a_package_that_ray_cannot_use_is_refused(tmp_path, experiment, aim, monkeypatch):
    monkeypatch.setattr(sys.modules["aim.sdk"], "Run", None)
    with pytest.raises(RecipeError, match="aim cannot be used: aim must be installed"):
        build_loggers((Aim(name="aim"),), Runs.at(tmp_path / "runs"), experiment)


def test_wandb_online_without_a_key_is_refused(monkeypatch, tmp_path):
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(RecipeError, match="run `wandb login`"):
        check_loggers((WeightsAndBiases(name="wandb"),))
    check_loggers((WeightsAndBiases(name="wandb", mode="offline"),))
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    check_loggers((WeightsAndBiases(name="wandb"),))
