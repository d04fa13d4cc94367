"""Mutual TLS 1.3 between two machines, by streams and by httpx and uvicorn, over a lossy network.

Prints the trace digest and a digest of what was on the wire. The determinism test runs it in processes of its own.
"""

from __future__ import annotations

import asyncio
import sys
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tests.certificates import Authority

from bodydouble_sim.machine import Machine
from bodydouble_sim.network.troubles import Loss
from bodydouble_sim.world import World

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine

    from starlette.requests import Request


async def upper(request: Request) -> PlainTextResponse:
    return PlainTextResponse((await request.body()).upper())


def daemon(context: ssl.SSLContext) -> uvicorn.Server:
    application = Starlette(routes=[Route("/", upper, methods=["POST"])])
    settings: dict[str, Any] = {"host": "0.0.0.0", "port": 8443, "log_config": None}
    return uvicorn.Server(uvicorn.Config(application, ssl_context_factory=lambda *_: context, **settings))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(10_000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(context: ssl.SSLContext) -> None:
    await asyncio.start_server(echo, port=7443, ssl=context)
    await daemon(context).serve()


async def converse(context: ssl.SSLContext, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("10.0.0.2", 7443, ssl=context)
    for size in (1, 100, 50_000):
        writer.write(data[:size])
        assert await reader.readexactly(size) == data[:size]
    writer.close()
    await writer.wait_closed()
    async with httpx.AsyncClient(verify=context, trust_env=False) as http:
        for size in (0, 10, 30_000):
            answer = await http.post("https://SERVER:8443/", content=b"a" * size)
            assert answer.content == b"A" * size


def story(seed: int, directory: Path) -> tuple[World, Coroutine[Any, Any, None]]:
    authority = Authority(directory)
    serving, asking = authority.server("10.0.0.2", "SERVER", mutual=True), authority.client(certificate=True)
    world = World(seed, keep_trace=True)
    machines = []
    for number, name in enumerate(("CLIENT", "SERVER"), 1):
        machine = Machine(world, name)
        machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
        machine.power_on()
        machines.append(machine)
    client, server = machines

    async def main() -> None:
        server.spawn(serve(serving), name="server")
        await asyncio.sleep(5)
        Loss(world, 0.02).start()
        await client.spawn(converse(asking, world.random("test").randbytes(50_000)), name="client")

    return world, main()


def wire(world: World) -> str:
    digest = blake2b(digest_size=16)
    for _, frame in world.network.segments["lan"].frames():
        if frame[0] == "tcp":
            digest.update(frame[-1])
    return digest.hexdigest()


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        told, run = story(int(sys.argv[1]), Path(made))
        told.run(run)
    print(told.trace.digest, len(told.trace.lines), wire(told))  # noqa: T201 - what the test reads
    told.close()
