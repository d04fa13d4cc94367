"""A writer: uploads numbered, checksummed records over FTP and remembers which ones the server confirmed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble_labs.history import Request, WrittenRecord
from bodydouble_labs.workload.ftp_session import FtpSession
from bodydouble_labs.workload.outcomes import FAILURES, outcome_of

if TYPE_CHECKING:
    from bodydouble_labs.history import History
    from bodydouble_labs.scenario.model import WriterSpec
    from bodydouble_labs.workload.content import Document, SiteContent
    from bodydouble_labs.workload.server import Server
    from bodydouble_labs.workload.shelf import Shelf


class FtpWriter:
    """One FTP client that keeps its session open and opens a new one after any failure.

    A number is never used twice: after a failed upload nobody knows what the server kept, so the next attempt is the
    next record. A record counts as acknowledged when the server's final 226 has arrived.
    """

    def __init__(self, spec: WriterSpec, server: Server, content: SiteContent, shelf: Shelf, history: History) -> None:
        self.name = spec.name
        self.spec = spec
        self._server = server
        self._content = content
        self._shelf = shelf
        self._history = history
        self._session: FtpSession | None = None
        self._number = 0

    async def work(self) -> Request:
        """Upload the next record and say how it went."""
        self._number += 1
        document = self._content.record(self.name, self._number, self.spec.bytes)
        key = f"{self.name}-{self._number:06d}"
        started = self._server.elapsed()
        acknowledged = False
        try:
            async with asyncio.timeout(self.spec.timeout):
                await self._store(document)
            acknowledged = True
        except FAILURES as error:
            outcome, detail = outcome_of(error)
            self.drop()
        else:
            outcome, detail = "ok", ""
            self._shelf.put(key, document)
        finally:
            self._remember(document, key, started, acknowledged=acknowledged)
        ended = self._server.elapsed()
        return Request(self.name, "ftp-store", self.spec.via, started, ended, outcome, detail, key)

    async def close(self) -> None:
        """End the session politely, if there is one."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            async with asyncio.timeout(self.spec.timeout):
                await session.quit()
        except FAILURES:
            session.close()

    def _remember(self, document: Document, key: str, started: float, *, acknowledged: bool) -> None:
        self._history.records.append(
            WrittenRecord(
                key=key,
                writer=self.name,
                number=self._number,
                path=document.windows_path.replace("\\", "/"),
                size=len(document.body),
                digest=document.digest,
                started=started,
                acknowledged=self._server.elapsed() if acknowledged else None,
            )
        )

    async def _store(self, document: Document) -> None:
        if self._session is None:
            _, address = await self._server.find(self.spec.via)
            self._session = await FtpSession.open(address, self._server.ftp_port)
        await self._session.store(document.url_path, document.body)

    def drop(self) -> None:
        """End the session without a word, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
