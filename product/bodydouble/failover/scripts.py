"""Running the administrator's scripts around failover and failback: what they are told, and what a failure means.

A script that was begun and whose end is not known is run again, with ``BODYDOUBLE_ATTEMPT`` above 1; one that ended is
not, unless the machine was rebooted since: what a script of failover started does not run after a boot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.standing_in import ScriptOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.failover.journal import Journal
    from bodydouble.ports import Host
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import MonitorRequest, ScriptResult
    from bodydouble.vocabulary.standing_in import ScriptEvent

    Report = Callable[[str, str], None]

MAX_SHOWN = 1_500
"""Characters of a script's output that its event shows: the last ones, where a failing script says why."""


class ScriptRuns:
    """Runs one monitor's scripts and keeps the journal of them.

    Args:
        host: the host's ports.
        events: where each run is recorded.
        request: the monitor's settings.
        journal: see `Journal`.
        report: records that something could not be done, and why.
    """

    def __init__(self, host: Host, events: EventLog, request: MonitorRequest, journal: Journal, report: Report) -> None:
        self._host = host
        self._events = events
        self._request = request
        self._journal = journal
        self._report = report

    async def run(self, event: ScriptEvent, path: str) -> None:
        """Run one script to its end, unless the journal has its end. Whatever becomes of it is recorded."""
        if not path or self._journal.settled(event):
            return
        interrupted = self._journal.state(event) == "begun"
        attempt = await self._journal.begin(event)
        if interrupted:
            text = f"{event} script {path} was under way when Bodydouble ended; it is run again (attempt {attempt})"
            self._events.record(EventCode.SCRIPT_REPEATED, text)
        failure = await self._carry_out(event, path, attempt)
        self._conclude(event, path, failure)
        await self._journal.keep()

    async def _carry_out(self, event: ScriptEvent, path: str, attempt: int) -> str:
        """Run it once; returns what was wrong with it, empty: nothing."""
        options = self._options(event)
        environment = {**options.environment, **await self._environment(event, attempt)}
        timeout = self._request.script_timeout if options.timeout is None else options.timeout
        try:
            result = await self._host.scripts.run(path, list(options.arguments), environment, timeout)
        except (BodydoubleError, OSError) as error:
            self._report(f"{event} script {path}", str(error))
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

    async def _environment(self, event: ScriptEvent, attempt: int) -> dict[str, str]:
        try:
            target = (await self._host.identity.query()).permanent_name
        except (BodydoubleError, OSError) as error:
            self._report("look up this machine's name", str(error))
            target = ""
        return {
            "BODYDOUBLE_SOURCE": self._request.source,
            "BODYDOUBLE_TARGET": target,
            "BODYDOUBLE_EVENT": event,
            "BODYDOUBLE_ATTEMPT": str(attempt),
        }


def _ending(result: ScriptResult) -> str:
    return "was stopped at its time-out" if result.timed_out else f"ended with exit code {result.exit_code}"


def _output(result: ScriptResult) -> str:
    output = result.output.strip()
    if len(output) > MAX_SHOWN:
        output = f"[{len(output) - MAX_SHOWN} characters left out]\n{output[-MAX_SHOWN:]}"
    return f":\n{output}" if output else ""
