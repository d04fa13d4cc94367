"""VerificationLog: the reports of verifications and their differences, kept over restarts.

The reports are one durable record; the differences of each are a file of JSON lines beside it. The latest hundred are
kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import FileSystemError
from bodydouble.state.store import read_file
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import CreateFile, Metadata, RemoveFile, Rename, Truncate, Write
from bodydouble.vocabulary.verification import Difference, VerificationReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bodydouble.ports import FileSystem, WallClock
    from bodydouble.state.store import StateStore

KEPT = 100
SHOWN_DIFFERENCES = 1_000
_SHOWN_BYTES = 1024 * 1024
_WRITE_BYTES = 256 * 1024


class ReportList(msgspec.Struct, frozen=True):
    """The durable reports, oldest first; numbers are never used twice."""

    next_number: int
    reports: list[VerificationReport]


class VerificationLog:
    """Reports of one daemon.

    Args:
        file_system: the host's volumes.
        store: keeps the reports; the differences lie in its directory.
        clock: dates the files.
    """

    def __init__(self, file_system: FileSystem, store: StateStore, clock: WallClock) -> None:
        self._file_system = file_system
        self._store = store
        self._clock = clock
        self._reports: dict[int, VerificationReport] = {}
        self._next_number = 1

    async def load(self) -> None:
        """Take in what earlier runs left; what was running then was interrupted.

        Raises:
            StateError: it cannot be understood.
        """
        stored = await self._store.load("verifications", ReportList)
        if stored is None:
            return
        self._next_number = stored.next_number
        for report in stored.reports:
            self._reports[report.number] = report
            if report.state in ("running", "repairing"):
                self.change(report.number, state="interrupted", ended=report.started, detail="the daemon ended")

    def add(self, report: VerificationReport) -> VerificationReport:
        """Keep one more report, in memory; it is given its number."""
        number = self._next_number
        self._next_number += 1
        return self.change(number, report)

    def change(self, number: int, report: VerificationReport | None = None, **fields: object) -> VerificationReport:
        """Keep a report with other values in these fields, in memory; as it is now."""
        changed = msgspec.structs.replace(report or self._reports[number], number=number, **fields)
        self._reports[number] = changed
        return changed

    def reports(self) -> list[VerificationReport]:
        """All kept reports, oldest first."""
        return list(self._reports.values())

    async def save(self) -> None:
        """Make the reports durable and drop the oldest.

        Raises:
            FileSystemError: the volume refused.
        """
        dropped = list(self._reports)[:-KEPT]
        gone = [self._reports.pop(number) for number in dropped]
        await self._store.save("verifications", ReportList(self._next_number, self.reports()))
        for report in gone:
            if report.log and await self._file_system.stat(report.log) is not None:
                await self._file_system.apply([RemoveFile(report.log)], durable=True)

    async def write(self, number: int, differences: Sequence[Difference]) -> str:
        """Write the differences of a report; the path of the file.

        Raises:
            FileSystemError: the volume refused.
        """
        path = paths.join(self._store.directory, f"verification-{number}.jsonl")
        beside = path + ".new"
        now = int(self._clock.now().timestamp()) * 1_000_000_000
        await self._file_system.apply([CreateFile(beside, Metadata(), now), Truncate(beside, 0, now)], durable=True)
        offset = 0
        for piece in _pieces(differences):
            await self._file_system.apply([Write(beside, offset, piece, now)], durable=True)
            offset += len(piece)
        await self._file_system.apply([Rename(beside, path)], durable=True)
        return path

    async def read(self, report: VerificationReport) -> list[Difference]:
        """The first differences of a report.

        Raises:
            FileSystemError: the file cannot be read.
        """
        entry = await self._file_system.stat(report.log) if report.log else None
        if entry is None:
            return []
        content = await read_file(self._file_system, report.log, min(entry.size, _SHOWN_BYTES))
        lines = [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]
        try:
            return [msgspec.json.decode(line, type=Difference) for line in lines[:SHOWN_DIFFERENCES]]
        except msgspec.MsgspecError as error:
            raise FileSystemError("io", report.log, f"not a verification log: {error}") from error


def _pieces(differences: Sequence[Difference]) -> Iterator[bytes]:
    """JSON lines, gathered into writes of a bounded size."""
    gathered = bytearray()
    for each in differences:
        gathered += msgspec.json.encode(each) + b"\n"
        if len(gathered) >= _WRITE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
