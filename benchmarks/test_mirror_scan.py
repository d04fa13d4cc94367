"""How fast a mirror scans, and what a million files cost it in memory."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.test_memory import resident_megabytes

from bodydouble.adapters.posix.backing import Backing
from bodydouble.adapters.posix.file_system import PosixFileSystem
from bodydouble.errors import FileSystemError
from bodydouble.replication.left import LeftFiles
from bodydouble.replication.mirror import Mirror
from bodydouble.replication.mirror_plan import MirrorPlan
from bodydouble.replication.orphans import KEEP
from bodydouble.replication.protocol import ListedEntry, Listing, ListRequest, Settle, Settled, Volume, VolumeRequest
from bodydouble.replication.rules import Selection
from bodydouble.replication.scan import listings
from bodydouble.replication.touches import Touches
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.operations import Entry, Metadata
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble.replication.protocol import AnyMessage, Body
    from bodydouble.vocabulary.events import EventCode

pytestmark = pytest.mark.benchmark(timer=time.process_time)

DIRECTORIES, FILES = 200, 100
MILLION = 1000
"""Directories, and files in each of them."""
ALLOWED_MEGABYTES = 100


class Twin:
    """A target whose replica is what the source has: answers from the same file system, in pages."""

    def __init__(self, file_system: Any) -> None:
        self._file_system = file_system
        self.queued = 0
        self.peak = 0.0

    def put(self, _body: Body) -> None:
        self.queued += 1

    async def room(self) -> None:
        self.peak = max(self.peak, resident_megabytes())

    def owe_time(self, _path: str) -> None:
        return

    async def settle_times(self) -> None:
        return

    def report(self, _code: EventCode, _text: str) -> None:
        return

    async def ask(self, body: Body) -> AnyMessage:
        if isinstance(body, ListRequest):
            return Listing(1, await self._listed(body), more=False)
        if isinstance(body, VolumeRequest):
            return Volume(1, await self._file_system.capabilities(body.path))
        assert isinstance(body, Settle)
        return Settled(1, [], overflow=False)

    async def _listed(self, request: ListRequest) -> list[ListedEntry]:
        if request.itself:
            entry = await self._file_system.stat(request.path)
            return [] if entry is None else [ListedEntry(entry, b"")]
        return [ListedEntry(entry, b"") for entry in await self._file_system.list_directory(request.path)]


def mirror_of(file_system: Any, root: str, twin: Twin) -> Mirror:
    rules = Selection(ReplicationSet("web", [Rule(root)]), case_sensitive=True, protected=["/state"])
    touches = Touches(rules.key)
    plan = MirrorPlan("difference", KEEP, [root])
    return Mirror(twin, file_system, rules, touches, left=LeftFiles(rules.key), plan=plan)


@pytest.fixture
def tree(tmp_path: Path) -> str:
    for directory in range(DIRECTORIES):
        made = tmp_path / f"{directory:03}"
        made.mkdir()
        for number in range(FILES):
            os.close(os.open(made / f"{number:03}.htm", os.O_CREAT | os.O_WRONLY))
    return str(tmp_path)


@pytest.fixture
def volume() -> Iterator[PosixFileSystem]:
    backing = Backing()
    with ThreadPoolExecutor(4) as pool:
        yield PosixFileSystem(backing, pool)
    backing.close()


def test_scan_of_a_directory_tree(benchmark: Any, tree: str, volume: PosixFileSystem) -> None:
    """Listing alone, on a real file system: what the calculation before a mirror does."""
    rules = Selection(ReplicationSet("web", [Rule(tree)]), case_sensitive=True, protected=[])

    async def scan() -> None:
        assert sum([len(entries) async for _, entries in listings(volume, rules, [tree])]) == DIRECTORIES * (FILES + 1)

    benchmark.pedantic(lambda: asyncio.run(scan()), rounds=3, warmup_rounds=1)
    benchmark.extra_info["files_per_cpu_second"] = round(DIRECTORIES * FILES / benchmark.stats.stats.min)


def test_difference_mirror_of_what_is_equal(benchmark: Any, tree: str, volume: PosixFileSystem) -> None:
    """The whole mirror with nothing to send, both sides' listings in one process."""

    async def compare() -> None:
        twin = Twin(volume)
        await mirror_of(volume, tree, twin).run()
        assert twin.queued == 1  # that it is complete

    benchmark.pedantic(lambda: asyncio.run(compare()), rounds=3, warmup_rounds=1)
    benchmark.extra_info["files_per_cpu_second"] = round(DIRECTORIES * FILES / benchmark.stats.stats.min)


class Million:
    """A volume of a thousand directories of a thousand files each, which are only made up when they are listed."""

    case_sensitive = True

    def __init__(self, capabilities: Any) -> None:
        self._capabilities = capabilities

    async def list_directory(self, path: str) -> list[Entry]:
        depth = path.count("/")
        if depth > 2:
            raise FileSystemError("not_found", path)
        return [self._entry(paths.join(path, f"{number:03}"), directory=depth == 1) for number in range(MILLION)]

    async def stat(self, path: str) -> Entry | None:
        return self._entry(path, directory=path.count("/") < 3)

    async def capabilities(self, path: str) -> Any:
        return await self._capabilities(path)

    @staticmethod
    def _entry(path: str, *, directory: bool) -> Entry:
        return Entry(path, directory, 0 if directory else 4096, 1_000_000_000, Metadata(0, b"0:0:644"))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory as Linux shows it")
def test_memory_of_a_mirror_over_a_million_files(benchmark: Any, volume: PosixFileSystem) -> None:
    """No list of all names is held: memory grows by a bounded amount, not by what a million names take."""
    found: dict[str, float] = {}

    async def compare() -> None:
        async def capabilities(_path: str) -> Any:
            return await volume.capabilities("/")

        million = Million(capabilities)
        twin = Twin(million)
        before = resident_megabytes()
        mirror = mirror_of(million, "/web", twin)
        await mirror.run()
        assert mirror.progress.files_done == MILLION * MILLION
        found.update(before=round(before, 1), peak=round(twin.peak, 1))

    benchmark.pedantic(lambda: asyncio.run(compare()), rounds=1)
    benchmark.extra_info["resident_megabytes"] = found
    benchmark.extra_info["files_per_cpu_second"] = round(MILLION * MILLION / benchmark.stats.stats.min)
    assert found["peak"] - found["before"] < ALLOWED_MEGABYTES, found
