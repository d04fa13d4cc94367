"""A paired source that means ill, and a local user who helps it, against real files: nothing outside its root changes.

The target is the real service over the posix adapter; the peer speaks the protocol by hand.
"""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.product.replication.site import Site
from tests.product.replication.test_hostile_source import HELLO, session

from bodydouble.adapters.linux import LinuxHostSettings, open_host
from bodydouble.adapters.posix import batch, tree
from bodydouble.adapters.posix.backing import Backing
from bodydouble.adapters.posix.file_system import PosixFileSystem
from bodydouble.errors import FileSystemError
from bodydouble.replication.packing import Packer
from bodydouble.replication.protocol import (
    AnyMessage,
    Applied,
    Begin,
    BlocksRequest,
    Diverged,
    ListRequest,
    MirrorStart,
    Ping,
    RemoveTree,
    Welcome,
)
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Truncate,
    Write,
)
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from bodydouble.replication.protocol import Body
    from bodydouble.vocabulary.operations import AnyOperation

pytestmark = pytest.mark.root

PLAIN = Metadata(security=b"0:0:644")


@asynccontextmanager
async def target(directory: Path, **settings: Any) -> AsyncIterator[Site]:
    """A target whose volume is the real one; its own state is in memory."""
    async with open_host(LinuxHostSettings()) as host:
        site = Site("WEB2", **settings)
        site.host = dataclasses.replace(site.host, file_system=Split(host.file_system, site.volume, directory))
        await site.start()
        try:
            yield site
        finally:
            await site.stop()


class Split:
    """Files beneath a directory are real, all others are in memory: the daemon's state among them."""

    case_sensitive = True

    def __init__(self, real: Any, memory: Any, directory: Path) -> None:
        self._real, self._memory, self._prefix = real, memory, str(directory)

    def _of(self, path: str) -> Any:
        return self._memory if path.startswith("/state") else self._real

    async def list_directory(self, path: str) -> Any:
        return await self._of(path).list_directory(path)

    async def stat(self, path: str) -> Any:
        return await self._of(path).stat(path)

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        data: bytes = await self._of(path).read(path, offset, size, stream)
        return data

    async def capabilities(self, path: str) -> Any:
        return await self._of(path).capabilities(path)

    async def find_data(self, path: str, offset: int) -> Any:
        return await self._of(path).find_data(path, offset)

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        await self._of(operations[0].path if operations else "/").apply(operations, durable=durable)

    async def flush(self, path: str) -> None:
        await self._of(path).flush(path)

    async def free_space(self, path: str) -> int:
        free: int = await self._of(path).free_space(path)
        return free


async def said_to(site: Site, root: str, *bodies: Body) -> list[str]:
    """Say something as the source EVIL; the names of the answers, until all was applied or the session ended."""
    rules = ReplicationSet(name="evil", rules=[Rule(path=root)])
    heard: list[str] = []
    async with session(site, msgspec.structs.replace(HELLO, replication_set=rules)) as wire:
        with suppress(ConnectionError):
            answer = await wire.receive()
            heard.append(type(answer).__name__)
            if isinstance(answer, Welcome) and bodies:
                await wire.send(Begin("evil/1", 0))
                await wire.send(Packer().batch(list(enumerate(bodies, 1))))
                told: AnyMessage = answer
                while not isinstance(told, Diverged) and told != Applied(len(bodies)):
                    told = await wire.receive()
                    heard += [] if isinstance(told, Ping) else [type(told).__name__]
    return heard


@contextmanager
def unchanged(directory: Path) -> Iterator[None]:
    before = picture(directory)
    yield
    assert picture(directory) == before


