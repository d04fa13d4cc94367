from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.peers import pin
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import ROOT, WEB, Relay, Site, mirrored, protect, request, running, same, until

from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.replication.intake import Intake
from bodydouble.replication.protocol import Welcome
from bodydouble.replication.source import SourceConnection
from bodydouble.replication.target import TargetSession
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import MakeDirectory, Metadata, RemoveFile, Rename, Write
from bodydouble.vocabulary.records import ReplicationSet, RestoreRequest, Rule

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.vocabulary.records import Role


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded(name: str = "WEB1", **settings: Any) -> Site:
    site = Site(name, **settings)
    site.mkdir(ROOT)
    site.mkdir(f"{ROOT}/images")
    site.put(f"{ROOT}/index.htm", b"hello")
    site.put(f"{ROOT}/images/big.bin", bytes(range(256)) * 1000)
    site.put(f"{ROOT}/empty", b"")
    return site


def test_mirror_then_replication_make_the_replica_equal() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            source.put(f"{ROOT}/new.htm", b"x" * 700_000)
            source.volume.do(Rename(f"{ROOT}/index.htm", f"{ROOT}/default.htm"))
            await until(lambda: same(source, target))
            counters = source.service.counters()
            await until(lambda: source.service.connections()[0].queue_operations == 0)
            assert counters.operations_generated
            assert target.service.target_connections()[0].source == "WEB1"

    run(scenario())


def test_replica_is_at_every_moment_a_prefix_of_the_source() -> None:
    run(_prefix_scenario())


