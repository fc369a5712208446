"""`ganray dashboard`: a sweep in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from ganray.store.location import STORE_VARIABLE


@click.command("dashboard")
@click.argument("experiment")
@click.option("--runs", default="runs", show_default=True, metavar="FOLDER",
              help="Where sweeps keep their files; or an fsspec URI.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65534), default=8080, show_default=True,
              help="Of Optuna's dashboard; the report takes the next one.")  # fmt: skip
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), default=None, metavar="FOLDER",
              help="Where the HTML report is written.  [default: report/ beside the sweep's journal]")  # fmt: skip
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=None, show_envvar=True, metavar="URI",
              help="A folder or an fsspec URI.  [default: store/ in the runs' folder]")  # fmt: skip
def command(experiment: str, runs: str, port: int, report: Path | None, store_uri: str | None) -> None:
    """Serve a sweep's study and report on this machine, and say where Ray's own dashboard is. Ctrl-C ends it.

    EXPERIMENT is a name or the experiment's YAML file. The study is live; the report is of the moment it starts.
    Needs optuna-dashboard: pip install 'ganray[dashboard]'. Nothing is reachable from other machines.

    \b
    Examples:
      ganray dashboard quickstart
      ganray dashboard experiments/losses.yaml --port 9000 --report report/
      ssh -L 8080:localhost:8080 -L 8081:localhost:8081 HOST 'cd ganray && ganray dashboard losses'
    """
    from ganray.cluster.dashboard import report_builder, run_dashboard
    from ganray.report.lookup import experiment_name
    from ganray.store.location import store_uri as where
    from ganray.store.store import Store

    name = experiment_name(experiment)
    build = report_builder(Store(where(store_uri, runs)), name)
    run_dashboard(name, runs, port, build, report, tell=lambda line: click.echo(line))
