"""One monitor at work: heartbeats and countdown, then the takeover, then the way back."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from bodydouble.errors import BodydoubleError, ConnectionStateError
from bodydouble.failover.claims import ClaimKeeper
from bodydouble.failover.countdown import RESOLUTION, Countdown, indicators
from bodydouble.failover.journal import Journal
from bodydouble.failover.records import SavedMonitor
from bodydouble.failover.states import advance
from bodydouble.failover.survey import LEAD, Survey
from bodydouble.failover.takeover import Takeover
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import MonitorStatus
from bodydouble.vocabulary.standing_in import SCRIPT_EVENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.failover.states import MonitorStep
    from bodydouble.failover.surroundings import Replication, ServiceAnswers
    from bodydouble.failover.takeover import Outcome
    from bodydouble.failover.turns import Turns
    from bodydouble.ports import Host
    from bodydouble.state.events import EventLog
    from bodydouble.vocabulary.records import FailbackDecision, InterfaceAddress, MonitorState
    from bodydouble.vocabulary.shares import Share

    Save = Callable[[], Awaitable[None]]

_STANDING_IN = ("failing-over", "failed-over", "failing-back")
PROBE_TIMEOUT = 2.0
"""Seconds to wait for the answer to a single heartbeat asked for on an operator's behalf."""

_log = logging.getLogger(__name__)


