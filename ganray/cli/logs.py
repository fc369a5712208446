"""`ganray logs`: what a job prints."""

import click

from ganray.cli.options import jobs_address_option


@click.command()
@click.argument("job")
@click.option("--follow", "-f", "is_followed", is_flag=True, help="Stay until the job ends; Ctrl-C leaves it alone.")
@jobs_address_option
def command(job: str, is_followed: bool, address: str) -> None:
    """Print what a job has printed; with --follow also what it prints from now on.

    JOB is a job's id, the beginning of one, or an experiment's name, which means its newest job.

    \b
    Examples:
      ganray logs ganray-quickstart-20261122-101500
      ganray logs quickstart --follow
    """
    from ganray.cluster.jobs import follow, shown
    from ganray.cluster.jobs_client import Jobs

    jobs = Jobs(address)
    found = jobs.find(job)
    if is_followed:
        raise SystemExit(follow(found, jobs, click.echo))
    for line in shown(jobs.logs(found.id)):
        click.echo(line)
