"""The replication wire over loopback, plain and inside TLS, and what a handshake costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.peers import credential_of

from bodydouble.replication.protocol import FRAGMENT_BYTES, PROTOCOL, Fragment, Wire
from bodydouble.security.streams import DirectProtocol, DirectReader
from bodydouble.security.tls import client_context, server_context

pytestmark = pytest.mark.benchmark(timer=time.process_time)  # seconds of one core, whoever else uses the machine

TOTAL = 256 * 1024 * 1024
HANDSHAKES = 100
SENDS, RECEIVES = credential_of("SENDS"), credential_of("RECEIVES")
NOBODY: Any = None
Receive = Callable[[DirectReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


ANSWERING = server_context(RECEIVES, [PROTOCOL], [SENDS.certificate], anonymous=False)
ASKING = client_context(SENDS, [PROTOCOL], [RECEIVES.certificate])


class Accepting(DirectProtocol):
    """What a target's port reads by, with a task for each connection."""

    def __init__(self, receive: Receive) -> None:
        self._direct = DirectReader(loop=asyncio.get_running_loop())
        self._receive = receive
        super().__init__(self._direct)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.WriteTransport)
        loop = asyncio.get_running_loop()
        writer = asyncio.StreamWriter(transport, self, self._direct, loop)
        self.task = loop.create_task(self._receive(self._direct, writer))


async def carry(total: int, *, tls: bool) -> None:
    """Send so many bytes in the longest frames that a source sends; both ends are in this process."""
    answering, asking = (ANSWERING, ASKING) if tls else (None, None)
    done = asyncio.Event()

    async def receive(reader: DirectReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer, 60.0, NOBODY)
        for _ in range(total // FRAGMENT_BYTES):
            await wire.receive()
        done.set()
        await wire.close()

    server = await asyncio.get_running_loop().create_server(lambda: Accepting(receive), "127.0.0.1", 0, ssl=answering)
    port = server.sockets[0].getsockname()[1]
    hostname = "" if tls else None
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=asking, server_hostname=hostname), 60.0, NOBODY)
    frame = Fragment(bytes(FRAGMENT_BYTES), 0)
    for _ in range(total // FRAGMENT_BYTES):
        await wire.send(frame)
    await done.wait()
    await wire.close()
    server.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_bytes_over_the_wire(benchmark: Any, tls: bool) -> None:
    benchmark.pedantic(lambda: asyncio.run(carry(TOTAL, tls=tls)), rounds=3, warmup_rounds=1)
    benchmark.extra_info["mb_per_cpu_second_of_both_ends"] = round(TOTAL / 1e6 / benchmark.stats.stats.min)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_opening_and_closing(benchmark: Any, tls: bool) -> None:
    async def open_and_close() -> None:
        for _ in range(HANDSHAKES):
            await carry(0, tls=tls)

    benchmark.pedantic(lambda: asyncio.run(open_and_close()), rounds=3, warmup_rounds=1)
    benchmark.extra_info["ms_of_both_ends"] = round(benchmark.stats.stats.min / HANDSHAKES * 1000, 2)
