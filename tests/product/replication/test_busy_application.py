"""A busy application, drawn by seed: every operation is one that takes effect, most hit what exists."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.test_mirror_under_load import attempt, play

from bodydouble.replication.mirror import Mirror
from bodydouble.replication.protocol import Settle
from bodydouble.replication.touches import Touches
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    Entry,
    MakeDirectory,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetMetadata,
    Truncate,
    Write,
)


def draw(random: Random, volume: MemoryVolume) -> AnyOperation:
    """One operation on what the volume holds now."""
    nodes = [node.path for node in volume.inside("/web")]
    directories = ["/web", *(path for path in nodes if volume.nodes[path].directory)]
    files = [path for path in nodes if not volume.nodes[path].directory] or ["/web/none"]
    new = f"{random.choice(directories)}/{random.choice(['a', 'b', 'd', 'e', 'f', 'c.tmp'])}"
    time = random.randint(1, 4) * 1000
    kind = random.choices(range(8), weights=[3, 5, 8, 1, 4, 2, 1, 1])[0]
    choices: list[AnyOperation] = [
        MakeDirectory(new, Metadata()),
        CreateFile(new, Metadata(), time),
        Write(random.choice(files), random.choice([0, 5, 66_000]), bytes([random.randrange(256)]) * 40, time),
        Truncate(random.choice(files), random.choice([0, 7, 70_000]), time),
        Rename(random.choice(nodes or ["/web/none"]), random.choice([new, "/out/x", *nodes[:3]])),
        RemoveFile(random.choice(files)),
        RemoveDirectory(random.choice(directories[1:] or ["/web/none"])),
        SetMetadata(random.choice(files), Metadata(random.randrange(3))),
    ]
    return choices[kind]


class Drawn:
    """Steps for `play`, each drawn when it is needed: on the volume as it is by then."""

    def __init__(self, seed: int, count: int) -> None:
        self.random = Random(seed)
        self.count = count

    def steps(self, volume: MemoryVolume) -> Any:
        for _ in range(self.count):
            yield draw(self.random, volume)
            if self.random.random() < 0.4:
                yield self.random.randint(1, 6)
            elif self.random.random() < 0.01:
                yield "cut"


def run(seed: int) -> None:
    random = Random(seed)
    first = MemoryVolume()
    first.change(MakeDirectory("/web", Metadata()))
    before, stale = [], []
    for _ in range(60):
        before.append(draw(random, first))
        attempt(first, before[-1], filtered=False)
    for _ in range(20):
        stale.append(draw(random, first))
        attempt(first, stale[-1], filtered=False)
    kind = random.choice(["full", "difference", "checksum"])
    asyncio.run(play(before, stale, Drawn(seed, 150), kind))


@pytest.mark.parametrize("seed", range(60))
def test_replica_converges_beside_a_busy_application(seed: int) -> None:
    run(seed)


def without_revisits(self: Mirror, body: Any) -> None:
    self._sending.note(body)


async def without_skipped(self: Mirror) -> bool:
    await self._outlet.ask(Settle())
    return True


async def while_m_is_read(rename: Rename, *stale: AnyOperation) -> None:
    """The directories b, m and z are mirrored in this order; an application renames while ``m`` is read."""
    before: list[Any] = [MakeDirectory(f"/web/{name}", Metadata()) for name in "bmz"]
    before += [CreateFile("/web/m/file", Metadata(), 1), Write("/web/m/file", 0, b"x", 1)]
    before += [CreateFile("/web/z/file", Metadata(), 1), Write("/web/z/file", 0, b"right", 1)]
    original = MemoryVolume.read

    async def read(self: MemoryVolume, path: str, offset: int, size: int, stream: str = "") -> bytes:
        if path == "/web/m/file" and self.get(rename.path) and self.sinks:
            self.do(rename)
        return await original(self, path, offset, size, stream)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryVolume, "read", read)
        await play(before, list(stale), [], "full")


def test_directory_that_moved_behind_the_mirror_is_revisited(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Rename("/web/z", "/web/b/z"), Write("/web/z/file", 0, b"stale", 1)
    asyncio.run(while_m_is_read(*case))
    monkeypatch.setattr(Mirror, "note", without_revisits)
    with pytest.raises(AssertionError):
        asyncio.run(while_m_is_read(*case))


def test_rename_that_the_target_had_to_skip_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    orphans = MakeDirectory("/web/z/q", Metadata()), MakeDirectory("/web/z/q/orphan", Metadata())
    case = Rename("/web/b", "/web/z/q"), *orphans
    asyncio.run(while_m_is_read(*case))
    monkeypatch.setattr(Mirror, "_settled", without_skipped)
    with pytest.raises(AssertionError):
        asyncio.run(while_m_is_read(*case))


async def created_after_the_listing() -> None:
    """The target has an orphan; the source makes a file of that name just after the mirror listed its directory."""
    original = MemoryVolume.list_directory

    async def list_directory(self: MemoryVolume, path: str) -> list[Entry]:
        listing = await original(self, path)
        if self.sinks and path == "/web" and not self.get("/web/late"):
            self.do(CreateFile("/web/late", Metadata(), 5))
        return listing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryVolume, "list_directory", list_directory)
        await play([], [CreateFile("/web/late", Metadata(), 1)], [], "full")


def test_file_created_after_the_listing_is_no_orphan(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(created_after_the_listing())
    monkeypatch.setattr(Touches, "since", lambda *_: False)
    with pytest.raises(AssertionError):
        asyncio.run(created_after_the_listing())
