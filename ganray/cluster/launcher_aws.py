"""What Ray's AWS provider and EC2 understand of a cluster file."""

import copy
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from ganray.recipe.messages import nearest

Where = tuple[str | int, ...]

PROVIDER_KEYS = (
    "type",
    "region",
    "availability_zone",
    "use_internal_ips",
    "cache_stopped_nodes",
    "key_pair",
    "security_group",
    "aws_credentials",
    "cloudwatch",
    "disable_node_updaters",
    "disable_launch_config_check",
    "foreground_node_launch",
    "worker_liveness_check",
)
"""What Ray 2.60 reads of `provider` (ray/autoscaler/_private/aws, autoscaler.py and constants.py)."""
KEY_PAIR_KEYS = ("key_name",)
SET_BY_RAY = {"MinCount": 1, "MaxCount": 1}
"""Parameters of RunInstances that Ray's provider fills in for each call, whatever the file says."""
OLD_IMAGES = ("", "latest_dlami")
"""Ray's words for its own default: a Deep Learning AMI of Ubuntu 18.04, whose Python is too old for GANRay."""
EVERYONE = ("0.0.0.0/0", "::/0")
SSH = 22


def check_provider(provider: dict[str, Any]) -> Iterator[tuple[Where, str]]:
    """Unknown keys, missing ones, doors that are open to the world, and keys of an account in the file."""
    for key in provider:
        if key not in PROVIDER_KEYS:
            yield ("provider", key), f"unknown key; {nearest(key, PROVIDER_KEYS)}"
    for key in provider.get("key_pair") or {}:
        if key not in KEY_PAIR_KEYS:
            yield ("provider", "key_pair", key), f"unknown key; {nearest(key, KEY_PAIR_KEYS)}"
    if not isinstance(provider.get("region"), str):
        yield ("provider", "region"), "needs the name of an AWS region, as in us-west-2"
    if "aws_credentials" in provider:
        yield ("provider", "aws_credentials"), "keys in the file: use a profile of the AWS CLI (AWS_PROFILE) instead"
    rules = (provider.get("security_group") or {}).get("IpPermissions") or []
    where: Where = ("provider", "security_group", "IpPermissions")
    for text in _against("AuthorizeSecurityGroupIngress", {"IpPermissions": rules}):
        yield where, text
    for rule in rules:
        if isinstance(rule, dict) and _is_open(rule):
            ports = f"{rule.get('FromPort', 'all')}-{rule.get('ToPort', 'all')}"
            yield where, f"ports {ports} are open to everyone; only ssh may be, and the dashboard goes through it"


def _is_open(rule: dict[str, Any]) -> bool:
    ranges = [r.get("CidrIp") for r in rule.get("IpRanges") or []]
    ranges += [r.get("CidrIpv6") for r in rule.get("Ipv6Ranges") or []]
    return any(r in EVERYONE for r in ranges) and (rule.get("FromPort"), rule.get("ToPort")) != (SSH, SSH)


def check_run_instances(node_config: dict[str, Any]) -> Iterator[str]:
    """What EC2's RunInstances would not take of a `node_config`, once Ray has added and removed what it does.

    From the service model inside botocore: no call is made, and an instance type that is newer than the installed
    botocore counts as unknown.
    """
    request = copy.deepcopy(node_config)
    subnets = request.pop("SubnetIds", [])
    if not isinstance(subnets, list) or not all(isinstance(s, str) for s in subnets):
        yield "SubnetIds: needs a list of subnet ids"
    if "SubnetId" in request:
        yield "SubnetId: Ray overwrites it; write SubnetIds, a list"
    for key in SET_BY_RAY:
        if key in request:
            yield f"{key}: Ray overwrites it; write min_workers and max_workers"
    if str(request.get("ImageId", "")).lower() in OLD_IMAGES and "LaunchTemplate" not in request:
        yield "ImageId: missing, and Ray's default is an Ubuntu 18.04, whose Python is too old; name an image"
    if "InstanceType" not in request:
        yield "InstanceType: missing; Ray reads it before it asks for a LaunchTemplate"
    yield from _against("RunInstances", {**request, **SET_BY_RAY})


def _against(operation: str, request: dict[str, Any]) -> Iterator[str]:
    """A request against the shape in botocore's service model: unknown names, wrong types, words of no enumeration."""
    from botocore.validate import ParamValidator

    shape = _ec2().operation_model(operation).input_shape
    for line in ParamValidator().validate(request, shape).generate_report().splitlines():
        unknown = re.match(r'Unknown parameter in (\S+): "(.*)", must be one of: (.*)', line)
        if unknown:
            outer = "" if unknown[1] == "input" else f"{unknown[1]}."
            yield f"{outer}{unknown[2]}: unknown parameter; {nearest(unknown[2], unknown[3].split(', '))}"
        else:
            yield line
    yield from _unknown_words(request, shape, "")


def _unknown_words(value: Any, shape: Any, name: str) -> Iterator[str]:
    """botocore leaves enumerations to the server: a market type `spott` passes its validator."""
    if isinstance(value, dict) and shape.type_name == "structure":
        for key, inner in value.items():
            if key in shape.members:
                yield from _unknown_words(inner, shape.members[key], f"{name}.{key}".lstrip("."))
    elif isinstance(value, list) and shape.type_name == "list":
        for i, inner in enumerate(value):
            yield from _unknown_words(inner, shape.member, f"{name}[{i}]")
    elif isinstance(value, str) and (known := getattr(shape, "enum", None)) and value not in known:
        near = nearest(value, known)
        hint = near if len(known) < 20 else near.split(" (known:")[0].split("known:")[0]
        yield f"{name}: {value!r} is unknown to EC2{f'; {hint}' if hint else ''}"


@cache
def _ec2() -> Any:
    import botocore.session

    return botocore.session.Session().get_service_model("ec2")
