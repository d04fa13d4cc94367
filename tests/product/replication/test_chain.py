"""Chains: what a target applies goes on by its own connections, in order; and loops, which are refused."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, WEB, Relay, Site, mirrored, protect, request, running, same, until
from tests.product.replication.test_busy_application import draw
from tests.product.replication.test_mirror_under_load import attempt

from bodydouble.errors import FileSystemError
from bodydouble.replication import feed as feed_module
from bodydouble.replication.feed import Feed, FeedingFileSystem, GatedFileSystem, parts
from bodydouble.replication.mirror import Mirror
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    Metadata,
    PunchHole,
    RemoveFile,
    Rename,
    Truncate,
    Write,
)
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Coroutine


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded(name: str = "A") -> Site:
    site = Site(name)
    site.mkdir(ROOT)
    site.mkdir(f"{ROOT}/images")
    site.put(f"{ROOT}/index.htm", b"hello")
    site.put(f"{ROOT}/images/big.bin", bytes(range(256)) * 1000)
    return site


def settled(*sites: Site) -> bool:
    """Every connection of these has everything applied."""
    statuses = [status for site in sites for status in site.service.connections()]
    return all(s.state == "replicating" and s.applied == s.generated and not s.queue_operations for s in statuses)


async def chained(first: Site, second: Site, third: Site, **fields: Any) -> None:
    await protect(second, third.service.port, **fields)
    await protect(first, second.service.port, **fields)
    await until(lambda: settled(first, second) and same(first, second) and same(second, third))


# --- the feed -------------------------------------------------------------------------------------------------------


def offered(operations: list[AnyOperation], volume: MemoryVolume) -> list[AnyOperation]:
    heard: list[AnyOperation] = []

    async def scenario() -> None:
        feed = Feed(lambda path: path)
        feed.attach("/web", heard.append)
        await FeedingFileSystem(volume, feed, ["/web"], asyncio.Lock()).apply(operations)

    run(scenario())
    return heard


def volume_with_file() -> MemoryVolume:
    volume = MemoryVolume()
    for operation in (
        MakeDirectory("/web", Metadata()),
        CreateFile("/web/f", Metadata(), 1),
        Write("/web/f", 0, b"12345", 1),
    ):
        volume.change(operation)
    return volume


def test_a_creation_is_offered_with_the_length_that_the_file_has() -> None:
    there, fresh = CreateFile("/web/f", Metadata(), 2), CreateFile("/web/g", Metadata(), 2)
    assert offered([there, fresh], volume_with_file()) == [
        there, Truncate("/web/f", 5, 2), fresh, Truncate("/web/g", 0, 2),
    ]  # fmt: skip


def test_what_failed_is_not_offered_and_what_came_before_is() -> None:
    volume = volume_with_file()
    volume.fail = lambda op: "no_space" if op.path.endswith("g") else None
    heard: list[AnyOperation] = []

    async def scenario() -> None:
        feed = Feed(lambda path: path)
        feed.attach("/web", heard.append)
        files = FeedingFileSystem(volume, feed, ["/web"], asyncio.Lock())
        with pytest.raises(FileSystemError) as caught:
            await files.apply([RemoveFile("/web/f"), MakeDirectory("/web/g", Metadata()), RemoveFile("/web/h")])
        assert caught.value.done == 1

    run(scenario())
    assert heard == [RemoveFile("/web/f")]


NAMES = st.sampled_from(["/web/a", "/web/b", "/web/d/a"])
OPERATIONS = st.one_of(
    st.builds(CreateFile, NAMES, st.just(Metadata()), st.just(1)),
    st.builds(Write, NAMES, st.sampled_from([0, 3]), st.sampled_from([b"x", b"abcdef"]), st.just(1)),
    st.builds(PunchHole, NAMES, st.sampled_from([0, 1]), st.just(2), st.just(1)),
    st.builds(Truncate, NAMES, st.sampled_from([0, 2]), st.just(1)),
    st.builds(Rename, NAMES, NAMES),
    st.builds(RemoveFile, NAMES),
)


def follows(operations: list[AnyOperation]) -> bool:
    """Whether a third volume with orphans ends like the second one, having heard what that was made to do."""
    second, third = MemoryVolume(), MemoryVolume()
    for volume in (second, third):
        for path in ("/web", "/web/d"):
            volume.change(MakeDirectory(path, Metadata()))
    for path in ("/web/a", "/web/b", "/web/d/a"):
        third.change(CreateFile(path, Metadata(), 1))
        third.change(Write(path, 0, b"an orphan", 1))
    done: list[AnyOperation] = []
    for operation in operations:
        try:
            MemoryVolume.change(second, operation)
        except FileSystemError:
            continue
        done.append(operation)
    fresh = MemoryVolume()
    for path in ("/web", "/web/d"):
        fresh.change(MakeDirectory(path, Metadata()))
    for operation in offered(done, fresh):
        third.change(operation)
    names = [path for path in ("/web/a", "/web/b", "/web/d/a") if fresh.get(path)]
    return all(fresh.nodes[name].data == third.nodes[name].data for name in names)


@given(st.lists(OPERATIONS, max_size=12))
def test_whoever_hears_what_was_applied_ends_with_the_same_bytes(operations: list[AnyOperation]) -> None:
    assert follows(operations)


def test_a_batch_that_is_not_cut_gives_wrong_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "parts", lambda operations, _key: iter([list(operations)]))
    assert not follows([
        CreateFile("/web/a", Metadata(), 1), Write("/web/a", 0, b"abcdef", 1), CreateFile("/web/a", Metadata(), 1),
    ])  # fmt: skip


def test_a_batch_is_cut_only_where_it_must_be() -> None:
    save: list[AnyOperation] = [
        CreateFile("/w/t", Metadata(), 1),
        Write("/w/t", 0, b"x", 1),
        CreateFile("/w/u", Metadata(), 1),
    ]
    assert [len(part) for part in parts([*save, Rename("/w/t", "/w/f"), *save], lambda path: path)] == [4, 3]


# --- three machines -------------------------------------------------------------------------------------------------


def test_the_third_machine_is_always_at_an_earlier_state_of_the_second_and_of_the_first() -> None:
    async def scenario() -> None:
        first, second, third = seeded(), Site("B"), Site("C")
        async with running(first, second, third):
            await chained(first, second, third)
            before = [first.volume.picture(ROOT)]
            second_states, third_states = [second.volume.picture(ROOT)], []
            second.volume.on_applied = lambda _op: second_states.append(second.volume.picture(ROOT))
            third.volume.on_applied = lambda _op: third_states.append(third.volume.picture(ROOT))
            for number in range(60):
                first.time += 1000
                first.volume.do(Write(f"{ROOT}/index.htm", number * 8, b"record %d" % number, first.time))
                before.append(first.volume.picture(ROOT))
                await asyncio.sleep(0)
            await until(lambda: same(second, third) and same(first, second))
            assert len(third_states) == 60
            for states in (before, second_states):
                positions = [states.index(picture) for picture in third_states]
                assert positions == sorted(positions)

    run(scenario())


@pytest.mark.parametrize("seed", range(6))
def test_the_chain_converges_beside_a_busy_application_and_mirrors(seed: int) -> None:
    """Operations of all kinds at the first, mirrors at the second and broken connections between all of them."""

    async def scenario() -> None:
        random = Random(seed)
        first, second, third = seeded(), Site("B"), Site("C")
        async with running(first, second, third), Relay(lambda: third.service.port) as relay:
            await protect(second, relay.port, orphans="delete")
            await protect(first, second.service.port, orphans="delete")
            for step in range(150):
                operation = draw(random, first.volume)
                if not isinstance(operation, CreateFile) or first.volume.get(operation.path) is None:
                    attempt(first.volume, operation, filtered=True)  # no filter reports what is there as created
                for _ in range(random.randrange(5)):
                    await asyncio.sleep(0)
                if step % 40 == 30:
                    relay.cut()
            await until(lambda: settled(first, second) and same(first, second) and same(second, third), str(seed))

    run(scenario())


async def remirrored_while_applying(first: Site, second: Site, third: Site) -> None:
    """The second mirrors to the third while it applies what the first does: removals right behind renames."""
    await chained(first, second, third)
    for round_ in range(8):
        connection = second.service.connection(1)
        await until(lambda: settled(second))
        connection.start_mirror()
        for number in range(12):
            first.put(f"{ROOT}/f{round_}-{number}", b"x" * 300)
            first.volume.do(Rename(f"{ROOT}/f{round_}-{number}", f"{ROOT}/images/g{number}"))
            if number % 3 == 0:
                first.volume.do(RemoveFile(f"{ROOT}/images/g{number}"))
            await asyncio.sleep(0.001)
        await until(lambda: settled(first, second) and same(second, third))


def diverged(site: Site) -> bool:
    return EventCode.REPLICATION_ERROR in site.codes()


def test_a_mirror_beside_applying_never_finds_an_operation_done_that_is_offered_later() -> None:
    async def scenario() -> None:
        first, second, third = seeded(), Site("B"), Site("C")
        async with running(first, second, third):
            await remirrored_while_applying(first, second, third)
            assert not diverged(third)

    run(scenario())


def test_reads_that_do_not_wait_for_an_apply_find_operations_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: a mirror that settles between an effect and its report makes the third machine diverge."""
    monkeypatch.setattr(Feed, "locks", lambda _self, _path: [])

    async def scenario() -> None:
        first, second, third = seeded(), Site("B"), Site("C")
        original = MemoryVolume.apply

        async def slowly(self: MemoryVolume, operations: Any, *, durable: bool = True) -> None:
            await original(self, operations, durable=durable)
            if self is second.volume and any(isinstance(each, RemoveFile) for each in operations):
                second.service.connection(1).start_mirror()
                await until(lambda: second.codes().count(EventCode.MIRROR_COMPLETE) == 2)

        async with running(first, second, third):
            await chained(first, second, third, orphans="delete")
            monkeypatch.setattr(MemoryVolume, "apply", slowly)
            first.volume.do(RemoveFile(f"{ROOT}/index.htm"))
            await until(lambda: diverged(third))

    run(scenario())


