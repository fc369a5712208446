"""Trials that are killed by SIGKILL before each call that changes a file while their third checkpoint is written.

python killed.py FOLDER PHOTOS; prints, for each moment, the call and the evaluations that the resumed trial reported.
A script of one thread, because it forks for each trial: importing torch for each would take minutes.
"""

import itertools
import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch._dynamo  # the first optimizer imports it, in each process that was forked without
from tiny import install
from two_workers import job_of

from ganray.training.distributed import World
from ganray.trial import run as run_
from ganray.trial.run import run_trial

EACH_WRITE = 150
"""A checkpoint of this size is written in hundreds of pieces; so many are one moment."""


def make_job(folder, photos):
    return job_of(folder, photos, evaluation={"protocols": ["fd_tiny"], "every_kimg": 0.02})


def forked(act):
    """Do it in a process of its own; returns the wait status and what it wrote to the pipe that it is given."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            act(writing)
            os._exit(0)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    return os.waitpid(pid, 0)[1], said


def trained(job, pipe):
    reports = []
    outcome = run_trial(job, World(), lambda report: reports.append(report.kimg) or True)
    os.write(pipe, json.dumps([outcome.status, reports]).encode())


class Pieces:
    """A file; every so many writes are one call."""

    def __init__(self, file, guard):
        self.file, self.written = file, 0
        self.guarded = guard("write", file.write)

    def write(self, data):
        self.written += 1
        return (self.guarded if self.written % EACH_WRITE == 0 else self.file.write)(data)

    def flush(self):
        self.file.flush()


def die_at(moment, pipe, links):
    """From the third checkpoint on, count the calls that change files, and kill this process before one of them."""
    calls, saves = itertools.count(1), itertools.count(1)
    save_checkpoint, save = run_.save_checkpoint, torch.save

    def guard(name, call):
        def wrapper(*arguments, **options):
            if next(calls) == moment:
                os.write(pipe, name.encode())
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return wrapper

    def third(state, path):
        if next(saves) == 3:
            torch.save = lambda content, file: save(content, Pieces(file, guard))
            for name in ("open", "fsync", "link", "replace", "unlink"):
                setattr(os, name, guard(name, getattr(os, name)))
            if not links:
                os.link = no_link
            save_checkpoint(state, path)
            os._exit(0)  # the calls of a checkpoint are all behind us
        save_checkpoint(state, path)

    run_.save_checkpoint = third


def no_link(source, target):
    raise OSError(1, "Operation not permitted")


def main():
    folder, photos = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    install()
    found = {"straight": forked(lambda pipe: trained(make_job(folder / "straight", photos), pipe))[1], "killed": []}
    for links in (True, False):
        for moment in itertools.count(1 if links else 4):  # without links only the moves differ
            job = make_job(folder / f"{'links' if links else 'no-links'}-{moment}", photos)
            status, call = forked(lambda pipe: (die_at(moment, pipe, links), trained(job, pipe)))  # noqa: B023
            if status == 0:
                break
            assert os.WTERMSIG(status) == signal.SIGKILL
            there = sorted(path.name for path in job.folder.iterdir())
            status, said = forked(lambda pipe: trained(job, pipe))  # noqa: B023
            assert status == 0
            found["killed"].append([str(job.folder), str(job.store), call, there, said])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
