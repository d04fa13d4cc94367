"""A daemon on a simulated machine whose API is asked without a server, a request at a time."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import httpx

from bodydouble.control.access import TokenGate
from bodydouble.control.api import OPERATIONS, serve
from bodydouble.control.line import Line, state_with
from bodydouble.control.settings import ControlSettings
from bodydouble.daemon import Daemon, DaemonSettings
from bodydouble.errors import BodydoubleError
from bodydouble.vocabulary.records import ConnectRequest, InterfaceAddress, MonitorRequest, ReplicationSet, Rule
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp

    from bodydouble.control.routing import Operation

STATE = "C:/Program Files/Bodydouble/State"
TOKEN = "a token of some length"
KNOWN = {"id": "1", "name": "IIS", "source": "WEB1", "number": "1"}
"""What the paths of operations name when they name something that is there."""
_ADAPTER = "Local Area Connection"


class Machine:
    """The machine, the daemon on it, and what it was seen to do wrong.

    Args:
        seed: of the world.
        operations: that are served; the product's own, unless a defect is to be planted.
    """

    def __init__(self, seed: int = 1, operations: Sequence[Operation] = OPERATIONS) -> None:
        self.seed = seed
        self.operations = tuple(operations)
        self.raised: list[str] = []
        self.daemon: Daemon
        self.app: ASGIApp
        self._install()

    def _install(self) -> None:
        self.world = World(self.seed)
        self._collected, self._collect = 0, self.world._collect
        setattr(self.world, "_collect", self._collect_seldom)  # noqa: B010 - a world collects after each run
        self.windows = WindowsMachine(self.world, "TARGET")
        self.windows.plug(self.world.network.segment("lan"), "10.0.0.20/24")
        self.world.run(self._start())

    def _collect_seldom(self) -> None:
        self._collected += 1
        if self._collected % 500 == 0:
            self._collect()

    async def _start(self) -> None:
        self.windows.power_on()
        await self.windows.wait_booted()
        self.windows.system.make_directories(STATE)
        self.windows.system.make_directories("C:/InetPub/wwwroot")
        ready = asyncio.Event()
        self.windows.register_program_service("Bodydouble", "Bodydouble", lambda: self._serve(ready))
        await self.windows.command("net start Bodydouble")
        while not ready.is_set():  # noqa: ASYNC110 - it is another machine
            await asyncio.sleep(0.1)

    async def _serve(self, ready: asyncio.Event) -> None:
        settings = DaemonSettings(state_directory=STATE, control=ControlSettings(token=TOKEN))
        self.daemon = Daemon(self.windows.host(), settings)
        # What is asked for goes on afterwards, so nobody may end the daemon.
        backends = replace(self.daemon.backends, shutdown=lambda: None)
        self.app = TokenGate(serve(self.operations, backends), backends.tokens, backends.events)
        running = asyncio.create_task(self.daemon.run())
        await self.daemon.ready.wait()
        ready.set()
        await running

    def prepare(self) -> None:
        """Have one of everything there is that a path can name, and no more."""
        try:
            self.world.run(self._on_machine(self._prepare()))
        except BodydoubleError:  # what was asked for is under way, and does not allow it
            self.close()
            self._install()
            self.world.run(self._on_machine(self._prepare()))

    def close(self) -> None:
        """Give the world up."""
        self._collect()
        self.world.close()

    async def _prepare(self) -> None:
        daemon = self.daemon
        for monitor in daemon.failover.monitors():
            await daemon.failover.delete_monitor(monitor.request.source)
        for each in daemon.replication.sets():
            if each.name != KNOWN["name"]:
                await daemon.replication.delete_set(each.name, disconnect=True)
        for token in daemon.tokens.listed()[1:]:
            await daemon.tokens.revoke(token.name)
        if not daemon.replication.sets():
            rules = [Rule(path="C:/InetPub")]
            await daemon.replication.save_set(ReplicationSet(name=KNOWN["name"], rules=rules))
        if not daemon.replication.connections():
            await daemon.replication.connect(ConnectRequest(replication_set=KNOWN["name"], target="10.0.0.10"))
        watched = [InterfaceAddress(interface=_ADAPTER, address="10.0.0.10/24")]
        await daemon.failover.create_monitor(MonitorRequest(source=KNOWN["source"], addresses=watched))

    def names(self) -> dict[str, str]:
        """What paths may name that is there now."""
        found: dict[str, str] = self.world.run(self._on_machine(self._names()))
        return found

    async def _names(self) -> dict[str, str]:
        connections = self.daemon.replication.connections()
        return {**KNOWN, "id": str(connections[0].id)} if connections else KNOWN

    def ask(self, method: str, url: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        """What the daemon answers."""
        answer: httpx.Response = self.world.run(self._on_machine(self._asked(method, url, headers, body)))
        return answer

    async def _on_machine(self, part: Any) -> Any:
        return await self.windows.spawn(part, name="operator")

    async def _asked(self, method: str, url: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        place = urlsplit(url)
        line = Line()
        line.end()  # streams of events say what there is
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "https", "client": ("10.0.0.5", 1),
            "path": unquote(place.path), "raw_path": place.path.encode(), "query_string": place.query.encode(),
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "state": state_with(line),
        }  # fmt: skip
        sent: list[dict[str, Any]] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        try:
            await self.app(scope, receive, send)  # type: ignore[arg-type]  # plainer than ASGI's types
        except Exception:  # noqa: BLE001 - a defect: the server answers 500, and its log has this
            self.raised.append(traceback.format_exc())
        head, *rest = sent
        content = b"".join(message.get("body", b"") for message in rest)
        given = [(name.decode(), value.decode()) for name, value in head["headers"]]
        request = httpx.Request(method, url, headers={"authorization": f"Bearer {TOKEN}"}, content=body)
        answer = httpx.Response(head["status"], headers=given, content=content, request=request)
        answer.elapsed = timedelta()
        return answer
