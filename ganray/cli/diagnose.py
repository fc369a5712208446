"""`ganray diagnose`: what went wrong with a trial, and what to try."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ganray.cli.options import make_console
from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE


@click.command("diagnose")
@click.argument("trial", metavar="TRIAL")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="PNG",
              help="Draw losses, logits, gradient norms and the metric over kimg into this file.")  # fmt: skip
@click.option("--snippet", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="YAML",
              help="Write an experiment that tries the remedies, one at a time.")  # fmt: skip
@click.option("--also", multiple=True, metavar="NAME",
              help="A trouble that you see yourself, such as unrealistic-shape; several times if need be.")  # fmt: skip
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=DEFAULT_STORE, show_default=True,
              show_envvar=True, metavar="URI", help="A folder or an fsspec URI such as s3://bucket/runs.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True)
def command(
    trial: str, output: Path | None, snippet: Path | None, also: tuple[str, ...], store_uri: str, form: str
) -> None:
    """What is wrong with a trial, by what evidence, and what the literature advises.

    TRIAL is a trial's id or a beginning of it that no other trial has. Nothing is trained: the findings are those
    of its training, from the store.

    \b
    Examples:
      ganray diagnose 3f2a9c1b
      ganray diagnose 3f2a -o curves.png --snippet remedies.yaml
      ganray diagnose 3f2a --also unrealistic-shape --snippet remedies.yaml
    """
    from ganray.report.curves import draw_curves
    from ganray.report.diagnosis import diagnose
    from ganray.report.remedies import write
    from ganray.report.render_diagnosis import findings_to_json, findings_to_rich
    from ganray.store.store import Store

    findings = diagnose(Store(store_uri), trial, also)
    if form == "json":
        click.echo(findings_to_json(findings), nl=False)
    else:
        make_console().print(findings_to_rich(findings))
    if output is not None:
        click.echo(f"curves: {draw_curves(findings, output)}", err=form == "json")
    if snippet is not None:
        remedies = findings.remedies()
        write(remedies, snippet)
        for reason in remedies.left_out:
            click.echo(f"left out: {reason}", err=True)
        click.echo(f"remedies: ganray sweep {shlex.quote(str(snippet))}", err=form == "json")
