"""Restorations: stopped, interrupted, of what is missing only; what is said of them meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, Site, mirrored, protect, request, running, same, until

from bodydouble.errors import ConnectionStateError, FileSystemError, InputError
from bodydouble.replication.left import AllButSent
from bodydouble.replication.service import ReplicationService
from bodydouble.replication.stream import SourceStream
from bodydouble.restore import service as service_module
from bodydouble.restore.service import BOOK, RestorationBook, RestorationService
from bodydouble.state.store import StateStore
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeDirectory, Metadata, RemoveFile, SetMetadata, Write
from bodydouble.vocabulary.records import RestoreRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BLOCK = 256 * 1024


class Held(MemoryVolume):
    """A volume on which, once it is armed, reading one file waits: a restoration is met in the middle of it.

    Attributes:
        locked: a file that cannot be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.locked = ""
        self.armed = False
        self.free = asyncio.Event()
        self.waiting = asyncio.Event()

    async def read(self, path: str, offset: int, size: int, stream: str = "") -> bytes:
        if path == self.locked:
            raise FileSystemError("sharing", path)
        if self.armed and path == f"{ROOT}/m-held" and offset:
            self.waiting.set()
            await self.free.wait()
        return await super().read(path, offset, size, stream)

    def arm(self) -> None:
        self.armed = True
        self.free.clear()
        self.waiting.clear()


def restore_of(source: Site, **fields: Any) -> RestoreRequest:
    return RestoreRequest(
        original_source="WEB1", replication_set="web", restore_to="127.0.0.1", port=source.service.port, **fields
    )


def stood_in(main: Callable[[Site, Site, Held], Awaitable[None]]) -> None:
    """Run ``main`` when the target has stood in, its data is newer, and the source is there again."""

    async def scenario() -> None:
        volume = Held()
        source, target = Site("WEB1"), Site("WEB2", volume)
        source.mkdir(ROOT)
        source.put(f"{ROOT}/a-first", b"old")
        source.put(f"{ROOT}/m-held", b"x" * (4 * BLOCK))
        source.put(f"{ROOT}/z-last", b"last")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await target.service.standing_in.stand_in("WEB1")
            target.put(f"{ROOT}/a-first", b"newer data of the stand-in")
            target.put(f"{ROOT}/m-held", b"y" * (4 * BLOCK))
            target.put(f"{ROOT}/order", b"an order")
            volume.arm()
            await main(source, target, volume)

    asyncio.run(scenario())


def state(site: Site) -> str:
    return site.restoration.restorations()[-1].state


async def complete(site: Site) -> None:
    await until(lambda: state(site) == "complete")


def test_a_restoration_that_is_stopped_leaves_the_mark_and_another_one_completes() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        begun = await target.restoration.restore(restore_of(source))
        await volume.waiting.wait()
        with pytest.raises(ConnectionStateError, match="is running"):
            await target.restoration.restore(restore_of(source))
        stopped = await target.restoration.stop(begun.id)
        assert (stopped.state, stopped.detail) == ("stopped", "an operator stopped it")
        assert stopped.ended is not None
        assert EventCode.RESTORE_STOPPED in target.codes()
        assert EventCode.RESTORE_FAILED not in target.codes()
        assert target.service.target_connections()[0].restore_required
        with pytest.raises(ConnectionStateError, match="is stopped: it cannot be stopped"):
            await target.restoration.stop(begun.id)
        with pytest.raises(InputError, match="no restoration 9"):
            await target.restoration.stop(9)
        volume.free.set()
        assert (await target.restoration.restore(restore_of(source))).id == begun.id + 1
        await complete(target)
        assert source.volume.picture(ROOT) == target.volume.picture(ROOT)

    stood_in(main)


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_a_restoration_goes_on_by_its_number_after_a_restart_or_a_power_loss(end: str) -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        begun = await target.restoration.restore(restore_of(source))
        await volume.waiting.wait()
        await getattr(target, end)()
        volume.free.set()
        newer = target.volume.picture(ROOT)
        await target.start()
        await complete(target)
        assert [(each.id, each.state) for each in target.restoration.restorations()] == [(begun.id, "complete")]
        assert source.volume.picture(ROOT) == newer
        assert not target.service.target_connections()[0].restore_required
        assert EventCode.RESTORE_FAILED not in target.codes()
        assert any("begun again after a restart" in event.text for event in target.events.after(0))
        await target.stop()
        await target.start()
        assert [each.state for each in target.restoration.restorations()] == ["complete"]

    stood_in(main)


