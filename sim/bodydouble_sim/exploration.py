"""Schedule exploration: which ready task goes next is drawn from the seed, and every draw is kept on a tape.

asyncio promises that callbacks run in the order in which they were scheduled; of tasks it promises no order. So plain
callbacks stay in line among themselves, and a draw is between the first of them and the tasks that could take their
next step. A real loop could have run any of these schedules; code that is right only in one of them is wrong.

A seed finds the schedule again only while the code stays as it is; the tape says what was drawn, step by step.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble_sim.errors import TapeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from random import Random

FORMAT = 1
WIDTH = 32  # handles looked at for a draw: enough for every order that matters, and a step's cost stays bounded


class Decision(msgspec.Struct, frozen=True):
    """One draw.

    Attributes:
        options: how many could have run.
        chosen: which of them ran, in the order in which they became ready, from 0.
        ran: the task's name, or ``callback``.
    """

    options: int
    chosen: int
    ran: str


class TapeHeader(msgspec.Struct, frozen=True):
    """The first line of a tape's file."""

    format: int
    seed: int
    trace_hash: str = ""


class DecisionTape:
    """The decisions of a run, in order. A tape that was read is followed; beyond its end the first in line runs.

    Attributes:
        seed: of the run.
        trace_hash: what the run's trace came to, if whoever recorded the tape noted it; empty otherwise.
        followed: how many of its decisions a run that follows it has come to.
        beyond: how many decisions such a run had to make after its end.
    """

    def __init__(self, seed: int, decisions: Iterable[Decision] = (), trace_hash: str = "") -> None:
        self.seed = seed
        self.decisions = list(decisions)
        self.trace_hash = trace_hash
        self.followed = 0
        self.beyond = 0

    def check_followed(self) -> None:
        """After a run that followed the tape: it has to have made exactly the tape's decisions.

        Raises:
            TapeError: decisions are left, or the run made more.
        """
        if self.beyond:
            raise TapeError(
                f"the tape ends after {len(self.decisions)} decisions, the run made {self.beyond} more: the tape was "
                "cut off, or the code or the scenario changed"
            )
        if self.followed < len(self.decisions):
            raise TapeError(
                f"the run was over after {self.followed} of the tape's {len(self.decisions)} decisions: the code or "
                "the scenario changed"
            )

    def write(self, path: Path) -> None:
        """Write the tape: JSON lines, a header first."""
        lines = [TapeHeader(FORMAT, self.seed, self.trace_hash), *self.decisions]
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    @classmethod
    def read(cls, path: Path) -> DecisionTape:
        """Read a tape that `write` wrote.

        Raises:
            TapeError: it cannot be read, is no tape, or one of another format; names the file and the line.
        """
        header: TapeHeader | None = None
        decisions = []
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise TapeError(f"{path}: cannot be read: {error.strerror}") from error
        for number, line in enumerate(lines, 1):
            try:
                if header is None:
                    header = msgspec.json.decode(line, type=TapeHeader)
                else:
                    decisions.append(msgspec.json.decode(line, type=Decision))
            except msgspec.DecodeError as error:
                raise TapeError(f"{path}, line {number}: {error}") from error
        if header is None or header.format != FORMAT:
            raise TapeError(f"{path}: expected a decision tape of format {FORMAT}")
        return cls(header.seed, decisions, header.trace_hash)


class ExploringQueue(deque[Any]):
    """The loop's queue of ready handles, which gives them out in a drawn order.

    Args:
        tape: takes every decision.
        random: draws them; None: the tape that is given was recorded earlier and decides.
    """

    def __init__(self, tape: DecisionTape, random: Random | None) -> None:
        super().__init__()
        self._tape = tape
        self._random = random

    def popleft(self) -> Any:
        """Take out the handle that runs next."""
        options = self._options() if len(self) > 1 else [0]
        index = options[self._decide(options)] if len(options) > 1 else options[0]
        handle = self[index]
        del self[index]
        return handle

    def _options(self) -> list[int]:
        """Where those stand that may go next: each task, and the first plain callback."""
        found = []
        callback_seen = False
        for index, handle in enumerate(islice(self, WIDTH)):
            if _task_of(handle) is not None:
                found.append(index)
            elif not callback_seen:
                callback_seen = True
                found.append(index)
        return found

    def _decide(self, options: list[int]) -> int:
        if self._random is None:
            return self._follow(options)
        chosen = self._random.randrange(len(options))
        self._tape.decisions.append(Decision(len(options), chosen, _name(self[options[chosen]])))
        return chosen

    def _follow(self, options: list[int]) -> int:
        number = self._tape.followed
        if number >= len(self._tape.decisions):
            self._tape.beyond += 1
            return 0
        self._tape.followed += 1
        decision = self._tape.decisions[number]
        names = [_name(self[index]) for index in options]
        if decision.options != len(options) or names[decision.chosen : decision.chosen + 1] != [decision.ran]:
            raise TapeError(
                f"decision {number + 1} of the tape ran {decision.ran}, {decision.chosen} of {decision.options}; "
                f"here {', '.join(names)} could run: the code or the scenario changed"
            )
        return decision.chosen


def _task_of(handle: Any) -> asyncio.Task[Any] | None:
    owner = getattr(handle._callback, "__self__", None)  # noqa: SLF001 - a task's steps and wake-ups are its methods
    return owner if isinstance(owner, asyncio.Task) else None


def _name(handle: Any) -> str:
    task = _task_of(handle)
    return "callback" if task is None else task.get_name()
