"""`ganray` itself: light, helpful about typing mistakes, and never a traceback for what a user can act on."""

import errno
import os
import subprocess
import sys

import click
import pytest

from ganray.cli import main as cli
from ganray.errors import GanrayError

HEAVY = ("torch", "torchvision", "ray", "numpy", "pyarrow", "duckdb", "pydantic", "optuna", "yaml", "rich", "PIL")
PROBE = """
import sys
from ganray.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print("MODULES", end.code, *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(*arguments):
    found = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    code, *modules = found.stdout.splitlines()[-1].split()[1:]
    return int(code), set(modules)


def raising(monkeypatch, error):
    @click.command()
    def command():
        raise error

    monkeypatch.setattr(cli.Verbs, "get_command", lambda *_: command)


def test_help_imports_nothing_heavy():
    code, modules = imported_by("--help")
    assert code == 0
    assert not modules & set(HEAVY)


@pytest.mark.parametrize("verb", [v for v in cli.VERBS if v not in ("data",)])
def test_help_of_a_verb_imports_nothing_heavy(verb):
    code, modules = imported_by(verb, "--help")
    assert code == 0
    assert not modules & {"torch", "torchvision", "ray", "pyarrow", "duckdb", "optuna"}


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_every_verb_has_an_example_of_that_verb(ganray, verb):
    code, out, _ = ganray(verb, "--help")
    assert code == 0
    assert "Example" in out
    assert f"  ganray {verb} " in out


def test_help_lists_every_verb(ganray):
    code, out, _ = ganray("--help")
    assert code == 0
    for verb, line in cli.VERBS.items():
        assert f"  {verb}" in out
        assert line.split()[0] in out
    assert ganray("-h")[1] == out


def test_version(ganray):
    from ganray import __version__

    assert ganray("--version")[1] == f"ganray, version {__version__}\n"


def test_no_command_shows_the_help(ganray):
    code, out, err = ganray()
    assert code == 2
    assert "Usage: " in out + err


def test_an_unknown_command_is_answered_with_the_nearest(ganray):
    code, out, err = ganray("swep", "x.yaml")
    assert (code, out) == (2, "")
    assert "unknown command 'swep'; did you mean 'sweep'? (known: validate, sweep, submit," in err


@pytest.mark.parametrize(
    "arguments", [("--frobnicate",), ("validate",), ("validate", "--frobnicate"), ("sample", "a", "b")]
)
def test_wrong_usage_is_told_without_a_traceback(ganray, arguments):
    code, out, err = ganray(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: " in err
    assert "Traceback" not in err


def test_an_error_of_ours_is_one_paragraph(ganray, tmp_path):
    (tmp_path / "a.yaml").write_text("sede: 1\n")
    code, out, err = ganray("validate", tmp_path / "a.yaml")
    assert (code, out) == (2, "")
    assert err.startswith(f"ganray: {tmp_path}/a.yaml:1: unknown key 'sede'; did you mean 'seed'?")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (GanrayError("the images are gone; bring them back"), 2, "ganray: the images are gone; bring them back\n"),
        (KeyboardInterrupt(), 130, "ganray: interrupted\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x/out.png"),
            2,
            "ganray: /x/out.png: Permission denied; check",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "ganray: No space left on device"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a", None, "b"),
            2,
            "ganray: a -> b: No such file",
        ),
    ],
)
def test_what_a_user_can_act_on(ganray, monkeypatch, error, code, said):
    raising(monkeypatch, error)
    found, out, err = ganray("validate")
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "error", [ConnectionResetError(errno.ECONNRESET, "reset"), ValueError("a bug"), OSError("odd")]
)
def test_what_nobody_foresaw_keeps_its_traceback(monkeypatch, error):
    raising(monkeypatch, error)
    with pytest.raises(type(error)):
        cli.main(["validate"])


@pytest.mark.parametrize("target", ["missing/schema.json", "folder"])
def test_an_output_that_cannot_be_written(ganray, tmp_path, target):
    (tmp_path / "folder").mkdir()
    code, out, err = ganray("schema", "-o", tmp_path / target)
    assert (code, out) == (2, "")
    assert err.startswith(f"ganray: {tmp_path / target}: ")
    assert len(err.splitlines()) == 1


def test_a_reader_that_goes_away_hears_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    found = subprocess.run([sys.executable, "-m", "ganray.cli.main", "schema"], stdout=writing, stderr=subprocess.PIPE,
                           text=True, check=False)  # fmt: skip
    os.close(writing)
    assert found.returncode != 0
    assert found.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_in_a_real_process():
    code = (
        "import os, signal, click; from ganray.cli import main as cli\n"
        "cli.Verbs.get_command = lambda *_: click.Command('x', callback=lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "cli.main(['validate'])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 130
    assert found.stderr.strip() == "ganray: interrupted"
