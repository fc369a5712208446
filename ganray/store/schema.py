"""The three tables of the store: columns with their units, natural keys, and one typed row each.

Evolution adds nullable columns only. A reader fills the columns that a file does not have with nulls and
leaves out the columns that it does not know, so old and new files live side by side and neither is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa

SCHEMA_VERSION = 2
"""1: the spine. 2: the definition's hash, manifold metrics, memorisation, device seconds at each evaluation."""

Status = Literal["running", "completed", "pruned", "failed"]

_TEXT = pa.string()
_TEXTS = pa.list_(pa.string())
_INT = pa.int64()
_REAL = pa.float64()
_TIME = pa.timestamp("us", tz="UTC")

Column = tuple[str, pa.DataType, str]

_TRIAL_COLUMNS: list[Column] = [
    ("trial_id", _TEXT, "derived from the experiment's name and the recipe's hash; 12 hex digits"),
    ("experiment", _TEXT, "name of the experiment"),
    (
        "definition_hash",
        _TEXT,
        "SHA-256 of the experiment's space and metric; null: not of a sweep, or written by version 1",
    ),
    ("recipe_json", _TEXT, "the whole recipe as JSON"),
    ("recipe_hash", _TEXT, "SHA-256 of the recipe without its runtime"),
    ("dataset", _TEXT, "source of the images as the recipe names it"),
    ("dataset_fingerprint", _TEXT, "hash of the images' content and their preprocessing"),
    ("n_images", _INT, "training images"),
    ("resolution", _INT, "side of the square images in pixels"),
    ("generator", _TEXT, "name of the architecture"),
    ("discriminator", _TEXT, "name of the architecture"),
    ("loss", _TEXT, "name of the adversarial loss"),
    ("penalties", _TEXTS, "names of the penalties"),
    ("augment", _TEXT, "DiffAugment's policy joined by commas; null without augmentation"),
    ("tricks", _TEXTS, "names of the tricks"),
    ("seed", _INT, "seed of the recipe"),
    ("budget_kimg", _REAL, "budget in thousands of real images shown"),
    ("batch_size", _INT, "real images per step over all workers"),
    ("world_size", _INT, "workers"),
    ("device", _TEXT, "name of the hardware"),
    ("versions", _TEXT, "JSON object: versions of Python and of the packages that matter"),
    ("git_commit", _TEXT, "commit of the code, where it is known"),
    ("status", _TEXT, "running, completed, pruned or failed"),
    ("diagnosis", _TEXT, "why the trial failed or was pruned"),
    (
        "diagnoses",
        _TEXTS,
        "JSON object per finding: name, kimg of the first and last sighting, evidence; null: not looked",
    ),
    ("kimg", _REAL, "thousands of real images shown so far"),
    ("wall_s", _REAL, "wall-clock seconds"),
    ("device_s", _REAL, "seconds times the devices used"),
    ("generator_params", _INT, "trainable parameters"),
    ("discriminator_params", _INT, "trainable parameters"),
    ("checkpoint_uri", _TEXT, "the last checkpoint"),
    ("skipped_files", _TEXTS, "unreadable images that were left out"),
    (
        "lineage",
        _TEXTS,
        "JSON object per take-over from another member of a population: kimg, from (its trial_id), changed (parameter "
        "to old and new value), params (all from then on); then recipe_json is only how the trial began; null: none",
    ),
    ("created_at", _TIME, "when the trial began, UTC"),
    ("updated_at", _TIME, "when this row was written, UTC; the newest row of a trial counts"),
]