def test_a_replica_kept_elsewhere_is_fed_under_its_name_there() -> None:
    async def scenario() -> None:
        first, second, third = seeded(), Site("B"), Site("C")
        async with running(first, second, third):
            await second.service.save_set(ReplicationSet(name="all", rules=[Rule(path="/replicas")]))
            second.mkdir("/replicas")
            await second.service.connect(request(third.service.port, replication_set="all"))
            await protect(first, second.service.port, base="/replicas/a")
            await until(lambda: settled(first, second) and same(second, third, "/replicas"))
            first.put(f"{ROOT}/more", b"x")
            await until(lambda: "/replicas/a/web/more" in third.volume.nodes)

    run(scenario())


def test_orphans_that_the_second_removes_go_at_the_third_too() -> None:
    async def scenario() -> None:
        first, second, third = seeded(), Site("B"), Site("C")
        for site in (second, third):
            site.mkdir(ROOT)
            site.put(f"{ROOT}/orphan", b"?")
        async with running(first, second, third):
            await protect(second, third.service.port)
            await until(lambda: settled(second))
            await protect(first, second.service.port, orphans="delete")
            await until(lambda: settled(first, second) and same(second, third))
            assert third.volume.get(f"{ROOT}/orphan") is None

    run(scenario())


def test_one_set_goes_to_several_targets_each_at_its_own_pace() -> None:
    async def scenario() -> None:
        source, near, far = seeded(), Site("B"), Site("C")
        async with running(source, near, far):
            await protect(source, near.service.port)
            await source.service.connect(request(far.service.port, replication_set="web", target="localhost"))
            await until(lambda: settled(source))
            far.volume.gate.clear()
            for number in range(20):
                source.put(f"{ROOT}/f{number}", b"x" * 1000)
            await until(lambda: same(source, near))
            try:
                assert not same(source, far)
                one, other = source.service.connections()
                await until(lambda: source.service.connections()[0].applied > other.applied >= one.id)
            finally:
                far.volume.gate.set()
            await until(lambda: same(source, far))

    run(scenario())


