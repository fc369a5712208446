"""A file of Ray's cluster launcher (`cluster.yaml`), checked before `ray up` spends money on it.

Ray's own schema lets any key through in `provider` and `node_config`, and a misspelt one shows when the instance
cannot be started, or never: a spot market that is misspelt is on demand, and dearer.
"""

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ganray.cluster.launcher_aws import check_provider, check_run_instances
from ganray.errors import RecipeError
from ganray.recipe.messages import nearest
from ganray.recipe.source import Source, read_yaml

Problem = tuple[tuple[str | int, ...], str]
"""Where in the file, and what is wrong there."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SECRETS = re.compile(r"(AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|RAY_AUTH_TOKEN|WANDB_API_KEY)=")
COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


def check_cluster_file(path: Path) -> list[str]:
    """What is wrong with a cluster file, a line each: Ray's schema, EC2's parameters, what it exposes. Starts nothing.

    Provider and node keys are checked for `type: aws` alone. The local files that it mounts: `missing_mounts`.
    """
    try:
        source = _read(path)
    except RecipeError as error:
        return [str(error)]
    return [f"{source.at(where)}: {_dotted(where)}{text}" for where, text in _problems(source.tree)]


def missing_mounts(path: Path) -> list[str]:
    """The local files and folders of `file_mounts` that are not on this machine: `ray up` would stop half-way."""
    try:
        source = _read(path)
    except RecipeError:
        return []
    found = []
    for remote, local in (source.tree.get("file_mounts") or {}).items():
        if os.path.exists(os.path.expanduser(str(local))):
            continue
        fix = "run `ray get-auth-token --generate`" if str(local).endswith("auth_token") else "run from its folder"
        found.append(f"{source.at(('file_mounts', remote))}: file_mounts: there is no {local} here; {fix}")
    return found


def _read(path: Path) -> Source:
    if not path.is_file():
        raise RecipeError(f"{path}: no such cluster file")
    return read_yaml(path)


def _problems(tree: dict[str, Any]) -> Iterator[Problem]:
    provider = tree.get("provider")
    if not isinstance(provider, dict) or "type" not in provider:
        yield ("provider",), "needs a mapping with `type`, as in {type: aws, region: us-west-2}"
        return
    try:
        filled = _with_ray_defaults(tree)
    except Exception as error:  # Ray raises bare assertions, KeyErrors and ValueErrors
        yield (), f"Ray cannot read it: {type(error).__name__}: {error}"
        return
    found = list(_against_schema(filled))
    yield from found
    if provider["type"] == "aws":
        yield from check_provider(provider)
        for name, node_type in _node_types(filled):
            where = ("available_node_types", name, "node_config")
            for text in check_run_instances(node_type.get("node_config") or {}):
                yield where, text
            if name != filled.get("head_node_type") and "IamInstanceProfile" not in (node_type["node_config"] or {}):
                yield (
                    where,
                    "no IamInstanceProfile: these nodes cannot reach S3 (Ray gives a profile to the head alone)",
                )
    if not found:
        yield from _beyond_schema(filled)
        yield from _exposure(filled)


def _with_ray_defaults(tree: dict[str, Any]) -> dict[str, Any]:
    from ray.autoscaler._private.util import prepare_config

    # It prints hints about containers, even where the file asks for none.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return dict(prepare_config(json.loads(json.dumps(tree, default=str))))


def _node_types(filled: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    types = filled.get("available_node_types")
    return [(str(n), t) for n, t in types.items() if isinstance(t, dict)] if isinstance(types, dict) else []


def _against_schema(filled: dict[str, Any]) -> Iterator[Problem]:
    """Every breach of Ray's JSON schema, unknown keys with the nearest known one."""
    import jsonschema
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text(encoding="utf-8"))
    for error in jsonschema.Draft7Validator(schema).iter_errors(filled):
        where = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = list(error.schema["properties"])
            for key in error.instance.keys() - set(known):
                yield (*where, key), f"unknown key; {nearest(key, known)}"
        else:
            yield where, error.message


def _beyond_schema(filled: dict[str, Any]) -> Iterator[Problem]:
    from ray.autoscaler._private.util import validate_config

    try:
        validate_config(filled)
    except Exception as error:  # as above
        yield (), str(error)


def _exposure(filled: dict[str, Any]) -> Iterator[Problem]:
    """What lets strangers in: an open dashboard, no token, secrets in the file."""
    lines = {key: "\n".join(filled.get(key) or ()) for key in COMMANDS}
    head = lines["head_start_ray_commands"]
    for host in re.findall(r"--dashboard-host[= ]+(\S+)", head):
        if host not in LOOPBACK:
            yield (
                ("head_start_ray_commands",),
                f"the dashboard listens on {host}: whoever reaches it runs code; write --dashboard-host=127.0.0.1 "
                f"and look at it through `ray dashboard`",
            )
    everywhere = lines["initialization_commands"] + lines["setup_commands"]
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        if "RAY_AUTH_MODE=token" not in lines[key] + everywhere:
            yield (key,), "no token authentication: write RAY_AUTH_MODE=token before `ray start`"
    mounts = filled.get("file_mounts") or {}
    if not any(str(remote).endswith("auth_token") for remote in mounts):
        yield ("file_mounts",), "no token for the nodes: add {~/.ray/auth_token: ~/.ray/auth_token}"
    seen: set[str] = set()
    for key in COMMANDS:  # Ray copies the setup commands into those of the head and of the workers
        for command in filled.get(key) or ():
            if command not in seen and (found := SECRETS.search(command)):
                yield (key,), f"a secret in the file ({found[1]}): use an instance profile or a mounted file"
            seen.add(command)


def _dotted(where: tuple[str | int, ...]) -> str:
    return f"{'.'.join(str(part) for part in where)}: " if where else ""
