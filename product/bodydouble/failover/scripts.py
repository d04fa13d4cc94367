"""Running the administrator's scripts around failover and failback: what they are told, and what a failure means.

A script that was begun and whose end is not known is run again, with ``BODYDOUBLE_ATTEMPT`` above 1; one that ended is
not, unless the machine was rebooted since: what a script of failover started does not run after a boot.

The scripts of all monitors take turns (`bodydouble.failover.turns`).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ScriptResult
from bodydouble.vocabulary.standing_in import ScriptOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from bodydouble.failover.journal import Journal
    from bodydouble.failover.turns import Turns
    from bodydouble.ports import Host
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import MonitorRequest
    from bodydouble.vocabulary.standing_in import ScriptEvent

    Report = Callable[[str, str], None]

MAX_SHOWN = 1_500
"""Characters of a script's output that its event shows: the last ones, where a failing script says why."""


KILL_SECONDS = 10.0
"""What a script that is killed at its time limit may take to be gone; the others then do not wait for it any more."""


class ScriptRuns:
    """Runs one monitor's scripts, each in its turn, and keeps the journal of them.

    Args:
        host: the host's ports.
        events: where each run is recorded.
        request: the monitor's settings.
        journal: see `Journal`.
        report: records that something could not be done, and why.
        turns: the line in front of the machine's scripts.
    """

    def __init__(  # noqa: PLR0917 - who knows of a script's run
        self, host: Host, events: EventLog, request: MonitorRequest, journal: Journal, report: Report, turns: Turns
    ) -> None:
        self._host = host
        self._events = events
        self._request = request
        self._journal = journal
        self._report = report
        self._turns = turns

    async def run(self, event: ScriptEvent, path: str, leave: asyncio.Event | None = None) -> bool:
        """Run one script to its end when its turn has come, unless the journal has its end.

        Whatever becomes of it is recorded.

        Args:
            event: which one.
            path: its file, empty: there is none.
            leave: set: do not wait for the turn any more.

        Returns:
            True when it was left before its turn came, and did not run.
        """
        if not path or self._journal.settled(event):
            return False
        target = await self._own_name()
        async with self._turns.turn(self._request.source, event, leave, partial(self._note_waiting, event)) as come:
            if come:
                await self._run_now(event, path, target)
        if come:
            await self._journal.keep()
        return not come

    def expect_none(self) -> None:
        """This monitor is not on its way to a script: nobody is to wait for one that was under way before a restart."""
        self._turns.give_up_kept(self._request.source)

    async def _note_waiting(self, event: ScriptEvent) -> None:
        """Say whose script comes first, and make the order durable."""
        source = self._request.source
        text = f"{event} script of {source} waits for {self._turns.waits_for(source)}: one script runs at a time"
        self._events.record(EventCode.SCRIPT_WAITS, text)
        await self._journal.keep()

    async def _run_now(self, event: ScriptEvent, path: str, target: str) -> None:
        """Run it to its end. Its end is noted, and durable before another monitor's script begins."""
        interrupted = self._journal.state(event) == "begun"
        attempt = await self._journal.begin(event)
        if interrupted:
            text = f"{event} script {path} was under way when Bodydouble ended; it is run again (attempt {attempt})"
            self._events.record(EventCode.SCRIPT_REPEATED, text)
        failure = await self._carry_out(event, path, self._environment(event, attempt, target))
        self._conclude(event, path, failure)

    async def _carry_out(self, event: ScriptEvent, path: str, environment: dict[str, str]) -> str:
        """Run it once; returns what was wrong with it, empty: nothing."""
        options = self._options(event)
        limit = self._request.script_timeout if options.timeout is None else options.timeout
        run = self._host.scripts.run(path, list(options.arguments), {**options.environment, **environment}, limit)
        try:
            result = await _ended(run, limit)
        except (BodydoubleError, OSError) as error:
            self._report(f"run the {event} script {path}", str(error))
            return f"could not be run: {error}"
        ending = _ending(result)
        self._events.record(EventCode.SCRIPT_ENDED, f"{event} script {path} {ending}{_output(result)}")
        return ending if result.timed_out or result.exit_code else ""

    def _conclude(self, event: ScriptEvent, path: str, failure: str) -> None:
        """Note the end in the journal, as the script's policy has it."""
        policy = self._options(event).on_failure
        if not failure or policy == "continue" or self._journal.undoing is not None:
            self._journal.end(event)
            return
        why = f"the {event} script {path} {failure}"
        self._journal.end(event, "held" if policy == "hold" else "aborted", why)
        way = "Failover" if event.endswith("failover") else "Failback"
        if policy == "hold":
            word, other = (way.lower(), "failback") if way == "Failover" else (way.lower(), "failover")
            text = f"{way} of {self._request.source} waits for an operator: {why}; {word} goes on, {other} gives up"
            self._events.record(EventCode.FAILOVER_HELD, text)
        else:
            text = f"{way} of {self._request.source} is given up: {why}; what was done is undone"
            self._events.record(EventCode.FAILOVER_ABORTED, text)

    def _options(self, event: ScriptEvent) -> ScriptOptions:
        return self._request.script_options.get(event, ScriptOptions())

    async def _own_name(self) -> str:
        try:
            return (await self._host.identity.query()).permanent_name
        except (BodydoubleError, OSError) as error:
            self._report("look up this machine's name", str(error))
            return ""

    def _environment(self, event: ScriptEvent, attempt: int, target: str) -> dict[str, str]:
        return {
            "BODYDOUBLE_SOURCE": self._request.source,
            "BODYDOUBLE_TARGET": target,
            "BODYDOUBLE_EVENT": event,
            "BODYDOUBLE_ATTEMPT": str(attempt),
        }


async def _ended(run: Coroutine[Any, Any, ScriptResult], limit: float) -> ScriptResult:
    """The script's end, which the host brings about at ``limit`` seconds.

    A process may withstand even that, in the midst of a call of its system that does not come back. It is left behind
    then: the scripts of other monitors must not wait for ever.
    """
    script = asyncio.create_task(run, name="script of failover")
    try:
        await asyncio.wait([script], timeout=limit + KILL_SECONDS)
    except asyncio.CancelledError:
        script.cancel()
        await asyncio.wait([script], timeout=KILL_SECONDS)
        raise
    if script.done():
        return script.result()
    script.cancel()
    return ScriptResult(-1, f"it is left behind: {KILL_SECONDS:.0f} s later it had not ended", timed_out=True)


def _ending(result: ScriptResult) -> str:
    return "was stopped at its time-out" if result.timed_out else f"ended with exit code {result.exit_code}"


def _output(result: ScriptResult) -> str:
    output = result.output.strip()
    if len(output) > MAX_SHOWN:
        output = f"[{len(output) - MAX_SHOWN} characters left out]\n{output[-MAX_SHOWN:]}"
    return f":\n{output}" if output else ""