_EVALUATION_COLUMNS: list[Column] = [
    ("trial_id", _TEXT, "the trial that made the checkpoint"),
    ("experiment", _TEXT, "name of the experiment"),
    ("kimg", _REAL, "thousands of real images shown to the checkpoint"),
    ("protocol", _TEXT, "name of the protocol; part of the metric's name"),
    ("extractor", _TEXT, "name of the feature extractor"),
    ("extractor_checksum", _TEXT, "SHA-256 of the extractor's weights"),
    ("n_fake", _INT, "generated images"),
    ("n_real", _INT, "real images"),
    ("frechet", _REAL, "Frechet distance between the features of reals and fakes"),
    ("kid", _REAL, "kernel distance, unbiased; may be below zero"),
    ("kid_stderr", _REAL, "standard error of the kernel distance"),
    ("precision", _REAL, "share of fakes within the reals' manifold, k = 5 (arXiv 1904.06991); null before version 2"),
    ("recall", _REAL, "share of reals within the fakes' manifold, k = 5 (arXiv 1904.06991)"),
    ("density", _REAL, "how many reals' neighbourhoods hold a fake, over k = 5 (arXiv 2002.09797); may exceed 1"),
    ("coverage", _REAL, "share of reals whose neighbourhood holds a fake, k = 5 (arXiv 2002.09797)"),
    (
        "memorised",
        _REAL,
        "share of fakes nearer to a training image than that image's nearest other: 1 for copies, about 0.3 to 0.4 for "
        "new images of the same source, 0 for poor ones (the complement of authenticity, arXiv 2102.08921)",
    ),
    ("diversity", _REAL, "mean distance between the features of two fakes, over that of two reals"),
    ("overfit", _REAL, "ADA's r_v: what of D's advantage on training images it loses on changed ones; 0 none, 1 all"),
    ("sure_of_reals", _REAL, "ADA's r_t: mean sign of D's logits on training images; null where they have no zero"),
    ("seconds", _REAL, "wall-clock seconds that the evaluation took"),
    ("device_s", _REAL, "seconds times the devices that the trial had used by then; null before version 2"),
    ("grid_uri", _TEXT, "picture of samples from fixed latents"),
    ("pairs_uri", _TEXT, "picture of the fakes nearest to training images, each beside its nearest training image"),
    ("checkpoint_uri", _TEXT, "the checkpoint, where it was kept"),
    ("created_at", _TIME, "when the row was written, UTC; the newest row of a key counts"),
]

_CURVE_COLUMNS: list[Column] = [
    ("trial_id", _TEXT, "the trial"),
    ("experiment", _TEXT, "name of the experiment"),
    ("kimg", _REAL, "thousands of real images shown"),
    ("loss_d", _REAL, "adversarial loss of the discriminator"),
    ("loss_g", _REAL, "adversarial loss of the generator"),
    ("penalty", _REAL, "sum of the penalties"),
    (
        "reconstruction",
        _REAL,
        "reconstruction loss of the self-supervised discriminator, or of G while it is pre-trained",
    ),
    ("self_supervision", _REAL, "sum of D's further tasks"),
    ("classification", _REAL, "auxiliary classifier's loss in D's step"),
    ("auxiliary_g", _REAL, "sum of what G minimises besides the adversarial loss"),
    ("logits_real", _REAL, "mean logit of the reals"),
    ("logits_fake", _REAL, "mean logit of the fakes"),
    ("grad_norm_d", _REAL, "gradient norm of the discriminator"),
    ("grad_norm_g", _REAL, "gradient norm of the generator"),
    ("images_per_s", _REAL, "real images per second over all workers"),
    ("memory_bytes", _INT, "peak memory of the device"),
    ("created_at", _TIME, "when the row was written, UTC; the newest row of a key counts"),
]

KEYS: dict[str, tuple[str, ...]] = {
    "trials": ("trial_id",),
    "evaluations": ("trial_id", "kimg", "protocol"),
    "curves": ("trial_id", "kimg"),
}
"""The natural key of each table: readers take the newest row per key."""

WRITTEN: dict[str, str] = {"trials": "updated_at", "evaluations": "created_at", "curves": "created_at"}
"""The column that says how new a row is."""


