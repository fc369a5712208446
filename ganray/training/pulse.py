"""Signs of life: whoever works beats, and a watchdog in another thread notices when the beats stop."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

OTHERS_S = 1800.0
"""How long a worker may wait for something outside its process that has a time limit of its own."""


class Pulse:
    """One process's. A beat costs less than a microsecond, so that each step can afford one."""

    def __init__(self) -> None:
        self.beats = 0
        self.what = "the beginning"
        """What has begun with the last beat."""
        self.slack_s = 0.0
        """No beat is missed before so many seconds, whatever the watchdog's own limit is."""

    def beat(self, what: str) -> None:
        """`what` begins; the operation before it has ended."""
        self.what = what
        self.beats += 1

    def alive(self) -> None:
        """The operation of the last beat has come further."""
        self.beats += 1

    @contextmanager
    def waiting(self, what: str, slack_s: float = OTHERS_S) -> Iterator[None]:
        """Other processes or the network are waited for: they may take longer than a step."""
        before, self.slack_s = self.slack_s, max(self.slack_s, slack_s)
        what_before = self.what
        self.beat(what)
        try:
            yield
        finally:
            self.slack_s = before
            self.beat(what_before)

    def resting(self, what: str) -> AbstractContextManager[None]:
        """Somebody else decides when it goes on: no silence is too long."""
        return self.waiting(what, math.inf)
