"""Talking to a cluster's Jobs API: tokens, addresses, jobs by a part of their names, logs whose stream breaks."""

import runpy
import socket
from pathlib import Path

import pytest

from ganray.cluster.jobs_client import Jobs, http_address
from ganray.errors import ClusterError

FakeHead = runpy.run_path(str(Path(__file__).with_name("jobs_server.py")))["FakeHead"]
TOKEN, OTHER = "0123-the-cluster's", "4567-another's"


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """A user without any token."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def head():
    with FakeHead() as head:
        yield head


@pytest.fixture
def guarded():
    with FakeHead(token=TOKEN) as head:
        yield head


def keep(folder, token):
    (folder / ".ray").mkdir()
    (folder / ".ray" / "auth_token").write_text(f"{token}\n")


def test_a_token_in_the_home_folder_is_used_without_any_variable(guarded, tmp_path):
    keep(tmp_path, TOKEN)
    assert Jobs(guarded.address).all() == []
    assert set(guarded.authorizations) == {None, f"Bearer {TOKEN}"}


def test_the_variable_goes_before_the_named_file_and_that_before_the_home_folder(guarded, tmp_path, monkeypatch):
    keep(tmp_path, OTHER)
    named = tmp_path / "token"
    named.write_text(TOKEN)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(named))
    assert Jobs(guarded.address).all() == []
    monkeypatch.setenv("RAY_AUTH_TOKEN", OTHER)
    with pytest.raises(ClusterError, match="does not know this token"):
        Jobs(guarded.address)


def test_no_token_is_sent_to_a_cluster_that_wants_none(head, tmp_path):
    keep(tmp_path, TOKEN)
    Jobs(head.address).all()
    assert set(head.authorizations) == {None}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, r"wants a token, and there is none in .*auth_token"),
        ({"RAY_AUTH_TOKEN_PATH": "/no/such"}, "RAY_AUTH_TOKEN_PATH names /no/such, which holds none"),
        ({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": TOKEN}, "run `export RAY_AUTH_MODE=token`, or unset it"),
        ({"RAY_AUTH_TOKEN": OTHER}, "does not know this token. Put the cluster's token"),
    ],
)
def test_a_token_that_is_missing_or_wrong_is_one_paragraph_without_it(guarded, monkeypatch, variables, says):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ClusterError, match=says) as refused:
        Jobs(guarded.address)
    assert "\n" not in str(refused.value)
    assert not {TOKEN, OTHER} & set(str(refused.value).split())


def test_a_head_that_nobody_answers_for_is_told_with_the_tunnel():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(ClusterError, match=rf"nothing answers there.*ssh -N -L {port}:localhost:8265"):
            Jobs(f"http://127.0.0.1:{port}")


def test_the_address_that_is_given_wins_over_rays_variables(head, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:2")
    assert Jobs(head.address).head().ray_version == head.ray_version


@pytest.mark.parametrize(
    ("text", "url"),
    [("http://h:8265/", "http://h:8265"), ("h:8265", "http://h:8265"), ("https://h", "https://h")],
)
def test_addresses(text, url):
    assert http_address(text) == url


@pytest.mark.parametrize("text", ["auto", "ray://h:10001", "http://", "http://user:word@h:8265", "h:port", ""])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ClusterError, match="write it as http://HOST:8265"):
        http_address(text)


def test_only_jobs_of_ganray_are_listed_the_newest_first(head):
    head.put("ganray-cats-20261101-000000", start_time=1000)
    head.put("ganray-cats-20261102-000000", start_time=2000, status="FAILED", driver_exit_code=2)
    head.put("raysubmit_x-y", metadata={"ganray": "0.1.0"})
    first, second = Jobs(head.address).all()
    assert (first.id, first.exit_code, first.started_s, first.has_ended) == (
        "ganray-cats-20261102-000000",
        2,
        2.0,
        True,
    )
    assert (second.experiment, second.has_ended) == ("cats", False)


def test_a_job_is_found_by_its_id_its_beginning_or_its_experiment(head):
    head.put("ganray-cats-20261101-000000", start_time=1000)
    head.put("ganray-cats-20261102-000000", start_time=2000)
    head.put("ganray-dogs-20261101-000000", start_time=3000)
    jobs = Jobs(head.address)
    assert jobs.find("ganray-cats-20261101-000000").id == "ganray-cats-20261101-000000"
    assert jobs.find("ganray-cats-20261101").id == "ganray-cats-20261101-000000"
    assert jobs.find("cats").id == "ganray-cats-20261102-000000"
    with pytest.raises(ClusterError, match="begins the id of 2 jobs"):
        jobs.find("ganray-cats")
    with pytest.raises(ClusterError, match=r"no job 'ganray-dogs-20261101-00001'.*ganray-dogs-20261101-000000"):
        jobs.find("ganray-dogs-20261101-00001")


@pytest.mark.parametrize("breaks", [0, 1])
def test_every_line_of_a_log_is_passed_on_once_though_its_stream_breaks(head, breaks, monkeypatch):
    monkeypatch.setattr("ganray.cluster.jobs_client._PAUSE_S", 0.01)
    lines = [f"line {n} ä" for n in range(9)] + ["", "the last one"]
    head.put("ganray-a-1", status="SUCCEEDED", log="\n".join(lines))
    head.breaks = breaks
    told = []
    assert Jobs(head.address).follow("ganray-a-1", told.append).status == "SUCCEEDED"
    assert told == lines
    assert head.breaks == 0


def test_a_head_that_goes_away_while_it_is_followed_is_told_after_a_while(monkeypatch):
    monkeypatch.setattr("ganray.cluster.jobs_client._PAUSE_S", 0.01)
    monkeypatch.setattr("ganray.cluster.jobs_client._PATIENCE_S", 0.2)
    with FakeHead() as head:
        head.put("ganray-a-1", log="one\n")
        jobs = Jobs(head.address)
    with pytest.raises(ClusterError, match=r"the connection to .* was lost.*The job goes on without it"):
        jobs.follow("ganray-a-1", lambda line: None)
