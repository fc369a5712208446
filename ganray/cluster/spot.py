"""Tells Ray of a spot interruption before it comes: `python -m ganray.cluster.spot` on each spot node of a cluster.

EC2 writes a notice into the instance's metadata two minutes before it takes an instance away (and a recommendation to
rebalance some time before that, which comes true often enough not to be waited for). The node is drained: Ray places
nothing on it any more, and each slot with a worker there writes a checkpoint and starts again elsewhere (group.py).
Other clouds and Kubernetes drain in their own ways; `ray drain-node` by hand has the same effect.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

LOG = logging.getLogger(__name__)
METADATA = "http://169.254.169.254"
EVERY_S = 5.0
TIMEOUT_S = 2.0
TOKEN_LIVES_S = 21600


@dataclass(frozen=True)
class Notice:
    """The instance is about to be taken away."""

    action: str
    """terminate, stop or hibernate."""
    at_s: float
    """When, in seconds since 1970."""


def read_notice(metadata: str = METADATA) -> Notice | None:
    """What the instance's metadata (version 2, with a session token) say; None where there is no notice.

    Raises OSError where the metadata do not answer, as on any machine that is no EC2 instance.
    """
    token = _ask(Request(f"{metadata}/latest/api/token", method="PUT",
                         headers={"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_LIVES_S)}))  # fmt: skip
    headers = {"X-aws-ec2-metadata-token": token or ""}
    text = _ask(Request(f"{metadata}/latest/meta-data/spot/instance-action", headers=headers))
    if text is None:
        return None
    return parse(text)


def parse(text: str) -> Notice:
    """A notice as the metadata have it. Raises ValueError, KeyError or TypeError where it is none."""
    found = json.loads(text)
    return Notice(found["action"], datetime.fromisoformat(found["time"].replace("Z", "+00:00")).timestamp())


def watch(
    read: Callable[[], Notice | None], drain: Callable[[Notice], bool], sleep: Callable[[float], None] = time.sleep
) -> Notice:
    """Look for a notice until there is one that Ray has taken; return it. What fails is logged once and tried again."""
    complained = False
    while True:
        try:
            notice = read()
            if notice is not None and drain(notice):
                return notice
        except (OSError, ValueError, KeyError, TypeError) as error:
            if not complained:
                LOG.warning("no spot notices for now: %s", error)
            complained = True
        sleep(EVERY_S)


def drain_this_node(notice: Notice, address: str | None = None) -> bool:
    """Have Ray drain the node on this machine; whether it will. Raises OSError where no Ray runs here or answers."""
    from ray.exceptions import RayError

    try:
        return _drain(notice, address)
    except RayError as error:
        raise OSError(f"Ray does not take the notice: {error}") from None


def _drain(notice: Notice, address: str | None) -> bool:
    from ray._private import services
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason  # type: ignore[attr-defined]

    client = _gcs(address)
    here = services.get_node_ip_address()
    nodes = client.get_all_node_info(timeout=10.0).values()
    ours = [node for node in nodes if node.node_manager_address in (here, "127.0.0.1") and node.state == 0]
    if not ours:
        raise OSError(f"no Ray node of this machine ({here}) is in the cluster")
    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    text = f"spot instance: {notice.action} at {datetime.fromtimestamp(notice.at_s):%H:%M:%S}"
    answers = [client.drain_node(node.node_id.hex(), reason, text, int(notice.at_s * 1000)) for node in ours]
    for accepted, why in answers:
        if not accepted:
            LOG.warning("Ray does not drain this node: %s", why)
    return all(accepted for accepted, _ in answers)


def _gcs(address: str | None) -> Any:
    import ray
    from ray._private import services

    found = services.canonicalize_bootstrap_address_or_die(address) if address else None
    found = found or next(iter(services.find_gcs_addresses()), None)
    if found is None:
        raise OSError("no Ray runs on this machine")
    raylet: Any = ray._raylet
    return raylet.GcsClient(address=found)


def _ask(request: Request) -> str | None:
    """The answer; None where there is no such thing."""
    try:
        # No proxy stands between an instance and its metadata.
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:
            text: str = answer.read().decode()
            return text
    except HTTPError as error:
        if error.code == 404:
            return None
        raise OSError(f"{request.full_url} answers {error.code}") from None
    except URLError as error:
        raise OSError(f"{request.full_url}: {error.reason}") from None
    except HTTPException as error:
        raise OSError(f"{request.full_url}: {error!r}") from None


def main() -> None:
    """Watch until this instance is about to be taken away."""
    parser = argparse.ArgumentParser(prog="python -m ganray.cluster.spot", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--address", help="Ray's address; left out: that of the Ray on this machine.")
    parser.add_argument("--metadata", default=METADATA, help="Where the instance's metadata are.")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    notice = watch(lambda: read_notice(options.metadata), lambda notice: drain_this_node(notice, options.address))
    LOG.info("this node is drained: %s", notice)


if __name__ == "__main__":
    main()
