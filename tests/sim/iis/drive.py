"""Driving IIS in tests: set-up on ports that the kernel chose, clients, and access lists that tests write."""

from __future__ import annotations

import asyncio
import ftplib
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from bodydouble_sim.iis.ftp_service import FtpService
from bodydouble_sim.iis.inetinfo import IisAdmin
from bodydouble_sim.iis.installation import IisOptions, install
from bodydouble_sim.iis.web_service import WebService
from bodydouble_sim.windows.files import VolumeFiles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from bodydouble_sim.iis.metabase import Metabase
    from bodydouble_sim.storage.security import Want
    from bodydouble_sim.windows.accounts import Accounts
    from bodydouble_sim.windows.service import ServiceProgram
    from bodydouble_sim.windows.system import WindowsSystem

T = TypeVar("T")
ROOT = "C:/InetPub/wwwroot"
START_NS = 1_038_819_600_000_000_000
OPTIONS = IisOptions(http_port=0, ftp_port=0, smtp_port=0, nntp_port=0)


class Clock:
    """A calendar that tests turn by hand; a nanosecond passes at each look."""

    def __init__(self) -> None:
        self.now = START_NS

    def __call__(self) -> int:
        self.now += 1
        return self.now


class Files(VolumeFiles):
    """Volumes with access lists that tests write: path to the accounts that may do something there."""

    def __init__(self, volumes: Any) -> None:
        super().__init__(volumes)
        self.allowed: dict[tuple[str, str], set[str]] = {}

    def access(self, path: str, account: str | None, groups: Sequence[str], want: Want) -> bool:
        allowed = self.allowed.get((path.upper(), want))
        if allowed is None:
            return super().access(path, account, groups, want)
        return bool({account, *groups} & allowed)

    def allow(self, path: str, want: str, *who: str) -> None:
        self.allowed[path.upper(), want] = set(who)


def accounts(system: WindowsSystem) -> Accounts:
    return system.accounts


def files(system: WindowsSystem) -> Files:
    assert isinstance(system.files, Files)
    return system.files


def program(system: WindowsSystem, name: str) -> ServiceProgram | None:
    return system.scm.find(name).program


def web_service(system: WindowsSystem) -> WebService:
    found = program(system, "W3SVC")
    assert isinstance(found, WebService)
    return found


def ftp_service(system: WindowsSystem) -> FtpService:
    found = program(system, "MSFTPSVC")
    assert isinstance(found, FtpService)
    return found


@dataclass
class Site:
    """IIS that runs, and a client of its web site."""

    system: WindowsSystem
    http: httpx.AsyncClient

    @property
    def metabase(self) -> Metabase:
        found = program(self.system, "IISADMIN")
        assert isinstance(found, IisAdmin)
        assert found.inetinfo.metabase is not None
        return found.inetinfo.metabase

    def port(self, number: int = 1) -> int:
        return web_service(self.system).port_of(number)

    def ftp_port(self, number: int = 1) -> int:
        return ftp_service(self.system).port_of(number)

    def set(self, key: str, **values: Any) -> None:
        for name, value in values.items():
            self.metabase.set(key, name, value)

    async def raw(self, *parts: bytes, number: int = 1) -> bytes:
        """Send bytes to the web site; everything it sends until it closes."""
        return await talk(self.port(number), *parts)

    async def ftp(self, work: Callable[[ftplib.FTP], T]) -> T:
        """Run an FTP client in a thread, connected but not logged in."""
        return await asyncio.to_thread(_in_thread, work, self.ftp_port())


def _in_thread(work: Callable[[ftplib.FTP], T], port: int) -> T:
    with ftplib.FTP() as client:
        client.connect("127.0.0.1", port, timeout=10)
        return work(client)


async def talk(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(parts))
    try:
        data = await reader.read()
    except ConnectionError:
        data = b""
    writer.close()
    return data


async def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; the loop goes on meanwhile."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0)


@asynccontextmanager
async def installed(system: WindowsSystem, name: str = "", **options: Any) -> AsyncIterator[Site]:
    """IIS set up and started on a booted system, under ``name`` if there is one."""
    await system.boot()
    if name:
        system.names.set_active(name)
    await install(system, replace(OPTIONS, **options))
    has_web = "web" in replace(OPTIONS, **options).components
    base = f"http://127.0.0.1:{web_service(system).port_of(1)}" if has_web else ""
    async with httpx.AsyncClient(base_url=base, verify=False) as http:
        try:
            yield Site(system, http)
        finally:
            await system.shut_down()


def run(system: WindowsSystem, work: Callable[[Site], Awaitable[T]], *, name: str = "", **options: Any) -> T:
    """Set IIS up, start it, do ``work`` with it, shut down; nothing may fail unseen meanwhile."""
    unseen: list[dict[str, Any]] = []

    async def main() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unseen.append(context))
        async with installed(system, name, **options) as site:
            return await work(site)

    result = asyncio.run(main())
    assert unseen == []
    return result


def page(site: Site, path: str, data: bytes) -> str:
    """Put a file into the web site; returns its path on the drive."""
    full = f"{ROOT}{path}"
    site.system.make_directories(full.rpartition("/")[0])
    site.system.write_file(full, data)
    return full


ROOT_KEY = "W3SVC/1/ROOT"
FTP_ROOT = "MSFTPSVC/1/ROOT"