def test_swapped_operations_are_noticed_by_the_prefix_check(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Intake.next

    async def swapped(self: Intake) -> Any:
        return list(reversed(await original(self)))

    async def scenario() -> None:
        async def plant() -> None:
            monkeypatch.setattr(Intake, "next", swapped)

        with pytest.raises((AssertionError, TimeoutError)):
            await _prefix_scenario(plant)

    run(scenario())


def test_dropped_write_is_noticed_by_the_prefix_check(monkeypatch: pytest.MonkeyPatch) -> None:
    from bodydouble.replication.stream import SourceStream  # noqa: PLC0415 - the defect's place

    original = SourceStream._queue_operation

    def dropping(self: SourceStream, body: Any) -> bool:
        return True if isinstance(body, Write) and body.data == b"record 7" else original(self, body)

    async def scenario() -> None:
        async def plant() -> None:
            monkeypatch.setattr(SourceStream, "_queue_operation", dropping)

        with pytest.raises((AssertionError, TimeoutError)):
            await _prefix_scenario(plant)

    run(scenario())


async def _prefix_scenario(plant: Any = None) -> None:
    source, target = seeded(), Site("WEB2")
    async with running(source, target):
        await protect(source, target.service.port)
        await mirrored(source, target)
        if plant is not None:
            await plant()
        prefixes = [source.volume.picture(ROOT)]
        seen = []
        target.volume.on_applied = lambda _op: seen.append(target.volume.picture(ROOT))
        for number in range(40):
            source.time += 1000
            source.volume.do(Write(f"{ROOT}/index.htm", number * 8, b"record %d" % number, source.time))
            prefixes.append(source.volume.picture(ROOT))
            if number % 10 == 0:
                await asyncio.sleep(0)
        await asyncio.wait_for(until(lambda: same(source, target)), 2)
        assert all(picture in prefixes for picture in seen)
        assert len(seen) == 40


def test_broken_connection_resumes_without_a_mirror() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            relay.open = False
            relay.cut()
            for number in range(20):
                source.put(f"{ROOT}/while-away-{number}", b"queued")
            await until(lambda: source.state() == "retrying")
            relay.open = True
            await mirrored(source, target)
            assert EventCode.RESUMED in source.codes()
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    run(scenario())


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_restarted_source_remirrors(how: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            await getattr(source, how)()
            source.put(f"{ROOT}/unseen", b"nobody watched")
            source.volume.do(RemoveFile(f"{ROOT}/empty"))
            if how == "crash":  # same size and time, other content
                target.volume.nodes[f"{ROOT}/index.htm"].data = bytearray(b"zeros")
            await source.start()
            await until(lambda: source.state() == "replicating")
            assert target.volume.picture(f"{ROOT}/unseen") == source.volume.picture(f"{ROOT}/unseen")
            assert target.volume.picture(f"{ROOT}/index.htm") == source.volume.picture(f"{ROOT}/index.htm")
            assert target.volume.get(f"{ROOT}/empty") is not None  # orphans are kept unless asked otherwise

    run(scenario())


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_restarted_target_resumes_without_a_mirror(how: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            await getattr(target, how)()
            source.put(f"{ROOT}/meanwhile", b"the source watched")
            source.volume.do(RemoveFile(f"{ROOT}/empty"))
            await target.start()
            await until(lambda: EventCode.RESUMED in source.codes())
            await mirrored(source, target)
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    run(scenario())


def test_without_remirror_after_reconnect_transmission_waits_for_the_operator() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port, remirror_after_reconnect=False)
            await mirrored(source, target)
            await source.stop()
            source.put(f"{ROOT}/unseen", b"x")
            await source.start()
            await until(lambda: source.state() == "mirror-required")
            assert not same(source, target)
            await source.service.start_mirror(1)
            await mirrored(source, target)

    run(scenario())


@pytest.mark.parametrize("action", ["keep", "log", "delete"])
def test_orphans_are_treated_as_asked_and_only_inside_the_rules(action: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        for path in ("/web", "/web/old", "/web/private"):
            target.volume.change(MakeDirectory(path, Metadata()))
        for path in ("/web/old/file", "/web/private/own"):
            target.put(path, b"only here")
        rules = [*WEB.rules, Rule(path="/web/private", include=False)]
        async with running(source, target):
            await source.service.save_set(ReplicationSet(name="web", rules=rules))
            await source.service.connect(request(target.service.port, orphans=action))
            await until(lambda: source.state() == "replicating")
            assert (target.volume.get("/web/old/file") is None) == (action == "delete")
            assert target.volume.get("/web/private/own") is not None
            assert (EventCode.ORPHAN in source.codes()) == (action != "keep")

    run(scenario())


@pytest.mark.parametrize("kind", ["full", "checksum"])
def test_mirror_finds_changed_content_of_same_size_and_time(kind: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.put(f"{ROOT}/long", b"abc" * 1_000_000)
        async with running(source, target):
            await protect(source, target.service.port, mirror=kind)
            await mirrored(source, target)
            for name in ("long", "index.htm"):
                target.volume.nodes[f"{ROOT}/{name}"].data[2:3] = b"?"
            await until(lambda: source.service.connections()[0].queue_operations == 0)
            await source.service.start_mirror(1)
            await mirrored(source, target)

    run(scenario())


def test_exhausted_queue_disconnects_and_remirrors() -> None:
    async def scenario() -> None:
        source, target = seeded(queue_bytes=400_000, disk_queue_bytes=0, mirror_window_bytes=200_000), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.gate.clear()
            for number in range(60):
                source.put(f"{ROOT}/burst-{number}", b"x" * 10_000)
            target.volume.gate.set()
            await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)
            await mirrored(source, target)
            codes = source.codes()
            assert codes.index(EventCode.AUTO_DISCONNECT) < codes.index(EventCode.AUTO_DISCONNECTED)
            assert EventCode.AUTO_RECONNECTING in codes

    run(scenario())


def test_edited_replica_is_noticed_and_mirrored_again() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            del target.volume.nodes[f"{ROOT}/index.htm"]
            source.volume.do(Write(f"{ROOT}/index.htm", 0, b"H", 99_000))
            await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)
            await mirrored(source, target)
            assert EventCode.REPLICATION_ERROR in source.codes()

    run(scenario())


def test_files_renamed_over_the_border_of_the_set_appear_and_vanish() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.mkdir("/elsewhere")
        source.mkdir("/elsewhere/tree")
        source.put("/elsewhere/tree/file", b"prepared outside")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            source.volume.do(Rename("/elsewhere/tree", f"{ROOT}/tree"))
            source.volume.do(Write(f"{ROOT}/tree/file", 3, b"!", 77_000))
            source.volume.do(Rename(f"{ROOT}/images", "/elsewhere/images"))
            await mirrored(source, target)
            assert target.volume.get(f"{ROOT}/images") is None

    run(scenario())


def test_a_source_that_is_paired_with_no_target_says_so_and_connects_once_it_is() -> None:
    async def scenario() -> None:
        source, target = seeded(slow_retry_interval=60.0), Site("WEB2")
        async with running(source, target):
            await source.trust.remove("WEB2")
            await protect(source, target.service.port)
            await until(lambda: source.state() == "error")
            assert "'bodydouble pair offer'" in source.service.connections()[0].detail
            await pin(source.trust, "WEB2")
            await mirrored(source, target)

    run(scenario())


def test_a_target_that_removed_the_source_gives_it_no_answer_and_ends_what_runs() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await target.trust.remove("WEB1")
            await until(lambda: "paired there" in source.service.connections()[0].detail)
            assert not target.service.target_connections()[0].connected
            source.put(f"{ROOT}/later", b"kept in the queue")
            await pin(target.trust, "WEB1")
            await mirrored(source, target)
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1, "it resumed"

    run(scenario())


def test_another_paired_machine_at_the_targets_address_gets_nothing() -> None:
    async def scenario() -> None:
        source, target, other = seeded(), Site("WEB2"), Site("WEB3")
        async with running(source, target, other), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            relay._target = lambda: other.service.port
            relay.cut()
            await until(lambda: source.state() == "error")
            assert "another machine than before" in source.service.connections()[0].detail
            assert other.service.target_connections() == []
            await source.service.connect(request(relay.port))
            await mirrored(source, other)

    run(scenario())


@pytest.mark.parametrize(("side", "role"), [("source", "source"), ("target", "target")])
def test_a_machine_that_has_not_the_role_is_refused(side: str, role: Role) -> None:
    """The source knows its peer as a source only; or the target knows its own as a target only."""

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            site, other = (source, "WEB2") if side == "source" else (target, "WEB1")
            await site.trust.remove(other)
            await pin(site.trust, other, (role,))
            await protect(source, target.service.port)
            await until(lambda: source.state() == "error")
            assert "paired" in source.service.connections()[0].detail
            assert target.service.target_connections() == []

    run(scenario())


def test_second_source_for_the_same_data_is_refused_while_one_is_connected() -> None:
    async def scenario() -> None:
        source, other, target = seeded(), seeded("WEB9"), Site("WEB2")
        async with running(source, other, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await protect(other, target.service.port)
            await until(lambda: "second source" in other.service.connections()[0].detail)
            await source.service.disconnect(1)
            await until(lambda: other.state() == "replicating")

    run(scenario())


def test_same_source_under_other_case_takes_its_slot_over() -> None:
    async def scenario() -> None:
        source, target = seeded(peer_timeout=60.0), Site("WEB2", peer_timeout=60.0)
        twin = seeded("web1")
        async with running(source, target, twin):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.disconnect(1)
            await protect(twin, target.service.port)
            await until(lambda: twin.state() == "replicating")
            assert len(target.service.target_connections()) == 1

    run(scenario())


def test_silent_peer_is_noticed_by_the_source() -> None:
    async def scenario() -> None:
        source, target = seeded(peer_timeout=0.2), Site("WEB2", ping_interval=60.0)
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: any("silent" in event.text for event in source.events.after(0)))

    run(scenario())


def test_standing_in_refuses_the_source_until_a_restoration_completes() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.crash()
            await target.service.standing_in.stand_in("web1")
            await target.stop()
            await target.start()  # the mark is durable
            source.settings = source.settings
            target.put(f"{ROOT}/index.htm", b"newer data of the stand-in")
            target.put(f"{ROOT}/order-1", b"an order")
            target.volume.do(RemoveFile(f"{ROOT}/empty"))
            newer = target.volume.picture(ROOT)
            await source.start()
            await source.service.connect(request(target.service.port))
            await until(lambda: "restore-required" in [c.state for c in source.service.connections()])
            assert target.volume.picture(ROOT) == newer
            restore = RestoreRequest(
                original_source="WEB1", replication_set="web", restore_to="127.0.0.1", port=source.service.port
            )
            await target.restoration.restore(restore)
            await until(lambda: target.restoration.restorations()[0].state == "complete")
            assert source.volume.picture(ROOT) == newer
            last = source.service.connections()[-1]
            again = await source.service.connect(request(target.service.port))
            assert again.id == last.id
            await until(lambda: source.service.connections()[-1].state == "replicating")
            source.put(f"{ROOT}/after", b"normal again")
            await until(lambda: same(source, target))
            assert EventCode.RESTORE_COMPLETE in target.codes()
            assert not target.service.target_connections()[0].restore_required

    run(scenario())


def test_ignored_restore_required_loses_the_newer_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TargetSession, "_blocked", lambda *_: False)

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            await source.stop()
            await target.service.standing_in.stand_in("WEB1")
            target.put(f"{ROOT}/index.htm", b"newer data")
            await source.start()
            await until(lambda: source.state() == "replicating")
            assert target.volume.nodes[f"{ROOT}/index.htm"].data == b"hello"

    run(scenario())


@pytest.mark.parametrize("remirror", [True, False])
def test_version_4_1_mirrors_over_the_stand_in_unless_the_option_is_off(remirror: bool) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(
                source, target.service.port, recognise_restore=False, remirror_after_reconnect=remirror, mirror="full"
            )
            await mirrored(source, target)
            await source.stop()
            await target.service.standing_in.stand_in("WEB1")
            target.put(f"{ROOT}/index.htm", b"newer data")
            await source.start()
            await until(lambda: source.state() == ("replicating" if remirror else "mirror-required"))
            lost = target.volume.nodes[f"{ROOT}/index.htm"].data == b"hello"
            assert lost == remirror

    run(scenario())


def test_restoration_without_a_filter_or_a_replica() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        target.volume.no_filter = True
        async with running(source, target):
            restore = RestoreRequest(
                original_source="WEB1", replication_set="web", restore_to="127.0.0.1", port=source.service.port
            )
            with pytest.raises(InputError):
                await target.restoration.restore(restore)
            await protect(source, target.service.port)
            await mirrored(source, target)
            await target.restoration.restore(restore)
            with pytest.raises(ConnectionStateError):
                await target.restoration.restore(restore)
            await until(lambda: target.restoration.restorations()[0].state == "complete")
            await mirrored(source, target)

    run(scenario())


@pytest.mark.parametrize("stood_in", [True, False])
def test_restoration_to_nowhere_fails_and_leaves_the_mark_as_it_was(*, stood_in: bool) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2", retry_interval=0.001)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            port = source.service.port
            await source.stop()
            if stood_in:
                await target.service.standing_in.stand_in("WEB1")
            await target.restoration.restore(
                RestoreRequest(original_source="WEB1", replication_set="web", restore_to="127.0.0.1", port=port)
            )
            assert target.service.target_connections()[0].restore_required
            await until(lambda: target.restoration.restorations()[0].state == "failed")
            await until(lambda: target.service.target_connections()[0].restore_required is stood_in)
            assert target.restoration.restorations()[0].receiver == ""
            if not stood_in:
                await source.start()
                source.put(f"{ROOT}/order", b"placed")
                await mirrored(source, target)

    run(scenario())


def test_case_insensitive_volumes_match_rules_in_any_case() -> None:
    async def scenario() -> None:
        source = Site("WEB1", MemoryVolume(case_sensitive=False))
        target = Site("WEB2", MemoryVolume(case_sensitive=False))
        source.mkdir("/WEB")
        source.put("/WEB/Index.htm", b"hello")
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: source.state() == "replicating")
            source.put("/Web/index.HTM", b"again")
            await until(lambda: same(source, target))

    run(scenario())


