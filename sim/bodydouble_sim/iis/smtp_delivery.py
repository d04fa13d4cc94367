"""What becomes of a message in Queue: Drop, another server, back to its sender, or Badmail.

Sources: KB 250040 (the places); KB 303734 and TechNet cc757058 (a failed delivery is tried again from Queue after a
while, then returned with a non-delivery report, and the report goes the same way; one that cannot be delivered either
ends in Badmail); RFC 2821, 4.5.4 and 5 (queueing, mail exchangers in their order), 6.1 (a reply of 5yz is final).

A recipient is taken out of the queued file, durably, after what was done for it is durable. So a restart at any moment
finishes what is left, and may at worst deliver something twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis import smtp_report
from bodydouble_sim.iis.smtp_client import Reply, SmtpClient
from bodydouble_sim.iis.smtp_envelope import Envelope, domain_of
from bodydouble_sim.iis.smtp_report import Failure

if TYPE_CHECKING:
    from bodydouble_sim.iis.mailroot import Mailroot
    from bodydouble_sim.iis.smtp_options import SmtpOptions
    from bodydouble_sim.network.mail_exchange import MailRoutes
    from bodydouble_sim.windows.system import WindowsSystem

SOURCE = "smtpsvc"
_SECOND_NS = 1_000_000_000
_WORKERS = 100
_HOP = b"received:"


@dataclass(slots=True)
class Waiting:
    """A message's recipients of one domain: attempts so far, and the loop's time of the next one."""

    name: str
    attempts: int = 0
    due: float = 0.0


class Delivery:
    """Delivers the messages of a mailroot until it is cancelled.

    Args:
        system: the machine.
        options: the site.
        mailroot: its files.
        routes: finds the servers of other domains.
    """

    def __init__(self, system: WindowsSystem, options: SmtpOptions, mailroot: Mailroot, routes: MailRoutes) -> None:
        self._system = system
        self._options = options
        self._mailroot = mailroot
        self._routes = routes
        self._domains: dict[str, dict[str, Waiting]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()

    def submit(self, envelope: Envelope, message: bytes) -> str:
        """Make a message durable in Queue and begin its delivery.

        Returns:
            Its name in Queue.

        Raises:
            FileSystemError: it could not be made durable.
        """
        name = self._mailroot.accept(envelope, message)
        self._enlist(name, envelope)
        return name

    def recover(self) -> None:
        """Take up what a former run left in Queue.

        A file that is no message goes to Badmail, one that cannot be read stays, and either is no reason not to start.

        Raises:
            FileSystemError: Queue itself cannot be listed.
        """
        for name in self._mailroot.queued():
            try:
                self._take_up(name)
            except FileSystemError as error:
                self._complain(f"The message {name} was left in Queue: {error}")

    def _take_up(self, name: str) -> None:
        loaded = self._mailroot.load(name)
        if loaded is None or not loaded[0].recipients:
            self._mailroot.set_aside(name, "The message file is corrupt.")
        else:
            self._enlist(name, loaded[0])

    def _enlist(self, name: str, envelope: Envelope) -> None:
        for domain in dict.fromkeys(self._destination(one) for one in envelope.recipients):
            self._domains.setdefault(domain, {})[name] = Waiting(name)
        self._wake.set()

    def _destination(self, recipient: str) -> str:
        """The queue a recipient is in: its domain, empty for ours."""
        domain = domain_of(recipient).lower()
        return "" if self._options.is_local(domain) else domain

    async def run(self) -> None:
        """Deliver what is due, for ever. Our own domain's mail never waits for another server."""
        try:
            while True:
                self._wake.clear()
                self._deliver_local()
                self._start_workers()
                await self._pause()
        finally:
            workers = list(self._workers.values())
            for worker in workers:
                worker.cancel()
            if workers:
                await asyncio.wait(workers)

    async def _pause(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [
            one.due for domain, held in self._domains.items() if domain not in self._workers for one in held.values()
        ]
        delay = None if not due else max(0.0, min(due) - now)
        if delay == 0.0 and len(self._workers) >= _WORKERS:
            delay = None
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return

    # --- our own domain ---------------------------------------------------------------------------------------------

    def _deliver_local(self) -> None:
        now = asyncio.get_running_loop().time()
        for waiting in list(self._domains.get("", {}).values()):
            if waiting.due <= now:
                try:
                    self._drop(waiting.name)
                except FileSystemError as error:
                    self._complain(f"The message {waiting.name} could not be delivered to Drop: {error}")
                    self._postpone(waiting)

    def _drop(self, name: str) -> None:
        loaded = self._open(name, "")
        if loaded is not None:
            envelope, message = loaded
            served = self._of(envelope, "")
            self._mailroot.drop(name, envelope.to(served), message)
            self._settle(name, "", served, [])

    # --- other domains ----------------------------------------------------------------------------------------------

    def _start_workers(self) -> None:
        now = asyncio.get_running_loop().time()
        for domain, held in self._domains.items():
            free = domain and domain not in self._workers and len(self._workers) < _WORKERS
            if free and any(one.due <= now for one in held.values()):
                task = self._system.spawn(self._serve_domain(domain), f"smtp to {domain}")
                self._workers[domain] = task
                task.add_done_callback(partial(self._ended, domain))

    def _ended(self, domain: str, task: asyncio.Task[None]) -> None:
        self._workers.pop(domain, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._complain(f"Delivery to {domain} stopped: {error}")
            for waiting in self._domains.get(domain, {}).values():
                self._postpone(waiting)
        self._wake.set()

    async def _serve_domain(self, domain: str) -> None:
        """Send what is due to one domain, over as few connections as may be."""
        now = asyncio.get_running_loop().time()
        due = [one for one in self._domains.get(domain, {}).values() if one.due <= now]
        while due:
            batch, due = due[: self._options.max_batch], due[self._options.max_batch :]
            client = SmtpClient(self._options.name)
            try:
                await self._connect(client, domain)
                while batch:
                    await self._send(client, domain, batch[0])
                    del batch[0]
                await client.close()
            except (OSError, TimeoutError) as error:
                for waiting in [*batch, *due]:
                    self._failed(domain, waiting, Reply(451, str(error) or "The remote server did not respond."))
                return
            finally:
                client.abort()

    async def _connect(self, client: SmtpClient, domain: str) -> None:
        """To the first of the domain's servers that answers."""
        trouble: Exception = OSError(f"no mail server for {domain}")
        for host in await self._routes.hosts(self._options.smart_host or domain):
            try:
                await client.open(host, self._options.remote_port)
            except (OSError, TimeoutError) as error:
                client.abort()
                trouble = error
            else:
                return
        raise trouble

    async def _send(self, client: SmtpClient, domain: str, waiting: Waiting) -> None:
        loaded = self._open(waiting.name, domain)
        if loaded is None:
            return
        envelope, message = loaded
        served = self._of(envelope, domain)
        if _hops(message) > self._options.max_hops:
            failures = [Failure(one, "5.4.6", "A loop was detected.") for one in served]
            self._settle(waiting.name, domain, served, failures)
            return
        replies = await client.send(envelope.to(served), message)
        self._judge(domain, waiting, replies)

    def _judge(self, domain: str, waiting: Waiting, replies: dict[str, Reply]) -> None:
        done = tuple(one for one, reply in replies.items() if reply.good or reply.final)
        refused = [
            Failure(one, _status(reply), f"{reply.code} {reply.text}") for one, reply in replies.items() if reply.final
        ]
        later = [reply for reply in replies.values() if not reply.good and not reply.final]
        if done:
            self._settle(waiting.name, domain, done, refused)
        if later:
            self._failed(domain, waiting, later[0])

    def _failed(self, domain: str, waiting: Waiting, reply: Reply) -> None:
        """Try again later, or give up once the message is too old."""
        loaded = self._open(waiting.name, domain)
        if loaded is None:
            return
        envelope, _ = loaded
        age = (self._system.clock() - envelope.queued_ns) / _SECOND_NS
        if age < self._options.expires:
            self._postpone(waiting)
            return
        served = self._of(envelope, domain)
        failures = [Failure(one, "4.4.7", f"{reply.code} {reply.text}") for one in served]
        self._settle(waiting.name, domain, served, failures)

    def _postpone(self, waiting: Waiting) -> None:
        waiting.attempts += 1
        waiting.due = asyncio.get_running_loop().time() + self._options.retry_after(waiting.attempts)

    # --- the end of a recipient -------------------------------------------------------------------------------------

    def _open(self, name: str, domain: str) -> tuple[Envelope, bytes] | None:
        """The queued message, None (and forgotten) when somebody has taken the file away or damaged it."""
        try:
            loaded = self._mailroot.load(name)
        except FileSystemError as error:
            if error.code != "not_found":
                raise
            loaded = None
        if loaded is None or not self._of(loaded[0], domain):
            self._domains.get(domain, {}).pop(name, None)
            return None
        return loaded

    def _of(self, envelope: Envelope, domain: str) -> tuple[str, ...]:
        return tuple(one for one in envelope.recipients if self._destination(one) == domain)

    def _settle(self, name: str, domain: str, served: tuple[str, ...], failures: list[Failure]) -> None:
        """Recipients are dealt with: report failures, then take them out of Queue.

        Raises:
            FileSystemError: the report or the queued file could not be written; all stays as it was.
        """
        loaded = self._mailroot.load(name)
        if loaded is None:
            return
        envelope, message = loaded
        if failures:
            self._return(name, envelope, message, failures)
        left = tuple(one for one in envelope.recipients if one not in served)
        if left:
            self._mailroot.narrow(name, envelope.to(left), message)
        else:
            self._mailroot.forget(name)
        if not any(self._destination(one) == domain for one in left):
            self._domains.get(domain, {}).pop(name, None)

    def _return(self, name: str, envelope: Envelope, message: bytes, failures: list[Failure]) -> None:
        """A report to the sender; for a message that is a report itself, or names no sender, Badmail."""
        if not envelope.sender:
            reason = f"{failures[0].recipient}: {failures[0].text}"
            self._mailroot.reject(name, message, reason)
            return
        now = self._system.clock()
        report = smtp_report.report(self._options.name, envelope.sender, failures, message, now)
        self.submit(Envelope("", (envelope.sender,), now), report)

    def _complain(self, text: str) -> None:
        self._system.event_log.record(SOURCE, 4001, "error", text)


def _status(reply: Reply) -> str:
    """The enhanced status of a refusal: what the server says (RFC 2034), else a general one."""
    word = reply.text.partition(" ")[0]
    parts = word.split(".")
    whole = len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts)  # noqa: PLR2004 - RFC 2034
    return word if whole else "5.0.0"


def _hops(message: bytes) -> int:
    head = message.partition(b"\r\n\r\n")[0].lower()
    return head.count(b"\n" + _HOP) + head.startswith(_HOP)