# --- both directions, loops -----------------------------------------------------------------------------------------


OTHER = ReplicationSet(name="docs", rules=[Rule(path="/docs")])


def test_different_sets_go_both_ways() -> None:
    async def scenario() -> None:
        one, two = seeded("A"), Site("B")
        two.mkdir("/docs")
        two.put("/docs/a", b"a")
        async with running(one, two):
            await protect(one, two.service.port)
            await two.service.save_set(OTHER)
            await two.service.connect(request(one.service.port, replication_set="docs"))
            await until(lambda: settled(one, two))
            one.put(f"{ROOT}/new", b"x")
            two.put("/docs/new", b"y")
            await until(lambda: same(one, two) and same(two, one, "/docs") and settled(one, two))
            assert all(
                event.code != EventCode.REPLICATION_ERROR for site in (one, two) for event in site.events.after(0)
            )

    run(scenario())


def test_the_same_set_both_ways_is_refused_with_the_reason() -> None:
    async def scenario() -> None:
        one, two = seeded("A"), Site("B")
        async with running(one, two):
            await protect(one, two.service.port)
            await mirrored(one, two)
            await protect(two, one.service.port)
            await until(lambda: two.state() == "error")
            detail = two.service.connections()[0].detail
            assert "a loop" in detail
            assert "connection 1 (web to 127.0.0.1)" in detail
            await until(lambda: settled(one))

    run(scenario())


