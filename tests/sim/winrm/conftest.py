"""A machine with the remote door open, and a client of WS-Management in the same world.

pywinrm cannot be that client: it sits on requests, which blocks its thread in a socket of the host, and a simulated
machine is reached through the loop only. Its messages are written out here instead, and sent by httpx in virtual time;
tests/e2e/windows drives the same application with pywinrm over real sockets.
"""

from __future__ import annotations

import asyncio
import base64
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from xml.sax.saxutils import escape

import httpx
import pytest

from bodydouble_sim.live.winrm.message import ADDRESSING, COMMAND_SHELL, FAULT, SHELL, SOAP, TRANSFER, WSMAN
from bodydouble_sim.machine import Machine
from bodydouble_sim.plain_xml import Element, parse
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from bodydouble_sim.windows.shell import Shell

T = TypeVar("T")
PASSWORD = "a secret"
URL = "http://10.0.0.10:5985/wsman"


@dataclass(slots=True)
class Client:
    """One administrator's tool."""

    account: str = "Administrator"
    password: str = PASSWORD
    timeout: int = 20
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=120, trust_env=False))

    async def post(self, data: bytes, **more: Any) -> httpx.Response:
        headers = {"Content-Type": "application/soap+xml;charset=UTF-8"} | more.pop("headers", {})
        auth = more.pop("auth", (self.account, self.password))
        return await self.http.post(more.pop("url", URL), content=data, headers=headers, auth=auth)

    def envelope(self, action: str, body: str = "", shell: str = "", options: str = "", header: str = "") -> bytes:
        selector = f'<w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>' if shell else ""
        return (
            f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:w="{WSMAN}" xmlns:rsp="{SHELL}"><s:Header>'
            f'<w:ResourceURI s:mustUnderstand="true">{COMMAND_SHELL}</w:ResourceURI><a:Action>{action}</a:Action>'
            f'<w:MaxEnvelopeSize s:mustUnderstand="true">153600</w:MaxEnvelopeSize>{selector}'
            f"<a:MessageID>uuid:{uuid.UUID(int=7)}</a:MessageID><w:OptionSet>{options}</w:OptionSet>{header}"
            f"<w:OperationTimeout>PT{self.timeout}S</w:OperationTimeout></s:Header><s:Body>{body}</s:Body></s:Envelope>"
        ).encode()

    async def ask(self, action: str, body: str = "", shell: str = "", options: str = "") -> Element:
        response = await self.post(self.envelope(action, body, shell, options))
        return parse(response.content)

    async def create(self, inside: str = "", options: str = "") -> Element:
        return await self.ask(f"{TRANSFER}/Create", f"<rsp:Shell>{inside}</rsp:Shell>", options=options)

    async def shell(self, inside: str = "") -> str:
        return shell_id(await self.create(inside))

    async def command(self, shell: str, line: str, options: str = "") -> Element:
        body = f"<rsp:CommandLine><rsp:Command>{escape(line)}</rsp:Command></rsp:CommandLine>"
        return await self.ask(f"{SHELL}/Command", body, shell, options)

    async def start(self, shell: str, line: str) -> str:
        found = next(item for item in (await self.command(shell, line)).walk() if item.name == "CommandId")
        return found.text

    async def receive(self, shell: str, command: str) -> Element:
        body = f'<rsp:Receive><rsp:DesiredStream CommandId="{command}">stdout stderr</rsp:DesiredStream></rsp:Receive>'
        return await self.ask(f"{SHELL}/Receive", body, shell)

    async def send(self, shell: str, command: str, data: bytes, *, end: bool = False) -> Element:
        attributes = f'Name="stdin" CommandId="{command}" End="{str(end).lower()}"'
        stream = f"<rsp:Stream {attributes}>{base64.b64encode(data).decode()}</rsp:Stream>"
        return await self.ask(f"{SHELL}/Send", f"<rsp:Send>{stream}</rsp:Send>", shell)

    async def signal(self, shell: str, command: str, name: str) -> Element:
        body = f'<rsp:Signal CommandId="{command}"><rsp:Code>{SHELL}/signal/{name}</rsp:Code></rsp:Signal>'
        return await self.ask(f"{SHELL}/Signal", body, shell)

    async def finish(self, shell: str, command: str) -> tuple[int, str, str]:
        """Receive until it is done: exit code, output, error output."""
        streams = {"stdout": "", "stderr": ""}
        while True:
            answer = await self.receive(shell, command)
            if fault_code(answer) is not None:
                continue
            for name, text in output_of(answer).items():
                streams[name] += text
            if (code := exit_code(answer)) is not None:
                return code, streams["stdout"], streams["stderr"]

    async def run(self, line: str, inside: str = "") -> tuple[int, str, str]:
        shell = await self.shell(inside)
        return await self.finish(shell, await self.start(shell, line))


def shell_id(answer: Element) -> str:
    return next(item.text for item in answer.walk() if item.attributes.get("Name") == "ShellId")


def output_of(answer: Element) -> dict[str, str]:
    streams: dict[str, str] = {}
    for item in answer.walk():
        if item.name == "Stream" and item.text:
            name = item.attributes["Name"]
            streams[name] = streams.get(name, "") + base64.b64decode(item.text).decode("cp437")
    return streams


def exit_code(answer: Element) -> int | None:
    return next((int(item.text) for item in answer.walk() if item.name == "ExitCode"), None)


def fault_code(answer: Element) -> int | None:
    faults = (item for item in answer.walk() if (item.namespace, item.name) == (FAULT, "WSManFault"))
    return next((int(item.attributes["Code"]) for item in faults), None)


def reason(answer: Element) -> str:
    return next(item.text for item in answer.walk() if item.name == "Text")


def subcode(answer: Element) -> str:
    return next(item for item in answer.walk() if item.name == "Subcode").children[0].text


@pytest.fixture
def world() -> Iterator[World]:
    made = World(7)
    yield made
    made.close()
    assert made.loop.unhandled == []


async def slow(shell: Shell, arguments: list[str]) -> int:
    """A program that writes, waits so many seconds and writes again."""
    shell.line("begun")
    await asyncio.sleep(float(arguments[0]))
    shell.line("ended")
    return 0


@pytest.fixture
def server(world: World) -> WindowsMachine:
    machine = WindowsMachine(world, "TARGET")
    machine.plug(world.network.segment("lan"), "10.0.0.10/24")
    machine.system.accounts.set_password("Administrator", PASSWORD)
    machine.system.programs["slow"] = slow
    machine.system.install_program("C:/WINNT/system32/slow.exe", "slow")
    return machine


@pytest.fixture
def act(world: World, server: WindowsMachine) -> Callable[[Callable[[Client], Coroutine[Any, Any, T]]], T]:
    """Run a story of a client against a machine that is up and has its door open."""
    desk = Machine(world, "DESK")
    desk.plug(server.nics[0].segment, "10.0.0.99/24")

    def perform(story: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        async def told() -> T:
            client = Client()
            async with client.http:
                return await story(client)

        async def main() -> T:
            desk.power_on()
            server.power_on()
            await server.wait_booted()
            server.open_winrm()
            return await desk.spawn(told(), name="story")

        return world.run(main())

    return perform
