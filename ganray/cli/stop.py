"""`ganray stop`: ask a job to end."""

import click

from ganray.cli.options import jobs_address_option


@click.command()
@click.argument("job")
@jobs_address_option
def command(job: str, address: str) -> None:
    """Ask a job to end (SIGTERM) and wait until it has; `ganray resume` goes on with its sweep.

    JOB is a job's id, the beginning of one, or an experiment's name, which means its newest job. A job that has not
    ended after five minutes is killed; its trials have the checkpoints of their last evaluations all the same.

    \b
    Examples:
      ganray stop quickstart
      ganray stop ganray-quickstart-20261122-101500
    """
    from ganray.cluster.jobs import stop
    from ganray.cluster.jobs_client import Jobs

    jobs = Jobs(address)
    ended = stop(jobs.find(job), jobs, click.echo)
    click.echo(f"{ended.id}: {ended.status.lower()}; go on with it by `ganray resume EXPERIMENT{jobs.option}`")
