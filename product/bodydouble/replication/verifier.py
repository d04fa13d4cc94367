"""Verifier: verifications of this source's connections, by an operator's order or by a connection's schedule."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bodydouble.errors import BodydoubleError, ConnectionStateError, FileSystemError, InputError
from bodydouble.replication.mirror_control import options_of
from bodydouble.replication.tasks import cancel, run_together
from bodydouble.replication.verification_log import VerificationLog
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mirror import AS_CONNECTED
from bodydouble.vocabulary.verification import VerificationDetails, VerificationOptions, VerificationReport

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bodydouble.replication.context import Context
    from bodydouble.replication.source import SourceConnection
    from bodydouble.replication.stream import SourceStream
    from bodydouble.replication.verification import Findings, Verification
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.verification import VerificationSchedule

    Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class Verifier:
    """Runs verifications, at most one a connection, and keeps their reports.

    Args:
        context: the daemon's surroundings.
        store: where reports are kept.
        spawn: runs a coroutine as a task of the replication service.
    """

    def __init__(self, context: Context, store: StateStore, spawn: Spawn) -> None:
        self.log = VerificationLog(context.host.file_system, store, context.host.clock)
        self._context = context
        self._spawn = spawn
        self._running: dict[int, asyncio.Task[None]] = {}
        self._schedules: dict[int, asyncio.Task[None]] = {}
        self._looking: dict[int, Verification] = {}

    # --- orders ---

    def start(
        self, connection: SourceConnection, options: VerificationOptions, *, scheduled: bool = False
    ) -> VerificationReport:
        """Begin to verify a connection.

        Raises:
            ConnectionStateError: the replica is not complete, a mirror runs, or a verification does.
        """
        id_ = connection.record.id
        if id_ in self._running:
            raise ConnectionStateError(f"connection {id_}: a verification is running; wait for it or stop it")
        stream = connection.verifiable()
        if stream.verifying:
            raise ConnectionStateError(f"connection {id_}: a search for orphans is running; wait for it or stop it")
        request = connection.record.request
        report = VerificationReport(
            number=0,
            connection=id_,
            replication_set=request.replication_set,
            target=f"{request.target}:{request.port}",
            options=options,
            scheduled=scheduled,
            started=self._context.host.clock.now(),
        )
        report = self.log.add(report)
        self._event(EventCode.VERIFICATION_STARTED, report, f"verification {report.number} started")
        verification = stream.begin_verification(options)
        name = f"bodydouble-verification-{id_}"
        task = self._spawn(self._run(report.number, connection, stream, verification), name)

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                self._interrupted(report.number, "it was stopped")
            stream.end_verification()
            self._looking.pop(report.number, None)
            self._running.pop(id_, None)

        self._running[id_] = task
        self._looking[report.number] = verification
        task.add_done_callback(ended)
        return report

    async def stop(self, id_: int) -> None:
        """Stop the verification of a connection.

        Raises:
            ConnectionStateError: none runs.
        """
        task = self._running.get(id_)
        if task is None:
            raise ConnectionStateError(f"connection {id_}: no verification is running")
        await cancel(task)
        await self._save()

    def attend(self, connection: SourceConnection) -> None:
        """Follow the connection's schedule, if it has one, from now on."""
        id_ = connection.record.id
        earlier = self._schedules.pop(id_, None)
        if earlier is not None:
            earlier.cancel()
        schedule = connection.record.verification
        if schedule is not None:
            name = f"bodydouble-verification-schedule-{id_}"
            self._schedules[id_] = self._spawn(self._follow(connection, schedule), name)

    async def forget(self, id_: int) -> None:
        """The connection is disconnected: nothing is verified any more."""
        tasks = [tasks.pop(id_) for tasks in (self._schedules, self._running) if id_ in tasks]
        await cancel(*tasks)

    async def close(self) -> None:
        """End everything."""
        await cancel(*self._schedules.values(), *self._running.values())

    # --- reports ---

    def reports(self) -> list[VerificationReport]:
        """The kept reports, oldest first, those that run with what they found so far."""
        return [self._current(report) for report in self.log.reports()]

    def _current(self, report: VerificationReport) -> VerificationReport:
        looking = self._looking.get(report.number)
        return report if looking is None else self.log.change(report.number, totals=looking.findings.totals)

    async def details(self, number: int) -> VerificationDetails:
        """One report with its first differences.

        Raises:
            InputError: there is no such report.
            FileSystemError: its log cannot be read.
        """
        found = next((report for report in self.reports() if report.number == number), None)
        if found is None:
            raise InputError(f"there is no verification {number}")
        return VerificationDetails(found, await self.log.read(found))

    # --- one verification ---

    async def _run(
        self, number: int, connection: SourceConnection, stream: SourceStream, verification: Verification
    ) -> None:
        try:
            await run_together(ended=stream.ended(), work=self._work(number, connection, stream, verification))
        except BodydoubleError as error:
            self._interrupted(number, str(error))
        await self._save()

    async def _work(
        self, number: int, connection: SourceConnection, stream: SourceStream, verification: Verification
    ) -> None:
        await self._save()
        await verification.run()
        findings = verification.findings
        report = self.log.change(number, log=await self._write(number, findings))
        if findings.differences and report.options.repair:
            self.log.change(number, state="repairing")
            await stream.calm()
            options = options_of(connection.record.request, AS_CONNECTED, trusted=True)
            stream.repair(findings, replace(options, newer_only=report.options.newer_only))
            await stream.calm()
            self.log.change(number, repaired=True)
        elif findings.differences:
            connection.distrust()  # what differs may differ in neither size nor time
        now = self._context.host.clock.now()
        report = self.log.change(number, state="complete", ended=now, totals=findings.totals)
        self._event(EventCode.VERIFICATION_COMPLETE, report, _summary(report))

    async def _write(self, number: int, findings: Findings) -> str:
        if not findings.differences:
            return ""
        try:
            return await self.log.write(number, findings.differences)
        except FileSystemError as error:
            self._refused(error)
            return ""

    def _interrupted(self, number: int, why: str) -> None:
        now = self._context.host.clock.now()
        totals = self._looking[number].findings.totals
        report = self.log.change(number, state="interrupted", ended=now, totals=totals, detail=why)
        self._event(EventCode.VERIFICATION_INTERRUPTED, report, f"verification {number} interrupted: {why}")

    async def _save(self) -> None:
        try:
            await self.log.save()
        except FileSystemError as error:
            self._refused(error)

    def _refused(self, error: FileSystemError) -> None:
        self._context.events.record(EventCode.REPLICATION_ERROR, f"verification log: {error}")

    def _event(self, code: EventCode, report: VerificationReport, text: str) -> None:
        self._context.events.record(code, f"{report.replication_set} to {report.target}: {text}")

    # --- schedules ---

    async def _follow(self, connection: SourceConnection, schedule: VerificationSchedule) -> None:
        """Verify when it is due; when the connection cannot be verified then, as soon as it can."""
        await asyncio.sleep(self._first_wait(connection, schedule))
        while True:
            try:
                self.start(connection, schedule.options, scheduled=True)
            except ConnectionStateError:
                await asyncio.sleep(min(self._context.settings.retry_interval, schedule.interval))
                continue
            running = self._running.get(connection.record.id)
            if running is not None:
                await asyncio.wait([running])
            await asyncio.sleep(schedule.interval)

    def _first_wait(self, connection: SourceConnection, schedule: VerificationSchedule) -> float:
        """Seconds until the first verification; a calendar that was set back or forth changes it by one interval."""
        ends = [each.ended for each in self.log.reports() if each.connection == connection.record.id and each.ended]
        if not ends:
            return schedule.interval
        passed = (self._context.host.clock.now() - ends[-1]).total_seconds()
        return min(max(schedule.interval - passed, 0.0), schedule.interval)


def _summary(report: VerificationReport) -> str:
    totals = report.totals
    text = (
        f"verification {report.number} complete: {totals.files} files and {totals.directories} directories compared, "
        f"{totals.missing} missing, {totals.different} different, {totals.orphans} orphans"
    )
    unknown = totals.unsettled + totals.unreadable
    more = [f"{unknown} not comparable"] if unknown else []
    more += ["repaired"] if report.repaired else []
    return ", ".join([text, *more])
