"""`ganray`: finds the verb's file when the verb is used, so that --help imports nothing heavy."""

import errno
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from ganray.errors import GanrayError
from ganray.version import __version__

VERBS = {
    "validate": "Check an experiment file and print what would run.",
    "sweep": "Search an experiment's space on Ray: train, score, record, rank.",
    "submit": "Hand a sweep in to a Ray cluster, as a job that needs no terminal.",
    "status": "The jobs of a cluster, or how far a sweep is and what it costs.",
    "logs": "What a job prints.",
    "stop": "Ask a job to end, so that it can be gone on with.",
    "resume": "Go on with a sweep on a cluster, as a new job.",
    "train": "Train the one recipe of an experiment file.",
    "table": "Rank an experiment's trials, or show a benchmark's table.",
    "reproduce": "Run what is missing from a benchmark's table.",
    "leaderboard": "The best recipes of all experiments on one data set.",
    "effects": "What each switch is worth against a baseline.",
    "compare": "Two trials side by side: recipe, metrics, pictures.",
    "diagnose": "What is wrong with a trial, its curves, and what to try.",
    "dashboard": "A sweep in the browser: Optuna's dashboard, Ray's, and the report.",
    "report": "The store as a site: leaderboard, trials, comparison, pictures.",
    "query": "Ask the results store in SQL.",
    "store": "Look after a results store: verify, compact, merge, export, drain.",
    "sample": "Draw images from a checkpoint.",
    "data": "Look at a set of images, or at the built-in samples.",
    "advise": "Write a first experiment file for a set of images.",
    "recipes": "The recipe book: every component, when to use it, what refuses it.",
    "doctor": "Check this machine or a cluster, and say how to mend it.",
    "export-generator": "A checkpoint's generator as safetensors, to share.",
    "schema": "Print the JSON schema of experiment files.",
    "import-fastgan": "Convert a checkpoint of the FastGAN authors' code.",
}

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a disk that come without a file's name and that a user can act on all the same."""


class Verbs(click.Group):
    """Verbs by name; each lives in `ganray.cli.NAME` as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"ganray.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from ganray.recipe.messages import nearest

            raise click.UsageError(f"unknown command {args[0]!r}; {nearest(args[0], list(VERBS))}")
        return super().resolve_command(ctx, args)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ganray")
def command() -> None:
    """Which GAN recipe works on my few hundred images, and can I trust the number?

    \b
    Examples:
      ganray data inspect my_images/
      ganray validate experiments/quickstart.yaml
      ganray sweep experiments/quickstart.yaml --set data.source=my_images/
      ganray table quickstart --pictures best.png
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line. What a user can act on becomes one paragraph on stderr and exit code 2."""
    try:
        code: Any = command.main(args=None if argv is None else list(argv), standalone_mode=False)
    except GanrayError as error:
        _fail(str(error), 2)
    except click.exceptions.Abort:
        _fail("interrupted", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise  # nothing that a user could act on: the traceback is worth more
        _fail(_file_trouble(error), 2)
    _leave(code if isinstance(code, int) else 0)


def _file_trouble(error: OSError) -> str:
    files = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    reason = error.strerror or str(error)
    return f"{files}: {reason}; check the path, its permissions and the space on its disk" if files else reason


def _fail(text: str, code: int) -> None:
    click.echo(f"ganray: {text}", err=True)
    _leave(code)


def _leave(code: int) -> None:
    """End the process; a worker of torchrun at once, without the interpreter's own end.

    Threads of gloo that still hold a tensor when the interpreter goes away abort the process ("terminate called
    without an active exception", PyTorch issue 190489), and torchrun takes a finished training for a failed one.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
