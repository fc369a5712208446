"""Rows of finished trials, without training anything."""

from datetime import UTC, datetime, timedelta

from ganray.store.schema import EvaluationRow, TrialRow

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def put_trial(
    store, recipe, experiment, *values, protocol="fd_lite0_200_train", status="completed", number=0, **columns
):
    """A trial of this recipe, and an evaluation per value; `number` says how new it is."""
    trial_id = recipe.trial_id(experiment)
    at = BEGAN + timedelta(hours=number)
    row = {
        "recipe_json": recipe.model_dump_json(),
        "recipe_hash": recipe.hash,
        "dataset": "photos",
        "dataset_fingerprint": "f00d",
        "n_images": 12,
        "resolution": 32,
        "generator": recipe.generator.name,
        "discriminator": recipe.discriminator.name,
        "loss": recipe.objective.loss.name,
        "budget_kimg": recipe.budget.kimg,
        "batch_size": recipe.budget.batch_size,
        **columns,
    }
    store.put_trial(
        TrialRow(trial_id=trial_id, experiment=experiment, status=status, created_at=at, updated_at=at, **row)
    )
    for kimg, value in enumerate(values, 1):
        store.put_evaluation(
            EvaluationRow(
                trial_id=trial_id,
                experiment=experiment,
                kimg=float(kimg),
                protocol=protocol,
                extractor="lite0",
                extractor_checksum="c0de",
                n_fake=200,
                n_real=12,
                frechet=value,
                created_at=at,
            )
        )
    return trial_id
