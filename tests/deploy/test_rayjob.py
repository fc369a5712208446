"""deploy/kuberay: the RayJob against KubeRay's fields and Kubernetes' strict schemas, and what the files promise."""

import copy
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.deploy.rayjob_schema import schema

ROOT = Path(__file__).parents[2]
KUBERAY = ROOT / "deploy" / "kuberay"
KUBERNETES = "1.34"
QUANTITY = re.compile(r"(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?")
Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return json.loads(json.dumps(yaml.safe_load((KUBERAY / "rayjob.yaml").read_text())))


def templates(job: dict[str, Any]) -> dict[str, Any]:
    cluster = job["spec"]["rayClusterSpec"]
    found = {"submitter": job["spec"]["submitterPodTemplate"], "head": cluster["headGroupSpec"]["template"]}
    return found | {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}


def container(job: dict[str, Any], name: str) -> dict[str, Any]:
    return templates(job)[name]["spec"]["containers"][0]


def problems(job: dict[str, Any]) -> Iterator[str]:
    """What an API server with KubeRay's CRD would refuse (`kubectl apply` is strict about unknown fields)."""
    for error in jsonschema.Draft202012Validator(schema()).iter_errors(job):
        yield f"{error.json_path}: {error.message}"
    options = job["spec"]["rayClusterSpec"].get("autoscalerOptions", {})
    pods = templates(job) | {
        "metadata": {"metadata": job["metadata"]},
        "autoscaler": {"spec": {"containers": [{"name": "autoscaler", **_of_container(options)}]}},
    }
    for name, template in pods.items():
        document = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}, "template": template}
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{name}: {error.message}"
        for quantity in _quantities(template):
            if not QUANTITY.fullmatch(str(quantity)):
                yield f"{name}: {quantity!r} is no quantity"


def _of_container(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("resources", "securityContext", "env", "envFrom") if key in options}


def _quantities(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in ("requests", "limits"):
                yield from value.values()
            elif key == "sizeLimit":
                yield value
            else:
                yield from _quantities(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _quantities(value)


def test_the_job_is_valid(job: dict[str, Any]) -> None:
    assert list(problems(job)) == []


def worker(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda j: j.update(apiVersion="ray.io/v1alpha1"), "'ray.io/v1alpha1' is not one of"),
        (lambda j: j["spec"].update(entryPoint="x"), "'entryPoint' was unexpected"),
        (lambda j: j["spec"].update(shutdownAfterJobFinish=True), "'shutdownAfterJobFinish' was unexpected"),
        (lambda j: j["spec"].update(submissionMode="K8SJobMode"), "'K8SJobMode' is not one of"),
        (lambda j: j["spec"].update(ttlSecondsAfterFinished="600"), "'600' is not of type 'integer'"),
        (lambda j: j["spec"]["rayClusterSpec"].update(authOption={}), "'authOption' was unexpected"),
        (lambda j: j["spec"]["rayClusterSpec"]["authOptions"].update(mode="tokn"), "'tokn' is not one of"),
        (lambda j: j["spec"]["rayClusterSpec"].pop("headGroupSpec"), "'headGroupSpec' is a required property"),
        (lambda j: j["spec"]["rayClusterSpec"]["autoscalerOptions"].update(idleTimeout=1), "'idleTimeout' was"),
        (lambda j: worker(j).update(minReplica=0), "'minReplica' was unexpected"),
        (lambda j: worker(j).pop("maxReplicas"), "'maxReplicas' is a required property"),
        (lambda j: worker(j).update(rayStartParams={"num-cpus": 3}), "3 is not of type 'string'"),
        (lambda j: worker(j)["template"].update(spc={}), "'spc' was unexpected"),
        (lambda j: worker(j)["template"]["spec"].update(serviceAcountName="x"), "'serviceAcountName' was unexpected"),
        (lambda j: container(j, "gpu").update(imagePullPolice="Always"), "'imagePullPolice' was unexpected"),
        (lambda j: container(j, "gpu").update(lifecycle={"preStop": {"exce": {}}}), "'exce' was unexpected"),
        (lambda j: container(j, "head")["env"][0]["valueFrom"]["secretKeyRef"].pop("key"), "'key' is a required"),
        (lambda j: container(j, "head").pop("name"), "'name' is a required property"),
        (lambda j: container(j, "gpu")["resources"]["limits"].update(memory="26GiB"), "'26GiB' is no quantity"),
        (lambda j: container(j, "submitter")["securityContext"].update(runAsNonroot=True), "'runAsNonroot' was"),
        (lambda j: j["metadata"].update(lables={}), "'lables' was unexpected"),
    ],
)
def test_a_mistake_is_found(job: dict[str, Any], edit: Edit, expected: str) -> None:
    edited = copy.deepcopy(job)
    edit(edited)
    assert any(expected in problem for problem in problems(edited)), list(problems(edited))


