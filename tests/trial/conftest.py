"""A folder of photographs, a protocol of a few samples, and jobs that train in a second."""

import runpy
import secrets
from pathlib import Path

import pytest
import torch
from PIL import Image

from ganray.evaluation import score
from ganray.evaluation.protocols import PROTOCOLS
from ganray.recipe.recipe import Recipe
from ganray.store.store import Store
from ganray.training.distributed import World
from ganray.trial import assess
from ganray.trial.job import TrialJob
from ganray.trial.run import run_trial

TINY = runpy.run_path(str(Path(__file__).with_name("tiny.py")), run_name="tiny")


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Twelve pictures of 32 px."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    folder.mkdir()
    coarse = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(7)) * 255
    pixels = torch.nn.functional.interpolate(coarse, size=32, mode="bilinear").byte().permute(0, 2, 3, 1).numpy()
    for index, each in enumerate(pixels):
        Image.fromarray(each).save(folder / f"{index:02d}.png")
    return folder


@pytest.fixture
def tiny(monkeypatch):
    """A protocol of 60 samples and a cheap extractor, under a name of its own and under the quickstart's."""
    assess._scorer.cache_clear()
    for name, protocol in TINY["TINY"].items():
        monkeypatch.setitem(PROTOCOLS, name, protocol)
    monkeypatch.setattr(score, "load_extractor", TINY["load_colours"])
    yield
    assess._scorer.cache_clear()


@pytest.fixture
def job(tiny, photos, tmp_path):
    """A job of 20 steps with two evaluations and a reading per step; keywords replace sections of the recipe."""

    def make(runs=tmp_path / "runs", store=tmp_path / "store", **sections):
        plain = {
            "data": {"source": str(photos), "resolution": 32},
            "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
            "discriminator": {"name": "dcgan", "width": 4},
            "tricks": [{"name": "diffaugment"}, {"name": "flips"}, {"name": "ema", "decay": 0.9}],
            "budget": {"kimg": 0.08, "batch_size": 4},
            "evaluation": {"protocols": ["fd_tiny"], "every_kimg": 0.04},
        }
        return TrialJob(Recipe.model_validate({**plain, **sections}), "demo", runs, str(store))

    return make


@pytest.fixture
def run():
    """Run a job alone; returns the outcome and the reports."""

    def go(job, tell=lambda report: True, **options):
        reports = []

        def listen(report):
            reports.append(report)
            return tell(report)

        return run_trial(job, World(), listen, **options), reports

    return go


@pytest.fixture
def rows():
    """The rows of a job's store, table by table, as dictionaries."""

    def read(job):
        store = Store(job.store)
        return {name: getattr(store, name)().to_pylist() for name in ("trials", "evaluations", "curves")}

    return read


@pytest.fixture(scope="session")
def s3_server():
    """moto's S3 (a mock) on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3_bucket(s3_server, monkeypatch):
    """An empty bucket, which the environment leads to."""
    import botocore.session
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{secrets.token_hex(4)}"
    botocore.session.get_session().create_client("s3").create_bucket(Bucket=name)
    # fsspec keeps file systems by their arguments, not by the environment.
    s3fs.S3FileSystem.clear_instance_cache()
    yield name
    s3fs.S3FileSystem.clear_instance_cache()
