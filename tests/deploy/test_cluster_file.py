"""cluster.yaml, against Ray's schema, EC2's service model, and Ray's own AWS provider on a mock of EC2."""

import copy
import inspect
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ganray.cluster.launcher import check_cluster_file, missing_mounts
from ganray.cluster.launcher_aws import KEY_PAIR_KEYS, PROVIDER_KEYS

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster.yaml"
Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    loaded = yaml.safe_load(CLUSTER.read_text())
    return json.loads(json.dumps(loaded))  # without what anchors share, so that an edit stays where it is made


@pytest.fixture
def problems_of(tree: dict[str, Any], tmp_path: Path) -> Callable[[Edit], list[str]]:
    """The problems of cluster.yaml after an edit."""

    def check(edit: Edit) -> list[str]:
        edited = copy.deepcopy(tree)
        edit(edited)
        file = tmp_path / "edited.yaml"
        file.write_text(yaml.dump(edited, sort_keys=False))
        return check_cluster_file(file)

    return check


def node(tree: dict[str, Any], name: str = "gpu-l4") -> dict[str, Any]:
    return tree["available_node_types"][name]["node_config"]


def test_the_file_is_valid() -> None:
    assert check_cluster_file(CLUSTER) == []


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda t: t.update(max_wokers=3), "max_wokers: unknown key; did you mean 'max_workers'?"),
        (lambda t: t["provider"].update(regoin="x"), "provider.regoin: unknown key; did you mean 'region'?"),
        (lambda t: t["provider"].update(cache_stoped_nodes=True), "did you mean 'cache_stopped_nodes'?"),
        (lambda t: t["provider"]["security_group"].update(Groupname="x"), "did you mean 'GroupName'?"),
        (lambda t: t["provider"].update(key_pair={"keyname": "x"}), "provider.key_pair.keyname: unknown key"),
        (lambda t: t["provider"].pop("region"), "provider.region: needs the name of an AWS region"),
        (lambda t: t["auth"].update(ssh_usr="x"), "auth.ssh_usr: unknown key; did you mean 'ssh_user'?"),
        (lambda t: t["available_node_types"]["gpu-l4"].update(max_worker=1), "did you mean 'max_workers'?"),
        (lambda t: t["available_node_types"]["gpu-l4"].update(resources={"GPU": "one"}), "'one' is not of type"),
        (lambda t: t.update(head_node_type="haed"), "`head_node_type` must be one of"),
        (lambda t: t["available_node_types"]["gpu-l4"].update(min_workers=9), "smaller than the sum of `min_workers`"),
        (lambda t: t.update(idle_timeout_minutes="10"), "idle_timeout_minutes: '10' is not of type 'number'"),
        (lambda t: node(t).update(ImageID="x"), "ImageID: unknown parameter; did you mean 'ImageId'?"),
        (
            lambda t: node(t).update(InstanceType="g6.2xlrage"),
            "'g6.2xlrage' is unknown to EC2; did you mean 'g6.2xlarge'?",
        ),
        (lambda t: node(t).pop("InstanceType"), "InstanceType: missing"),
        (lambda t: node(t).pop("ImageId"), "ImageId: missing"),
        (lambda t: node(t, "head").update(ImageId="latest_dlami"), "ImageId: missing"),
        (lambda t: node(t).update(SubnetId="subnet-1"), "SubnetId: Ray overwrites it; write SubnetIds"),
        (lambda t: node(t).update(SubnetIds="subnet-1"), "SubnetIds: needs a list"),
        (lambda t: node(t).update(MaxCount=3), "MaxCount: Ray overwrites it"),
        (
            lambda t: node(t)["InstanceMarketOptions"].update(MarketType="spott"),
            "MarketType: 'spott' is unknown to EC2",
        ),
        (lambda t: node(t)["InstanceMarketOptions"].update(SpotOption={}), "InstanceMarketOptions.SpotOption: unknown"),
        (
            lambda t: node(t)["BlockDeviceMappings"][0]["Ebs"].update(VolumSize=3),
            "BlockDeviceMappings[0].Ebs.VolumSize: unknown parameter; did you mean 'VolumeSize'?",
        ),
        (lambda t: node(t)["BlockDeviceMappings"][0]["Ebs"].update(VolumeSize="150"), "Invalid type for parameter"),
        (lambda t: node(t)["BlockDeviceMappings"][0]["Ebs"].update(VolumeType="gp33"), "did you mean 'gp3'?"),
        (lambda t: node(t).pop("IamInstanceProfile"), "gpu-l4.node_config: no IamInstanceProfile"),
    ],
)
def test_a_mistake_is_named_once_with_its_place(problems_of: Any, edit: Edit, expected: str) -> None:
    (problem,) = problems_of(edit)
    assert expected in problem


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            lambda t: t["head_start_ray_commands"].append("ray start --head --dashboard-host=0.0.0.0"),
            "the dashboard listens on 0.0.0.0",
        ),
        (lambda t: t["head_start_ray_commands"].append("ray start --head --dashboard-host ::"), "listens on ::"),
        (
            lambda t: t["provider"].update(aws_credentials={"aws_access_key_id": "x", "aws_secret_access_key": "y"}),
            "keys in the file",
        ),
        (lambda t: t["setup_commands"].append("export AWS_SECRET_ACCESS_KEY=abc"), "a secret in the file"),
        (lambda t: t["setup_commands"].append("export RAY_AUTH_TOKEN=abc"), "a secret in the file"),
        (lambda t: t["file_mounts"].pop("~/.ray/auth_token"), "no token for the nodes"),
        (
            lambda t: t["provider"]["security_group"].update(
                IpPermissions=[
                    {"FromPort": 8265, "ToPort": 8265, "IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
                ]
            ),
            "ports 8265-8265 are open to everyone",
        ),
        (
            lambda t: t["provider"]["security_group"].update(IpPermissions=[{"FromPrt": 8265}]),
            "IpPermissions[0].FromPrt: unknown parameter",
        ),
    ],
)
def test_what_lets_strangers_in_is_a_problem(problems_of: Any, edit: Edit, expected: str) -> None:
    (problem,) = problems_of(edit)
    assert expected in problem


