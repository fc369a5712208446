"""`ganray store`: look after a results store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganray.cli.options import Duration, make_console
from ganray.store.location import DEFAULT_STORE, STORE_VARIABLE

if TYPE_CHECKING:
    from rich.console import Console

store_option = click.option(
    "--store",
    "store_uri",
    envvar=STORE_VARIABLE,
    default=DEFAULT_STORE,
    show_default=True,
    show_envvar=True,
    metavar="URI",
    help="A folder or an fsspec URI such as s3://bucket/runs.",
)
experiment_option = click.option("--experiment", "experiments", multiple=True, help="Only this one; may be repeated.")


@click.group("store")
def command() -> None:
    """Look after a results store: what is in it, whether it is whole, fewer and larger files, copies.

    \b
    Examples:
      ganray store stats
      ganray store verify --quarantine
      ganray store compact --store s3://bucket/ganray
      ganray store merge s3://bucket/ganray
      ganray store export -o results.parquet
      ganray store drain
      ganray store prune-artifacts --apply
    """


@command.command("stats")
@store_option
def stats_command(store_uri: str) -> None:
    """Files, rows and bytes of each experiment, and what waits to be brought here."""
    from ganray.report.render_store import stats_table
    from ganray.store.stats import stats, waiting
    from ganray.store.store import Store

    store = Store(store_uri)
    console = make_console()
    console.print(stats_table(store.uri, stats(store)))
    if files := waiting(store):
        console.print(f"{len(files)} files wait on this machine: ganray store drain", highlight=False)


@command.command("verify")
@click.option("--quarantine", "move", is_flag=True, help="Move torn files to quarantine/ at the store's root.")
@store_option
def verify_command(move: bool, store_uri: str) -> None:
    """Read every file and follow every reference; exit code 1 where something is wrong. Nothing is ever deleted.

    \b
    Examples:
      ganray store verify
      ganray store verify --quarantine --store s3://bucket/ganray
    """
    from ganray.store.store import Store
    from ganray.store.verify import quarantine, verify

    store = Store(store_uri)
    console = make_console()
    with _progress(console) as bar:
        task = bar.add_task("verify", total=None)
        verdict = verify(store, lambda path: bar.update(task, advance=1, description=path))
    console.print(
        f"{verdict.files} files with {verdict.rows} rows in {store.uri}", highlight=False, markup=False, soft_wrap=True
    )
    for finding in verdict.findings:
        console.print(f"• {finding.place}: {finding.what}", highlight=False, markup=False, soft_wrap=True)
    if move and verdict.torn:
        for place in quarantine(store, verdict.findings):
            console.print(f"moved to {store.uri}/{place}", highlight=False, markup=False, soft_wrap=True)
    elif verdict.torn:
        console.print("--quarantine moves the torn files away", highlight=False)
    if not verdict.findings:
        console.print("nothing is wrong", style="green")
    raise SystemExit(1 if verdict.findings else 0)


@command.command("compact")
@experiment_option
@store_option
def compact_command(experiments: tuple[str, ...], store_uri: str) -> None:
    """Many small files into one per experiment and table. Safe at any time, beside running sweeps.

    \b
    Examples:
      ganray store compact
      ganray store compact --experiment hacks --store s3://bucket/ganray
    """
    from ganray.report.render_store import size
    from ganray.store.compact import compact
    from ganray.store.store import Store

    store = Store(store_uri)
    console = make_console()
    done = []
    with _progress(console) as bar:
        task = bar.add_task("compact", total=None)
        for experiment in experiments or (None,):
            for one in compact(store, experiment, lambda t, e, n: bar.update(task, description=f"{e}: {n} of {t}")):
                done.append(one)
                bar.update(task, advance=one.files_before)
    before, after = sum(one.files_before for one in done), sum(one.files_after for one in done)
    shrunk = f"{size(sum(one.bytes_before for one in done))} -> {size(sum(one.bytes_after for one in done))}"
    text = f"{before} files -> {after}, {shrunk}" if done else "nothing to compact"
    console.print(f"{text} in {store.uri}", highlight=False, markup=False, soft_wrap=True)


@command.command("merge")
@click.argument("uri")
@experiment_option
@store_option
def merge_command(uri: str, experiments: tuple[str, ...], store_uri: str) -> None:
    """Take the rows and pictures of another store in. Merging twice changes nothing.

    \b
    Examples:
      ganray store merge s3://bucket/ganray
      ganray store merge ../colleague/runs/store --experiment hacks
    """
    from ganray.store.merge import merge
    from ganray.store.store import Store

    store, other = Store(store_uri), Store(uri)
    console = make_console()
    with _progress(console) as bar:
        task = bar.add_task("merge", total=None)
        wanted = list(experiments) or None
        for one in merge(store, other, wanted, lambda experiment: bar.update(task, description=experiment, advance=1)):
            rows = ", ".join(f"{count} {table}" for table, count in one.rows.items())
            text = f"{one.experiment}: {rows}, {one.artifacts} pictures"
            bar.console.print(text, highlight=False, markup=False, soft_wrap=True)


@command.command("export")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="FILE.parquet, FILE.csv or a folder."
)
@click.option("--format", "form", type=click.Choice(["parquet", "csv", "huggingface"]), default=None,
              help="[default: by the suffix; huggingface for a folder]")  # fmt: skip
@click.option("--view", default="results", show_default=True, help="trials, evaluations, curves, results or published.")
@experiment_option
@store_option
def export_command(output: Path, form: str | None, view: str, experiments: tuple[str, ...], store_uri: str) -> None:
    """One parquet or CSV file of a view, or a folder of all tables as the Hugging Face hub reads it.

    \b
    Examples:
      ganray store export -o results.parquet
      ganray store export -o curves.csv --view curves --experiment hacks
      ganray store export -o dataset/
    """
    from ganray.store.export import export_file, export_folder, rows_of
    from ganray.store.store import Store

    store = Store(store_uri)
    chosen: Any = form or {".parquet": "parquet", ".csv": "csv"}.get(output.suffix, "huggingface")
    wanted = list(experiments) or None
    if chosen == "huggingface":
        counts = export_folder(store, output, wanted)
        click.echo(f"{', '.join(f'{count} {name}' for name, count in counts.items())} in {output}", err=True)
        return
    rows = rows_of(store, view, wanted)
    export_file(rows, chosen, output)
    click.echo(f"{rows.num_rows} rows of {view} in {output}", err=True)


@command.command("drain")
@click.argument("uri", required=False)
def drain_command(uri: str | None) -> None:
    """Bring what waits on this machine to its store; without URI, to every store that something waits for.

    A remote store that could not be reached while a trial wrote to it gets its rows and pictures later: by the next
    write that succeeds, or by this command. Run it on each machine that trained.

    \b
    Examples:
      ganray store drain
      ganray store drain s3://bucket/ganray
    """
    from ganray.errors import StoreError
    from ganray.store.spool import all_spools

    console = make_console()
    uris = [uri] if uri else [spool.uri for spool in all_spools()]
    if not uris:
        console.print("nothing waits", highlight=False)
    faults = []
    for place in uris:
        try:
            _drain(place, console)
        except StoreError as error:  # another store may answer
            faults.append(str(error))
    if faults:
        raise StoreError("\n".join(faults))


def _drain(uri: str, console: Console) -> None:
    from ganray.store.spool import spooled

    files = spooled(uri)
    total = len(files.spool.waiting())
    with _progress(console) as bar:
        task = bar.add_task(files.root, total=total)
        for _ in files.drain():
            bar.update(task, advance=1)
    left = len(files.spool.waiting())
    text = f"{total - left} files brought to {files.root}" + (f", {left} left" if left else "")
    console.print(text if total else "nothing waits", highlight=False, markup=False, soft_wrap=True)


@command.command("prune-artifacts")
@click.option("--keep-checkpoints", type=click.IntRange(0), default=3, show_default=True,
              help="Checkpoints of so many best trials stay, per experiment and protocol.")  # fmt: skip
@click.option("--all-checkpoints", is_flag=True, help="No checkpoint goes.")
@click.option("--all-pictures", is_flag=True,
              help="No picture goes, not even those between a trial's best and last evaluation.")  # fmt: skip
@click.option("--older-than", type=Duration(), default=None, help="Only of trials that ended so long ago (30d, 12h).")
@click.option("--experiment", default=None, help="Only of this one.")
@click.option("--apply", "really", is_flag=True, help="Remove them. Without it, they are only listed.")
@store_option
def prune_command(
    keep_checkpoints: int,
    all_checkpoints: bool,
    all_pictures: bool,
    older_than: float | None,
    experiment: str | None,
    really: bool,
    store_uri: str,
) -> None:
    """List checkpoints and pictures that are not worth their room; with --apply, remove them. Rows always stay.

    Trials that run keep everything. A failed or pruned trial whose checkpoint goes cannot be gone on with.

    \b
    Examples:
      ganray store prune-artifacts
      ganray store prune-artifacts --keep-checkpoints 1 --older-than 30d --apply
    """
    from ganray.report.render_store import removable_table, size
    from ganray.store.prune import Rule, removable, remove
    from ganray.store.store import Store

    store = Store(store_uri)
    console = make_console()
    rule = Rule(None if all_checkpoints else keep_checkpoints, all_pictures, older_than or 0.0)
    items = removable(store, rule, experiment)
    if not items:
        console.print("nothing to remove by this rule", highlight=False)
        return
    console.print(removable_table(items))
    if not really:
        total = size(sum(item.size_bytes for item in items))
        console.print(f"{len(items)} files of {total} would go; --apply removes them", highlight=False)
        return
    with _progress(console) as bar:
        task = bar.add_task("prune", total=len(items))
        freed = remove(store, items, lambda item: bar.update(task, advance=1))
    console.print(f"{len(items)} files removed, {size(freed)} freed", highlight=False)


def _progress(console: Console) -> Any:
    """A bar on a terminal, nothing elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