async def interrupted_at_the_very_end(source: Site, target: Site, volume: Held) -> bytes:
    """The power goes after the mark was cleared and before the restoration is noted as complete."""
    volume.free.set()
    await target.restoration.restore(restore_of(source))
    await complete(target)
    await until(lambda: source.state() == "replicating")
    await target.stop()
    store = StateStore(volume, "/state", target.host.clock)
    book = await store.load(BOOK, RestorationBook)
    assert book is not None
    running_again = [msgspec.structs.replace(each, state="running") for each in book.restorations]
    await store.save(BOOK, RestorationBook(book.next_id, running_again))
    source.put(f"{ROOT}/order", b"the source went on")
    await target.start()
    await complete(target)
    return bytes(source.volume.nodes[f"{ROOT}/order"].data)


def test_a_restoration_whose_mark_is_gone_was_complete_and_is_not_begun_again() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        assert await interrupted_at_the_very_end(source, target, volume) == b"the source went on"

    stood_in(main)


def test_one_that_is_begun_again_all_the_same_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: what the source wrote since would be lost."""

    async def begin(service: Any, restoration: Any) -> None:
        await service._begin(restoration)

    monkeypatch.setattr(service_module.RestorationService, "_take_up", begin)

    async def main(source: Site, target: Site, volume: Held) -> None:
        assert await interrupted_at_the_very_end(source, target, volume) != b"the source went on"

    stood_in(main)


def test_a_restoration_that_cannot_be_begun_again_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        await target.restoration.restore(restore_of(source))
        await volume.waiting.wait()
        await target.stop()
        volume.free.set()

        def refuse(_service: ReplicationService, part: Any, name: str) -> None:
            part.close()
            if name.startswith("bodydouble-restoration"):
                raise ConnectionStateError("planted")

        with monkeypatch.context() as patched:
            patched.setattr(ReplicationService, "spawn", refuse)
            await target.start()
        (status,) = target.restoration.restorations()
        assert (status.state, status.detail) == ("failed", "not begun again after a restart: planted")
        assert target.service.target_connections()[0].restore_required
        await target.restoration.restore(restore_of(source))

    stood_in(main)


def test_only_what_is_missing_is_restored_when_nothing_may_be_overwritten() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        source.put(f"{ROOT}/a-first", b"right as it is")
        source.volume.do(RemoveFile(f"{ROOT}/z-last"))
        source.volume.do(RemoveFile(f"{ROOT}/m-held"))
        source.volume.do(MakeDirectory(f"{ROOT}/order", Metadata()))  # a directory where the stand-in has a file
        await target.restoration.restore(restore_of(source, missing_only=True, orphans="keep"))
        await complete(target)
        nodes = source.volume.nodes
        assert bytes(nodes[f"{ROOT}/a-first"].data) == b"right as it is"
        assert bytes(nodes[f"{ROOT}/z-last"].data) == b"last"
        assert bytes(nodes[f"{ROOT}/m-held"].data) == b"y" * (4 * BLOCK)
        assert nodes[f"{ROOT}/order"].data is None or not nodes[f"{ROOT}/order"].data
        (status,) = target.restoration.restorations()
        assert status.left_alone == 2
        assert any("2 files were left alone" in event.text for event in target.events.after(0))

    stood_in(main)


def test_more_files_may_be_left_than_a_mirror_would_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bodydouble.replication.left.LeftFiles.__init__.__defaults__", (1,))

    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        await target.restoration.restore(restore_of(source, missing_only=True, orphans="keep"))
        await complete(target)
        assert target.restoration.restorations()[0].left_alone == 3

    stood_in(main)


def test_a_restoration_of_what_is_missing_remembers_no_more_for_more_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AllButSent.__init__, "__defaults__", (5,))
    remembered: list[int] = []
    add = AllButSent.add

    def counted(left: AllButSent, path: str) -> bool:
        remembered.append(len(left._paths))
        return add(left, path)

    monkeypatch.setattr(AllButSent, "add", counted)

    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        for number in range(300):
            target.put(f"{ROOT}/file {number}", b"of the stand-in")
            if number % 3:
                source.put(f"{ROOT}/file {number}", b"right as it is")
        await target.restoration.restore(restore_of(source, missing_only=True, orphans="keep"))
        await complete(target)
        assert target.restoration.restorations()[0].left_alone == 203
        assert max(remembered) <= 5

    stood_in(main)


def used_meanwhile(moment: str) -> tuple[bytes, bytes]:
    """An application writes into a file that was left alone, and marks a directory of such; what is in both then.

    Args:
        moment: ``during`` the mirror, or when it is ``over`` and the restoration not yet.
    """
    found: list[bytes] = []

    async def main(source: Site, target: Site, volume: Held) -> None:
        waiting, going = asyncio.Event(), asyncio.Event()
        finish = RestorationService._complete

        async def later(service: Any, restoration: Any, replica: Any) -> None:
            waiting.set()
            await going.wait()
            await finish(service, restoration, replica)

        for site in (source, target):
            site.mkdir(f"{ROOT}/d")
        source.put(f"{ROOT}/d/left", b"right as it is")
        target.put(f"{ROOT}/d/left", b"of the stand-in")
        source.put(f"{ROOT}/a-first", b"right as it is, in its 40 bytes and more")
        source.volume.do(RemoveFile(f"{ROOT}/m-held"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RestorationService, "_complete", later)
            if moment == "over":
                volume.free.set()
            await target.restoration.restore(restore_of(source, missing_only=True, orphans="keep"))
            await (waiting if moment == "over" else volume.waiting).wait()
            volume.do(SetMetadata(f"{ROOT}/d", Metadata(0o700)))
            volume.do(Write(f"{ROOT}/a-first", 6, b"DATA", 9))
            volume.free.set()
            await until(lambda: source.volume.nodes[f"{ROOT}/d"].metadata == Metadata(0o700))
            await until(lambda: b"DATA" in source.volume.nodes[f"{ROOT}/a-first"].data)
            connection = target.restoration._restorations[1].connection
            assert connection is not None
            await until(lambda: connection.stream is not None and not connection.stream.mirroring)
            going.set()
            await complete(target)
        found.extend(bytes(source.volume.nodes[f"{ROOT}/{name}"].data) for name in ("a-first", "d/left"))

    stood_in(main)
    return found[0], found[1]


@pytest.mark.parametrize("moment", ["during", "over"])
def test_a_file_that_was_left_is_sent_whole_when_an_application_writes_into_it(moment: str) -> None:
    assert used_meanwhile(moment) == (b"newer DATA of the stand-in", b"right as it is")


def test_bytes_written_into_a_file_that_was_left_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: what is not remembered is not sent."""
    monkeypatch.setattr(AllButSent, "changed", lambda *_: "")
    assert used_meanwhile("over")[0] == b"right DATAt is, in its 40 bytes and more"


