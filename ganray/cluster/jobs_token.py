"""Ray's token: where it is found and when it is sent. It is never printed and enters no job.

A process whose RAY_AUTH_MODE is unset sends none, even where there is one and the cluster wants it (Ray 2.60); so the
cluster is asked first, at an address that it answers without a token.
"""

import os
from pathlib import Path

from ganray.errors import ClusterError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"

_ANSWER_S = 15.0


def authorization(address: str) -> dict[str, str]:
    """The header that this cluster wants; empty where it wants none.

    ClusterError where it wants a token and there is none; requests' own errors where it does not answer.
    """
    import requests

    answer = requests.get(f"{address}/api/authentication_mode", timeout=_ANSWER_S)
    if answer.status_code == 404:  # a Ray that knows no tokens
        return {}
    try:
        wants_token = answer.json()["authentication_mode"] == "token"
    except (ValueError, KeyError, TypeError):
        raise ClusterError(
            f"what answers at {address} (HTTP {answer.status_code}) is not Ray's dashboard; check host and port"
        ) from None
    if not wants_token:
        return {}
    if os.environ.get(MODE, "token").lower() != "token":
        raise ClusterError(
            f"the cluster at {address} wants a token, and {MODE}={os.environ[MODE]} is set here; run `export "
            f"{MODE}=token`, or unset it"
        )
    return {"Authorization": f"Bearer {find_token(address)}"}


def find_token(address: str) -> str:
    """The token, looked for where Ray looks for it. ClusterError, with what to do, where there is none."""
    if os.environ.get(TOKEN, "").strip():
        return os.environ[TOKEN].strip()
    named = os.environ.get(TOKEN_PATH)
    path = Path(named or "~/.ray/auth_token").expanduser()
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if token and token.isprintable():
        return token
    where = f"{TOKEN_PATH} names {path}, which holds none" if named else f"there is none in {path}"
    raise ClusterError(
        f"the cluster at {address} wants a token, and {where}. Copy the cluster's token from its head, for example "
        f"`ssh HEAD ray get-auth-token > ~/.ray/auth_token && chmod 600 ~/.ray/auth_token`, or name its file with "
        f"{TOKEN_PATH}"
    )
