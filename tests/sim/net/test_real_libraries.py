"""uvicorn, Starlette, httpx and aioftp run on the simulated loop as they come from the index."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import aioftp
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bodydouble_sim.machine import Machine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from starlette.requests import Request

    from bodydouble_sim.world import World


class QuietServer(uvicorn.Server):
    """uvicorn without its hold on the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture
def machines(world: World) -> tuple[Machine, Machine]:
    made = []
    for number, name in enumerate(("CLIENT", "SERVER"), 1):
        machine = Machine(world, name)
        machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
        machine.power_on()
        made.append(machine)
    return made[0], made[1]


def application() -> Starlette:
    async def hello(request: Request) -> JSONResponse:
        assert request.client is not None
        return JSONResponse({"client": request.client.host, "query": dict(request.query_params)})

    async def upload(request: Request) -> Response:
        return Response(await request.body())

    async def stream(_: Request) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            for number in range(20):
                await asyncio.sleep(0.5)
                yield b"%d," % number

        return StreamingResponse(chunks())

    return Starlette(routes=[Route("/", hello), Route("/upload", upload, methods=["POST"]), Route("/stream", stream)])


def serve() -> QuietServer:
    config = uvicorn.Config(
        application(),
        host="0.0.0.0",
        port=8080,
        http="h11",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        date_header=False,
        server_header=False,
    )
    return QuietServer(config)


async def on(machine: Machine, work: Coroutine[Any, Any, Any]) -> Any:
    return await machine.spawn(work, name="work")


def test_uvicorn_starlette_and_httpx_talk_over_the_simulated_network(
    world: World, machines: tuple[Machine, Machine]
) -> None:
    client, server = machines
    body = world.random("test").randbytes(500_000)

    async def browse() -> None:
        async with httpx.AsyncClient(base_url="http://SERVER:8080", trust_env=False) as http:
            answer = await http.get("/", params={"a": "b"})
            assert answer.json() == {"client": "10.0.0.1", "query": {"a": "b"}}
            assert "date" not in answer.headers
            assert (await http.post("/upload", content=body)).content == body
            began = world.loop.time()
            streamed = await http.get("/stream", timeout=60)
            assert streamed.text.startswith("0,1,2,")
            assert world.loop.time() - began == pytest.approx(10, abs=0.1)
            with pytest.raises(httpx.ReadTimeout):
                await http.get("/stream", timeout=0.2)
            assert (await http.get("/nothing")).status_code == 404
            answers = await asyncio.gather(*[http.get("/", params={"n": str(n)}) for n in range(20)])
            assert [answer.json()["query"]["n"] for answer in answers] == [str(n) for n in range(20)]

    async def main() -> None:
        daemon = serve()
        running = server.spawn(daemon.serve(), name="uvicorn")
        await asyncio.sleep(3)
        await on(client, browse())
        daemon.should_exit = True
        await running
        with pytest.raises(httpx.ConnectError):
            await on(client, browse())

    world.run(main())


def test_httpx_sees_a_power_cut_as_a_timeout(world: World, machines: tuple[Machine, Machine]) -> None:
    client, server = machines

    async def browse(patience: float) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=patience) as http:
            await http.get("http://10.0.0.2:8080/stream")

    async def main() -> None:
        server.spawn(serve().serve(), name="uvicorn")
        await asyncio.sleep(3)
        waiting = client.spawn(browse(30), name="waiting")
        await asyncio.sleep(1)
        server.power_off()
        with pytest.raises(httpx.ReadTimeout):
            await waiting
        with pytest.raises(httpx.ConnectTimeout):
            await on(client, browse(20))

    world.run(main())


def test_aioftp_client_and_server_exchange_files(world: World, machines: tuple[Machine, Machine]) -> None:
    client, server = machines
    content = world.random("test").randbytes(200_000)

    async def serve_files() -> None:
        user = aioftp.User(base_path=PurePosixPath("/"), home_path=PurePosixPath("/"))
        files = aioftp.Server([user], path_io_factory=aioftp.MemoryPathIO)
        await files.run("10.0.0.2", 21)

    async def transfer() -> bytes:
        async with aioftp.Client.context("10.0.0.2", 21, path_io_factory=aioftp.MemoryPathIO) as ftp:
            await ftp.make_directory("records")
            async with ftp.upload_stream("records/x.dat") as upload:
                await upload.write(content)
            assert [str(path) for path, _ in await ftp.list("records")] == ["records/x.dat"]
            got = bytearray()
            async with ftp.download_stream("records/x.dat") as download:
                async for block in download.iter_by_block():
                    got += block
            return bytes(got)

    async def main() -> None:
        server.spawn(serve_files(), name="ftpd")
        await asyncio.sleep(3)
        assert await on(client, transfer()) == content

    world.run(main())
