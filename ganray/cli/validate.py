"""`ganray validate`: what an experiment file would run."""

from pathlib import Path

import click

from ganray.cli.options import experiment_argument, set_option


@click.command()
@experiment_argument
@set_option
@click.option("--seed", default=0, show_default=True, help="Which example recipe to draw.")
def command(experiment: Path, overrides: tuple[str, ...], seed: int) -> None:
    """Check an experiment file and print what would run: the space, the slots, the budget, one recipe.

    \b
    Examples:
      ganray validate experiments/quickstart.yaml
      ganray validate experiments/few_shot_256.yaml --set data.source=my_images/
    """
    from rich.console import Console

    from ganray.evaluation.protocols import get_protocol
    from ganray.recipe.experiment import load_experiment
    from ganray.recipe.overview import overview
    from ganray.store.location import store_uri

    loaded = load_experiment(experiment, overrides)
    for protocol in loaded.protocols:
        get_protocol(protocol)
    store = store_uri(loaded.settings.store, loaded.settings.runs)
    Console().print(overview(loaded, seed, store), highlight=False, soft_wrap=True, markup=False)
