"""Runs all readers and writers of a scenario at their pace."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Protocol

from bodydouble_labs.workload.ftp_writer import FtpWriter
from bodydouble_labs.workload.http_reader import HttpReader
from bodydouble_labs.workload.server import FTP_PORT, HTTP_PORT, Server
from bodydouble_labs.workload.shelf import Shelf

if TYPE_CHECKING:
    from bodydouble_labs.history import History, Request
    from bodydouble_labs.providers.base import Stage
    from bodydouble_labs.scenario.model import ReaderSpec, Scenario, WriterSpec
    from bodydouble_labs.workload.content import SiteContent


class _Client(Protocol):
    name: str

    @property
    def spec(self) -> ReaderSpec | WriterSpec: ...
    async def work(self) -> Request: ...
    async def close(self) -> None: ...
    def drop(self) -> None: ...


class Workload:
    """The clients of a scenario's site. Their requests go to the history.

    Args:
        http_port: where the site listens; tests put it elsewhere.
        ftp_port: likewise.
    """

    def __init__(
        self,
        scenario: Scenario,
        stage: Stage,
        history: History,
        content: SiteContent,
        seed: int,
        *,
        http_port: int = HTTP_PORT,
        ftp_port: int = FTP_PORT,
    ) -> None:
        self._history = history
        self._seed = seed
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        server = Server(stage, scenario.source.ip, scenario.source.computer_name, http_port, ftp_port)
        shelf = Shelf()
        self._clients: list[_Client] = [
            HttpReader(spec, server, content, shelf, random.Random(f"{seed}:reader:{spec.name}"))  # noqa: S311 - seeded
            for spec in scenario.workload.readers
        ]
        self._clients += [FtpWriter(w, server, content, shelf, history) for w in scenario.workload.writers]

    def start(self) -> None:
        """Clients begin to work."""
        for client in self._clients:
            task = asyncio.create_task(self._run(client), name=f"workload-{client.name}")
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Clients finish what they are at and go. Their sessions are closed."""
        self._stopping.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """Take the clients away at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._history.lab_errors.append(f"{task.get_name()}: {type(error).__name__}: {error}")

    async def _run(self, client: _Client) -> None:
        loop = asyncio.get_running_loop()
        # Clients do not come in step with each other, nor with what the timeline does.
        phase = random.Random(f"{self._seed}:phase:{client.name}").random()  # noqa: S311 - seeded
        due = loop.time() + phase * client.spec.every
        try:
            await self._until(due)
            while not self._stopping.is_set():
                self._history.requests.append(await client.work())
                due = _next_due(due, client.spec.every, loop.time())
                await self._until(due)
            await client.close()
        finally:
            client.drop()  # taken away while a session was open

    async def _until(self, due: float) -> None:
        """Wait for the time to come or the stop, whichever is first."""
        try:
            async with asyncio.timeout_at(due):
                await self._stopping.wait()
        except TimeoutError:
            return


def _next_due(due: float, every: float, now: float) -> float:
    """The next tick after ``now``: a request that took long makes its client miss ticks, never catch up in a burst."""
    missed = max(0, int((now - due) / every))
    return due + (missed + 1) * every