def picture(directory: Path) -> dict[str, tuple[Any, ...]]:
    """Names, kinds, modes, owners, times and bytes of everything at and beneath a directory."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in (directory, *directory.rglob("*")):
        seen = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(seen.st_mode) else b""
        found[str(path)] = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_nlink, seen.st_mtime_ns, data)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "web").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "passwd").write_bytes(b"root:x:0:0")
    return tmp_path


def metadata(**fields: Any) -> Metadata:
    return Metadata(**{"security": b"0:0:644", **fields})


HOSTILE: dict[str, Callable[[str], list[Body]]] = {
    "a user that the system has no room for": lambda web: [
        CreateFile(f"{web}/f", Metadata(security=b"9999999999:0:644"), 0)
    ],
    "a mode with more bits than there are": lambda web: [CreateFile(f"{web}/f", Metadata(security=b"0:0:77777"), 0)],
    "security that is another system's": lambda web: [CreateFile(f"{web}/f", Metadata(security=b"D:(A;;FA;;;WD)"), 0)],
    "a NUL in an attribute's name": lambda web: [CreateFile(f"{web}/f", metadata(extended=(("user.a\0", b"x"),)), 0)],
    "an attribute name that is too long": lambda web: [
        CreateFile(f"{web}/f", metadata(extended=(("user." + "a" * 251, b""),)), 0)
    ],
    "access lists that are none": lambda web: [
        CreateFile(f"{web}/f", metadata(extended=(("system.posix_acl_access", b"?"),)), 0)
    ],
    "capabilities that are none": lambda web: [
        CreateFile(f"{web}/f", metadata(extended=(("security.capability", b"?"),)), 0)
    ],
    "a time beyond the end": lambda web: [CreateFile(f"{web}/f", PLAIN, 2**63)],
    "a time before the beginning": lambda web: [CreateFile(f"{web}/f", PLAIN, 0), SetTimes(f"{web}/f", -(2**63))],
    "a write beyond any file": lambda web: [CreateFile(f"{web}/f", PLAIN, 0), Write(f"{web}/f", 2**62, b"x", 0)],
    "a write beyond any number": lambda web: [CreateFile(f"{web}/f", PLAIN, 0), Write(f"{web}/f", 2**64 - 1, b"x", 0)],
    "a size beyond any file": lambda web: [CreateFile(f"{web}/f", PLAIN, 0), Truncate(f"{web}/f", 2**62, 0)],
    "a question beyond any file": lambda web: [CreateFile(f"{web}/f", PLAIN, 0), BlocksRequest(f"{web}/f", 2**62)],
    "a name that is too long": lambda web: [CreateFile(f"{web}/" + "a" * 256, PLAIN, 0)],
    "a path that is deep": lambda web: [CreateFile(f"{web}/" + "a/" * 1900 + "a", PLAIN, 0)],
    "a tree that is deep": lambda web: [RemoveTree(f"{web}/" + "a/" * 1900 + "a")],
    "a directory into itself": lambda web: [Rename(web, f"{web}/x")],
    "a second name for a directory": lambda web: [MakeHardLink(f"{web}/x", web)],
    "a link that leads nowhere sayable": lambda web: [MakeSymbolicLink(f"{web}/x", "\0", PLAIN, 0)],
    "a question about a drive": lambda _: [ListRequest("C:/x", itself=False, after="", digests=True)],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_values_that_no_file_can_have_end_a_session_or_a_stream_and_never_the_daemon(place: Path, what: str) -> None:
    async def scenario() -> None:
        web = str(place / "web")
        async with target(place) as site:
            with unchanged(place / "outside"):
                await said_to(site, web, *HOSTILE[what](web))
            assert not site.task.done(), "it serves on"
            assert "Welcome" in await said_to(site, web, MakeDirectory(f"{web}/good", PLAIN))

    asyncio.run(scenario())


def test_a_set_of_another_kind_of_host_is_refused(place: Path) -> None:
    async def scenario() -> None:
        async with target(place) as site:
            heard = await said_to(site, "C:/InetPub", MirrorStart(), CreateFile("C:/InetPub/f", PLAIN, 0))
            assert heard == ["Refused"]
            assert not site.task.done()

    asyncio.run(scenario())


def test_what_lies_outside_of_the_accepted_roots_is_refused(place: Path) -> None:
    async def scenario() -> None:
        web = str(place / "web")
        async with target(place, accepted_roots=[web]) as site:
            with unchanged(place / "outside"):
                for root in (str(place / "outside"), str(place), f"{web}x", "/", f"{web}*"):
                    assert await said_to(site, root, RemoveFile(f"{place}/outside/passwd")) == ["Refused"]
            for root in (web, f"{web}/deeper", f"{web}/d*"):
                assert "Welcome" in await said_to(site, root)

    asyncio.run(scenario())


THROUGH_A_DIRECTORY: list[Body] = [
    CreateFile("web/d/new", PLAIN, 0),
    MakeDirectory("web/d/new", PLAIN),
    Write("web/d/passwd", 0, b"evil", 0),
    Truncate("web/d/passwd", 0, 0),
    SetMetadata("web/d/passwd", Metadata(security=b"1:1:4777")),
    SetTimes("web/d/passwd", 0),
    RemoveFile("web/d/passwd"),
    RemoveTree("web/d"),
    Rename("web/d/passwd", "web/mine"),
    MakeHardLink("web/mine", "web/d/passwd"),
    MakeSymbolicLink("web/d/passwd", "x", PLAIN, 0),
]
THROUGH_A_FILE: list[Body] = [
    CreateFile("web/f", PLAIN, 0),
    Write("web/f", 0, b"evil", 0),
    Truncate("web/f", 0, 0),
    SetMetadata("web/f", Metadata(security=b"1:1:4777")),
    SetTimes("web/f", 0),
    RemoveTree("web/f"),
]


def placed(body: Any, place: Path) -> Body:
    """The same with its paths beneath ``place``."""
    names = {name: getattr(body, name, None) for name in ("path", "new_path", "existing")}
    moved: Body = msgspec.structs.replace(body, **{name: f"{place}/{path}" for name, path in names.items() if path})
    return moved


@pytest.mark.parametrize("body", [*THROUGH_A_DIRECTORY, *THROUGH_A_FILE], ids=str)
def test_links_that_the_source_made_lead_nowhere(place: Path, body: Body) -> None:
    async def scenario() -> None:
        web, outside = str(place / "web"), str(place / "outside")
        links = [
            MakeSymbolicLink(f"{web}/d", outside, PLAIN, 0),
            MakeSymbolicLink(f"{web}/f", f"{outside}/passwd", PLAIN, 0),
        ]
        async with target(place) as site:
            with unchanged(place / "outside"):
                await said_to(site, web, *links, placed(body, place))
            assert not site.task.done()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body", [CreateFile("web/new", PLAIN, 0), Write("web/passwd", 0, b"evil", 0), RemoveTree("web")]
)
def test_a_root_that_became_a_link_leads_nowhere(place: Path, body: Body) -> None:
    async def scenario() -> None:
        async with target(place) as site:
            (place / "web").rmdir()
            (place / "web").symlink_to(place / "outside")
            with unchanged(place / "outside"):
                await said_to(site, str(place / "web"), placed(body, place))

    asyncio.run(scenario())


# --- a local user who swaps directories for links while a batch is applied -------------------------------------------


_libc = ctypes.CDLL(None, use_errno=True)
_EXCHANGE = 2


def exchange(one: str, other: str) -> None:
    """Swap two names atomically: renameat2(2)."""
    _libc.renameat2(-100, one.encode(), -100, other.encode(), _EXCHANGE)


@contextmanager
def swapping(one: str, other: str) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            exchange(one, other)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def attacked(place: Path, batches: int) -> None:
    """Apply batches inside ``web/d`` and to ``web/f`` while somebody swaps both for links that lead outside."""
    web = place / "web"
    (web / "d").mkdir()
    (web / "f").write_bytes(b"inside")
    (web / "dlink").symlink_to(place / "outside")
    (web / "flink").symlink_to(place / "outside" / "passwd")
    backing = Backing()
    with ThreadPoolExecutor(1) as executor, swapping(f"{web}/d", f"{web}/dlink"), swapping(f"{web}/f", f"{web}/flink"):
        files = PosixFileSystem(backing, executor)
        for number in range(batches):
            operations: list[AnyOperation] = [
                CreateFile(f"{web}/d/passwd", Metadata(security=b"1:1:600"), number),
                Write(f"{web}/d/passwd", 0, b"evil", number),
                SetMetadata(f"{web}/d/passwd", Metadata(security=b"2:2:4755")),
                Write(f"{web}/f", 0, b"evil", number),
                SetMetadata(f"{web}/f", Metadata(security=b"2:2:4755")),
                MakeDirectory(f"{web}/d/new", PLAIN),
                RemoveFile(f"{web}/d/passwd"),
            ]
            for operation in operations:
                with suppress(FileSystemError):
                    asyncio.run(files.apply([operation]))
            with suppress(FileSystemError):
                asyncio.run(files.apply(operations))
    backing.close()


def test_a_local_user_who_swaps_directories_for_links_gets_nothing_written_outside(place: Path) -> None:
    with unchanged(place / "outside"):
        attacked(place, 60)


def test_following_links_would_be_seen(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    for module, name in ((tree, "_STEP"), (tree, "_FILE"), (batch, "_ANY")):
        monkeypatch.setattr(module, name, getattr(module, name) & ~os.O_NOFOLLOW)
    before = picture(place / "outside")
    attacked(place, 60)
    assert picture(place / "outside") != before