def test_what_the_operator_checks_beyond_the_schema(job: dict[str, Any]) -> None:
    spec = job["spec"]
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["shutdownAfterJobFinishes"] is True  # a TTL needs it
    assert "deletionStrategy" not in spec  # excludes both
    assert templates(job)["submitter"]["spec"]["restartPolicy"] == "Never"
    assert re.fullmatch("[a-z0-9-]{1,47}", job["metadata"]["name"])  # KubeRay derives longer names from it


def test_one_version_of_ray_everywhere(job: dict[str, Any]) -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    )
    base = re.search(r"^FROM rayproject/ray:([0-9.]+)-py3(\d+)$", (KUBERAY / "Dockerfile").read_text(), re.M)
    assert base
    assert base[1] == job["spec"]["rayClusterSpec"]["rayVersion"] == pins["ray"]
    assert int(base[2]) >= 11


def test_the_build_takes_what_an_installation_needs_and_no_more() -> None:
    allowed = (KUBERAY / "Dockerfile.dockerignore").read_text().split()
    assert allowed[0] == "*"
    kept = {line[1:] for line in allowed if line.startswith("!")}
    assert {"ganray", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "experiments"} == kept
    assert all((ROOT / name).exists() for name in kept)


# What the file promises


def test_workers_come_from_zero_and_go(job: dict[str, Any]) -> None:
    spec = job["spec"]["rayClusterSpec"]
    assert spec["enableInTreeAutoscaling"] is True
    assert 0 < spec["autoscalerOptions"]["idleTimeoutSeconds"] <= 900
    for group in spec["workerGroupSpecs"]:
        assert (group["replicas"], group["minReplicas"]) == (0, 0)
        assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] >= 1
    assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    assert "nvidia.com/gpu" not in container(job, "head")["resources"]["limits"]
    assert job["spec"]["activeDeadlineSeconds"] > 0


def test_the_dashboard_is_not_exposed(job: dict[str, Any]) -> None:
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP"
    assert head["enableIngress"] is False
    for template in templates(job).values():
        assert not template["spec"].get("hostNetwork")
        assert not any("hostPort" in port for c in template["spec"]["containers"] for port in c.get("ports", []))


def test_the_entrypoint_is_safe_to_repeat_and_ganray_knows_it(job: dict[str, Any]) -> None:
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:2] == ["ganray", "sweep"]
    assert "--resume-or-start" in words
    assert job["spec"]["backoffLimit"] > 0
    overrides = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert {"runs", "store"} <= {o.split("=")[0] for o in overrides if o.split("=")[1].startswith("s3://")}
    workers = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert int(words[words.index("--slots") + 1]) == sum(group["maxReplicas"] for group in workers)
    inside = Path(words[2])
    assert (ROOT / inside.relative_to("/home/ray/ganray")).is_file()


def test_secrets_are_references_and_the_token_is_on(job: dict[str, Any]) -> None:
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert "runtimeEnvYAML" not in job["spec"], "a runtime environment is written into Ray's logs"
    for name in templates(job):
        for variable in container(job, name).get("env", []):
            secret = re.search("KEY|TOKEN|SECRET|PASSWORD", variable["name"])
            assert ("secretKeyRef" in variable.get("valueFrom", {})) is bool(secret), variable


def test_pods_run_without_privileges(job: dict[str, Any]) -> None:
    for name, template in templates(job).items():
        context = container(job, name)["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        needs_account = name == "head"  # the autoscaler beside it starts pods
        assert template["spec"].get("automountServiceAccountToken", True) is needs_account


def test_a_worker_has_time_for_a_checkpoint(job: dict[str, Any]) -> None:
    """Ray drains a node on SIGTERM (since 2.60), and Kubernetes waits for longer than that."""
    from ray._private import ray_constants

    name = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
    assert hasattr(ray_constants, name)
    (drain_s,) = [float(v["value"]) for v in container(job, "gpu")["env"] if v["name"] == name]
    assert 60 <= drain_s <= templates(job)["gpu"]["spec"]["terminationGracePeriodSeconds"] - 15


def test_object_store_has_shared_memory(job: dict[str, Any]) -> None:
    for name in ("head", "gpu"):
        volumes = {v["name"]: v for v in templates(job)[name]["spec"]["volumes"]}
        mounts = {m["mountPath"]: m["name"] for m in container(job, name)["volumeMounts"]}
        assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"


def test_the_network_policy_covers_every_pod(job: dict[str, Any]) -> None:
    policy = yaml.safe_load((KUBERAY / "network-policy.yaml").read_text())
    kubernetes_validate.validate(policy, KUBERNETES, strict=True)
    selector = policy["spec"]["podSelector"]["matchLabels"]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert all("podSelector" in source for rule in policy["spec"]["ingress"] for source in rule["from"])
    for template in templates(job).values():
        labels = template["metadata"]["labels"]
        assert selector.items() <= labels.items()
        assert "app.kubernetes.io/name" not in labels, "KubeRay's services select by its own value of it"