def test_without_start_commands_ray_opens_the_dashboard_and_asks_for_no_token(problems_of: Any) -> None:
    def edit(tree: dict[str, Any]) -> None:
        del tree["head_start_ray_commands"], tree["worker_start_ray_commands"]
        tree["setup_commands"] = []

    problems = problems_of(edit)
    assert [p.split(": ", 1)[1].split(":")[0] for p in problems] == [
        "head_start_ray_commands",
        "head_start_ray_commands",
        "worker_start_ray_commands",
    ]
    assert "0.0.0.0" in problems[0]
    assert all("no token authentication" in p for p in problems[1:])


def test_a_rule_for_ssh_or_for_one_address_is_no_problem(problems_of: Any) -> None:
    rules = [
        {"FromPort": 22, "ToPort": 22, "IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"FromPort": 443, "ToPort": 443, "IpProtocol": "tcp", "IpRanges": [{"CidrIp": "192.0.2.7/32"}]},
    ]
    assert problems_of(lambda t: t["provider"]["security_group"].update(IpPermissions=rules)) == []


def test_a_file_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    assert "no such cluster file" in check_cluster_file(file)[0]
    for text, expected in {
        "a: [": "not valid YAML",
        "cluster_name: x": "provider: needs a mapping with `type`",
        "provider: aws": "provider: needs a mapping with `type`",
        "provider: {type: asw}\ncluster_name: x": "Ray cannot read it",
        "max_workers: 1\nmax_workers: 2": "is there twice",
    }.items():
        file.write_text(text)
        (problem,) = check_cluster_file(file)
        assert expected in problem, text


def test_problems_carry_the_line(tmp_path: Path) -> None:
    text = CLUSTER.read_text().replace("  region: us-west-2\n", "  region: us-west-2\n  regoin: x\n")
    file = tmp_path / "c.yaml"
    file.write_text(text)
    line = text.splitlines().index("  regoin: x") + 1
    assert check_cluster_file(file)[0].startswith(f"{file}:{line}: provider.regoin")


def test_local_files_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)
    (problem,) = missing_mounts(CLUSTER)
    assert "there is no ~/.ray/auth_token here; run `ray get-auth-token --generate`" in problem
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("t")
    assert missing_mounts(CLUSTER) == []
    monkeypatch.chdir(tmp_path)
    assert any("there is no constraints.txt here" in p for p in missing_mounts(CLUSTER))


