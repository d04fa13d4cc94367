"""A target whose volume keeps less: what it can is kept, what it cannot is said once and counted, and all goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, Site, protect, running, until
from tests.product.replication.test_mirror_under_load import attempt, operations

from bodydouble.errors import FileSystemError
from bodydouble.replication import fitting
from bodydouble.replication.fitting import FittingFileSystem, fit_metadata
from bodydouble.replication.rules import same
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.capabilities import Capabilities, common
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import (
    AnyOperation,
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    MakeSymbolicLink,
    Metadata,
    PunchHole,
    RemoveFile,
    Rename,
    SetMetadata,
    SetTimes,
    StreamOperation,
    Truncate,
    Write,
)
from bodydouble.vocabulary.records import RestoreRequest
from bodydouble.vocabulary.verification import VerificationOptions

if TYPE_CHECKING:
    from collections.abc import Callable

FAT = Capabilities(
    security=False, extended=(), hard_links=False, symbolic_links=False, junctions=False, holes=False,
    time_grain_ns=2000, largest_file=200_000, streams=False,
)  # fmt: skip
RICH = Metadata(0x807, b"1:2:644", (("user.a", b"1"),))


def fat_volume(kept: Capabilities = FAT) -> MemoryVolume:
    """A volume that refuses what it does not keep, so that nothing of it can get there unnoticed."""

    def refuse(operation: AnyOperation) -> str | None:
        if not paths.is_beneath(operation.path, ROOT):
            return None
        metadata = getattr(operation, "metadata", None)
        if metadata is not None and fit_metadata(metadata, kept) != metadata:
            return "denied"
        if isinstance(operation, MakeHardLink) and not kept.hard_links:
            return "denied"
        if isinstance(operation, MakeSymbolicLink) and not kept.symbolic_links:
            return "denied"
        end = operation.offset + len(operation.data) if isinstance(operation, Write) else getattr(operation, "size", 0)
        return "no_space" if end > kept.largest_file and not isinstance(operation, PunchHole) else None

    volume = MemoryVolume()
    volume.keeps = lambda _path: kept
    volume.fail = refuse
    return volume


def kept_of(source: Site) -> dict[str, Any]:
    """What a target like `fat_volume` is to have: no links, copies for names, metadata as they are kept."""
    return {
        path: (what[0], _bytes(source, path)[: FAT.largest_file], fit_metadata(what[3], FAT))
        for path, what in source.volume.picture(ROOT).items()
        if what[4] is None
    }


def _bytes(site: Site, path: str) -> bytes:
    node = site.volume.get(path)
    assert node is not None
    return bytes(node.data)


def found_on(target: Site) -> dict[str, Any]:
    return {path: (what[0], what[1], what[3]) for path, what in target.volume.picture(ROOT).items()}


def seed(source: Site) -> None:
    source.mkdir(ROOT)
    source.put(f"{ROOT}/a", b"a" * 100_000)
    source.put(f"{ROOT}/long", b"l" * 250_000)
    for operation in (
        SetMetadata(f"{ROOT}/a", RICH),
        MakeHardLink(f"{ROOT}/twin", f"{ROOT}/a"),
        MakeSymbolicLink(f"{ROOT}/link", "a", RICH, 5000),
        PunchHole(f"{ROOT}/a", 0, 70_000, 9000),
        MakeDirectory(f"{ROOT}/d", RICH),
    ):
        source.volume.do(operation)


def work(source: Site) -> None:
    """Every kind of operation, on what the target has and on what it does not have."""
    source.put(f"{ROOT}/b", b"b" * 1000)
    steps: list[AnyOperation] = [
        CreateFile(f"{ROOT}/c", RICH, 70_000),
        MakeHardLink(f"{ROOT}/d/c2", f"{ROOT}/c"),
        Write(f"{ROOT}/d/c2", 0, b"through the other name", 80_000),
        MakeHardLink(f"{ROOT}/d/a2", f"{ROOT}/a"),
        Write(f"{ROOT}/a", 90_000, b"A" * 20_000, 90_000),
        MakeSymbolicLink(f"{ROOT}/d/dangling", "/no/such", RICH, 5000),
        MakeHardLink(f"{ROOT}/d/dangling 2", f"{ROOT}/d/dangling"),
        SetMetadata(f"{ROOT}/d/dangling", RICH),
        SetTimes(f"{ROOT}/d/dangling", 9000),
        Rename(f"{ROOT}/d/dangling", f"{ROOT}/moved"),
        Rename(f"{ROOT}/moved", f"{ROOT}/b"),
        Rename(f"{ROOT}/d/dangling 2", f"{ROOT}/d/elsewhere"),
        RemoveFile(f"{ROOT}/d/elsewhere"),
        RemoveFile(f"{ROOT}/link"),
        Write(f"{ROOT}/long", 199_000, b"m" * 60_000, 99_000),
        Write(f"{ROOT}/long", 300_000, b"n", 99_000),
        Truncate(f"{ROOT}/c", 400_000, 99_000),
        SetMetadata(f"{ROOT}/d", RICH),
        Rename(f"{ROOT}/d", f"{ROOT}/e"),
    ]
    for operation in steps:
        source.volume.do(operation)


def applied(source: Site) -> bool:
    status = source.service.connections()[0]
    return status.state == "replicating" and status.applied == status.generated


async def pair(case: Callable[[Site, Site], Any]) -> None:
    source, target = Site("A"), Site("B", fat_volume())
    seed(source)
    async with running(source, target):
        await protect(source, target.service.port)
        await until(lambda: applied(source))
        await case(source, target)


def _reading(source: Site) -> bool:
    stream = source.service.connection(1).stream
    return stream is None or stream.verifying


def told(target: Site) -> list[str]:
    return [event.text for event in target.events.after(0) if event.code == EventCode.NOT_KEPT]


KINDS = [
    "bytes beyond 200000",
    "extended attributes",
    "hard links",
    "holes",
    "permissions",
    "symbolic links",
]


def test_mirror_and_replication_keep_what_can_be_kept() -> None:
    async def case(source: Site, target: Site) -> None:
        assert found_on(target) == kept_of(source)
        work(source)
        await until(lambda: applied(source))
        assert found_on(target) == kept_of(source)
        assert EventCode.REPLICATION_ERROR not in target.codes()

    asyncio.run(pair(case))


def test_each_kind_of_thing_is_told_once_and_counted() -> None:
    async def case(source: Site, target: Site) -> None:
        work(source)
        for number in range(20):
            source.volume.do(CreateFile(f"{ROOT}/more{number}", RICH, 1000))
        await until(lambda: applied(source))
        texts = told(target)
        assert sorted(text.removeprefix("A: web: ").partition(" are not kept")[0] for text in texts) == KINDS
        status = target.service.target_connections()[0]
        assert sorted(status.not_kept) == KINDS
        assert status.not_kept["permissions"] > 20

    asyncio.run(pair(case))


def test_a_verification_and_a_further_mirror_find_nothing_to_do() -> None:
    async def case(source: Site, target: Site) -> None:
        source.volume.do(Truncate(f"{ROOT}/long", 1000, 1000))  # a file that is too long stays different
        await until(lambda: applied(source))
        report = source.service.verify(1, VerificationOptions(checksum=True))
        await until(lambda: source.service.verifier.reports()[0].state == "complete")
        totals = source.service.verifier.reports()[0].totals
        assert (totals.different, totals.missing, totals.orphans, report.number) == (0, 0, 0, 1)
        await until(lambda: not _reading(source))
        before = len(target.volume.applied)
        await source.service.start_mirror(1)
        await until(lambda: EventCode.MIRROR_COMPLETE in source.codes()[-2:] and applied(source))
        assert [each for each in target.volume.applied[before:] if isinstance(each, Write)] == []

    asyncio.run(pair(case))


def test_a_target_that_does_not_say_what_it_keeps_never_gets_complete() -> None:
    """The planted defect of these tests: operations are handed on as they are."""

    async def scenario() -> None:
        source, target = Site("A"), Site("B", fat_volume())
        target.volume.keeps = lambda _path: Capabilities()
        seed(source)
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: EventCode.MIRROR_STARTED in source.codes())
            await asyncio.sleep(0.2)
            assert not applied(source)

    asyncio.run(scenario())


PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=2).map(lambda parts: "/web/" + "/".join(parts))
DRAWN = st.lists(operations(PATHS).filter(lambda each: not isinstance(each, StreamOperation)), max_size=30)
"""Hosts without drives, as these are, have no streams."""


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(DRAWN, st.integers(1, 6))
def test_any_operations_in_any_batches_leave_what_can_be_kept(drawn: list[AnyOperation], size: int) -> None:
    asyncio.run(_batches(drawn, size))


async def _batches(drawn: list[AnyOperation], size: int) -> None:
    source, target = Site("A"), Site("B", fat_volume())
    for volume in (source.volume, target.volume):
        volume.change(MakeDirectory("/web", Metadata()))
    done: list[AnyOperation] = []
    source.volume.sinks.append(("/web", done.append))
    for operation in drawn:
        attempt(source.volume, operation, filtered=True)
    fitted = FittingFileSystem(target.volume, [ROOT], same, lambda _what, _path: None, foreign=False)
    for at in range(0, len(done), size):
        await fitted.apply(done[at : at + size])
    assert found_on(target) == kept_of(source)


@pytest.mark.parametrize("failing", [0, 3, 7])
def test_a_batch_that_fails_says_how_many_of_the_given_operations_were_done(failing: int) -> None:
    async def scenario() -> None:
        volume = fat_volume()
        volume.change(MakeDirectory("/web", Metadata()))
        batch: list[AnyOperation] = [
            CreateFile("/web/a", RICH, 1),
            MakeSymbolicLink("/web/l", "a", RICH, 1),
            MakeHardLink("/web/b", "/web/a"),
            CreateFile("/web/c", RICH, 1),
            SetTimes("/web/l", 1),
            MakeHardLink("/web/d", "/web/c"),
            Write("/web/d", 0, b"x", 1),
            RemoveFile("/web/d"),
        ]
        before, refuse = batch[failing], volume.fail
        volume.fail = lambda operation: "io" if operation.path == before.path else refuse(operation)
        fitted = FittingFileSystem(volume, [ROOT], same, lambda _what, _path: None, foreign=False)
        with pytest.raises(FileSystemError) as caught:
            await fitted.apply(batch)
        first = next(at for at, each in enumerate(batch) if each.path == before.path)
        assert caught.value.done == first

    asyncio.run(scenario())


def test_what_both_volumes_keep_is_what_each_of_them_keeps() -> None:
    one = Capabilities(extended=("user.", "trusted.a"), time_grain_ns=100)
    other = Capabilities(extended=("user.x", "trusted."), attributes=3, holes=False, largest_file=7)
    both = common(one, other)
    assert sorted(both.extended) == ["trusted.a", "user.x"]
    assert (both.time_grain_ns, both.attributes, both.holes, both.largest_file) == (100, 3, False, 7)
    assert common(one, Capabilities()) == one
    assert fitting.fit_metadata(RICH, both) == Metadata(3, b"1:2:644", ())


def test_a_restoration_does_not_cut_what_the_stand_in_could_not_keep() -> None:
    async def case(source: Site, target: Site) -> None:
        await source.stop()
        await target.service.standing_in.stand_in("A")
        target.put(f"{ROOT}/new", b"placed at the stand-in")
        await source.start()
        restore = RestoreRequest(
            original_source="A", replication_set="web", restore_to="127.0.0.1", port=source.service.port
        )
        await target.restoration.restore(restore)
        await until(lambda: target.restoration.restorations()[0].state == "complete")
        picture = source.volume.picture(ROOT)
        assert len(picture[f"{ROOT}/long"][1]) == 250_000
        assert picture[f"{ROOT}/link"][4] == "a"
        assert f"{ROOT}/new" in picture
        assert any("only its beginning is here" in text for text in told(target))

    asyncio.run(pair(case))