def test_what_is_beneath_a_directory_that_was_marked_is_seen_to_be_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: a change of a directory has all sent that is in it."""
    monkeypatch.setattr(SourceStream, "_send_left", lambda self, path: self._appeared(path, shallow=False))
    assert used_meanwhile("over")[1] == b"of the stand-in"


def test_newer_and_missing_contradict_each_other() -> None:
    async def main(source: Site, target: Site, _volume: Held) -> None:
        with pytest.raises(InputError, match="contradict"):
            await target.restoration.restore(restore_of(source, missing_only=True, newer_only=True))

    stood_in(main)


def test_what_could_be_restored_and_what_is_being_restored_is_shown() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        (offered,) = target.restoration.restorable()
        assert (offered.original_source, offered.required, offered.complete) == ("WEB1", True, True)
        assert offered.replication_set == source.service.sets()[0]
        assert target.restoration.figures() == []
        await target.restoration.restore(restore_of(source))
        await volume.waiting.wait()
        (figures,) = target.restoration.figures()
        assert (figures.files_total, figures.target) == (4, f"127.0.0.1:{source.service.port}")
        assert figures.bytes_total > 4 * BLOCK > figures.bytes_done
        (status,) = target.restoration.restorations()
        assert status.progress.calculated
        assert status.progress.remaining is not None
        volume.free.set()
        await complete(target)
        assert target.restoration.figures() == []
        assert not target.restoration.restorable()[0].required

    stood_in(main)


def test_the_source_that_kept_its_connection_connects_again_by_itself() -> None:
    async def main(source: Site, target: Site, volume: Held) -> None:
        volume.free.set()
        await until(lambda: source.state() == "restore-required")
        await target.restoration.restore(restore_of(source))
        await complete(target)
        await until(lambda: source.state() == "replicating")
        source.put(f"{ROOT}/after", b"normal again")
        await until(lambda: same(source, target))

    stood_in(main)


def test_a_source_of_41_is_given_its_data_too() -> None:
    """It would have mirrored over the stand-in: the restoration keeps it off while it runs."""

    async def main(source: Site, target: Site, volume: Held) -> None:
        await target.restoration.restore(restore_of(source))
        await volume.waiting.wait()
        await source.service.connect(request(target.service.port, recognise_restore=False))
        volume.free.set()
        await complete(target)
        assert bytes(source.volume.nodes[f"{ROOT}/order"].data) == b"an order"

    stood_in(main)
