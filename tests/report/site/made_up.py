"""A small store with all kinds of trials, and one in which every name is an attack."""

import io
import json
from datetime import UTC, datetime

from PIL import Image

from ganray.store.schema import CurveRow, EvaluationRow, TrialRow

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
LITE, FID = "fd_lite0_1k_train", "fid_5k_train"
HOSTILE = "<img src=x onerror=window.__pwned=1></script><script>window.__pwned=1</script>\"'&\u2028"
"""Breaks out of text, attributes, script elements and JavaScript strings where one of them is not escaped."""


def recipe(loss="hinge", seed=0, lr=0.0002, **parts):
    return {
        "data": {"source": "sample:hubble", "resolution": 64},
        "generator": {"name": "dcgan", "width": 32},
        "discriminator": {"name": "dcgan", "width": 32},
        "objective": {"loss": {"name": loss}},
        "tricks": [{"name": "flips"}],
        "optimizers": {"generator": {"lr": lr}},
        "budget": {"kimg": 12.0, "batch_size": 8},
        "evaluation": {"protocols": [LITE], "every_kimg": 4.0},
        "seed": seed,
        **parts,
    }


def put_trial(store, trial_id, content=None, experiment="demo", status="completed", **changes):
    content = content or recipe()
    values = {
        "recipe_hash": "h", "dataset": "hubble", "dataset_fingerprint": "f00d", "n_images": 100, "resolution": 64,
        "generator": "dcgan", "discriminator": "dcgan", "loss": content["objective"]["loss"]["name"],
        "seed": content["seed"], "budget_kimg": 12.0, "batch_size": 8, "kimg": 12.0, "device_s": 90.0,
        "diagnoses": [], "created_at": START, "updated_at": START,
    }  # fmt: skip
    row = {**values, **changes}
    store.put_trial(
        TrialRow(trial_id=trial_id, experiment=experiment, status=status, recipe_json=json.dumps(content), **row)
    )


def put_scores(store, trial_id, values, experiment="demo", **changes):
    given = {
        "protocol": LITE, "extractor": "lite0", "extractor_checksum": "c0de", "n_fake": 1000, "n_real": 100,
        "kid_stderr": 0.003, "created_at": START, **changes,
    }  # fmt: skip
    for kimg, frechet in values.items():
        row = EvaluationRow(
            trial_id=trial_id, experiment=experiment, kimg=kimg, frechet=frechet, kid=frechet / 1000, **given
        )
        store.put_evaluation(row)


def put_curves(store, trial_id, n=20, experiment="demo"):
    store.put_curves(
        [
            CurveRow(
                trial_id=trial_id, experiment=experiment, kimg=12.0 * (i + 1) / n, loss_d=1.0 - i / n,
                loss_g=0.5 + i / n,
                logits_real=0.1 * i, logits_fake=-0.1 * i, grad_norm_d=1.0 + i, grad_norm_g=0.1 + i, created_at=START,
            )
            for i in range(n)
        ]
    )  # fmt: skip


def png(color, side=64):
    out = io.BytesIO()
    Image.new("RGB", (side, side), color).save(out, "PNG")
    return out.getvalue()


def fill(store):
    """aaaa is best (10), then bbbb (20), cccc (30); dddd failed; eeee is not evaluated; ffff has another protocol."""
    for index, (trial_id, loss, best) in enumerate(
        [("aaaa", "hinge", 10.0), ("bbbb", "lsgan", 20.0), ("cccc", "ragan", 30.0)]
    ):
        put_trial(store, trial_id, recipe(loss, lr=0.0001 * (index + 1)))
        put_curves(store, trial_id)
        for kimg, frechet, color in ((4.0, best + 30, "red"), (8.0, best, "green"), (12.0, best + 5, "blue")):
            grid = store.put_artifact("demo", trial_id, f"grid-{kimg:g}.png", png(color))
            pairs = store.put_artifact("demo", trial_id, f"pairs-{kimg:g}.png", png("white"))
            put_scores(store, trial_id, {kimg: frechet}, grid_uri=grid, pairs_uri=pairs, memorised=0.02)
    finding = {"name": "non-finite", "evidence": f"loss_d = nan {HOSTILE}", "since_kimg": 4.0, "kimg": 4.0}
    put_trial(store, "dddd", recipe("minimax"), status="failed", diagnoses=[json.dumps(finding)],
              diagnosis=f"non-finite: {HOSTILE}")  # fmt: skip
    put_scores(store, "dddd", {4.0: 5.0}, grid_uri=f"{store.uri}/artifacts/experiment=demo/dddd/gone.png")
    put_trial(store, "eeee", recipe("rahinge"), status="running", kimg=1.0)
    put_trial(store, "ffff", recipe("hinge", seed=1))
    put_scores(store, "ffff", {12.0: 77.0}, protocol=FID, extractor="inception", extractor_checksum="1ce")


def fill_two_sets(store):
    """Two experiments on two sets of images: on cats a1 (10) and b1 (30), on dogs a2 (20) and b2 (5)."""
    for trial_id, experiment, fingerprint, value in (
        ("a1", "one", "cats", 10.0),
        ("a2", "one", "dogs", 20.0),
        ("b1", "two", "cats", 30.0),
        ("b2", "two", "dogs", 5.0),
    ):
        put_trial(store, trial_id, experiment=experiment, dataset=fingerprint, dataset_fingerprint=fingerprint)
        put_scores(store, trial_id, {4.0: value}, experiment=experiment)


def fill_hostile(store):
    """Everything that a user or a file may name is an attack; no recipe is valid, so they are shown as they are."""
    content = recipe(HOSTILE, data={"source": HOSTILE, "resolution": 64, HOSTILE: HOSTILE})
    for trial_id, value in ((HOSTILE, 10.0), ("0123", 20.0), ("4567", 30.0)):
        own = {**content, "seed": 0, "generator": {"name": f"{value}{HOSTILE}"}}
        put_trial(
            store, trial_id, own, experiment=HOSTILE[:40], dataset=HOSTILE, device=HOSTILE, diagnosis=HOSTILE,
            versions={HOSTILE: HOSTILE}, generator=HOSTILE, git_commit=HOSTILE,
            status="failed" if value > 25 else "completed",
        )  # fmt: skip
        changes = {"protocol": f"fid{HOSTILE}", "extractor": HOSTILE}
        put_scores(store, trial_id, {4.0: value}, experiment=HOSTILE[:40], **changes)
