"""A live body: one Windows system on this host, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodydouble.errors import BodydoubleError, InputError
from bodydouble_sim.iis import setup as iis_setup
from bodydouble_sim.live.directory_files import DirectoryFiles
from bodydouble_sim.live.door import Answer, Batch, Command, Door, Request
from bodydouble_sim.live.network import LiveNetwork
from bodydouble_sim.live.power import LivePower
from bodydouble_sim.live.state import RegistryFile
from bodydouble_sim.live.winrm.server import WinrmDoor
from bodydouble_sim.windows import installation
from bodydouble_sim.windows.accounts import ADMINISTRATOR
from bodydouble_sim.windows.names import ActiveName, RegistryActiveName
from bodydouble_sim.windows.system import WindowsSystem
from bodydouble_sim.windows.version import VERSIONS, WINDOWS_2000, WindowsVersion

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from bodydouble_sim.windows.event_log import LogEntry

SCRIPT_TIMEOUT = 24 * 3600.0
NOT_RUNNING = 3
MOST_PORTS = 65535


class HostnameActiveName:
    """The active computer name as the kernel's host name (of this UTS namespace)."""

    def get(self) -> str:
        """See `bodydouble_sim.windows.names.ActiveName.get`."""
        return socket.gethostname().upper()

    def set(self, name: str) -> None:
        """See `bodydouble_sim.windows.names.ActiveName.set`; needs root."""
        socket.sethostname(name)


