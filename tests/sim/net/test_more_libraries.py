"""websockets, aiosmtpd, uvicorn and Starlette's threaded parts run on the simulated loop as they come from the index.

What they draw (masks, keys, ping payloads) and read (Date headers) past their caller comes from the world, so that one
seed gives one trace with them too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from aiosmtpd.smtp import SMTP
from starlette.applications import Starlette
from starlette.responses import FileResponse, PlainTextResponse
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from bodydouble_sim.machine import Machine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from bodydouble_sim.surroundings import Surroundings


def pair(world: World) -> tuple[Machine, Machine]:
    made = []
    for number, name in enumerate(("CLIENT", "SERVER"), 1):
        machine = Machine(world, name)
        machine.plug(world.network.segment("lan"), f"10.0.0.{number}/24")
        machine.power_on()
        made.append(machine)
    return made[0], made[1]


@pytest.fixture
def machines(world: World) -> tuple[Machine, Machine]:
    return pair(world)


async def on(machine: Machine, work: Coroutine[Any, Any, Any]) -> Any:
    return await machine.spawn(work, name="work")


# --- websockets -----------------------------------------------------------------------------------------------------


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


async def chat_server() -> None:
    async with serve(echo, "10.0.0.2", 8765) as server:
        await server.serve_forever()


async def chat(large: bytes) -> None:
    async with connect("ws://SERVER:8765", proxy=None) as connection:
        for number in range(5):
            await connection.send(f"message {number}")
            assert await connection.recv() == f"message {number}"
        await connection.send(large)
        assert await connection.recv() == large
        await asyncio.sleep(120)  # its keep-alive pings with a payload of its own every 20 s
        await (await connection.ping())
    with pytest.raises(ConnectionClosedOK):
        await connection.recv()


def trace_of_a_chat(seed: int) -> str:
    world = World(seed)
    client, server = pair(world)

    async def main() -> None:
        server.spawn(chat_server(), name="server")
        await asyncio.sleep(5)
        await on(client, chat(world.random("test").randbytes(200_000)))

    world.run(main())
    digest = world.trace.digest
    world.close()
    assert world.loop.unhandled == []
    return digest


def test_websockets_talk_and_one_seed_gives_one_trace() -> None:
    assert trace_of_a_chat(3) == trace_of_a_chat(3)
    assert trace_of_a_chat(3) != trace_of_a_chat(4)


def test_the_masks_of_websockets_would_break_the_trace_without_the_backstop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: unseeded entropy of a library is seen in the digest."""

    def nothing(_: Surroundings) -> list[Any]:
        return []

    monkeypatch.setattr("bodydouble_sim.surroundings.Surroundings._stand_ins", nothing)
    assert trace_of_a_chat(3) != trace_of_a_chat(3)


def test_websockets_notice_a_power_cut_by_their_keep_alive(world: World, machines: tuple[Machine, Machine]) -> None:
    client, server = machines

    async def wait() -> float:
        async with connect("ws://10.0.0.2:8765", proxy=None) as connection:
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
            return asyncio.get_running_loop().time()

    async def main() -> None:
        server.spawn(chat_server(), name="server")
        await asyncio.sleep(5)
        waiting = client.spawn(wait(), name="waiting")
        await asyncio.sleep(1)
        server.power_off()
        assert 20 <= await waiting - 6 <= 60

    world.run(main())


# --- aiosmtpd -------------------------------------------------------------------------------------------------------


class Postbox:
    def __init__(self) -> None:
        self.letters: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        del server, session
        self.letters.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 Message accepted for delivery"


async def converse(steps: list[tuple[bytes, bytes]]) -> list[bytes]:
    reader, writer = await asyncio.open_connection("SERVER", 25)
    answers = [await reader.readline()]
    for said, expected in steps:
        writer.write(said)
        while True:
            line = await reader.readline()
            if line[3:4] != b"-":
                break
        assert line.startswith(expected), (said, line)
        answers.append(line)
    writer.close()
    await writer.wait_closed()
    return answers


LETTER = b"Subject: test\r\n\r\n" + b"".join(b"line %d\r\n" % number for number in range(3000))


def test_aiosmtpd_takes_letters(world: World, machines: tuple[Machine, Machine]) -> None:
    client, server = machines
    postbox = Postbox()

    async def listen() -> None:
        await asyncio.get_running_loop().create_server(lambda: SMTP(postbox), "0.0.0.0", 25)

    async def main() -> list[bytes]:
        await asyncio.sleep(5)
        await on(server, listen())
        steps = [
            (b"EHLO client\r\n", b"250"),
            (b"MAIL FROM:<a@client>\r\n", b"250"),
            (b"RCPT TO:<b@server>\r\n", b"250"),
            (b"NONSENSE\r\n", b"500"),
            (b"DATA\r\n", b"354"),
            (LETTER + b".\r\n", b"250"),
            (b"QUIT\r\n", b"221"),
        ]
        answers = await asyncio.gather(*[on(client, converse(steps)) for _ in range(5)])
        assert answers[0] == answers[4]
        return list(answers[0])

    answers = world.run(main())
    assert answers[0].startswith(b"220 SERVER ")
    assert postbox.letters == [("a@client", ["b@server"], LETTER)] * 5


def test_aiosmtpd_drops_a_silent_client(world: World, machines: tuple[Machine, Machine]) -> None:
    client, server = machines

    async def listen() -> None:
        await asyncio.get_running_loop().create_server(lambda: SMTP(Postbox(), timeout=30), "0.0.0.0", 25)

    async def be_silent() -> float:
        reader, writer = await asyncio.open_connection("SERVER", 25)
        assert (await reader.readline()).startswith(b"220")
        began = asyncio.get_running_loop().time()
        await reader.read()
        writer.close()
        return asyncio.get_running_loop().time() - began

    async def main() -> None:
        await asyncio.sleep(5)
        await on(server, listen())
        assert await on(client, be_silent()) == pytest.approx(30, abs=1)

    world.run(main())


# --- uvicorn and Starlette, with nothing taken away -----------------------------------------------------------------


def application(page: Path) -> Starlette:
    def blocking(_: Any) -> PlainTextResponse:
        return PlainTextResponse("from a plain function")

    def file(_: Any) -> FileResponse:
        return FileResponse(page)

    return Starlette(routes=[Route("/blocking", blocking), Route("/file", file)])


def test_uvicorn_as_it_is_serves_plain_functions_and_files(
    world: World, machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    client, server = machines
    page = tmp_path / "page.txt"
    page.write_bytes(b"page" * 50_000)

    async def browse() -> None:
        async with httpx.AsyncClient(base_url="http://SERVER:8080", trust_env=False) as http:
            answer = await http.get("/blocking")
            assert answer.text == "from a plain function"
            assert answer.headers["date"] == "Mon, 02 Dec 2002 09:00:05 GMT"
            assert (await http.get("/file")).content == page.read_bytes()
            sent = await http.post("/blocking", files={"upload": b"content"})  # a boundary is drawn
            assert sent.status_code == 405

    async def main() -> None:
        daemon = uvicorn.Server(uvicorn.Config(application(page), host="0.0.0.0", port=8080, log_config=None))
        running = server.spawn(daemon.serve(), name="uvicorn")
        await asyncio.sleep(5)
        await on(client, browse())
        daemon.should_exit = True
        await running

    world.run(main())
