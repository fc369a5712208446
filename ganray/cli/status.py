"""`ganray status`: the jobs of a cluster, or how far a sweep is."""

import os

import click

from ganray.cli.options import jobs_address_option, make_console

WIDE = 400
"""Columns: a job's id must be whole to be copied, so a long line is left to the terminal."""


@click.command()
@click.argument("job", required=False)
@jobs_address_option
@click.option(
    "--runs", metavar="FOLDER", help="Show the sweep named JOB whose files are in this folder or URI instead."
)
@click.option("--price", type=click.FloatRange(min=0), metavar="AMOUNT", help="What a device-hour costs.")
@click.pass_context
def command(context: click.Context, job: str | None, address: str, runs: str | None, price: float | None) -> None:
    """List the jobs of a cluster, or show one sweep: slots, utilisation, time left, device-hours and cost.

    JOB is a job's id, the beginning of one, or an experiment's name, which means its newest job. With --runs, JOB is
    an experiment's name, and no cluster is asked; nor is one where the folder runs/JOB has a sweep and no --address is
    given.

    \b
    Examples:
      ganray status
      ganray status quickstart --price 0.45
      ganray status quickstart --runs runs
      ganray status few_shot_256 --runs s3://bucket/runs
    """
    if runs is None and job and _is_default(context, "address") and os.path.isfile(f"runs/{job}/status.json"):
        runs = "runs"
    if runs is not None:
        if job is None:
            raise click.UsageError("--runs needs the name of an experiment: ganray status NAME --runs FOLDER")
        _local(job, runs, price)
    elif job is None:
        _all(address)
    else:
        _one(job, address, price)


def _is_default(context: click.Context, option: str) -> bool:
    return context.get_parameter_source(option) is click.core.ParameterSource.DEFAULT


def _local(experiment: str, runs: str, price: float | None) -> None:
    from ganray.cluster.jobs_table import sweep_status
    from ganray.cluster.status import render_status

    make_console().print(render_status(sweep_status(experiment, runs), price))


def _all(address: str) -> None:
    from ganray.cluster.jobs_client import Jobs
    from ganray.cluster.jobs_table import jobs_table

    found = Jobs(address).all()
    if found:
        console = make_console()
        console.width = WIDE
        console.print(jobs_table(found))
    else:
        click.echo("no sweep has been handed in there; `ganray submit EXPERIMENT` does that")


def _one(job: str, address: str, price: float | None) -> None:
    from ganray.cluster.jobs_client import Jobs
    from ganray.cluster.jobs_table import describe, newest_status
    from ganray.cluster.status import render_status

    jobs = Jobs(address)
    found = jobs.find(job)
    log = jobs.logs(found.id)
    status = newest_status(log)
    for line in describe(found, "" if status else log):
        click.echo(line)
    if status is not None:
        make_console().print(render_status(status, price))