def test_changed_set_is_mirrored_again() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.mkdir("/more")
        source.put("/more/file", b"x")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.save_set(ReplicationSet(name="web", rules=[*WEB.rules, Rule(path="/more")]))
            await until(lambda: same(source, target, "/more"))
            with pytest.raises(ConnectionStateError):
                await source.service.delete_set("web")

    run(scenario())


def test_source_obeys_the_targets_word() -> None:
    welcome = Welcome(position=None, trusted=True, restore_required=True)
    assert SourceConnection._restore_blocks(object.__new__(SourceConnection), welcome)


@pytest.mark.parametrize("who", ["source", "target"])
def test_queued_write_of_same_size_and_time_survives_a_clean_restart(who: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            await until(lambda: source.service.connections()[0].queue_operations == 0)
            relay.open = False
            relay.cut()
            same_time = source.volume.nodes[f"{ROOT}/index.htm"].mtime
            source.volume.do(Write(f"{ROOT}/index.htm", 0, b"HELLO", same_time))
            site = source if who == "source" else target
            await site.stop()
            await site.start()
            relay.open = True
            await mirrored(source, target)

    run(scenario())


def test_cancelled_service_leaves_no_task_and_no_socket() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            port = target.service.port
        await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with pytest.raises(OSError, match=r"refused|Connect"):
            await asyncio.open_connection("127.0.0.1", port)

    run(scenario())
