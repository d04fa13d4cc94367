"""The journal of one failover or failback: each step is durable before it is begun, and again after it was done.

What the journal is for: a machine that lost its power, or whose daemon was killed, in the middle of a procedure knows
at its next start which steps are done, which one was under way and which never began. A step's end is written together
with the next step's beginning, except for scripts: theirs is written at once, because a script is the one step whose
repetition the host may notice.

A volume that refuses does not hold a failover up: the steps go on, an event says that the journal is not kept, and the
worst that may follow is a step that is carried out twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble.failover.records import JournalRecord, StepRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from bodydouble.failover.records import StepState, Way
    from bodydouble.vocabulary.standing_in import ScriptEvent

    Keep = Callable[[], Awaitable[None]]

SETTLED: tuple[StepState, ...] = ("done", "held", "aborted")
"""States of a step that is not to be begun as things are."""


class Journal:
    """How far one procedure is.

    Args:
        saved: as an earlier run of the daemon left it.
        boot: the host's present run, as steps begun from now on are dated; empty when unknown.
        keep: makes the journal durable, or reports that it could not; does not raise.

    Attributes:
        undoing: see `JournalRecord`.
        marked: see `JournalRecord`.
        shares: see `JournalRecord`.
        inherited: steps were begun by an earlier run of the daemon, and nobody has looked yet what holds of them.
    """

    def __init__(self, saved: JournalRecord, boot: str, keep: Keep) -> None:
        self._way = saved.way
        self._steps = {each.step: each for each in saved.steps}
        self._earlier_boot = saved.boot
        self._boot = boot
        self._keep = keep
        self.undoing = saved.undoing
        self.marked = list(saved.marked)
        self.shares = list(saved.shares)
        self.inherited = bool(saved.steps)

    def record(self) -> JournalRecord:
        """What is to be saved. Until somebody has looked at what holds, the boot stays the earlier one."""
        boot = self._earlier_boot if self.inherited else self._boot
        steps = list(self._steps.values())
        return JournalRecord(self._way, steps, boot, self.undoing, list(self.marked), list(self.shares))

    def enter(self, way: Way, undoing: ScriptEvent | None = None) -> None:
        """The procedure of this way begins, unless it has: what is noted of the other one counts no more."""
        if self._way != way:
            self._way = way
            self._steps.clear()
            self.undoing = undoing
            self.inherited = False

    def complete(self) -> None:
        """The procedure is over."""
        self.undoing = None
        if self._way == "failback":
            self.marked.clear()
            self.shares.clear()

    # --- steps ----------------------------------------------------------------------------------------------------

    async def begin(self, step: str) -> int:
        """Note, durably, that a step begins; returns how many times it was begun, this one included."""
        earlier = self._steps.get(step)
        attempts = 1 if earlier is None else earlier.attempts + 1
        self._steps[step] = StepRecord(step, "begun", attempts)
        await self._keep()
        return attempts

    def end(self, step: str, state: StepState = "done", detail: str = "") -> None:
        """Note that a step that was begun is over; durable with the next `begin` or `keep`."""
        self._steps[step] = msgspec.structs.replace(self._steps[step], state=state, detail=detail)

    async def keep(self) -> None:
        """Make what was noted durable."""
        await self._keep()

    def state(self, step: str) -> StepState | None:
        """How far a step is, None: it was never begun."""
        found = self._steps.get(step)
        return None if found is None else found.state

    def settled(self, step: str) -> bool:
        """Whether a step is not to be begun as things are."""
        return self.state(step) in SETTLED

    def held(self) -> StepRecord | None:
        """The step at which the procedure waits for an operator's word."""
        return next((each for each in self._steps.values() if each.state == "held"), None)

    def release(self) -> str:
        """An operator lets the procedure go on; returns the step at which it was held, empty: at none."""
        held = self.held()
        if held is not None:
            self.end(held.step)
        return "" if held is None else held.step

    # --- after a restart ------------------------------------------------------------------------------------------

    def booted_since(self) -> bool:
        """Whether the host says that it was booted since the steps were begun."""
        return bool(self._boot and self._earlier_boot and self._boot != self._earlier_boot)

    def added_addresses(self) -> bool:
        """Whether this failover has added addresses. One that has, on a host with none of them, was rebooted."""
        return any(each.step.startswith("address ") and each.state == "done" for each in self._steps.values())

    def due_again(self, steps: Iterable[str]) -> None:
        """What was done in these steps holds no longer. An aborted procedure stays aborted."""
        for step in steps:
            if self.state(step) in ("done", "held"):
                self.end(step, "due")

    def steps(self) -> list[str]:
        """Every step that was ever begun."""
        return list(self._steps)