class Body:
    """The system, its state on disk, and the door.

    Args:
        drives: the directory that holds ``C`` and further drives.
        state: where the registry is kept.
        name: the computer name at first start; later the registry's counts.
        uts: keep the active name in the kernel. It then outlives this process, as the host's boot set it.
        version: the release of Windows at first start; later the registry's counts.
        service_pack: likewise; the latest when None.
        file_port: where shares are served and looked for; 0: nowhere (port 139 is root's, and the host's own Samba's).

    Attributes:
        ended: set when a command inside has shut the system down.
    """

    def __init__(
        self,
        drives: Path,
        state: Path,
        name: str,
        *,
        uts: bool,
        version: WindowsVersion = WINDOWS_2000,
        service_pack: int | None = None,
        file_port: int = 0,
    ) -> None:
        (drives / "C").mkdir(parents=True, exist_ok=True)
        state.mkdir(parents=True, exist_ok=True)
        self._uts = uts
        self._saved = RegistryFile(state / "registry.json")
        registry = self._saved.load()
        active: ActiveName = HostnameActiveName() if uts else RegistryActiveName(registry)
        self._files = DirectoryFiles(drives.absolute())
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()
        self.system = WindowsSystem(
            self._files,
            time.time_ns,
            self._spawn,
            random.SystemRandom(),
            version=installation.version_in(registry) or version,
            service_pack=service_pack,
            registry=registry,
            active_name=active,
            network=LiveNetwork(),
            power=LivePower(self._spawn, self._go_down),
        )
        self.system.file_sharing_port = file_port or None
        self.system.event_log.listener = _print_event
        if not self.system.installed:
            self.system.install(name)
        iis_setup.provide(self.system)
        self._door = Door(self._perform)
        self._winrm: WinrmDoor | None = None

    def _spawn(self, coro: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(coro, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def start(self, door: str) -> None:
        """Boot and open the door.

        Raises:
            OSError: the socket cannot be made, or the state not written.
        """
        await self.system.boot(restart=self._uts)
        self._saved.save(self.system.registry)
        Path(door).unlink(missing_ok=True)  # noqa: ASYNC240 - nothing else runs yet
        await self._door.open(door)

    async def open_winrm(self, address: str, port: int, password: str) -> int:
        """Open the remote door for Administrator with that password; the port (the one that was found for 0).

        Raises:
            InputError: the password is empty.
            OSError: the address cannot be listened on.
        """
        if not password:
            raise InputError("the password of Administrator is empty")
        self.system.accounts.set_password(ADMINISTRATOR, password)
        self._saved.save(self.system.registry)
        self._winrm = WinrmDoor(self.system, address, port, lambda: self._saved.save(self.system.registry))
        await self._winrm.open()
        return self._winrm.port

    async def stop(self) -> None:
        """Close the doors, stop all services, save the registry."""
        await self._door.close()
        if self._winrm is not None:
            await self._winrm.close()
        await self.system.shut_down()
        self._saved.save(self.system.registry)

    async def _go_down(self, *, restart: bool) -> None:
        """A command has shut the system down; to restart it is to boot it again in this process."""
        if not restart:
            self.ended.set()
            return
        await self.system.shut_down()
        await self.system.boot()
        self._saved.save(self.system.registry)

    async def _perform(self, request: Request) -> Answer:
        try:
            if isinstance(request, Command):
                done = await self.system.command(request.line)
                return done.exit_code, done.output
            if isinstance(request, Batch):
                return await self._batch(request)
            service = self.system.scm.find(request.name)
            return (0 if service.state == "running" else NOT_RUNNING), f"{service.state}\n"
        finally:
            self._saved.save(self.system.registry)

    async def _batch(self, request: Batch) -> Answer:
        path = request.path.replace("\\", "/")
        if path[1:2] != ":":
            path = self._files.product_path(path) or path
        ended = await self.system.run_script(path, request.arguments, request.environment, SCRIPT_TIMEOUT)
        return ended.exit_code, ended.output


def _print_event(entry: LogEntry) -> None:
    sys.stdout.write(f"{entry.level} {entry.source} {entry.number}: {entry.text}\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Winrm:
    """Where the remote door listens, and the file that holds Administrator's password in its first line."""

    address: str
    port: int
    password_file: Path

    def password(self) -> str:
        """The password.

        Raises:
            OSError: the file cannot be read.
        """
        return (self.password_file.read_text(encoding="utf-8").splitlines() or [""])[0]


async def run(body: Body, door: str, winrm: Winrm | None = None) -> None:
    """Run a body until SIGTERM, SIGINT, or a command inside shuts the system down.

    Args:
        body: the body.
        door: the Unix socket for commands.
        winrm: the remote door; its address is printed before ``ready``.

    Raises:
        InputError: see `Body.open_winrm`.
        OSError: see `Body.start` and `Body.open_winrm`.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, body.ended.set)
    await body.start(door)
    if winrm is not None:
        port = await body.open_winrm(winrm.address, winrm.port, winrm.password())
        sys.stdout.write(f"winrm http://{winrm.address}:{port}/wsman\n")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await body.ended.wait()
    await body.stop()


def main(arguments: Sequence[str]) -> int:
    """``serve``: exit status 1 when the body cannot run."""
    parser = argparse.ArgumentParser(prog="python -m bodydouble_sim.live serve")
    parser.add_argument("--drives", type=Path, required=True, help="directory that holds C (and D, ...)")
    parser.add_argument("--state", type=Path, required=True, help="directory for the registry")
    parser.add_argument("--socket", required=True, help="Unix socket for commands")
    parser.add_argument("--uts", action="store_true", help="the active computer name is the kernel's host name")
    parser.add_argument("--name", default="", help="computer name at first start (default: the host name)")
    parser.add_argument(
        "--version", choices=list(VERSIONS), default=WINDOWS_2000.key, help="release of Windows at first start"
    )
    parser.add_argument("--file-port", type=int, default=0, help="port of the Server service (default: none)")
    parser.add_argument("--service-pack", type=int, help="its service pack at first start (default: the latest)")
    parser.add_argument(
        "--winrm",
        metavar="ADDRESS:PORT",
        help="open the remote door (WS-Management) there; port 0: any (default: none)",
    )
    parser.add_argument("--password-file", type=Path, help="its first line becomes Administrator's password")
    chosen = parser.parse_args(arguments)
    winrm = _winrm(parser, chosen)
    name = chosen.name or socket.gethostname()[:15]
    version = VERSIONS[chosen.version]
    try:
        body = Body(
            chosen.drives,
            chosen.state,
            name,
            uts=chosen.uts,
            version=version,
            service_pack=chosen.service_pack,
            file_port=chosen.file_port,
        )
        asyncio.run(run(body, chosen.socket, winrm))
    except (BodydoubleError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def _winrm(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Winrm | None:
    if chosen.winrm is None:
        return None
    address, _, port = chosen.winrm.rpartition(":")
    if not address or not port.isascii() or not port.isdigit() or int(port) > MOST_PORTS:
        parser.error(f"argument --winrm: expected ADDRESS:PORT, not {chosen.winrm!r}")
    if chosen.password_file is None:
        parser.error("--winrm needs --password-file: Administrator has no password until it is given one")
    return Winrm(address, int(port), chosen.password_file)
