from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bodydouble.adapters.linux import FilterSettings, LinuxHostSettings, open_host

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from bodydouble.ports import Host
    from bodydouble.vocabulary.operations import AnyOperation

_NEW_NETWORK = 0x40000000


class Filtered:
    """A directory under the filter, and what was reported of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: list[AnyOperation] = []

    def run(self, case: Callable[[Host], Awaitable[None]]) -> None:
        settings = LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=[str(self.root)]))

        async def on_host() -> None:
            async with open_host(settings) as host:
                await host.file_filter.attach(str(self.root), self.seen.append)
                await case(host)
                await host.file_filter.settled()

        asyncio.run(on_host())

    def run_application(self, application: Callable[[], None]) -> None:
        async def case(_host: Host) -> None:
            await asyncio.to_thread(application)

        self.run(case)

    def reported(self) -> list[tuple[str, str]]:
        return [(type(each).__name__, each.path.removeprefix(f"{self.root}/")) for each in self.seen]


@pytest.fixture
def filtered(tmp_path: Path) -> Filtered:
    root = tmp_path / "root"
    root.mkdir()
    return Filtered(root)


class Namespaces:
    """Two network namespaces on one wire."""

    def __init__(self) -> None:
        self.first, self.second = (f"bde{os.getpid()}{side}" for side in "ab")
        self.interface = "wire0"

    def ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    def open(self) -> None:
        for name in (self.first, self.second):
            self.ip("netns", "add", name)
        peer = ("type", "veth", "peer", "name", self.interface, "netns", self.second)
        self.ip("-n", self.first, "link", "add", self.interface, *peer)
        for name, address in ((self.first, "10.78.0.2/24"), (self.second, "10.78.0.3/24")):
            self.ip("-n", name, "addr", "add", address, "brd", "+", "dev", self.interface)
            self.ip("-n", name, "link", "set", self.interface, "up")
            self.ip("-n", name, "link", "set", "lo", "up")

    def close(self) -> None:
        for name in (self.first, self.second):
            subprocess.run(["ip", "netns", "del", name], check=False)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Sockets made meanwhile by this thread, and threads started by it, belong to the namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/thread-self/ns/net").open("rb") as home, Path(f"/run/netns/{name}").open("rb") as there:
            assert libc.setns(there.fileno(), _NEW_NETWORK) == 0
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), _NEW_NETWORK) == 0

    def command(self, name: str, *command: str) -> str:
        whole = ["ip", "netns", "exec", name, *command]
        done = subprocess.run(whole, check=False, capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    made = Namespaces()
    try:
        made.open()
        yield made
    finally:
        made.close()
