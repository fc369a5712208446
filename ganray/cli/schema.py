"""`ganray schema`: the JSON schema of experiment files, for completion in editors."""

from pathlib import Path

import click


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal.")
def command(output: Path | None) -> None:
    """Print the JSON schema of experiment files, for completion and checks in an editor.

    \b
    Example: put this in the first line of an experiment file, for VS Code's YAML extension:
      ganray schema -o .ganray.schema.json
      # yaml-language-server: $schema=../.ganray.schema.json
    """
    import json

    from ganray.recipe.json_schema import experiment_schema

    text = json.dumps(experiment_schema(), indent=2)
    if output:
        output.write_text(text + "\n")
        click.echo(f"wrote {output}")
    else:
        click.echo(text)
