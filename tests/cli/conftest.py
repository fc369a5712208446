"""The command line as a user types it, in this process."""

import pytest

from ganray.cli import main as cli


@pytest.fixture
def ganray(capsys):
    """Run one command line; return its exit code, stdout and stderr."""

    def ganray(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return end.value.code, out, err

    return ganray
