"""Host bodies that every port's suite runs on. A further body is one class here and one line in ``BODIES``."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import pytest
from tests.conformance.decorated import Decorated

from bodydouble.adapters.linux import (
    FilterSettings,
    IdentitySettings,
    LinuxHostSettings,
    ScriptsSettings,
    open_host,
)
from bodydouble.adapters.services import CommandService
from bodydouble_sim.iis import metabase_file
from bodydouble_sim.iis.metabase import Metabase
from bodydouble_sim.storage.drive import Drive
from bodydouble_sim.storage.ntfs import NtfsVolume
from bodydouble_sim.windows.machine import WindowsMachine
from bodydouble_sim.windows.service import ServiceConfig, TaskProgram
from bodydouble_sim.windows.version import WINDOWS_2000
from bodydouble_sim.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from bodydouble.ports import Host
    from bodydouble_sim.windows.version import WindowsVersion

    Case = Callable[[Host], Awaitable[None]]


class Body(Protocol):
    """Somewhere to run a case: ``root`` is an empty directory that the filter watches, where there is one."""

    root: str
    outside: str
    application: Application
    script_suffix: str
    script_lines: dict[str, str]

    def run(self, case: Case) -> None: ...
    def configure_application(self, directory: str) -> None: ...


class Application(Protocol):
    """Changes files as a program on the host does, not as the product."""

    async def create(self, path: str) -> None: ...
    async def write(self, path: str, offset: int, data: bytes) -> None: ...
    async def truncate(self, path: str, size: int) -> None: ...
    async def rename(self, path: str, new_path: str) -> None: ...
    async def remove(self, path: str) -> None: ...
    async def mkdir(self, path: str) -> None: ...
    async def rmdir(self, path: str) -> None: ...
    async def set_times(self, path: str, mtime_ns: int) -> None: ...
    async def read(self, path: str) -> bytes: ...
    async def hard_link(self, path: str, new_path: str) -> None: ...
    async def lead(self, path: str, target: str) -> None: ...


class PosixApplication:
    async def create(self, path: str) -> None:
        await asyncio.to_thread(self._open_and, os.O_CREAT | os.O_EXCL | os.O_WRONLY, path, lambda _fd: None)

    async def write(self, path: str, offset: int, data: bytes) -> None:
        await asyncio.to_thread(self._open_and, os.O_WRONLY, path, lambda fd: os.pwrite(fd, data, offset))

    async def truncate(self, path: str, size: int) -> None:
        await asyncio.to_thread(os.truncate, path, size)

    async def rename(self, path: str, new_path: str) -> None:
        await asyncio.to_thread(os.rename, path, new_path)

    async def remove(self, path: str) -> None:
        await asyncio.to_thread(os.unlink, path)

    async def mkdir(self, path: str) -> None:
        await asyncio.to_thread(os.mkdir, path)

    async def rmdir(self, path: str) -> None:
        await asyncio.to_thread(os.rmdir, path)

    async def set_times(self, path: str, mtime_ns: int) -> None:
        await asyncio.to_thread(partial(os.utime, path, ns=(mtime_ns, mtime_ns)))

    async def read(self, path: str) -> bytes:
        return await asyncio.to_thread(self._open_and, os.O_RDONLY, path, lambda fd: os.read(fd, 1 << 20))

    async def hard_link(self, path: str, new_path: str) -> None:
        await asyncio.to_thread(os.link, path, new_path)

    async def lead(self, path: str, target: str) -> None:
        await asyncio.to_thread(os.symlink, target, path)

    @staticmethod
    def _open_and(flags: int, path: str, action: Callable[[int], Any]) -> Any:
        fd = os.open(path, flags)
        try:
            return action(fd)
        finally:
            os.close(fd)


class VolumeApplication:
    def __init__(self, machine: WindowsMachine) -> None:
        volume = machine.volumes["C"]
        assert isinstance(volume, NtfsVolume)
        self._volume = volume

    async def create(self, path: str) -> None:
        self._volume.create(path)

    async def write(self, path: str, offset: int, data: bytes) -> None:
        self._volume.write(path, offset, data)

    async def truncate(self, path: str, size: int) -> None:
        self._volume.truncate(path, size)

    async def rename(self, path: str, new_path: str) -> None:
        self._volume.rename(path, new_path)

    async def remove(self, path: str) -> None:
        self._volume.remove(path)

    async def mkdir(self, path: str) -> None:
        self._volume.mkdir(path)

    async def rmdir(self, path: str) -> None:
        self._volume.rmdir(path)

    async def set_times(self, path: str, mtime_ns: int) -> None:
        self._volume.set_times(path, mtime_ns)

    async def read(self, path: str) -> bytes:
        return self._volume.read(path)

    async def hard_link(self, path: str, new_path: str) -> None:
        self._volume.hard_link(path, new_path)

    async def lead(self, path: str, target: str) -> None:
        self._volume.mkdir(path)
        self._volume.make_junction(path, target)


class LinuxBody:
    """This machine, with a service that is a file."""

    script_suffix = ".sh"
    script_lines = {  # noqa: RUF012 - a constant table
        "echo arguments": 'echo "$1-$2"',
        "echo variable": 'echo "$COLOUR"',
        "fail": "exit 3",
    }

    def __init__(self, directory: Path, *, fuse: bool) -> None:
        root = directory / "protected"
        root.mkdir()
        (directory / "outside").mkdir()
        self.root, self.outside = str(root), str(directory / "outside")
        self.application: Application = PosixApplication()
        flag = directory / "running"
        self._settings = LinuxHostSettings(
            filter=FilterSettings(kind="fuse", roots=[self.root]) if fuse else FilterSettings(),
            scripts=ScriptsSettings(),
            services=[
                CommandService(
                    name="Clock",
                    display_name="Clock Service",
                    query=["/bin/sh", "-c", f"test -e {flag}"],
                    start=["/bin/touch", str(flag)],
                    stop=["/bin/rm", str(flag)],
                    startup="manual",
                ),
                CommandService(
                    name="Broken",
                    query=["/bin/echo", "stopped"],
                    start=["/bin/sh", "-c", "echo out of order; exit 1"],
                    stop=["/bin/true"],
                ),
            ],
        )

    def run(self, case: Case) -> None:
        async def on_host() -> None:
            async with open_host(self._settings) as host:
                await case(host)

        asyncio.run(on_host())

    def configure_application(self, directory: str) -> None:
        """An administrator says where an application keeps data."""
        self._settings = msgspec.structs.replace(self._settings, protected_directories=[directory])


class WindowsBody:
    """A simulated Windows."""

    root, outside = "C:/Protected", "C:/Outside"
    script_suffix = ".bat"
    script_lines = {  # noqa: RUF012 - a constant table
        "echo arguments": "@echo %1-%2",
        "echo variable": "@echo %COLOUR%",
        "fail": "@exit 3",
    }

    def __init__(self, world: World, version: WindowsVersion = WINDOWS_2000) -> None:
        self._world = world
        drives = {"C": Drive(file_system="ntfs"), "D": Drive(file_system="fat32")}
        self.machine = WindowsMachine(world, "SOURCE", drives, version=version)
        self.application: Application = VolumeApplication(self.machine)
        self._register("Clock", "Clock Service", self._tick)
        self._register("Broken", "Broken Service", self._break)
        for directory in (self.root, self.outside):
            self.machine.volumes[directory[0]].mkdir(directory)

    def configure_application(self, directory: str) -> None:
        """IIS is set up, and a site has its root there."""
        system = self.machine.system
        metabase = Metabase("5.0", system.names.active, system.machine_id)
        metabase.set("W3SVC/1/ROOT", "Path", directory.replace("/", "\\"))
        system.make_directories(metabase_file.METABASE.rpartition("/")[0])
        metabase_file.write(system, metabase)

    def _register(self, name: str, display_name: str, program: Callable[[], Any]) -> None:
        config = ServiceConfig(name, display_name, "manual", (), f"{name}.exe")
        self.machine.system.scm.register(config, lambda: TaskProgram(name, program, self.machine._spawn))

    @staticmethod
    async def _tick() -> None:
        await asyncio.Event().wait()

    @staticmethod
    async def _break() -> None:
        raise OSError("out of order")

    def run(self, case: Case) -> None:
        async def on_host() -> None:
            self.machine.power_on()
            await self.machine.wait_booted()
            await self.machine.perform(_awaited(case, self.machine.host()), name="case")

        self._world.run(on_host())


class FatBody(WindowsBody):
    """A simulated Windows 2000 whose drive D is FAT32."""

    root, outside = "D:/Protected", "D:/Outside"


async def _awaited(case: Case, host: Host) -> None:
    await case(host)


FUSE = pytest.param("linux-fuse", marks=[pytest.mark.root, pytest.mark.fuse])
BODIES = ["linux", FUSE, "windows"]


def _body(kind: str, directory: Path) -> Iterator[Body]:
    if kind in ("windows", "fat32"):
        world = World(1)
        try:
            yield WindowsBody(world) if kind == "windows" else FatBody(world)
        finally:
            world.close()
    else:
        yield LinuxBody(directory, fuse=kind == "linux-fuse")


@pytest.fixture(params=BODIES)
def body(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Body]:
    """Every body."""
    yield from _body(request.param, tmp_path)


DECORATED = ["linux mapped", "windows mapped", "linux fed", "windows fed"]


@pytest.fixture(params=[*BODIES, *DECORATED, "linux fitted", "windows fitted"])
def files_body(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Body]:
    """Every body, and two of them with their files behind the product's own decorators."""
    yield from _decorated(request, tmp_path)


