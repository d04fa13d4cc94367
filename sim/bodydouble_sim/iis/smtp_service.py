"""The SMTP service (IIS 4.0: Microsoft SMTP Service; IIS 5.0: Simple Mail Transport Protocol) in inetinfo.exe.

Sources: KB 250040 (mailroot), KB 198022 (Pickup); reference/windows-iis.md, "Services".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import smtp_envelope
from bodydouble_sim.iis.listener import StreamListener
from bodydouble_sim.iis.mailroot import Mailroot
from bodydouble_sim.iis.smtp_delivery import SOURCE, Delivery
from bodydouble_sim.iis.smtp_session import SmtpSession
from bodydouble_sim.network.mail_exchange import MailRoutes
from bodydouble_sim.windows.service import ServiceFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from bodydouble_sim.iis.smtp_options import SmtpOptions
    from bodydouble_sim.iis.smtp_session import CheckPassword
    from bodydouble_sim.windows.system import WindowsSystem

PORT_TAKEN = 10048
NO_MAILROOT = 3
_ALL = "0.0.0.0"  # noqa: S104 - "(All Unassigned)"


class SmtpService:
    """One run of the service: listener, delivery and the watch over Pickup.

    Args:
        system: the machine.
        options: tells, at start, what the metabase says.
        servers: the DNS servers to ask for mail exchangers.
        check: whether an account has that password; None: nobody can authenticate.
    """

    def __init__(
        self,
        system: WindowsSystem,
        options: Callable[[], SmtpOptions],
        servers: Callable[[], Sequence[str]] = tuple,
        check: CheckPassword | None = None,
    ) -> None:
        self._system = system
        self._read_options = options
        self._dns = servers
        self._check = check
        self._sessions = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted = False
        self._listeners: list[StreamListener] = []

    async def start(self, died: Callable[[str], None]) -> None:
        """Take up Queue, listen, deliver, watch Pickup.

        Raises:
            ServiceFailedError: the mailroot cannot be used, or the port is taken.
        """
        self._options = options = self._read_options()
        self._mailroot = Mailroot(self._system, options.root)
        self._delivery = Delivery(self._system, options, self._mailroot, MailRoutes(self._dns))
        try:
            self._mailroot.prepare()
            self._delivery.recover()
        except FileSystemError as error:
            raise ServiceFailedError(NO_MAILROOT, f"The mailroot cannot be used: {error}") from error
        listener = StreamListener(self._system, "smtp", self._serve)
        try:
            await listener.start(_ALL, options.port)
        except OSError as error:
            raise ServiceFailedError(PORT_TAKEN, f"port {options.port}: {error}") from error
        self._listeners = [listener]
        self._wanted = True
        self._begin(self._delivery.run(), "smtp delivery", died)
        self._begin(self._watch_pickup(), "smtp pickup", died)

    def _begin(self, coro: Coroutine[Any, Any, None], name: str, died: Callable[[str], None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if self._wanted and not task.cancelled():
                self.kill()
                died(f"{name}: {task.exception()}")

        task = self._system.spawn(coro, name)
        task.add_done_callback(ended)
        self._tasks.append(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._sessions >= self._options.max_sessions:
            writer.write(b"421 4.3.2 Too many connections\r\n")
            await writer.drain()
            return
        self._sessions += 1
        try:
            accept, clock = self._delivery.submit, self._system.clock
            await SmtpSession(self._options, clock, accept, self._check, (reader, writer)).run()
        finally:
            self._sessions -= 1

    async def stop(self) -> None:
        """Stop listening, drop the clients, leave off delivering; what is in Queue stays there."""
        self._wanted = False
        for listener in self._listeners:
            await listener.stop()
        self._listeners = []
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def kill(self) -> None:
        """Die at once; what is in Queue stays there."""
        self._wanted = False
        for listener in self._listeners:
            listener.close()
        for task in self._tasks:
            task.cancel()
        self._listeners, self._tasks = [], []

    # --- Pickup -----------------------------------------------------------------------------------------------------

    async def _watch_pickup(self) -> None:
        """Queue what is put into Pickup, once its writer has left a file alone for one look."""
        seen: dict[str, tuple[int, int]] = {}
        while True:
            now: dict[str, tuple[int, int]] = {}
            for name, size, written in self._waiting():
                if seen.get(name) == (size, written):
                    self._pick(name, size)
                else:
                    now[name] = (size, written)
            seen = now
            await asyncio.sleep(self._options.pickup)

    def _waiting(self) -> list[tuple[str, int, int]]:
        try:
            return self._mailroot.waiting()
        except FileSystemError:
            return []  # the directory is away: an administrator's doing, and no reason to die

    def _pick(self, name: str, size: int) -> None:
        """One file: into Queue first, then out of Pickup, so that no power cut loses it."""
        try:
            if size > self._options.max_message:
                self._mailroot.reject(name, self._mailroot.picked(name), "The message is too large.")
            else:
                self._queue(name, self._mailroot.picked(name))
            self._mailroot.clear(name)
        except FileSystemError as error:
            self._system.event_log.record(SOURCE, 4002, "warning", f"{name} in Pickup was left there: {error}")

    def _queue(self, name: str, data: bytes) -> None:
        envelope, message = smtp_envelope.from_pickup(data)
        if not envelope.recipients:
            self._mailroot.reject(name, data, "The message names no recipient.")
            return
        stamped = smtp_envelope.Envelope(envelope.sender, envelope.recipients, self._system.clock())
        self._delivery.submit(stamped, message)
