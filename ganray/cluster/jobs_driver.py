"""The first process of a job on the head: looks whether GANRay can run there at all, then becomes `ganray sweep`.

`PYTHON -m ganray.cluster.jobs_driver ARGUMENTS OF GANRAY`, in the folder that `jobs_package` packed. It runs under
whatever Python the head has, so nothing but the standard library of an old one is used. Exit code 2 with a paragraph
on what a user can act on.
"""

import json
import os
import re
import subprocess
import sys

MANIFEST = "ganray-job.json"
PYTHON = (3, 11)


def main(arguments):  # type: ignore[no-untyped-def]  # an old Python does not know the notation
    """Check, then replace this process; return the exit code where a check fails."""
    with open(MANIFEST, encoding="utf-8") as file:
        manifest = json.load(file)
    fault = python_fault(manifest["requirements"])
    if fault:
        print("ganray: on the head, " + fault + ". Name a Python that has them with --python PATH", file=sys.stderr)
        return 2
    code = subprocess.call([sys.executable, "-m", "ganray.cluster.jobs_nodes"])
    if code:
        return code
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "ganray.cli.main", *arguments])
    return None


def python_fault(requirements, version=sys.version_info):  # type: ignore[no-untyped-def]
    """What this Python lacks for GANRay; None where it lacks nothing."""
    if tuple(version[:2]) < PYTHON:
        return "{} is Python {}.{}, and GANRay needs {}.{} or newer".format(sys.executable, *version[:2], *PYTHON)
    faults = [fault for fault in map(_requirement_fault, requirements) if fault]
    if not faults:
        return None
    wanted = " ".join("'" + line + "'" for line in requirements if _requirement_fault(line))
    return "{} lacks {}; run `{} -m pip install {}` there".format(
        sys.executable, ", ".join(faults), sys.executable, wanted
    )


def _requirement_fault(line):  # type: ignore[no-untyped-def]
    """What is wrong with one `name[extra]>=version`."""
    from importlib import metadata

    name = re.match(r"[A-Za-z0-9._-]+", line).group()  # type: ignore[union-attr]
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return name
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return None
    if Requirement(line).specifier.contains(version, prereleases=True):
        return None
    return "{} {}".format(name, line[len(name) :].split("]")[-1]) + " (it has " + version + ")"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
