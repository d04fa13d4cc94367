"""Holes of files: mirrored and replicated as holes, whatever applications write into them meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from tests.product.replication.site import ROOT, Site, mirrored, protect, running, same, until

from bodydouble.errors import ProtocolError
from bodydouble.replication.bounds import check_values
from bodydouble.replication.protocol import BLOCK_BYTES
from bodydouble.replication.touches import FileWatch
from bodydouble.vocabulary.operations import PunchHole, Write

PATH = f"{ROOT}/image"
LENGTH = 40 * BLOCK_BYTES
HOLES = [(3000, 12 * BLOCK_BYTES + 5), (12 * BLOCK_BYTES + 9, 30 * BLOCK_BYTES), (31 * BLOCK_BYTES, LENGTH)]


def site_with_holes() -> Site:
    source = Site("A")
    source.mkdir(ROOT)
    source.put(PATH, b"x" * LENGTH)
    for begin, end in HOLES:
        source.volume.do(PunchHole(PATH, begin, end - begin, source.time))
    return source


def holes(site: Site) -> list[tuple[int, int]]:
    node = site.volume.get(PATH)
    assert node is not None
    return sorted(node.body.holes)


def written(site: Site) -> int:
    return sum(len(each.data) for each in site.volume.applied if isinstance(each, Write) and each.path == PATH)


@pytest.mark.parametrize("kind", ["full", "difference", "checksum"])
def test_a_mirror_sends_data_only_and_the_replica_has_the_same_holes(kind: str) -> None:
    async def scenario() -> None:
        source, target = site_with_holes(), Site("B")
        async with running(source, target):
            await protect(source, target.service.port, mirror=kind)
            await mirrored(source, target)
            assert holes(target) == holes(source)
            assert written(target) == LENGTH - sum(end - begin for begin, end in HOLES)

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["full", "checksum"])
def test_a_mirror_makes_the_holes_of_a_stale_replica_those_of_the_source(kind: str) -> None:
    async def scenario() -> None:
        source, target = site_with_holes(), Site("B")
        target.mkdir(ROOT)
        target.put(PATH, b"stale" * LENGTH)
        target.volume.do(PunchHole(PATH, 0, 2000, 1))
        async with running(source, target):
            await protect(source, target.service.port, mirror=kind)
            await mirrored(source, target)
            assert holes(target) == holes(source)

    asyncio.run(scenario())


def test_a_hole_that_an_application_makes_is_one_on_the_replica_too() -> None:
    async def scenario() -> None:
        source, target = Site("A"), Site("B")
        source.mkdir(ROOT)
        source.put(PATH, b"x" * 100_000)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            before = written(target)
            source.volume.do(PunchHole(PATH, 10, 80_000, 5_000_000))
            source.volume.do(Write(PATH, 50, b"again", 6_000_000))
            await until(lambda: same(source, target))
            assert holes(target) == holes(source) == [(10, 50), (55, 80_010)]
            assert written(target) == before + 5

    asyncio.run(scenario())


async def written_into() -> bool:
    """An application writes into a hole in the very moment in which the mirror finds it; whether both end up equal."""
    source, target = site_with_holes(), Site("B")
    find = source.volume.find_data
    pending = [begin + 7 for begin, _ in HOLES]

    async def slow(path: str, offset: int) -> tuple[int, int] | None:
        found = await find(path, offset)
        if pending and (found is None or found[0] > pending[0]):
            source.volume.do(Write(PATH, pending.pop(0), b"not nothing", 7_000_000))
        return found

    source.volume.find_data = slow  # type: ignore[method-assign]
    async with running(source, target):
        await protect(source, target.service.port)
        await until(lambda: source.state() == "replicating")
        status = source.service.connections()[0]
        await until(lambda: source.service.connections()[0].applied == status.generated)
        return not pending and same(source, target)


def test_what_is_written_into_a_hole_while_the_mirror_looks_at_it_stays() -> None:
    assert asyncio.run(written_into())


def test_a_mirror_that_forgets_what_was_written_into_a_hole_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileWatch, "hole", lambda _watch, _begin, end: end)
    assert not asyncio.run(written_into())


@pytest.mark.parametrize(
    "hole", [PunchHole(PATH, -1, 5, 0), PunchHole(PATH, 0, -1, 0), PunchHole(PATH, 2**62 + 1, 1, 0)]
)
def test_a_hole_that_cannot_be_is_refused(hole: PunchHole) -> None:
    with pytest.raises(ProtocolError, match="out of range"):
        check_values(hole)