@pytest.fixture(params=[*BODIES, *DECORATED, "fat32"])
def any_volume(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Body]:
    """As ``files_body``, and a volume that keeps less."""
    yield from _decorated(request, tmp_path)


def _decorated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Body]:
    kind, _, decorator = request.param.partition(" ")
    for made in _body(kind, tmp_path):
        yield Decorated(made, decorator) if decorator else made


@pytest.fixture(params=[FUSE, "windows"])
def filtered(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Body]:
    """Bodies with a filter driver."""
    yield from _body(request.param, tmp_path)


@pytest.fixture(params=["linux", "windows"])
def plain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Body]:
    """Bodies whose filter does not matter."""
    yield from _body(request.param, tmp_path)


# --- two hosts on one segment ---------------------------------------------------------------------------------------

T = TypeVar("T")


class Caller(Protocol):
    """Does something on one of the two hosts."""

    def __call__(self, action: Callable[[Host], Coroutine[Any, Any, T]]) -> Awaitable[T]: ...


class Segment(Protocol):
    """Two hosts on one Ethernet segment; ``spare`` belongs to nobody."""

    interface: str
    own: str
    neighbour: str
    spare: str

    def run(self, case: Callable[[Caller, Caller], Awaitable[None]]) -> None: ...


class NamespaceSegment:
    """Two network namespaces and a veth pair: this thread is in the one, the neighbour's thread in the other."""

    interface = "wire0"
    own, neighbour, spare = "10.77.0.2/24", "10.77.0.3/24", "10.77.0.10/24"

    def __init__(self) -> None:
        self._names = [f"bdc{os.getpid()}{side}" for side in "ab"]

    def open(self) -> None:
        for name in self._names:
            ip("netns", "add", name)
        first, second = self._names
        ip("-n", first, "link", "add", self.interface, "type", "veth", "peer", "name", self.interface, "netns", second)
        for name, address in zip(self._names, (self.own, self.neighbour), strict=True):
            ip("-n", name, "addr", "add", address, "brd", "+", "dev", self.interface)
            ip("-n", name, "link", "set", self.interface, "up")
            ip("-n", name, "link", "set", "lo", "up")

    def close(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def run(self, case: Callable[[Caller, Caller], Awaitable[None]]) -> None:
        with inside(self._names[0]):
            asyncio.run(self._on_hosts(case))

    async def _on_hosts(self, case: Callable[[Caller, Caller], Awaitable[None]]) -> None:
        settings = LinuxHostSettings(identity=IdentitySettings(netbios=True))
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Host]] = loop.create_future()

        async def serve() -> None:
            async with open_host(settings) as host:
                over = asyncio.Event()
                loop.call_soon_threadsafe(opened.set_result, (asyncio.get_running_loop(), over, host))
                await over.wait()

        def live() -> None:
            with inside(self._names[1]):
                asyncio.run(serve())

        thread = threading.Thread(target=live)
        thread.start()
        there, over, neighbour = await opened
        try:
            async with open_host(settings) as host:
                await case(
                    lambda action: action(host),
                    lambda action: asyncio.wrap_future(asyncio.run_coroutine_threadsafe(action(neighbour), there)),
                )
        finally:
            there.call_soon_threadsafe(over.set)
            thread.join()