def test_provider_keys_are_those_that_ray_reads() -> None:
    """Each key of the allow-list stands in the source of the installed Ray: none is stale."""
    from ray.autoscaler._private import autoscaler, constants
    from ray.autoscaler._private.aws import config, node_provider
    from ray.autoscaler._private.aws.cloudwatch import cloudwatch_helper

    source = "".join(inspect.getsource(m) for m in (autoscaler, constants, config, node_provider, cloudwatch_helper))
    source += '"type"'  # read by the choice of the provider
    for key in (*PROVIDER_KEYS, *KEY_PAIR_KEYS):
        assert f'"{key}"' in source, key


# What the file promises


def test_money_nothing_but_the_head_stays_on(tree: dict[str, Any]) -> None:
    head = tree["head_node_type"]
    assert tree["provider"]["cache_stopped_nodes"] is False
    assert 0 < tree["idle_timeout_minutes"] <= 15
    for name, kind in tree["available_node_types"].items():
        assert kind["min_workers"] == 0
        market = kind["node_config"].get("InstanceMarketOptions", {}).get("MarketType")
        assert market == (None if name == head else "spot")
        assert kind["max_workers"] <= tree["max_workers"]
    assert len({n["node_config"]["InstanceType"].split(".")[0] for n in tree["available_node_types"].values()}) >= 4


