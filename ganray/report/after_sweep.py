"""What a sweep prints when it ends: the ranked table, the picture, and what to type next."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ganray.report.leaderboard import leaderboard
from ganray.report.pictures import montage
from ganray.report.render import to_rich
from ganray.store.location import DEFAULT_STORE
from ganray.store.store import Store

JOB_VARIABLE = "GANRAY_JOB_ID"
"""Set where the sweep runs as a job of `ganray submit`."""


@dataclass(frozen=True)
class SweepResult:
    """What a sweep did."""

    experiment: str
    file: Path
    store: Store
    metric: str
    trials: int
    ended: int
    """Completed or pruned, in this run and in earlier ones."""
    failed: int
    seconds: float
    is_design: bool = False
    """The recipes follow from a design, so their effects can be read off."""
    is_limit_reached: bool = False
    """It ended before its trials because a limit that the user set was reached."""

    @property
    def is_unfinished(self) -> bool:
        return self.ended + self.failed < self.trials


def print_result(result: SweepResult, pictures: Path, console: Console) -> None:
    """Print the table and the next commands; write the montage of the best trials."""
    failed = f", {result.failed} failed" if result.failed else ""
    console.print(
        f"{result.ended} of {result.trials} trials ended{failed} in {result.seconds:.0f} s\n", highlight=False
    )
    if not _has_scores(result):
        console.print(next_commands(result, [], []), highlight=False, soft_wrap=True, markup=False)
    else:
        board = leaderboard(result.store, result.experiment, result.metric)
        console.print(to_rich(board, console.width))
        ranked = [entry for entry in board.entries if entry.rank is not None]
        if ranked:
            montage(result.store, board, pictures)
            console.print(f"\nThe best trials' samples: {pictures}", highlight=False, soft_wrap=True)
        console.print(
            next_commands(result, [e.trial_id for e in ranked], [e.trial_id for e in board.entries if e.diagnosis]),
            highlight=False,
            soft_wrap=True,
            markup=False,
        )


def _has_scores(result: SweepResult) -> bool:
    """Whether any trial was evaluated: a sweep may be ended before."""
    scored = result.store.evaluations(result.experiment, columns=["protocol"])["protocol"].to_pylist()
    return result.metric in scored


def next_commands(result: SweepResult, best: list[str], troubled: list[str]) -> str:
    """A few commands worth typing now; `troubled` are trials that failed or were stopped with a reason."""
    default = result.store.uri == str(Path(DEFAULT_STORE).absolute())
    store = "" if default else f" --store {shlex.quote(result.store.uri)}"
    file = shlex.quote(str(result.file))
    sql = f"SELECT trial_id, kimg, frechet FROM evaluations WHERE experiment = '{result.experiment}' ORDER BY frechet"
    in_job = bool(os.environ.get(JOB_VARIABLE))  # then these commands are typed on another machine than this
    again = f"ganray resume {file}" if in_job else f"ganray sweep {file} --resume"
    commands = [again] if result.is_unfinished else []
    if result.is_design:
        commands.append(f"ganray effects {result.experiment}{store}")
    if troubled:
        commands.append(f"ganray diagnose {troubled[0]} --snippet remedies.yaml{store}")
    if len(best) > 1:
        commands.append(f"ganray compare {best[0]} {best[1]} -o compare.png{store}")
    commands.append(f'ganray query "{sql}"{store}')
    verb = "submit" if in_job else "sweep"
    commands.append(f"ganray {verb} {file} --set data.source=FOLDER --set name=mine")
    return "\nNext:\n" + "\n".join(f"  {command}" for command in commands)
