"""A Ray of this machine alone: every socket on the loopback address, and a token of its own."""

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
_CLUSTER_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_TOKEN_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@contextlib.contextmanager
def loopback() -> Iterator[None]:
    """A Ray that is started within listens on the loopback address alone, and answers to its own token alone.

    Ray replaces `_node_ip_address="127.0.0.1"` by the address that others see. The switch with which it spares
    macOS and Windows the firewall's questions is the one that makes all of its processes bind to the loopback.
    """
    from ray._private import ray_constants

    _own_token()
    was = ray_constants.ENABLE_RAY_CLUSTER
    interface = "lo0" if sys.platform == "darwin" else "lo"
    with _environment({_CLUSTER_SWITCH: "0", "GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}):
        ray_constants.ENABLE_RAY_CLUSTER = False
        try:
            yield
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = was


def _own_token() -> None:
    """A token for this process and what it starts, unless the user chose one, or none.

    Ray would write one to ~/.ray/auth_token, readable by whoever may read the home folder.
    """
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

    if not any(os.environ.get(name) for name in _TOKEN_VARIABLES):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
