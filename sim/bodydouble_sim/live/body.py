"""A live body: one Windows system on this host, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodydouble.errors import BodydoubleError
from bodydouble_sim.iis import setup as iis_setup
from bodydouble_sim.live.directory_files import DirectoryFiles
from bodydouble_sim.live.door import Answer, Batch, Command, Door, Request
from bodydouble_sim.live.network import LiveNetwork
from bodydouble_sim.live.power import LivePower
from bodydouble_sim.live.state import RegistryFile
from bodydouble_sim.windows import installation
from bodydouble_sim.windows.names import ActiveName, RegistryActiveName
from bodydouble_sim.windows.system import WindowsSystem
from bodydouble_sim.windows.version import VERSIONS, WINDOWS_2000, WindowsVersion

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from bodydouble_sim.windows.event_log import LogEntry

SCRIPT_TIMEOUT = 24 * 3600.0
NOT_RUNNING = 3


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
        self.system.event_log.listener = _print_event
        if not self.system.installed:
            self.system.install(name)
        iis_setup.provide(self.system)
        self._door = Door(self._perform)

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

    async def stop(self) -> None:
        """Close the door, stop all services, save the registry."""
        await self._door.close()
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


async def run(body: Body, door: str) -> None:
    """Run a body until SIGTERM, SIGINT, or a command inside shuts the system down.

    Raises:
        OSError: see `Body.start`.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, body.ended.set)
    await body.start(door)
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
    parser.add_argument("--service-pack", type=int, help="its service pack at first start (default: the latest)")
    chosen = parser.parse_args(arguments)
    name = chosen.name or socket.gethostname()[:15]
    version = VERSIONS[chosen.version]
    try:
        body = Body(
            chosen.drives, chosen.state, name, uts=chosen.uts, version=version, service_pack=chosen.service_pack
        )
        asyncio.run(run(body, chosen.socket))
    except (BodydoubleError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0
