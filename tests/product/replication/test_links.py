"""Names of one file and symbolic links: the replica has the same ones, whatever happens while it is mirrored."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import Site, mirrored, protect, running, same, until
from tests.product.replication.test_mirror_under_load import attempt, play, prefix_check, visible
from tests.product.replication.test_pure import NO_LOGS, WEB, select

from bodydouble.errors import ProtocolError
from bodydouble.replication.linking import Linking
from bodydouble.replication.protocol import Item, MirrorStart, RemoveTree, Settled
from bodydouble.replication.replica import Replica
from bodydouble.replication.translate import translate
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    Write,
)

NOTHING = Metadata()
FILES = st.sampled_from(["/web/a", "/web/b", "/web/d/a", "/web/d/b", "/web/c.tmp", "/out/a"])
NAMES = st.sampled_from(["/web/d", "/web/e"])
OPERATIONS: st.SearchStrategy[AnyOperation] = st.one_of(
    st.builds(CreateFile, FILES, st.just(NOTHING), st.just(1000)),
    st.builds(
        Write, FILES, st.sampled_from([0, 100, 70_000]), st.sampled_from([b"x", b"hello", b"LONG"]), st.just(2000)
    ),
    st.builds(MakeHardLink, FILES, FILES),
    st.builds(MakeHardLink, FILES, FILES),
    st.builds(MakeSymbolicLink, FILES, st.sampled_from(["a", "/etc/passwd"]), st.just(NOTHING), st.just(3000)),
    st.builds(SetMetadata, FILES, st.sampled_from([NOTHING, Metadata(0, b"1:2:644", (("user.a", b"1"),))])),
    st.builds(RemoveFile, FILES),
    st.builds(Rename, FILES, FILES),
    st.builds(Rename, NAMES, NAMES),
)
TREES = st.lists(OPERATIONS, max_size=15).map(lambda rest: [*PLACES, *rest])
PLACES: list[Any] = [
    MakeDirectory("/web/d", NOTHING), *(CreateFile(f"/web/{name}", NOTHING, 1000) for name in ("a", "b", "d/a")),
]  # fmt: skip
STEPS = st.lists(OPERATIONS | st.integers(1, 40) | st.sampled_from(["cut", "mirror"]), max_size=30)
KINDS = st.sampled_from(["full", "difference", "checksum"])
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=150, **QUIET)  # type: ignore[arg-type]
@given(TREES, TREES, STEPS, KINDS)
def test_replica_gets_the_same_names_whatever_happens_during_the_mirror(
    before: list[Any], stale: list[Any], steps: list[Any], kind: str
) -> None:
    asyncio.run(play(before, stale, steps, kind))


@settings(max_examples=80, **QUIET)  # type: ignore[arg-type]
@given(st.lists(OPERATIONS, max_size=10), st.lists(OPERATIONS | st.integers(1, 40) | st.just("cut"), max_size=40))
def test_replica_with_links_is_a_source_prefix_after_the_mirror(before: list[Any], steps: list[Any]) -> None:
    asyncio.run(play([*PLACES, *before], [], steps, "full", prefix_check))


async def excluded_name() -> None:
    """An application writes through a name that the rules leave out."""
    steps = [MakeHardLink("/web/c.tmp", "/web/a"), 200, Write("/web/c.tmp", 0, b"through the back door", 4000)]
    await play(PLACES, [], steps, "full")


def test_what_is_written_through_a_name_outside_the_set_arrives_under_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asyncio.run(excluded_name())
    monkeypatch.setattr(MemoryVolume, "names", lambda _self, operation: [operation.path])
    with pytest.raises(AssertionError):
        asyncio.run(excluded_name())


def test_a_link_to_a_file_outside_the_set_puts_the_replica_back_into_mirroring() -> None:
    selection = select(WEB, NO_LOGS)
    inside, outside = "C:/InetPub/a", "C:/InetPub/logs/a"
    entering = translate(MakeHardLink(inside, outside), selection)
    assert (entering.bodies, entering.appeared) == ([MirrorStart(), RemoveTree(inside)], [inside])
    assert translate(MakeHardLink(outside, inside), selection).bodies == []
    whole = MakeHardLink("C:/InetPub/b", inside)
    assert translate(whole, selection).bodies == [whole]


def test_names_outside_of_the_set_are_told_once_a_mirror() -> None:
    async def scenario() -> None:
        source, target = Site("WEB1"), Site("WEB2")
        source.mkdir("/web")
        source.mkdir("/out")
        for name in ("a", "b"):
            source.put(f"/web/{name}", b"x")
            source.volume.do(MakeHardLink(f"/out/{name}", f"/web/{name}"))
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            told = [event.text for event in source.events.after(0) if event.code == EventCode.REPLICATION_ERROR]
            assert len(told) == 1
            assert "2 files have further names outside" in told[0]

    asyncio.run(scenario())


def test_a_name_that_comes_into_the_set_belongs_to_the_file_that_is_there_already() -> None:
    async def scenario() -> None:
        source, target = Site("WEB1"), Site("WEB2")
        source.mkdir("/web")
        source.mkdir("/out")
        source.put("/web/a", b"x")
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            source.volume.do(MakeHardLink("/out/c", "/web/a"))
            source.volume.do(Rename("/out/c", "/web/c"))
            await until(lambda: same(source, target) and source.state() == "replicating")
            assert EventCode.REPLICATION_ERROR not in source.codes(), [event.text for event in source.events.after(0)]

    asyncio.run(scenario())


@pytest.mark.parametrize("target", ["", "a" * 4097, "null\0"])
def test_a_target_that_no_volume_can_hold_is_refused(target: str) -> None:
    async def scenario() -> None:
        source, there = Site("WEB1"), Site("WEB2")
        source.mkdir("/web")
        async with running(source, there):
            await protect(source, there.service.port)
            await mirrored(source, there)
            replica = there.service.registry.find("WEB1", "web")
            assert replica is not None
            with pytest.raises(ProtocolError, match="target"):
                replica.check(Item(1, MakeSymbolicLink("/web/link", target, NOTHING, 0)))
            with pytest.raises(ProtocolError, match="outside"):
                replica.check(Item(1, MakeHardLink("/web/link", "/etc/passwd")))

    asyncio.run(scenario())


def test_a_link_carries_when_it_was_created_by_mirror_and_by_replication() -> None:
    async def scenario() -> None:
        source, target = Site("WEB1"), Site("WEB2")
        source.mkdir("/web")
        source.volume.do(MakeSymbolicLink("/web/mirrored", "a", NOTHING, 3000, created_ns=1000))
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            source.volume.do(MakeSymbolicLink("/web/replicated", "a", NOTHING, 4000, created_ns=2000))
            await until(lambda: target.volume.get("/web/replicated"))
        made = [each for each in target.volume.applied if isinstance(each, MakeSymbolicLink)]
        assert [(paths.name(each.path), each.created_ns) for each in made] == [("mirrored", 1000), ("replicated", 2000)]
        assert not [each for each in target.volume.applied if isinstance(each, SetTimes) and each.path == made[0].path]
        assert target.volume.nodes["/web/mirrored"].body.created == 1000

    asyncio.run(scenario())


async def _no() -> bool:
    return False


def breaks(before: list[Any], stale: list[Any], steps: list[Any], kind: str) -> bool:
    try:
        asyncio.run(play(before, stale, steps, kind))
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ((Linking, "join"), lambda *_: _no()),
        ((Linking, "strays"), lambda *_, **__: (False, None)),
        ((Linking, "part"), lambda *_: True),
    ],
    ids=["links are copies", "stray links stay", "parted without a trace"],
)
def test_the_random_trees_find_planted_defects(
    what: tuple[Any, str], instead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*what, instead)
    try:
        find(
            st.tuples(TREES, TREES, STEPS, KINDS),
            lambda drawn: breaks(*drawn),
            settings=settings(max_examples=600, database=None, phases=[Phase.generate], **QUIET),  # type: ignore[arg-type]
        )
    except NoSuchExample:
        pytest.fail("no drawn example shows the defect")


def test_a_name_that_is_parted_from_others_of_its_file_is_joined_to_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        source, target = Site("WEB1"), Site("WEB2")
        for operation in (
            MakeDirectory("/web", NOTHING),
            MakeDirectory("/out", NOTHING),
            CreateFile("/out/a", NOTHING, 1),
            *PLACES,
        ):
            attempt(source.volume, operation, filtered=False)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            settle = Replica._settle
            settled: list[int] = []

            def forgotten(replica: Replica, sequence: int) -> Settled:
                replica._overflow = replica._overflow or not settled  # as it is after a restart of the target
                settled.append(sequence)
                return settle(replica, sequence)

            monkeypatch.setattr(Replica, "_settle", forgotten)
            source.volume.do(Rename("/out/a", "/web/b"))
            source.volume.do(RemoveFile("/web/b"))
            source.volume.do(MakeHardLink("/web/b", "/web/a"))
            await until(lambda: len(settled) > 1 and source.state() == "replicating")
            assert visible(source.volume) == visible(target.volume)

    asyncio.run(scenario())
