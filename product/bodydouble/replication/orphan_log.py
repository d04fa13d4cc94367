"""OrphanLog: what mirrors and searches found that only targets have; the latest of each connection, over restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.orphans import OrphanReport

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from bodydouble.ports import WallClock
    from bodydouble.replication.contact import ConnectionRecord
    from bodydouble.replication.orphans import OrphanFinds, OrphanPolicy
    from bodydouble.state.events import EventLog
    from bodydouble.state.store import StateStore

    Spawn = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


class ReportList(msgspec.Struct, frozen=True):
    """The durable reports, in the order in which they were made."""

    reports: list[OrphanReport]


class OrphanLog:
    """The latest report of each connection.

    Args:
        events: hears of what was found.
        clock: dates the reports.
        store: keeps the reports; None: they end with this object.
        spawn: runs what saves them.
    """

    def __init__(self, events: EventLog, clock: WallClock, store: StateStore | None, spawn: Spawn) -> None:
        self._events = events
        self._clock = clock
        self._store = store
        self._spawn = spawn
        self._reports: dict[int, OrphanReport] = {}

    async def load(self) -> None:
        """Take in what earlier runs left; what was running then was interrupted.

        Raises:
            StateError: it cannot be understood.
        """
        stored = None if self._store is None else await self._store.load("orphan-reports", ReportList)
        for report in [] if stored is None else stored.reports:
            ended = report
            if report.state == "running":
                ended = msgspec.structs.replace(report, state="interrupted", detail="the daemon was restarted")
            self._reports[report.connection] = ended

    def latest(self, id_: int) -> OrphanReport | None:
        """The latest report of a connection."""
        return self._reports.get(id_)

    def note(self, record: ConnectionRecord, policy: OrphanPolicy, finds: OrphanFinds, *, why: str, kept: bool) -> None:
        """A mirror of everything ended.

        Args:
            record: its connection's.
            policy: what it ordered about orphans.
            finds: what it found.
            why: it ended before it was complete; empty when it was.
            kept: it is the connection's latest report from now on.
        """
        if policy.action == "keep":
            return
        report = report_of(
            record, policy, finds, during="mirror", state="interrupted" if why else "complete", detail=why,
            ended=self._clock.now(),
        )  # fmt: skip
        self.say(report)
        if kept:
            self.keep(report)

    def keep(self, report: OrphanReport) -> None:
        """Keep a report instead of its connection's earlier one."""
        self._reports.pop(report.connection, None)
        self._reports[report.connection] = report
        if self._store is not None:
            self._spawn(self._save(), "bodydouble-orphan-log")

    def forget(self, id_: int) -> None:
        """The connection is no more."""
        self._reports.pop(id_, None)

    async def _save(self) -> None:
        assert self._store is not None, "only what has a store is saved"
        try:
            await self._store.save("orphan-reports", ReportList(list(self._reports.values())))
        except FileSystemError as error:
            self._events.record(EventCode.REPLICATION_ERROR, f"orphan report: {error}")

    def say(self, report: OrphanReport) -> None:
        """Tell the operator of the totals, if there is anything to tell."""
        if report.totals.files or report.totals.directories:
            text = f"{report.replication_set} to {report.target}: orphans: {words(report)}"
            self._events.record(EventCode.ORPHANS_FOUND, text)


def words(report: OrphanReport) -> str:
    """A report's totals."""
    totals = report.totals
    done = {"log": "kept", "move": "moved", "delete": "removed"}.get(report.action, "kept")
    text = f"{totals.files} files ({totals.bytes} bytes) and {totals.directories} directories"
    young = f", but for {totals.young} too young" if totals.young and report.action != "log" else ""
    return f"{text} that only the target has, {done}{young}"


def report_of(record: ConnectionRecord, policy: OrphanPolicy, finds: OrphanFinds, **fields: Any) -> OrphanReport:
    """A report on a connection."""
    return OrphanReport(
        connection=record.id,
        replication_set=record.request.replication_set,
        target=f"{record.request.target}:{record.request.port}",
        action=policy.action,
        min_age=policy.min_age,
        started=policy.now,
        totals=finds.totals,
        orphans=list(finds.first),
        **fields,
    )
