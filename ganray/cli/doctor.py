"""`ganray doctor`: what is wrong with this machine or with a cluster, and how to mend it."""

from __future__ import annotations

from pathlib import Path

import click

from ganray.cli.options import make_console, set_option
from ganray.store.location import STORE_VARIABLE


@click.command("doctor")
@click.option("--address", default=None, metavar="auto|HOST:PORT",
              help="Look at every node of this Ray cluster, from one of its nodes.")  # fmt: skip
@click.option("--ray", "start_ray", is_flag=True, help="Without --address: start Ray here, and look through it.")
@click.option("--experiment", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="Also its data set, weights, runs and store, as every node sees them.")  # fmt: skip
@set_option
@click.option("--store", default=None, envvar=STORE_VARIABLE, show_envvar=True, metavar="URI",
              help="The results store.  [default: the experiment's, else runs/store]")  # fmt: skip
@click.option("--fid-weights", type=click.Path(), default=None, envvar="GANRAY_FID_WEIGHTS",
              help="The FID Inception's weights, where the nodes have them.")  # fmt: skip
@click.option("--cluster-file", type=click.Path(dir_okay=False, path_type=Path), default=None, metavar="YAML",
              help="Also check a file of Ray's cluster launcher.")  # fmt: skip
@click.option("--json", "as_machine", is_flag=True, help="For machines.")
def command(
    address: str | None,
    start_ray: bool,
    experiment: Path | None,
    overrides: tuple[str, ...],
    store: str | None,
    fid_weights: str | None,
    cluster_file: Path | None,
    as_machine: bool,
) -> int:
    """Check this machine, or every node of a cluster: versions, GPUs, disks, store, data, clocks, who gets in.

    Each finding is ok, a warning or a problem, with its fix. Exit code 2 where there is a problem.

    \b
    Examples:
      ganray doctor
      ganray doctor --experiment experiments/quickstart.yaml
      ganray doctor --address auto --experiment faces.yaml --store s3://bucket/ganray
      ganray doctor --cluster-file cluster.yaml --json
    """
    from ganray.cluster.doctor import DoctorOptions, as_json, as_table, diagnose, worst

    findings = diagnose(DoctorOptions(address, start_ray, experiment, overrides, store, fid_weights, cluster_file))
    if as_machine:
        click.echo(as_json(findings))
    else:
        make_console().print(as_table(findings))
    return 2 if worst(findings) == "problem" else 0