def test_turning_a_direction_around_is_possible_once_the_first_is_disconnected() -> None:
    async def scenario() -> None:
        one, two = seeded("A"), Site("B")
        async with running(one, two):
            await protect(one, two.service.port)
            await mirrored(one, two)
            await one.service.disconnect(1)
            await protect(two, one.service.port)
            await until(lambda: settled(two))
            two.put(f"{ROOT}/back", b"x")
            await until(lambda: same(one, two))

    run(scenario())


EDGES = [("A", "B"), ("B", "C"), ("C", "A")]
ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


async def ring(sites: dict[str, Site], order: tuple[int, ...], *, at_once: bool) -> None:
    for number in order:
        source, target = EDGES[number]
        await protect(sites[source], sites[target].service.port)
        if not at_once and number != order[-1]:
            await until(lambda: settled(sites[EDGES[number][0]]))  # noqa: B023 - awaited here
    await until(lambda: any(site.state() == "error" for site in sites.values()))


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_a_ring_of_three_is_refused_whichever_connection_closes_it(order: tuple[int, ...], *, at_once: bool) -> None:
    async def scenario() -> None:
        sites = {name: Site(name) for name in "ABC"}
        for site in sites.values():
            site.mkdir(ROOT)
        async with running(*sites.values()):
            await ring(sites, order, at_once=at_once)
            await until(lambda: [settled(site) for site in sites.values()].count(True) == 2)
            (broken,) = (site for site in sites.values() if not settled(site))
            await until(lambda: "a loop" in broken.service.connections()[0].detail)
            sites["A"].put(f"{ROOT}/once", b"x")
            await until(lambda: all(site is broken or settled(site) for site in sites.values()))
            applied = [len(site.volume.applied) for site in sites.values()]
            await asyncio.sleep(0.1)  # several times round the ring, if anything went round
            assert applied == [len(site.volume.applied) for site in sites.values()]
            assert sites["A"].volume.nodes[f"{ROOT}/once"].data == b"x"

    run(scenario())


def test_a_ring_without_the_check_sends_an_operation_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bodydouble.replication.places.refuse_loop", lambda *_: None)

    async def scenario() -> None:
        sites = {name: Site(name) for name in "ABC"}
        for site in sites.values():
            site.mkdir(ROOT)
        async with running(*sites.values()):
            for source, target in EDGES:
                await protect(sites[source], sites[target].service.port)
            sites["A"].put(f"{ROOT}/once", b"x")
            await until(lambda: len(sites["A"].volume.applied) > 100)

    run(scenario())


def test_a_ring_that_ends_elsewhere_is_none() -> None:
    """The last machine keeps the first one's data where the first sends nothing from: an archive, no loop."""

    async def scenario() -> None:
        one, two = seeded("A"), Site("B")
        async with running(one, two):
            await protect(one, two.service.port)
            await mirrored(one, two)
            await two.service.save_set(WEB)
            await two.service.connect(request(one.service.port, base="/archive"))
            await until(lambda: settled(one, two))
            one.put(f"{ROOT}/new", b"x")
            await until(lambda: "/archive/web/new" in one.volume.nodes)
            await until(lambda: settled(one, two))

    run(scenario())


def test_the_mirror_reads_through_the_gate() -> None:
    async def scenario() -> None:
        first, second = seeded(), Site("B")
        async with running(first, second):
            await protect(first, second.service.port)
            stream = None
            while stream is None:
                await asyncio.sleep(0)
                stream = first.service.connection(1).stream
            mirror = stream._mirror
            assert mirror is None or isinstance(mirror, Mirror)
            assert isinstance(stream._sight.files, GatedFileSystem)

    run(scenario())