def _schema(table: str, columns: list[Column]) -> pa.Schema:
    required = {*KEYS[table], "experiment", "created_at", WRITTEN[table]}
    arrow = [
        pa.field(name, kind, nullable=name not in required, metadata={"description": text})
        for name, kind, text in columns
    ]
    return pa.schema(arrow, metadata={"ganray.table": table, "ganray.schema_version": str(SCHEMA_VERSION)})


TRIALS = _schema("trials", _TRIAL_COLUMNS)
EVALUATIONS = _schema("evaluations", _EVALUATION_COLUMNS)
CURVES = _schema("curves", _CURVE_COLUMNS)

TABLES: dict[str, pa.Schema] = {"trials": TRIALS, "evaluations": EVALUATIONS, "curves": CURVES}


def now() -> datetime:
    """The time in UTC, aware of its zone, as the rows want it."""
    return datetime.now(UTC)


class Row:
    """What the three rows share: times know their zone, and a row turns into a plain dict."""

    def __post_init__(self) -> None:
        for name in ("created_at", "updated_at"):
            value = getattr(self, name, None)
            if value is not None and value.tzinfo is None:
                raise ValueError(f"{name} has no time zone; use ganray.store.schema.now()")

    def to_dict(self) -> dict[str, Any]:
        """Column name to a value that parquet can hold."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return json.dumps(value, sort_keys=True)
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True, kw_only=True)
class TrialRow(Row):
    """The state of one trial at one time; columns and units as in `TRIALS`."""

    trial_id: str
    experiment: str
    definition_hash: str | None = None
    recipe_json: str
    recipe_hash: str
    dataset: str
    dataset_fingerprint: str
    n_images: int
    resolution: int
    generator: str
    discriminator: str
    loss: str
    penalties: tuple[str, ...] | list[str] = ()
    augment: str | None = None
    tricks: tuple[str, ...] | list[str] = ()
    seed: int = 0
    budget_kimg: float
    batch_size: int
    world_size: int = 1
    device: str = "cpu"
    versions: Mapping[str, str] | str = field(default_factory=dict)
    git_commit: str | None = None
    status: Status
    diagnosis: str | None = None
    diagnoses: tuple[str, ...] | list[str] | None = None
    kimg: float = 0.0
    wall_s: float = 0.0
    device_s: float = 0.0
    generator_params: int | None = None
    discriminator_params: int | None = None
    checkpoint_uri: str | None = None
    skipped_files: tuple[str, ...] | list[str] = ()
    lineage: tuple[str, ...] | list[str] | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True, kw_only=True)
class EvaluationRow(Row):
    """One checkpoint scored under one protocol; columns and units as in `EVALUATIONS`."""

    trial_id: str
    experiment: str
    kimg: float
    protocol: str
    extractor: str
    extractor_checksum: str
    n_fake: int
    n_real: int
    frechet: float | None = None
    kid: float | None = None
    kid_stderr: float | None = None
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None
    memorised: float | None = None
    diversity: float | None = None
    overfit: float | None = None
    sure_of_reals: float | None = None
    seconds: float | None = None
    device_s: float | None = None
    grid_uri: str | None = None
    pairs_uri: str | None = None
    checkpoint_uri: str | None = None
    created_at: datetime = field(default_factory=now)


@dataclass(frozen=True, kw_only=True)
class CurveRow(Row):
    """The course of training at one time; columns and units as in `CURVES`."""

    trial_id: str
    experiment: str
    kimg: float
    loss_d: float | None = None
    loss_g: float | None = None
    penalty: float | None = None
    reconstruction: float | None = None
    self_supervision: float | None = None
    classification: float | None = None
    auxiliary_g: float | None = None
    logits_real: float | None = None
    logits_fake: float | None = None
    grad_norm_d: float | None = None
    grad_norm_g: float | None = None
    images_per_s: float | None = None
    memory_bytes: int | None = None
    created_at: datetime = field(default_factory=now)
