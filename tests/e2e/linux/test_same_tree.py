"""Real directories: after mirror and replication through the FUSE filter rsync finds nothing to do."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import subprocess
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.e2e.linux.test_fuse_filter import access_list
from tests.peers import open_trust, pin

from bodydouble.adapters.fuse.reader import Reader
from bodydouble.adapters.linux import FilterSettings, LinuxHostSettings, open_host
from bodydouble.adapters.posix.extended import ACCESS_LIST, DEFAULT_LIST
from bodydouble.replication.service import ReplicationService
from bodydouble.replication.settings import ReplicationSettings
from bodydouble.security.pairing import Pairing
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from bodydouble.adapters.posix.file_system import PosixFileSystem
    from bodydouble.ports import Host
    from bodydouble.vocabulary.capabilities import Capabilities
    from bodydouble.vocabulary.operations import AnyOperation, Entry
    from bodydouble.vocabulary.records import Event

pytestmark = [pytest.mark.root, pytest.mark.fuse, pytest.mark.program("rsync")]

PATIENCE = 60.0
RING = 16 << 20


class Elsewhere:
    """A volume on which paths beneath ``root`` lie beneath ``copy``: a second machine, on this one."""

    def __init__(self, files: PosixFileSystem, root: str, copy: str) -> None:
        self._files = files
        self._root = root
        self._copy = copy
        self.case_sensitive = True

    def _there(self, path: str) -> str:
        return self._copy + path.removeprefix(self._root) if path.startswith(self._root) else path

    def _seen(self, entry: Entry) -> Entry:
        if not entry.path.startswith(self._copy):
            return entry
        return msgspec.structs.replace(entry, path=self._root + entry.path.removeprefix(self._copy))

    async def list_directory(self, path: str) -> list[Entry]:
        return [self._seen(entry) for entry in await self._files.list_directory(self._there(path))]

    async def stat(self, path: str) -> Entry | None:
        entry = await self._files.stat(self._there(path))
        return None if entry is None else self._seen(entry)

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        return await self._files.read(self._there(path), offset, size, stream)

    async def capabilities(self, path: str) -> Capabilities:
        return await self._files.capabilities(self._there(path))

    async def find_data(self, path: str, offset: int) -> tuple[int, int] | None:
        return await self._files.find_data(self._there(path), offset)

    async def apply(self, operations: Sequence[AnyOperation], *, durable: bool = True) -> None:
        moved = []
        for operation in operations:
            named = {name: getattr(operation, name, None) for name in ("path", "new_path", "existing")}
            fields = {name: self._there(path) for name, path in named.items() if path is not None}
            moved.append(msgspec.structs.replace(operation, **fields))
        await self._files.apply(moved, durable=durable)

    async def flush(self, path: str) -> None:
        await self._files.flush(self._there(path))

    async def free_space(self, path: str) -> int:
        return await self._files.free_space(self._there(path))


@asynccontextmanager
async def service(
    host: Host, state: Path, name: str, orphans: str = "", on_event: Callable[[Event], None] = lambda _event: None
) -> AsyncIterator[ReplicationService]:
    events = EventLog(host.file_system, str(state), host.clock)
    await events.open()
    events.subscribe(on_event)
    settings = ReplicationSettings(address="127.0.0.1", port=0, retry_interval=0.1, orphan_directory=orphans)
    store = StateStore(host.file_system, str(state), host.clock)
    trust = await open_trust(name, host, store, events)
    await pin(trust, "source" if name == "target" else "target", called=await trust.name())
    pairing = Pairing(trust, host.entropy, events)
    made = ReplicationService(host, settings, store, events, trust=trust, pairing=pairing)
    task = asyncio.create_task(made.run(), name=name)
    ready = asyncio.create_task(made.ready.wait(), name="ready")
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _nothing(_here: ReplicationService, _there: ReplicationService) -> None:
    """Look at nothing."""


def replicate(
    directory: Path,
    stale: Callable[[Path], None],
    application: Callable[[Path], None],
    rules: Sequence[Rule] = (),
    look: Callable[[ReplicationService, ReplicationService], Awaitable[None]] = _nothing,
) -> Path:
    """Mirror ``source`` to ``copy`` while an application works on it; returns when both are said to be equal."""
    root, copy = directory / "source", directory / "copy"

    async def run() -> None:
        stale(copy)
        async with AsyncExitStack() as stack:
            filtered = LinuxHostSettings(filter=FilterSettings(kind="fuse", roots=[str(root)], ring_bytes=RING))
            source = await stack.enter_async_context(open_host(filtered))
            plain = await stack.enter_async_context(open_host(LinuxHostSettings()))
            moved = Elsewhere(plain.file_system, str(root), str(copy))  # type: ignore[arg-type]
            target = dataclasses.replace(plain, file_system=moved)
            there = await stack.enter_async_context(service(target, directory / "state2", "target"))
            here = await stack.enter_async_context(service(source, directory / "state1", "source"))
            await here.save_set(ReplicationSet(name="all", rules=[Rule(path=str(root)), *rules]))
            await here.connect(
                ConnectRequest(replication_set="all", target="127.0.0.1", port=there.port, orphans="delete")
            )
            await asyncio.to_thread(application, root)
            await source.file_filter.settled()
            async with asyncio.timeout(PATIENCE):
                while not equal(here):  # noqa: ASYNC110 - a condition of another machine
                    await asyncio.sleep(0.02)
                await look(here, there)

    asyncio.run(run())
    return copy


def equal(here: ReplicationService) -> bool:
    status = here.connections()[0]
    stream = here.connection(1).stream
    still = stream is not None and not stream.times.pending
    return still and status.state == "replicating" and status.applied == status.generated


def differences(directory: Path) -> str:
    whole = ["rsync", "-aniHAXc", "--delete", f"{directory}/source/", f"{directory}/copy/"]
    return subprocess.run(whole, check=True, capture_output=True, text=True).stdout


def plant(root: Path) -> None:
    """A tree with everything in it, before any filter."""
    root.mkdir()
    drawn = random.Random(5)
    for number in range(40):
        place = root / f"d{number % 5}" / f"deep {number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{number}").write_bytes(drawn.randbytes(drawn.randrange(200_000)))
        (place / f"f{number}").chmod(0o600 + number % 8)
        os.chown(place / f"f{number}", number, number)
        os.utime(place / f"f{number}", ns=(1, number * 1_000_000_007))
    os.link(root / "d0/deep 0/f0", root / "d1/twin")
    os.link(root / "d1/twin", root / "third é")
    (root / "dangling").symlink_to("/no/such")
    (root / "inside").symlink_to("d0/deep 0")
    os.link(root / "dangling", root / "d2/dangling too", follow_symlinks=False)
    os.chown(root / "inside", 7, 8, follow_symlinks=False)
    os.utime(root / "inside", ns=(1, 5_000_000_000), follow_symlinks=False)
    os.setxattr(root / "third é", "user.note", b"one file, three names")
    os.setxattr(root / "d3", "user.directory", b"\0binary\xff")
    os.setxattr(root / "d3", DEFAULT_LIST, access_list(1234, 6, 6))
    os.setxattr(root / "d4/deep 1/f4", ACCESS_LIST, access_list(4321, 4, 6))
    os.setxattr(root / "dangling", "trusted.link", b"of a symbolic link", follow_symlinks=False)
    with (root / "sparse").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"end")
    with (root / "holes").open("wb") as file:
        for at in range(0, 3_000_000, 300_000):
            file.seek(at)
            file.write(b"x" * 70_000)
    for name in ("a b", "-dash", "*star", "q?", "back\\slash", "col:on", "ü", "…", "'quote\""):
        (root / name).write_text(name)


def confuse(copy: Path) -> None:
    """A stale replica in which names mean what they do not mean on the source."""
    copy.mkdir()
    (copy / "d0/deep 0").mkdir(parents=True)
    (copy / "d1").mkdir()
    os.setxattr(copy / "d1", DEFAULT_LIST, access_list(7, 7, 7))
    os.setxattr(copy / "d1", "user.stale", b"x")
    (copy / "d0/deep 0/f0").write_text("stale")
    os.link(copy / "d0/deep 0/f0", copy / "d0/deep 0/f15")
    (copy / "d1/twin").write_text("not linked")
    (copy / "dangling").mkdir()
    (copy / "inside").write_text("a file")
    (copy / "sparse").symlink_to("/etc/passwd")
    (copy / "holes").write_bytes(b"dense" * 700_000)
    (copy / "orphan").symlink_to("/etc/passwd")
    os.link(copy / "d1/twin", copy / "orphan 2")


def work(root: Path) -> None:
    """What an application does while the mirror runs and after it."""
    drawn = random.Random(6)
    for number in range(150):
        (root / f"d{number % 5}" / f"new{number}").write_bytes(drawn.randbytes(300))
    os.setxattr(root / "d3/new3", "user.later", b"1")
    os.removexattr(root / "third é", "user.note")
    os.setxattr(root / "d2/new2", ACCESS_LIST, access_list(99, 6, 4))
    os.link(root / "d0/new0", root / "linked")
    (root / "linked").write_bytes(b"through the other name")
    (root / "third é").write_bytes(b"through the third name")
    (root / "d1/twin").rename(root / "d3/moved twin")
    (root / "d1").rename(root / "e1")
    (root / "inside").unlink()
    (root / "inside").symlink_to("e1")
    (root / "d0/new5").unlink()
    os.link(root / "d0/new10", root / "d0/new5")
    (root / "d0/new10").unlink()
    (root / "d0/new5").chmod(0o640)


def allocated(tree: Path) -> dict[str, int]:
    return {name: (tree / name).stat().st_blocks for name in ("sparse", "holes")}


def test_rsync_finds_nothing_after_a_mirror_over_a_stale_replica(tmp_path: Path) -> None:
    plant(tmp_path / "source")
    replicate(tmp_path, confuse, lambda _root: None)
    assert differences(tmp_path) == ""
    assert allocated(tmp_path / "copy") == allocated(tmp_path / "source")


def test_rsync_finds_nothing_after_an_application_worked_during_the_mirror(tmp_path: Path) -> None:
    plant(tmp_path / "source")
    replicate(tmp_path, lambda copy: copy.mkdir(), work)
    assert differences(tmp_path) == ""
    names = [tmp_path / "copy" / name for name in ("third é", "d3/moved twin", "d0/deep 0/f0")]
    assert len({path.stat().st_ino for path in names}) == 1


def test_rsync_finds_nothing_after_the_daemon_was_too_busy_to_read_what_the_filter_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = threading.Event()
    deliver = Reader._deliver

    def held_up(self: Reader) -> bool:
        while busy.is_set():
            time.sleep(0.001)
        return deliver(self)

    def application(root: Path) -> None:
        work(root)
        busy.set()
        for number in range(6):
            (root / f"d0/large{number}").write_bytes(bytes([number]) * (RING // 4))
        (root / "d0/large5").rename(root / "d0/largest")
        (root / "d2/new2").write_bytes(b"written while nobody looked")
        busy.clear()

    codes: list[EventCode] = []
    record = EventLog.record

    def recorded(self: EventLog, code: EventCode, text: str) -> Event:
        codes.append(code)
        return record(self, code, text)

    monkeypatch.setattr(EventLog, "record", recorded)
    monkeypatch.setattr(Reader, "_deliver", held_up)
    plant(tmp_path / "source")
    replicate(tmp_path, lambda copy: copy.mkdir(), application)
    assert differences(tmp_path) == ""
    assert codes.count(EventCode.CHANGES_LOST) == 1
    assert codes[codes.index(EventCode.CHANGES_LOST) :].count(EventCode.MIRROR_COMPLETE) == 1


def test_rsync_sees_a_link_that_became_a_copy(tmp_path: Path) -> None:
    plant(tmp_path / "source")
    replicate(tmp_path, lambda copy: copy.mkdir(), lambda _root: None)
    twin = tmp_path / "copy/third é"
    content, status = twin.read_bytes(), twin.stat()
    twin.unlink()
    twin.write_bytes(content)
    os.chown(twin, status.st_uid, status.st_gid)
    twin.chmod(status.st_mode & 0o7777)
    os.utime(twin, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "third" in differences(tmp_path)