def test_nothing_trains_on_the_head(tree: dict[str, Any]) -> None:
    head = tree["available_node_types"][tree["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert "--num-cpus=0 --num-gpus=0" in tree["head_start_ray_commands"][-1]


def test_commands_are_bash_as_ray_runs_them(tree: dict[str, Any]) -> None:
    """Ray hands each to `bash -ic 'source ~/.bashrc && (COMMAND)'` over ssh."""
    commands = [c for key in tree if key.endswith("commands") for c in tree[key]]
    assert len(commands) > 8
    for command in commands:
        wrapped = f"true && source ~/.bashrc && export OMP_NUM_THREADS=1 && ({command})"
        checked = subprocess.run(["bash", "-n", "-c", wrapped], capture_output=True, text=True)
        assert checked.returncode == 0, (command, checked.stderr)


def test_what_is_mounted_is_what_an_installation_needs(tree: dict[str, Any]) -> None:
    mounted = set(tree["file_mounts"].values())
    assert {"ganray", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"} <= mounted
    for local in mounted - {"~/.ray/auth_token"}:
        assert (ROOT / local).exists(), local
    assert "." not in mounted, "Ray hashes every file of a mount, .venv included"


def test_workers_watch_for_spot_notices(tree: dict[str, Any]) -> None:
    watcher = tree["worker_start_ray_commands"][-1]
    assert "python -m ganray.cluster.spot" in watcher
    assert watcher.endswith("&")
    assert not any("ganray.cluster.spot" in c for c in tree["head_start_ray_commands"])


@pytest.mark.parametrize("name", ["trust", "head-policy", "worker-policy"])
def test_policies_are_json_and_name_no_account(name: str) -> None:
    policy = json.loads((ROOT / "deploy" / "aws" / f"{name}.json").read_text())
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert all(":" in a and a not in ("*:*", "s3:*", "ec2:*", "iam:*") for a in actions)
        if any(a.startswith(("s3:", "iam:")) for a in actions):
            assert statement["Resource"] != "*"


def test_policies_name_actions_that_exist() -> None:
    """Each EC2 action of the head's policy is an operation of the service, and it covers what Ray's provider calls."""
    import botocore.session

    operations = set(botocore.session.Session().get_service_model("ec2").operation_names)
    statements = json.loads((ROOT / "deploy" / "aws" / "head-policy.json").read_text())["Statement"]
    actions = {a.split(":")[1] for s in statements for a in s["Action"] if a.startswith("ec2:")}
    assert actions - {"Describe*"} <= operations
    assert {"RunInstances", "TerminateInstances", "CreateTags", "Describe*"} <= actions


# Ray's own provider, on a mock of EC2


@pytest.fixture
def on_mocked_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    from moto import mock_aws

    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "HOME": str(tmp_path),
        "AWS_DEFAULT_REGION": "us-west-2",
    }.items():
        monkeypatch.setenv(name, value)
    from ray.autoscaler._private.aws import utils

    with mock_aws():
        utils.resource_cache.cache_clear()
        utils.client_cache.cache_clear()
        import boto3

        iam = boto3.client("iam")
        for role in ("ganray-head", "ganray-worker"):
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=(ROOT / "deploy/aws/trust.json").read_text())
            policy = (ROOT / "deploy/aws" / f"{role.split('-')[1]}-policy.json").read_text()
            iam.put_role_policy(RoleName=role, PolicyName="ganray", PolicyDocument=policy)
            iam.create_instance_profile(InstanceProfileName=role)
            iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
        yield tmp_path
    utils.resource_cache.cache_clear()
    utils.client_cache.cache_clear()


def bootstrapped(tree: dict[str, Any]) -> dict[str, Any]:
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
    from ray.autoscaler._private.util import prepare_config

    config = prepare_config(copy.deepcopy(tree))
    config = AWSNodeProvider.fillout_available_node_types_resources(config)
    return bootstrap_aws(config)


def test_rays_provider_starts_every_node_type(on_mocked_aws: Path, tree: dict[str, Any]) -> None:
    import boto3
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    config = bootstrapped(tree)
    assert os.stat(config["auth"]["ssh_private_key"]).st_mode & 0o777 == 0o600
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    for name, kind in config["available_node_types"].items():
        tags = {"ray-node-type": "worker", "ray-launch-config": "x", "ray-user-node-type": name}
        assert len(provider.create_node(kind["node_config"], tags, 1)) == 1
    reservations = boto3.client("ec2").describe_instances()["Reservations"]
    made = {_tags(i)["ray-user-node-type"]: i for r in reservations for i in r["Instances"]}
    assert {n: i["InstanceType"] for n, i in made.items()} == {
        n: t["node_config"]["InstanceType"] for n, t in tree["available_node_types"].items()
    }
    assert {n: i.get("InstanceLifecycle") for n, i in made.items()} == {
        n: None if n == "head" else "spot" for n in tree["available_node_types"]
    }
    assert {n: i["IamInstanceProfile"]["Arn"].rsplit("/")[-1] for n, i in made.items()} == {
        n: "ganray-head" if n == "head" else "ganray-worker" for n in tree["available_node_types"]
    }


def _tags(instance: dict[str, Any]) -> dict[str, str]:
    return {t["Key"]: t["Value"] for t in instance["Tags"]}


def test_declared_resources_are_those_of_the_instances(on_mocked_aws: Path, tree: dict[str, Any]) -> None:
    """What Ray finds out from EC2 by itself, against what the file says."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    bare = copy.deepcopy(tree)
    for kind in bare["available_node_types"].values():
        kind["resources"] = {}
    found = AWSNodeProvider.fillout_available_node_types_resources(bare)["available_node_types"]
    for name in set(found) - {"head"}:
        declared = tree["available_node_types"][name]["resources"]
        assert {key: found[name]["resources"][key] for key in declared} == declared, name


def test_the_security_group_opens_ssh_and_nothing_else(on_mocked_aws: Path, tree: dict[str, Any]) -> None:
    import boto3

    bootstrapped(tree)
    (group,) = boto3.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["ganray-cluster"]}]
    )["SecurityGroups"]
    from_outside = [rule for rule in group["IpPermissions"] if rule["IpRanges"] or rule.get("Ipv6Ranges")]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in from_outside] == [(22, 22)]
    inside = [rule for rule in group["IpPermissions"] if rule["UserIdGroupPairs"]]
    assert [pair["GroupId"] for rule in inside for pair in rule["UserIdGroupPairs"]] == [group["GroupId"]]


def test_a_security_group_made_beforehand_is_left_as_it_is(on_mocked_aws: Path, tree: dict[str, Any]) -> None:
    import boto3

    ec2 = boto3.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    mine = ec2.create_security_group(GroupName="ganray-cluster", Description="mine", VpcId=vpc)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.7/32"}]}
    ec2.authorize_security_group_ingress(GroupId=mine, IpPermissions=[rule])
    config = bootstrapped(tree)
    for kind in config["available_node_types"].values():
        assert kind["node_config"]["SecurityGroupIds"] == [mine]
    (group,) = ec2.describe_security_groups(GroupIds=[mine])["SecurityGroups"]
    assert [r["CidrIp"] for p in group["IpPermissions"] for r in p["IpRanges"]] == ["192.0.2.7/32"]
