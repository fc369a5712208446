"""How often a trial was begun without getting further: what kills its process must not do so for ever.

`attempts.json` in the trial's folder is there while the trial runs, and after an attempt that did not end in order. It
outlives slots, Tune actors and drivers. The main worker writes it, under the trial's lock.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from ganray.errors import TrainingError

ATTEMPTS = "attempts.json"
MAX_ATTEMPTS = 4
"""After so many attempts in a row that have died at the same place, a trial is failed."""


class GivenUp(TrainingError):
    """Too many attempts have died without getting further."""


def begin(folder: Path, kimg: float) -> int:
    """Count an attempt that goes on from `kimg`; return how many there were without progress, this one included.

    One beyond MAX_ATTEMPTS is not kept, since it is not to be made. TrainingError where the folder cannot be written.
    """
    known = _read(folder)
    endings = known["endings"] if known.get("kimg") == kimg else []
    if len(endings) < MAX_ATTEMPTS:
        _write(folder, {"kimg": kimg, "endings": [*endings, None]})
    return len(endings) + 1


def end(folder: Path) -> None:
    """This attempt ends in order (finished, paused, stopped, or failed with a diagnosis): nothing is counted on."""
    with contextlib.suppress(OSError):
        (folder / ATTEMPTS).unlink(missing_ok=True)


def note(folder: Path, why: str) -> None:
    """Keep the first diagnosis that this attempt dies of; without one it is `worker-died`."""
    known = _read(folder)
    if known and known["endings"][-1] is None:
        _write(folder, {**known, "endings": [*known["endings"][:-1], why]})


def give_up_after(folder: Path, attempts: int) -> None:
    """Raises GivenUp, with the diagnosis of the last attempt, where `attempts` is one too many."""
    if attempts <= MAX_ATTEMPTS:
        return
    known = _read(folder)
    why = known["endings"][-1] or (
        "worker-died: killed, or out of memory? Make the networks or budget.batch_size smaller, or look into the "
        "machine's log"
    )
    raise GivenUp(f"{why} ({MAX_ATTEMPTS} attempts in a row got no further than {known['kimg']:g} kimg)")


def killed(folder: Path) -> int:
    """How many attempts before this one died at the same place without a diagnosis."""
    return sum(why is None for why in _read(folder).get("endings", [None])[:-1])


def _read(folder: Path) -> dict[str, Any]:
    try:
        known = json.loads((folder / ATTEMPTS).read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and {"kimg", "endings"} <= known.keys() and known["endings"] else {}


def _write(folder: Path, known: dict[str, Any]) -> None:
    temporary = folder / f".{ATTEMPTS}.{os.getpid()}.tmp"
    try:
        temporary.write_text(json.dumps(known))
        os.replace(temporary, folder / ATTEMPTS)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise TrainingError(
            f"{folder / ATTEMPTS} cannot be written: {error.strerror}; free some space there, or set `runs` to another "
            f"disk"
        ) from error