class SimulatedSegment:
    """Two simulated Windows machines."""

    interface = "Local Area Connection"
    own, neighbour, spare = "10.0.0.10/24", "10.0.0.20/24", "10.0.0.30/24"

    def __init__(self, world: World) -> None:
        self._world = world
        segment = world.network.segment("lan")
        self._machines = [WindowsMachine(world, name) for name in ("FIRST", "SECOND")]
        for machine, address in zip(self._machines, (self.own, self.neighbour), strict=True):
            machine.plug(segment, address)

    def run(self, case: Callable[[Caller, Caller], Awaitable[None]]) -> None:
        async def on_hosts() -> None:
            for machine in self._machines:
                machine.power_on()
            for machine in self._machines:
                await machine.wait_booted()
            first, second = self._machines
            await case(
                lambda action: first.perform(action(first.host()), name="first"),
                lambda action: second.perform(action(second.host()), name="second"),
            )

        self._world.run(on_hosts())


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Put this thread, and the threads that it starts, into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home, Path(f"/run/netns/{namespace}").open("rb") as there:
        assert libc.setns(there.fileno(), _NEW_NETWORK) == 0
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), _NEW_NETWORK) == 0


_NEW_NETWORK = 0x40000000


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture(
    params=[pytest.param("linux", marks=[pytest.mark.root, pytest.mark.program("ip")]), "windows"],
)
def segment(request: pytest.FixtureRequest) -> Iterator[Segment]:
    """Every body that has a network of its own."""
    if request.param == "windows":
        world = World(1)
        try:
            yield SimulatedSegment(world)
        finally:
            world.close()
        return
    namespaces = NamespaceSegment()
    try:
        namespaces.open()
        yield namespaces
    finally:
        namespaces.close()
