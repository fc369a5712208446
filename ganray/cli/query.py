"""`ganray query`: SQL over the store."""

from __future__ import annotations

from pathlib import Path

import click

from ganray.cli.options import make_console
from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE

_FORMATS = ("table", "csv", "json", "parquet")


@click.command("query")
@click.argument("sql")
@click.option("--store", "store_uri", envvar=STORE_VARIABLE, default=DEFAULT_STORE, show_default=True,
              show_envvar=True, metavar="URI", help="A folder or an fsspec URI such as s3://bucket/runs.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(_FORMATS), default=None,
              help="How the rows come out.  [default: by the file's suffix, else table]")  # fmt: skip
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Write all rows to this file instead.")  # fmt: skip
def command(sql: str, store_uri: str, form: str | None, output: Path | None) -> None:
    """Ask the store in SQL (DuckDB's).

    The views are trials, evaluations, curves, and results: trials with their best and final evaluation, one
    row per protocol. The SQL reads these and nothing else of this machine.

    \b
    Examples:
      ganray query "SELECT loss, min(best) FROM results GROUP BY loss ORDER BY 2"
      ganray query "SELECT trial_id, diagnosis FROM trials WHERE status = 'failed'"
      ganray query "DESCRIBE results"
      ganray query "FROM curves" -o curves.parquet --store s3://bucket/runs
    """
    from ganray.report.output import format_of, print_table, save, to_text
    from ganray.store.query import query
    from ganray.store.store import Store

    chosen = format_of(form, output)
    store = Store(store_uri)
    rows = query(store, sql)
    if not rows.num_rows and not store.experiments():
        click.echo(f"the store {store.uri} is empty; run a sweep first, or name another --store", err=True)
    if output is not None:
        save(rows, chosen, output)
        click.echo(f"{rows.num_rows} rows in {output}", err=True)
    elif chosen == "table":
        print_table(rows, make_console())
    else:
        click.echo(to_text(rows, chosen), nl=False)
