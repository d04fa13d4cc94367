"""Times of directories: the source's, after everything that was done inside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.product.replication.site import ROOT, Site, mirrored, protect, running, until
from tests.product.replication.test_mirror_under_load import attempt, operations

from bodydouble.replication import directory_times
from bodydouble.replication.directory_times import DirectoryTimes
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.mirror import MirrorOrder
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    Entry,
    MakeDirectory,
    Metadata,
    RemoveDirectory,
    RemoveFile,
    Rename,
    SetTimes,
)
from bodydouble.vocabulary.verification import VerificationOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTHING = Metadata()


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory_times, "DELAY", 0.005)
        yield


def sites() -> tuple[Site, Site]:
    """Two machines whose directories' times change with what is done inside, each by a clock of its own."""
    source, target = Site("A"), Site("B")
    source.volume.ticks, target.volume.ticks = iter(range(10_000, 10**9, 1000)), iter(range(10**9, 10**12, 1000))
    source.mkdir(ROOT)
    return source, target


def times(site: Site) -> dict[str, int]:
    return {node.path: node.mtime for node in site.volume.nodes.values() if node.directory and _inside(node.path)}


def _inside(path: str) -> bool:
    return paths.is_beneath(path, ROOT)


def tree(source: Site) -> None:
    for directory in ("a", "a/b", "a/b/c", "d"):
        source.mkdir(f"{ROOT}/{directory}")
        source.put(f"{ROOT}/{directory}/f", b"x")
    source.volume.do(SetTimes(f"{ROOT}/a", 5_000_000_000))


@pytest.mark.parametrize("kind", ["full", "difference", "checksum"])
def test_a_mirror_restores_the_times_of_directories_after_their_contents(kind: str) -> None:
    async def scenario() -> None:
        source, target = sites()
        tree(source)
        target.mkdir(ROOT)
        target.mkdir(f"{ROOT}/a")
        target.put(f"{ROOT}/a/orphan", b"x")
        async with running(source, target):
            await protect(source, target.service.port, mirror=kind, orphans="delete")
            await mirrored(source, target)
            assert times(target) == times(source)
            assert times(target)[f"{ROOT}/a"] == 5_000_000_000

    asyncio.run(scenario())


def test_what_is_done_in_a_directory_leaves_the_sources_time() -> None:
    async def scenario() -> None:
        source, target = sites()
        tree(source)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            source.put(f"{ROOT}/a/b/new", b"x")
            source.volume.do(RemoveFile(f"{ROOT}/d/f"))
            source.volume.do(Rename(f"{ROOT}/a/b", f"{ROOT}/d/moved"))
            source.mkdir(f"{ROOT}/a/made")
            source.volume.do(MakeDirectory(f"{ROOT}/gone", NOTHING))
            source.volume.do(RemoveDirectory(f"{ROOT}/gone"))
            await until(lambda: times(target) == times(source))

    asyncio.run(scenario())


def test_many_operations_in_a_directory_cost_few_times() -> None:
    async def scenario() -> None:
        source, target = sites()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            for number in range(300):
                source.volume.do(CreateFile(f"{ROOT}/{number}", NOTHING, 1000))
            await until(lambda: times(target) == times(source))
            assert sum(isinstance(each, SetTimes) for each in target.volume.applied) < 10

    asyncio.run(scenario())


def test_a_mirror_that_listed_a_directory_long_ago_does_not_take_its_time_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        source, target = sites()
        tree(source)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.change(SetTimes(f"{ROOT}/d", 77_000_000_000))
            listed = source.volume.list_directory

            async def delayed(path: str) -> list[Entry]:
                listing = await listed(path)
                if path == ROOT:
                    source.volume.do(RemoveFile(f"{ROOT}/d/f"))
                    await until(lambda: times(target)[f"{ROOT}/d"] == times(source)[f"{ROOT}/d"])
                    monkeypatch.undo()
                return listing

            monkeypatch.setattr(source.volume, "list_directory", delayed)
            await source.service.start_mirror(1, MirrorOrder("difference"))
            await mirrored(source, target)
            assert times(target) == times(source)

    asyncio.run(scenario())


def test_a_verification_finds_a_directorys_time_and_repairs_it() -> None:
    async def scenario() -> None:
        source, target = sites()
        tree(source)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.change(SetTimes(f"{ROOT}/a/b", 77_000_000_000))
            source.service.verify(1, VerificationOptions(checksum=True, repair=True))
            reports = source.service.verifier.reports
            await until(lambda: reports()[0].state == "complete")
            details = await source.service.verifier.details(1)
            assert [(each.path, each.detail) for each in details.differences] == [(f"{ROOT}/a/b", "last write")]
            assert times(target) == times(source)

    asyncio.run(scenario())


def test_a_verification_takes_no_time_on_its_way_for_a_difference() -> None:
    async def scenario() -> None:
        source, target = sites()
        tree(source)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(directory_times, "DELAY", 60.0)
                source.put(f"{ROOT}/a/before", b"x")
                source.service.verify(1, VerificationOptions(checksum=True))
                reports = source.service.verifier.reports
                number = 0
                while reports()[0].state != "complete":
                    number += 1
                    if number < 40:
                        source.put(f"{ROOT}/d/during {number}", b"x")
                    await asyncio.sleep(0)
            details = await source.service.verifier.details(1)
            assert [each for each in details.differences if each.detail == "last write"] == []

    asyncio.run(scenario())


PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(lambda parts: "/web/" + "/".join(parts))
STEPS = st.lists(operations(PATHS) | st.integers(1, 30), max_size=50)


async def _play(before: list[AnyOperation], steps: list[Any]) -> None:
    source, target = sites()
    for operation in before:
        attempt(source.volume, operation, filtered=False)
    async with running(source, target):
        await protect(source, target.service.port, orphans="delete")
        for step in steps:
            if isinstance(step, int):
                for _ in range(step):
                    await asyncio.sleep(0)
            else:
                attempt(source.volume, step, filtered=True)
        await until(lambda: source.state() == "replicating" and times(target) == times(source))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(operations(PATHS), max_size=15), STEPS)
def test_times_are_equal_in_the_end_whatever_happens(before: list[AnyOperation], steps: list[Any]) -> None:
    asyncio.run(_play(before, steps))


def test_a_renamed_directory_whose_time_was_due_is_caught_when_it_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        200, CreateFile(f"{ROOT}/a/f", NOTHING, 1000), Rename(f"{ROOT}/a", f"{ROOT}/b"), 30,
    ]  # fmt: skip
    before: list[AnyOperation] = [MakeDirectory(f"{ROOT}/a", NOTHING)]
    asyncio.run(_play(before, steps))
    monkeypatch.setattr(DirectoryTimes, "_follow", lambda *_: None)
    monkeypatch.setattr("tests.product.replication.site.PATIENCE", 0.5)
    with pytest.raises(TimeoutError):
        asyncio.run(_play(before, steps))
