"""The version, for modules below the package's own face, and the commit of the code that runs."""

import os
import subprocess

__version__ = "0.1.0"

COMMIT_VARIABLE = "GANRAY_COMMIT"
"""Set in a job on a cluster, where the code lies outside its checkout."""


def code_commit() -> "str | None":
    """The commit of GANRay's own checkout, `-dirty` where it was changed; None where it is not known."""
    if os.environ.get(COMMIT_VARIABLE):
        return os.environ[COMMIT_VARIABLE]
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=os.path.dirname(os.path.abspath(__file__)),
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
