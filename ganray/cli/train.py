"""`ganray train`: train one recipe, with or without Ray."""

import os
from pathlib import Path

import click

from ganray.cli.options import experiment_argument, fid_weights_option, set_option


@click.command()
@experiment_argument
@click.option("--local", is_flag=True, help="Without Ray, in this process. torchrun's workers need no such option.")
@click.option("--resume", is_flag=True, help="Go on from this recipe's checkpoint, exactly.")
@click.option("--fresh", is_flag=True, help="Delete this recipe's checkpoint and begin again; rows in the store stay.")
@click.option("--address", help="A running Ray cluster (auto, or HOST:PORT); left out: Ray starts on this machine.")
@click.option("--verbose", is_flag=True, help="Show Ray's own log.")
@fid_weights_option
@set_option
def command(
    experiment: Path,
    local: bool,
    resume: bool,
    fresh: bool,
    address: str | None,
    verbose: bool,
    fid_weights: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Train the one recipe of an experiment file: no search, no early stopping.

    Ctrl-C leaves a checkpoint that --resume goes on from, exactly.

    \b
    Examples:
      ganray train experiments/few_shot_256.yaml --set data.source=my_images/ --local
      ganray train experiments/few_shot_256.yaml --set data.source=my_images/ --local --resume
      torchrun --nproc-per-node 4 -m ganray.cli.main train experiments/few_shot_256.yaml
    """
    if resume and fresh:
        raise click.UsageError("--resume goes on from the checkpoint and --fresh deletes it: give one of them")
    from ganray.recipe.experiment import load_experiment

    loaded = load_experiment(experiment, overrides)
    recipe = loaded.the_recipe()
    # torchrun takes --local for an abbreviation of its own options, so it is understood here.
    if local or "TORCHELASTIC_RUN_ID" in os.environ:
        from ganray.trial.local import train_locally

        train_locally(loaded, recipe, resume=resume, fresh=fresh, fid_weights=fid_weights)
    else:
        from ganray.cluster.single import train_on_ray

        train_on_ray(
            loaded, recipe, resume=resume, fresh=fresh, address=address, verbose=verbose, fid_weights=fid_weights
        )
