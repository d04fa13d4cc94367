"""The NNTP service (IIS 4.0: Microsoft NNTP Service; IIS 5.0: Network News Transport Protocol) in inetinfo.exe.

Source: reference/windows-iis.md, "Services"; the NNTP service's help, "Verify NNTP Service Availability with Telnet".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis.listener import StreamListener
from bodydouble_sim.iis.news_store import NewsStore
from bodydouble_sim.iis.nntp_posting import Limits, Posting
from bodydouble_sim.iis.nntp_session import NntpSession
from bodydouble_sim.windows.service import ServiceFailedError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from bodydouble_sim.windows.system import WindowsSystem

PORT_TAKEN = 10048
NO_STORE = 3
_ALL = "0.0.0.0"  # noqa: S104 - "(All Unassigned)"
_SOURCE = "nntpsvc"
_GREETINGS = {
    "4.0": "NNTP Service Microsoft Internet Services 5.5 Version: 5.5.1717.0",
    "5.0": "NNTP Service 5.00.0984 Version: 5.0.2195.1608",
}


@dataclass(frozen=True, slots=True)
class NntpOptions:
    """One NNTP site.

    Attributes:
        name: the server's name, in Path and Xref.
        root: the nntpfile directory, product form.
        version: of IIS, for the greeting.
        port: where it listens.
        max_sessions: connections at a time.
        limits: what a client may post.
    """

    name: str
    root: str
    version: str = "5.0"
    port: int = 119
    max_sessions: int = 5000
    limits: Limits = field(default_factory=Limits)


class NntpService:
    """One run of the service.

    Args:
        system: the machine.
        options: tells, at start, what the metabase says.
    """

    def __init__(self, system: WindowsSystem, options: Callable[[], NntpOptions]) -> None:
        self._system = system
        self._read_options = options
        self._sessions = 0
        self._listeners: list[StreamListener] = []

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never dies by itself
        """Read the news, repair them after a power cut, listen.

        Raises:
            ServiceFailedError: nntpfile cannot be used, or the port is taken.
        """
        self._options = options = self._read_options()
        self._store = NewsStore(self._system, options.root)
        self._posting = Posting(self._store, options.name, self._system.clock, options.limits)
        try:
            self._store.load()
        except FileSystemError as error:
            raise ServiceFailedError(NO_STORE, f"nntpfile cannot be used: {error}") from error
        for name in self._store.rebuilt:
            text = f"The subject files of the newsgroup {name} did not fit its articles and were made anew."
            self._system.event_log.record(_SOURCE, 4000, "warning", text)
        listener = StreamListener(self._system, "nntp", self._serve)
        try:
            await listener.start(_ALL, options.port)
        except OSError as error:
            raise ServiceFailedError(PORT_TAKEN, f"port {options.port}: {error}") from error
        self._listeners = [listener]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._sessions >= self._options.max_sessions:
            writer.write(b"502 Connection Refused\r\n")
            await writer.drain()
            return
        self._sessions += 1
        try:
            greeting = _GREETINGS.get(self._options.version, _GREETINGS["5.0"])
            session = NntpSession(greeting, self._store, self._posting, self._system.clock, (reader, writer))
            await session.run()
        finally:
            self._sessions -= 1

    async def stop(self) -> None:
        """Stop listening, drop the clients, write the list of groups."""
        for listener in self._listeners:
            await listener.stop()
        if self._listeners:
            try:
                self._store.save()
            except FileSystemError as error:
                self._system.event_log.record(_SOURCE, 4001, "warning", f"group.lst could not be written: {error}")
        self._listeners = []

    def kill(self) -> None:
        """Die at once; nothing is written."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []
