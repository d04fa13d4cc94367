"""Kinds of mirror, and what an operator orders about one that runs."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, Relay, Site, mirrored, protect, running, same, until

from bodydouble.errors import ConnectionStateError
from bodydouble.replication import left
from bodydouble.replication.left import MAX_SENT, AllButSent, LeftFiles
from bodydouble.replication.protocol import BLOCK_BYTES
from bodydouble.replication.rules import Selection, fold
from bodydouble.replication.scan import listings
from bodydouble.replication.tally import Tally
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.mirror import MirrorOrder
from bodydouble.vocabulary.operations import (
    CreateFile,
    MakeDirectory,
    MakeHardLink,
    Metadata,
    RemoveFile,
    Rename,
    SetMetadata,
    Write,
    WriteStream,
)
from bodydouble.vocabulary.records import Progress, ReplicationSet, RestoreRequest, Rule
from bodydouble.vocabulary.verification import VerificationOptions

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.vocabulary.records import ConnectionStatus


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


class Held(MemoryVolume):
    """A volume on which reading one file waits, so that a mirror is met in the middle of it."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.waiting = asyncio.Event()

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        if path == f"{ROOT}/m-held" and self.sinks and offset:
            self.waiting.set()
            await self.free.wait()
        return await super().read(path, offset, size, stream)


def seeded(volume: MemoryVolume | None = None, **settings: Any) -> Site:
    site = Site("WEB1", volume, **settings)
    site.mkdir(ROOT)
    for name in ("a-first", "m-held", "z-last"):
        site.put(f"{ROOT}/{name}", name.encode() * 20_000)
    return site


def status(source: Site) -> ConnectionStatus:
    return source.service.connections()[0]


def volume_of(source: Site) -> Held:
    assert isinstance(source.volume, Held)
    return source.volume


async def half_way(source: Site, port: int, **fields: Any) -> None:
    """Protect the source, and return when its mirror is in the middle of a file."""
    await protect(source, port, **fields)
    await until(volume_of(source).waiting.is_set)


# --- kinds ---


def test_newer_file_of_the_target_stays_and_older_ones_are_sent() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        target.mkdir(ROOT)
        target.time = 1_000_000
        target.put(f"{ROOT}/a-first", b"edited here")
        target.time = 0
        target.put(f"{ROOT}/z-last", b"stale")
        async with running(source, target):
            await protect(source, target.service.port, newer_only=True)
            await until(lambda: source.state() == "replicating")
            assert target.volume.nodes[f"{ROOT}/a-first"].data == b"edited here"
            assert target.volume.nodes[f"{ROOT}/z-last"].data == b"z-last" * 20_000
            assert f"{ROOT}/m-held" in target.volume.nodes
            assert status(source).newer_on_target == 1
            assert any("1 files are newer on the target" in event.text for event in source.events.after(0))

    run(scenario())


@pytest.mark.parametrize("kind", ["full", "difference", "checksum"])
def test_file_left_as_newer_is_sent_whole_once_an_application_changes_it(kind: Any) -> None:
    """Otherwise a write of a few bytes would land in the middle of another file's bytes, with the time of its own."""

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        target.mkdir(ROOT)
        target.time = 1_000_000
        target.put(f"{ROOT}/a-first", b"E" * 140_000)
        async with running(source, target):
            await protect(source, target.service.port, mirror=kind, newer_only=True)
            await until(lambda: source.state() == "replicating")
            source.volume.do(Rename(f"{ROOT}/a-first", f"{ROOT}/b-second"))
            source.volume.do(Write(f"{ROOT}/b-second", 5, b"one byte or two", 2_000_000))
            await mirrored(source, target)
            assert status(source).newer_on_target == 0

    run(scenario())


def test_mirror_that_is_ordered_full_overwrites_what_an_earlier_one_left() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        target.mkdir(ROOT)
        target.time = 1_000_000
        target.put(f"{ROOT}/a-first", b"edited here")
        async with running(source, target):
            await protect(source, target.service.port, newer_only=True)
            await until(lambda: source.state() == "replicating")
            assert not same(source, target)
            await source.service.start_mirror(1, MirrorOrder(newer_only=False))
            await mirrored(source, target)
            await source.service.start_mirror(1)  # what was ordered held for that one
            assert source.service.connection(1).record.request.newer_only

    run(scenario())


def test_checksum_mirror_sends_only_the_blocks_that_differ() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        contents = b"".join(bytes([number]) * BLOCK_BYTES for number in range(5)) + b"end"
        source.put(f"{ROOT}/five", contents)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.nodes[f"{ROOT}/five"].data[3 * BLOCK_BYTES] = 77
            target.volume.applied.clear()
            await source.service.start_mirror(1, MirrorOrder(kind="checksum"))
            await mirrored(source, target)
            written = [op for op in target.volume.applied if isinstance(op, Write)]
            assert [(op.path, op.offset) for op in written] == [(f"{ROOT}/five", 3 * BLOCK_BYTES)]

    run(scenario())


def test_restoration_leaves_alone_what_is_newer_where_it_goes() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.disconnect(1)
            source.time = 5_000_000
            source.put(f"{ROOT}/a-first", b"repaired by hand")
            source.volume.change(RemoveFile(f"{ROOT}/z-last"))
            request = RestoreRequest(
                original_source="WEB1", replication_set="web", restore_to="127.0.0.1", port=source.service.port,
                newer_only=True,
            )  # fmt: skip
            await target.restoration.restore(request)
            await until(lambda: target.restoration.restorations()[0].state == "complete")
            assert bytes(source.volume.nodes[f"{ROOT}/a-first"].data).startswith(b"repaired by hand")
            assert f"{ROOT}/z-last" in source.volume.nodes

    run(scenario())


def test_mirror_that_would_leave_nearly_everything_ends_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left.LeftFiles.__init__, "__defaults__", (2,))

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        target.mkdir(ROOT)
        target.time = 1_000_000
        for name in ("a-first", "m-held", "z-last"):
            target.put(f"{ROOT}/{name}", b"edited here")
        async with running(source, target):
            await protect(source, target.service.port, newer_only=True)
            await until(lambda: source.state() == "mirror-incomplete")
            assert "newer on the target" in status(source).detail
            await source.service.start_mirror(1, MirrorOrder(newer_only=False))
            await mirrored(source, target)

    run(scenario())


# --- files that were left ---


def test_left_files_follow_their_names() -> None:
    files = LeftFiles(fold, limit=3)
    assert files.add("C:/web/a")
    assert files.add("C:/web/d/b")
    assert files.changed(SetMetadata("C:/WEB/A", Metadata())) == "C:/WEB/A"
    assert not files.changed(Rename("C:/web/d", "C:/web/e"))
    assert files.changed(CreateFile("C:/web/e/B", Metadata(), 1)) == "C:/web/e/B"
    assert not files.changed(Write("C:/web/d/b", 0, b"", 1))
    assert not files.changed(MakeHardLink("C:/web/link", "C:/web/a"))
    assert files.changed(Write("C:/web/link", 0, b"", 1)) == "C:/web/link"
    assert not files.add("C:/web/one too many")
    assert not files.changed(Rename("C:/web/other", "C:/web/link"))
    assert not files.changed(RemoveFile("C:/web/a"))
    assert not files.changed(Rename("C:/web/e/b", "C:/WEB/E/B"))
    assert len(files) == 1


def test_where_whatever_is_there_is_left_only_what_was_sent_is_remembered() -> None:
    files = AllButSent(fold, limit=3)
    assert files.add("C:/web/a")
    assert files.changed(Write("C:/web/a", 0, b"", 1)) == "C:/web/a"
    files.forget("C:/web/A")
    assert not files.changed(Write("C:/web/a", 0, b"", 1))
    assert not files.changed(MakeDirectory("C:/web/d", Metadata()))
    assert not files.changed(RemoveFile("C:/web/gone"))
    assert files.changed(WriteStream("C:/web/d", "s", 0, b"x")) == "C:/web/d"
    assert len(files) == 1
    files.recount()
    assert not len(files)


@pytest.mark.parametrize(
    "operation",
    [Rename("C:/web/b", "C:/web/d/a"), Rename("C:/web/d", "C:/web/e"), Rename("C:/web/x", "C:/web/d"),
     MakeHardLink("C:/web/d/a", "C:/web/b")],
    ids=["replaced", "moved", "moved over", "linked"],
)  # fmt: skip
def test_a_name_that_may_mean_another_file_counts_as_left_again(operation: Any) -> None:
    files = AllButSent(fold)
    files.forget("C:/web/d/a")
    assert not files.changed(operation)
    assert files.changed(Write("C:/web/d/a", 0, b"", 1)) == "C:/web/d/a"


def test_what_is_remembered_does_not_grow_with_the_number_of_files() -> None:
    files = AllButSent(fold)
    sizes = []
    for number in range(60_000):
        assert files.add(f"C:/web/there {number}")
        files.forget(f"C:/web/sent {number}")
        sizes.append(len(files._paths))
    assert (len(files), max(sizes)) == (60_000, MAX_SENT)


# --- pause and resume ---


def test_paused_mirror_waits_over_a_broken_connection_while_replication_goes_on() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await half_way(source, relay.port)
            await source.service.orders.order_mirror(1, "pause")
            volume_of(source).free.set()
            source.put(f"{ROOT}/written meanwhile", b"x")
            await until(lambda: f"{ROOT}/written meanwhile" in target.volume.nodes)
            relay.cut()
            await until(lambda: EventCode.RESUMED in source.codes())
            source.put(f"{ROOT}/written later", b"y")
            await until(lambda: f"{ROOT}/written later" in target.volume.nodes)
            assert (source.state(), status(source).mirror_state) == ("mirroring", "paused")
            assert f"{ROOT}/z-last" not in target.volume.nodes
            assert target.service.target_connections()[0].state == "mirroring"
            assert (await source.service.orders.order_mirror(1, "resume")).mirror_state == "running"
            await mirrored(source, target)
            assert status(source).mirror_state == "complete"
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    run(scenario())


def test_pause_holds_over_a_restart_of_the_source() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        async with running(source, target):
            await half_way(source, target.service.port)
            await source.service.orders.order_mirror(1, "pause")
            volume_of(source).free.set()
            await source.stop()
            await source.start()
            await until(lambda: source.state() == "mirroring")
            source.put(f"{ROOT}/new", b"")
            await until(lambda: status(source).applied == status(source).generated)
            assert status(source).mirror_state == "paused"
            assert f"{ROOT}/z-last" not in target.volume.nodes
            await source.service.orders.order_mirror(1, "resume")
            await mirrored(source, target)
            assert EventCode.MIRROR_RESUMED in source.codes()

    run(scenario())


def test_orders_that_do_not_fit_are_refused() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        async with running(source, target):
            await half_way(source, target.service.port)
            orders = source.service.orders
            with pytest.raises(ConnectionStateError, match="no mirror is paused"):
                await orders.order_mirror(1, "resume")
            with pytest.raises(ConnectionStateError, match="is running"):
                await source.service.start_mirror(1)
            await orders.order_mirror(1, "pause")
            with pytest.raises(ConnectionStateError, match="paused already"):
                await orders.order_mirror(1, "pause")
            with pytest.raises(ConnectionStateError, match="resume it, or stop it"):
                await source.service.start_mirror(1)
            await orders.order_mirror(1, "resume")
            volume_of(source).free.set()
            await mirrored(source, target)
            for word in ("pause", "stop"):
                with pytest.raises(ConnectionStateError, match="no mirror is running"):
                    await orders.order_mirror(1, word)

    run(scenario())


# --- stop ---


def test_stopped_mirror_leaves_an_incomplete_replica_that_says_so() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await half_way(source, relay.port)
            stopped = await source.service.orders.order_mirror(1, "stop")
            assert (stopped.state, stopped.mirror_state) == ("mirror-incomplete", "stopped")
            source.put(f"{ROOT}/written meanwhile", b"x")
            source.volume.change(CreateFile("/beside", Metadata(), 1))
            source.volume.do(Rename("/beside", f"{ROOT}/moved in"))
            await until(lambda: f"{ROOT}/written meanwhile" in target.volume.nodes)
            await until(lambda: target.service.target_connections()[0].state == "mirror-required")
            relay.cut()
            await until(lambda: EventCode.RESUMED in source.codes())
            await until(lambda: source.state() == "mirror-incomplete")
            with pytest.raises(ConnectionStateError, match="mirror-incomplete"):
                source.service.verify(1, VerificationOptions())
            assert f"{ROOT}/z-last" not in target.volume.nodes
            volume_of(source).free.set()
            await source.service.start_mirror(1)
            await mirrored(source, target)
            assert target.service.target_connections()[0].state == "ok"

    run(scenario())


def test_file_that_a_stop_cut_in_half_is_completed_although_its_size_and_time_are_right() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        async with running(source, target):
            await half_way(source, target.service.port, mirror="difference")
            await source.service.orders.order_mirror(1, "stop")
            await until(lambda: status(source).applied == status(source).generated)
            half = target.volume.nodes[f"{ROOT}/m-held"]
            assert len(half.data) <= 120_000
            assert half.data != source.volume.nodes[f"{ROOT}/m-held"].data
            half.data.extend(bytes(120_000 - len(half.data)))
            volume_of(source).free.set()
            await source.service.start_mirror(1, MirrorOrder(kind="difference"))
            await mirrored(source, target)

    run(scenario())


def test_stand_in_is_told_that_the_last_mirror_was_stopped() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        volume_of(source).free.set()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            volume_of(source).free.clear()
            volume_of(source).waiting.clear()
            await source.service.start_mirror(1, MirrorOrder(kind="full"))
            await until(volume_of(source).waiting.is_set)
            await source.service.orders.order_mirror(1, "stop")
            await until(lambda: target.service.target_connections()[0].state == "remirror-required")
            await target.stop()
            await target.start()
            assert target.service.target_connections()[0].state == "remirror-required"
            await target.service.standing_in.stand_in("WEB1")
            (event,) = [e for e in target.events.after(0) if e.code == EventCode.RESTORE_REQUIRED]
            assert "stopped before it was complete" in event.text

    run(scenario())


def test_stand_in_is_told_that_a_mirror_was_under_way() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        volume_of(source).free.set()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await target.service.standing_in.stand_in("WEB1")
            (event,) = [e for e in target.events.after(0) if e.code == EventCode.RESTORE_REQUIRED]
            assert "mirror" not in event.text
            await source.service.disconnect(1)
            volume_of(source).free.clear()
            volume_of(source).waiting.clear()
            await half_way(source, target.service.port, mirror="full", recognise_restore=False)
            await until(lambda: target.service.target_connections()[0].mirroring)
            await target.service.standing_in.stand_in("WEB1")
            event = [e for e in target.events.after(0) if e.code == EventCode.RESTORE_REQUIRED][-1]
            assert "its last mirror was not complete" in event.text

    run(scenario())


def test_verification_whose_repair_is_stopped_is_interrupted() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        volume_of(source).free.set()
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            volume_of(source).free.clear()
            volume_of(source).waiting.clear()
            target.volume.change(RemoveFile(f"{ROOT}/m-held"))
            source.service.verify(1, VerificationOptions(repair=True))
            await until(volume_of(source).waiting.is_set)
            await source.service.orders.order_mirror(1, "stop")
            (report,) = source.service.verifier.reports()
            await until(lambda: source.service.verifier.reports()[0].state == "interrupted")
            assert "ended before it was complete" in source.service.verifier.reports()[0].detail
            assert not report.repaired
            assert source.state() == "mirror-incomplete"

    run(scenario())


def test_connecting_again_mirrors_what_was_stopped() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        async with running(source, target):
            await half_way(source, target.service.port)
            await source.service.orders.order_mirror(1, "stop")
            volume_of(source).free.set()
            await protect(source, target.service.port)
            await mirrored(source, target)

    run(scenario())


def test_directory_renamed_into_the_set_after_a_stop_waits_for_the_next_mirror() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        source.mkdir("/beside")
        source.put("/beside/file", b"unseen")
        async with running(source, target):
            await half_way(source, target.service.port)
            await source.service.orders.order_mirror(1, "stop")
            source.volume.do(Rename("/beside", f"{ROOT}/beside"))
            source.volume.do(MakeDirectory(f"{ROOT}/marker", Metadata()))
            await until(lambda: f"{ROOT}/marker" in target.volume.nodes)
            assert target.service.target_connections()[0].state == "mirror-required"
            volume_of(source).free.set()
            await source.service.start_mirror(1)
            await mirrored(source, target)

    run(scenario())


# --- progress ---


def test_tally_leaves_pauses_out_and_estimates_the_rest() -> None:
    now = 100.0
    tally = Tally(lambda: now)
    assert tally.progress() == Progress(remaining=None)
    tally.expect(4, 400_000)
    tally.calculated()
    tally.find(2, 200_000)
    now = 110.0
    tally.sent(60_000)
    tally.skipped(40_000)
    tally.file()
    half = tally.progress()
    assert (half.files_done, half.files_total, half.bytes_done, half.bytes_total) == (1, 4, 100_000, 400_000)
    assert (half.bytes_skipped, half.rate, half.calculated) == (40_000, 10_000.0, True)
    assert half.remaining == pytest.approx(30.0)
    tally.pause()
    now = 500.0
    assert tally.progress() == half
    tally.pause()
    tally.resume()
    assert tally.progress() == half
    tally.resume()
    now = 520.0
    tally.sent(300_000)
    tally.end()
    now = 900.0
    whole = tally.progress()
    assert (whole.files_done, whole.files_total, whole.bytes_total, whole.remaining) == (1, 1, 400_000, 0.0)
    assert whole.rate == pytest.approx(400_000 / 30)


def test_progress_counts_what_was_sent_and_what_need_not_be() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            first = status(source).mirror
            assert (first.files_done, first.files_total) == (3, 3)
            assert (first.bytes_done, first.bytes_total, first.bytes_skipped) == (380_000, 380_000, 0)
            source.volume.do(Write(f"{ROOT}/a-first", 70_000, b"changed", 77_000))
            await until(lambda: same(source, target))
            target.volume.nodes[f"{ROOT}/a-first"].data[70_000] = 1
            await source.service.start_mirror(1, MirrorOrder(kind="checksum"))
            await until(lambda: source.state() == "replicating")
            second = status(source).mirror
            assert (second.bytes_done, second.bytes_total) == (380_000, 380_000)
            assert second.bytes_skipped == 380_000 - BLOCK_BYTES
            assert status(source).mirror_end is None

    run(scenario())


def test_calculated_mirror_knows_the_whole_before_it_sends() -> None:
    async def scenario() -> None:
        source, target = seeded(Held()), Site("WEB2")
        source.mkdir(f"{ROOT}/z-deep")
        source.put(f"{ROOT}/z-deep/file", b"x" * 1000)
        async with running(source, target):
            await half_way(source, target.service.port, calculate=True)
            now = status(source)
            assert (now.mirror.files_total, now.mirror.bytes_total, now.mirror.calculated) == (4, 381_000, True)
            assert now.mirror.bytes_done < 381_000
            assert now.mirror_end is not None
            assert now.mirror_end > source.host.clock.now() - timedelta(seconds=1)
            await source.service.orders.order_mirror(1, "pause")
            assert status(source).mirror_end is None
            volume_of(source).free.set()
            await source.service.orders.order_mirror(1, "resume")
            await mirrored(source, target)

    run(scenario())


def test_mirror_that_is_paused_while_it_calculates_shows_that_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    original = MemoryVolume.list_directory
    free = asyncio.Event()

    async def list_directory(self: MemoryVolume, path: str) -> Any:
        if path == f"{ROOT}/deep" and self.sinks:
            await free.wait()
        return await original(self, path)

    monkeypatch.setattr(MemoryVolume, "list_directory", list_directory)

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.mkdir(f"{ROOT}/deep")
        async with running(source, target):
            await protect(source, target.service.port, calculate=True)
            await until(lambda: source.service.connections()[0].mirror_state == "calculating")
            await source.service.orders.order_mirror(1, "pause")
            free.set()
            await until(lambda: status(source).applied == status(source).generated)
            assert status(source).mirror_state == "paused"
            assert ROOT not in target.volume.nodes
            await source.service.orders.order_mirror(1, "resume")
            await mirrored(source, target)

    run(scenario())


def test_scan_yields_each_directory_once_with_what_is_selected() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        for path in ("/web", "/web/a", "/web/b", "/web/b/skip", "/web/b/c"):
            volume.change(MakeDirectory(path, Metadata()))
        for path in ("/web/f", "/web/b/skip/no", "/web/b/c/yes"):
            volume.change(CreateFile(path, Metadata(), 1))
        rules = ReplicationSet(name="web", rules=[Rule(path="/web"), Rule(path="/web/b/skip", include=False)])
        selection = Selection(rules, case_sensitive=True, protected=[])
        found = [
            (path, [e.path for e in entries]) async for path, entries in listings(volume, selection, ["/web", "/x"])
        ]
        assert found == [
            ("/web", ["/web/a", "/web/b", "/web/f"]),
            ("/web/a", []),
            ("/web/b", ["/web/b/c"]),
            ("/web/b/c", ["/web/b/c/yes"]),
        ]

    run(scenario())


# --- large directories ---


def test_large_directory_is_read_once_on_the_target_however_many_pages_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading it for every page would take the square of its size."""
    looked: list[str] = []
    original = MemoryVolume.list_directory

    async def list_directory(self: MemoryVolume, path: str) -> Any:
        looked.append(f"{'source' if self.sinks else 'target'} {path}")
        return await original(self, path)

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        for number in range(1500):
            source.put(f"{ROOT}/{number:04}-{'x' * 100}", b"")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            monkeypatch.setattr(MemoryVolume, "list_directory", list_directory)
            before = status(source).generated
            await source.service.start_mirror(1)
            await until(lambda: status(source).mirror_state == "complete")
            assert status(source).generated - before > 6  # start, volume, root, several pages, settle, complete
            assert looked.count(f"target {ROOT}") == 1
            source.volume.change(RemoveFile(f"{ROOT}/z-last"))
            target.volume.change(RemoveFile(f"{ROOT}/a-first"))
            await source.service.start_mirror(1, MirrorOrder(orphans="delete"))
            await mirrored(source, target)

    run(scenario())