class Monitor:
    """Watches one source and stands in for it.

    The monitor's own task carries out the present state's work; an operator's commands only change the state, so that
    at most one party touches the host's identity at any time.

    Args:
        host: the host's ports.
        events: the events log.
        marks: see `Replication`.
        service: see `ServiceAnswers`.
        save: makes the states of all monitors durable.
        saved: what to watch, the state to begin in, and how far its work is.
        boot: the host's present run, empty when unknown.
        turns: the line in front of the machine's scripts.
    """

    def __init__(
        self,
        host: Host,
        events: EventLog,
        marks: Replication,
        service: ServiceAnswers,
        *,
        save: Save,
        saved: SavedMonitor,
        boot: str,
        turns: Turns,
    ) -> None:
        self.request = saved.request
        self.state: MonitorState = saved.state
        self.journal = Journal(saved.journal, boot, self._keep_journal)
        self._host = host
        self._events = events
        self._marks = marks
        self._survey = Survey(host, saved.request, marks)
        self._claims = ClaimKeeper(saved.request, marks)
        self._objection = ""
        self._service = service
        self._turns = turns
        self._save = save
        assumed = [item.address.partition("/")[0] for item in saved.request.addresses]
        self._addresses = [*assumed, *saved.request.watched]
        self._countdown: Countdown | None = None
        self._takeover: Takeover | None = None
        self._told = asyncio.Event()
        self._no_heartbeat = ""
        self._not_kept = ""

    def saved(self) -> SavedMonitor:
        """What is to be kept of it on disk."""
        return SavedMonitor(self.request, self.state, self.journal.record())

    # --- what an operator sees and says ---------------------------------------------------------------------------

    def status(self) -> MonitorStatus:
        """What the Failover Control Center shows now."""
        now = asyncio.get_running_loop().time()
        assuming = self._takeover.assuming if self._takeover else ""
        held = self.journal.held()
        why = held.detail if held else ""
        waits = self._turns.waits_for(self.request.source)
        shown = indicators(
            self.state, self.request.source, self._countdown, now, assuming=assuming, held=why, waits=waits
        )
        return MonitorStatus(
            request=self.request,
            state=self.state,
            time_to_fail=shown.time_to_fail,
            bullet=shown.bullet,
            status_line=f"Not standing in: {self._objection}" if self._objection else shown.status_line,
            addresses_answering=self._countdown.answering() if self._countdown else [],
            held=why,
            waits_for=waits,
            reboot=self._takeover.reboot if self._takeover else "",
            shares=self._shares(),
        )

    def _shares(self) -> list[Share]:
        """What failover would share, or has shared."""
        if self.state in _STANDING_IN:
            return list(self.journal.shares)
        return self._takeover.to_carry if self._takeover else []

    async def fail_over(self) -> None:
        """Fail over at an operator's word; returns once the decision is durable, the work goes on in the background.

        It is also the word that a failover waits for after a script failed, and that gives up a failback which does.

        Raises:
            ConnectionStateError: the state does not allow it, or the source still answers: two machines would then
                use one address.
        """
        if await self._answered_hold("failing-over"):
            return
        advance(self.request.source, self.state, "failover")
        answering = await self._probe()
        if answering:
            raise ConnectionStateError(
                f"{self.request.source!r} still answers at {', '.join(answering)}: take it off the network first"
            )
        await self._command("failover")

    async def fail_back(self) -> None:
        """Give the identity back; returns once the decision is durable, the work goes on in the background.

        It is also the word that a failback waits for after a script failed, and that gives up a failover which does.

        Raises:
            ConnectionStateError: this machine does not stand in for the source, or the source is on the network.
        """
        if await self._answered_hold("failing-back"):
            return
        advance(self.request.source, self.state, "failback")
        await self._check_source_is_off()
        await self._command("failback")

    async def _answered_hold(self, state: MonitorState) -> bool:
        """Whether an operator's command was the word that a held procedure waited for: it goes on, or is given up."""
        held = self.journal.held()
        if held is None:
            return False
        if self.state == state:
            self.journal.release()
            text = f"{self.request.source}: an operator lets the procedure go on after its {held.step} script"
        elif self.state == "failing-back":
            self.journal.end(held.step, "aborted", held.detail)
            text = f"{self.request.source}: an operator gives failback up after its {held.step} script"
        else:
            return False  # failback of a held failover is failback
        self._told.set()
        self._events.record(EventCode.FAILOVER_PROCEEDS, text)
        await self._save()
        return True

    async def _check_source_is_off(self) -> None:
        """Refuse to give an address up while another machine answers for it.

        Raises:
            ConnectionStateError: what answers, and what to do.
        """
        held = await self._held()
        probes = await asyncio.gather(*(self._also_elsewhere(item) for item in held))
        found = [f"another machine answers for {address}, which this machine holds" for address in probes if address]
        if held:  # who holds nothing of the source's may give up whatever answers
            own = await self._answering_at_its_own()
            found += [f"{self.request.source!r} answers at its own {address}" for address in own]
        if found:
            raise ConnectionStateError(
                f"the source is on the network: {'; '.join(found)}. Disconnect it, fail back again, and connect it "
                "when failback asks whether to continue or to stop monitoring"
            )

    async def _answering_at_its_own(self) -> list[str]:
        """Addresses that only the source has, and that answer; none when nobody can be asked."""
        try:
            return await self._answering(self.request.watched)
        except (BodydoubleError, OSError):
            return []

    async def _held(self) -> list[InterfaceAddress]:
        """The source's addresses that this machine has; none when it cannot be asked."""
        try:
            own = (await self._host.identity.query()).addresses
        except (BodydoubleError, OSError):
            return []
        bare = {item.address.partition("/")[0] for item in own}
        return [item for item in self.request.addresses if item.address.partition("/")[0] in bare]

    async def _also_elsewhere(self, item: InterfaceAddress) -> str:
        """The address, if another machine answers for it; empty when none does, or the wire cannot be asked."""
        try:
            used = await self._host.identity.in_use(item.interface, item.address)
        except (BodydoubleError, OSError):
            return ""
        return item.address.partition("/")[0] if used else ""

    async def decide(self, decision: FailbackDecision) -> None:
        """Continue or stop monitoring after failback.

        Raises:
            ConnectionStateError: failback is not complete, or the source is to be monitored but is not online.
        """
        advance(self.request.source, self.state, decision.decision)
        if decision.decision == "stop":
            await self._command("stop")
            self._events.record(EventCode.MONITOR_STOPPED, f"Monitoring of {self.request.source} stopped")
            return
        if not await self._probe():
            raise ConnectionStateError(
                f"no monitored address of {self.request.source!r} answers: bring the source back online, then continue"
            )
        await self._command("continue")
        self._events.record(EventCode.MONITORING_CONTINUED, f"Monitoring of {self.request.source} continues")

    async def _command(self, step: MonitorStep) -> None:
        self._move(step)
        await self._save()

    async def _probe(self) -> list[str]:
        """Addresses that answer a heartbeat sent now."""
        return await self._answering(self._addresses)

    async def _answering(self, addresses: list[str]) -> list[str]:
        timeout = min(self.request.interval, PROBE_TIMEOUT)
        answers = await asyncio.gather(*(self._ask(address, timeout) for address in addresses))
        return [address for address, answered in zip(addresses, answers, strict=True) if answered]

    async def _ask(self, address: str, limit: float) -> bool:
        """Send one heartbeat; whether it was answered within ``limit`` seconds.

        Raises:
            BodydoubleError: it could not be sent.
        """
        if self.request.heartbeat == "icmp":
            return await self._host.pinger.ping(address, limit) is not None
        return await self._service.answers(self.request.source, address, self.request.service_port, limit)

    def _move(self, step: MonitorStep) -> None:
        self.state = advance(self.request.source, self.state, step)
        self._told.set()

    # --- the monitor's own task -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Do what each state asks for, until the monitor is stopped."""
        async with asyncio.TaskGroup() as tasks:
            self._takeover = Takeover(
                self._host, self._events, self._marks, self.request,
                tasks=tasks, journal=self.journal, survey=self._survey, turns=self._turns,
            )  # fmt: skip
            keeper = tasks.create_task(self._claims.run(), name=f"claims of {self.request.source}")
            while self.state != "stopped":
                self._told.clear()
                await self._save_until_durable()
                self._claims.want("hold" if self.state in _STANDING_IN else "release")
                await self._work(self._takeover)
            keeper.cancel()

    async def _work(self, takeover: Takeover) -> None:
        match self.state:
            case "monitoring" | "waiting-for-operator":
                await self._watch()
            case "failing-over":
                self.journal.enter("failover")
                outcome = await takeover.fail_over(self._told)
                if self.state == "failing-over":
                    await self._ended(outcome)
            case "failing-back":
                self.journal.enter("failback")
                await self._ended(await takeover.fail_back())
            case "failed-over":
                await self._look_after(takeover)
            case _:
                await self._told.wait()

    async def _look_after(self, takeover: Takeover) -> None:
        """See to it that this machine has what it stands in with, until something else is asked for."""
        while self.state == "failed-over":
            await self._rest(self.request.interval)
            if self.state == "failed-over":
                await takeover.keep()

    async def _ended(self, outcome: Outcome) -> None:
        """Go on after a procedure has come to some end."""
        over = self.state == "failing-over"
        self._turns.give_up_kept(self.request.source)
        if outcome == "done":
            undone = not over and self.journal.undoing is not None
            self.journal.complete()
            self._move("assumed" if over else "undone" if undone else "given-back")
        elif outcome == "aborted":
            script = next(event for event in SCRIPT_EVENTS if self.journal.state(event) == "aborted")
            self.journal.enter("failback" if over else "failover", script)
            self._move("aborted")
        elif outcome == "held":
            await self._told.wait()

    async def _save_until_durable(self) -> None:
        """Persist the state before acting on it, so that a restarted daemon picks the work up."""
        while True:
            try:
                await self._save()
            except BodydoubleError as error:
                text = f"{self.request.source}: could not save the monitor's state: {error}"
                self._events.record(EventCode.FAILOVER_STEP_FAILED, text)
                _log.warning(text)
                await asyncio.sleep(self.request.interval)
            else:
                return

    async def _keep_journal(self) -> None:
        """Make the journal durable. A volume that refuses delays nobody: at worst a step is carried out twice."""
        try:
            await self._save()
        except BodydoubleError as error:
            if str(error) != self._not_kept:
                self._not_kept = str(error)
                text = f"{self.request.source}: the journal of failover cannot be kept: {error}"
                self._events.record(EventCode.JOURNAL_NOT_KEPT, text)
        else:
            self._not_kept = ""

    # --- watching -------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        now = asyncio.get_running_loop().time()
        request = self.request
        countdown = Countdown(request.interval, request.misses, self._addresses, now, request.trigger)
        self._countdown = countdown
        try:
            async with asyncio.TaskGroup() as beats:
                tasks = [
                    beats.create_task(self._beat(countdown, address), name=f"heartbeat {address}")
                    for address in self._addresses
                ]
                await self._until_failed(countdown)
                for task in tasks:
                    task.cancel()
        finally:
            self._countdown = None

    async def _beat(self, countdown: Countdown, address: str) -> None:
        """Send one address its heartbeats, one an interval, however long an answer takes."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                answered = await self._ask(address, self.request.interval)
            except (BodydoubleError, OSError) as error:
                self._cannot_ask(countdown, str(error))
            else:
                if answered:
                    self._alive(countdown, address, loop.time())
                else:
                    self._silent(countdown, address)
            due = max(due + self.request.interval, loop.time())
            await asyncio.sleep(due - loop.time())

    def _cannot_ask(self, countdown: Countdown, reason: str) -> None:
        """Who could not ask has learnt nothing of the source: no reason to fail over, but one to tell the operator."""
        countdown.restart(asyncio.get_running_loop().time())
        if reason != self._no_heartbeat:
            self._no_heartbeat = reason
            text = f"Heartbeats of {self.request.source} cannot be sent: {reason}"
            self._events.record(EventCode.HEARTBEAT_NOT_SENT, text)

    def _silent(self, countdown: Countdown, address: str) -> None:
        if countdown.unanswered(address):
            text = f"{self.request.source} {address} did not answer a heartbeat"
            self._events.record(EventCode.HEARTBEAT_LOST, text)

    def _alive(self, countdown: Countdown, address: str, at: float) -> None:
        if countdown.answered(address, at):
            self._events.record(EventCode.HEARTBEAT_RETURNED, f"{self.request.source} {address} answers again")
        if self.state == "waiting-for-operator" and countdown.alive():
            self._move("answered")

    async def _until_failed(self, countdown: Countdown) -> None:
        """Return when the state asks for other work than watching."""
        asked: asyncio.Task[str] | None = None
        lead = min(LEAD, countdown.timeout / 4)
        try:
            while self.state in ("monitoring", "waiting-for-operator"):
                now = asyncio.get_running_loop().time()
                left = countdown.time_to_fail(now) if self.state == "monitoring" else None
                if left is None or left > lead + RESOLUTION:
                    _call_off(asked)
                    self._claims.want("release")
                    asked, self._objection = None, ""
                    await self._rest(None if left is None else left - lead)
                    continue
                self._claims.want(None)
                asked = asked or asyncio.create_task(self._survey.take(), name=f"survey of {self.request.source}")
                if left:
                    await self._rest(left)
                else:
                    await self._zero(countdown, asked)
                    _call_off(asked)
                    asked = None
        finally:
            self._objection = ""
            _call_off(asked)

    async def _rest(self, seconds: float | None) -> None:
        """Wait, or until something was told."""
        self._told.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return

    async def _zero(self, countdown: Countdown, asked: asyncio.Task[str]) -> None:
        """Time to Fail has reached 0: fail over, unless the source answers meanwhile or somebody objects."""
        source, loop = self.request.source, asyncio.get_running_loop()
        if countdown.stalled(loop.time()) and not self._objection:
            countdown.restart(loop.time())
            text = f"This machine stood still; the countdown of {source} starts afresh"
            self._events.record(EventCode.MONITORING_CONTINUED, text)
            return
        objection = "" if self.request.manual_intervention else await asked
        if not countdown.expired(loop.time()) or self.state != "monitoring":
            self._objection = ""
        elif objection:
            await self._stay(objection)
        else:
            self._events.record(EventCode.FAILOVER_CONDITION_MET, f"{source} has failed: Time to Fail is 0")
            self._move("expired-manual" if self.request.manual_intervention else "expired")

    async def _stay(self, objection: str) -> None:
        """Do not stand in for now; the same is asked again an interval later."""
        if objection != self._objection:
            self._objection = objection
            text = f"{self.request.source} is silent, and this machine does not stand in: {objection}"
            self._events.record(EventCode.WITNESS_OBJECTS, text)
        await self._rest(self.request.interval)


def _call_off(asked: asyncio.Task[str] | None) -> None:
    """Nobody waits for the answers any more."""
    if asked is not None:
        asked.cancel()
