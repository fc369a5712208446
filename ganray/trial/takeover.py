"""Makes another member's checkpoint a trial's own."""

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganray.errors import StoreError, WeightsError
from ganray.recipe.recipe import Recipe
from ganray.training.checkpoint import read_checkpoint, write_atomically
from ganray.training.optimizers import rates_of
from ganray.trial.job import TAKEN, TrialJob
from ganray.trial.member import Exploit
from ganray.trial.mirror import Mirror

LOG = logging.getLogger(__name__)


def current_recipe(job: TrialJob, mirror: Mirror) -> Recipe:
    """Take over what is to be taken over; return what the trial trains with now. Only for whoever holds its lock."""
    member = job.member
    assert member is not None  # asked of members alone
    saved = _whole(job.files.checkpoint)
    exploit = member.exploit
    if exploit is not None:
        if saved is None or exploit.to_json() not in saved.get("lineage", ()):
            saved = _take_over(job, member.recipe, exploit, saved, mirror) or saved
        _tidy(job)
    return job.recipe if saved is None else Recipe.model_validate(saved["recipe"])


def _take_over(
    job: TrialJob, recipe: Recipe, exploit: Exploit, own: dict[str, Any] | None, mirror: Mirror
) -> dict[str, Any] | None:
    """Make the other's checkpoint the trial's own; None, with a word in the log, where it is not what was meant."""
    taken = job.folder / TAKEN
    _fetch(job, taken)
    theirs = _whole(taken)
    if theirs is None or abs(theirs["images_shown"] / 1000 - exploit.kimg) > 1e-6:
        LOG.warning("trial %s goes on by itself: there is no checkpoint of %s at %g kimg", job.trial_id, exploit.donor,
                    exploit.kimg)  # fmt: skip
        return None
    content = adopted(theirs, own, recipe, exploit, job.trial_id)
    write_atomically(content, job.files.checkpoint, keep=True)
    mirror.push(content["step"])
    return content


def _fetch(job: TrialJob, taken: Path) -> None:
    """The slot may be on another machine than its workers: then it has left the checkpoint at the runs' URI."""
    if job.files.runs.is_remote:
        try:
            job.files.runs.fetch(f"{job.files.relative}/{TAKEN}", taken)
        except StoreError as error:
            LOG.warning("%s", error)


def _tidy(job: TrialJob) -> None:
    with contextlib.suppress(OSError, StoreError):
        (job.folder / TAKEN).unlink(missing_ok=True)
        if job.files.runs.is_remote:
            job.files.runs.remove(f"{job.files.relative}/{TAKEN}", 0.0)


def adopted(
    theirs: Mapping[str, Any], own: Mapping[str, Any] | None, recipe: Recipe, exploit: Exploit, trial_id: str
) -> dict[str, Any]:
    """Another member's checkpoint as the trial's own.

    Its networks, EMA, optimizers' moments, old fakes and progress; the rates of `recipe`; the trial's own seconds,
    seed and lineage. Random numbers are drawn anew: two copies must not go on with the same ones.
    """
    own = own or {}
    rates = {f"optimizer_{key}": rates_of(spec) for key, spec in _specs(recipe)}
    return {
        **theirs,
        **{name: _with_rates(theirs[name], values) for name, values in rates.items()},
        "recipe": recipe.model_dump(mode="json"),
        "wall_s": own.get("wall_s", 0.0),
        "started_at_s": own.get("started_at_s", theirs["started_at_s"]),
        "lineage": [*own.get("lineage", ()), exploit.to_json()],
        "reseed": (int(trial_id, 16) + theirs["images_shown"]) % 2**31,
    }


def _specs(recipe: Recipe) -> list[tuple[str, Any]]:
    return [("g", recipe.optimizers.generator), ("d", recipe.optimizers.discriminator)]


def _with_rates(optimizer: Mapping[str, Any], rates: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's state with other rates: its groups would bring back those that it was saved with."""
    return {**optimizer, "param_groups": [{**group, **rates} for group in optimizer["param_groups"]]}


def _whole(path: Path) -> dict[str, Any] | None:
    """A checkpoint's contents; None where there is none, or a damaged one."""
    if not os.path.exists(path):
        return None
    try:
        return read_checkpoint(path)
    except WeightsError as error:
        LOG.warning("%s", error)
        return None
