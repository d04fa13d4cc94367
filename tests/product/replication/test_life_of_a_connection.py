"""States of both sides and what moves them: pause, route, auto-reconnect, disconnect, by hand and over restarts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.product.replication.site import ROOT, Relay, Site, mirrored, protect, request, running, same, until

from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.replication.applier import Applier
from bodydouble.replication.replica import ReplicaRecord
from bodydouble.replication.standing import standing
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.vocabulary.records import ConnectionStatus, TargetConnectionStatus


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded(name: str = "WEB1", **settings: Any) -> Site:
    site = Site(name, **settings)
    site.mkdir(ROOT)
    site.put(f"{ROOT}/index.htm", b"hello")
    return site


def status(source: Site) -> ConnectionStatus:
    return source.service.connections()[0]


def side(target: Site) -> TargetConnectionStatus:
    return target.service.target_connections()[0]


async def pause(target: Site, *, paused: bool = True) -> None:
    await target.service.orders.pause_target("WEB1", "web", paused=paused)


# --- the target's states --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, "mirror-required"),
        ({"mirroring": True}, "mirroring"),
        ({"complete": True, "ever_complete": True}, "ok"),
        ({"ever_complete": True}, "remirror-required"),
        ({"complete": True, "full": True}, "queue-full"),
        ({"mirroring": True, "waiting": True}, "retrying"),
        ({"mirroring": True, "waiting": True, "full": True, "paused": True}, "paused"),
        ({"complete": True, "paused": True, "restore_required": True}, "restore-required"),
    ],
)
def test_the_target_stands_as_its_operator_most_needs_to_know(facts: dict[str, bool], state: str) -> None:
    seen = {name: facts.get(name, False) for name in ("mirroring", "waiting", "full")}
    kept: dict[str, Any] = {name: value for name, value in facts.items() if name not in seen}
    record = ReplicaRecord(number=1, source="A", replication_set=ReplicationSet("web", [Rule(ROOT)]), **kept)
    assert standing(record, **seen) == state


def test_both_sides_show_the_same_states_from_the_first_mirror_on() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        target.volume.gate.clear()
        async with running(source, target):
            await protect(source, target.service.port)
            await until(lambda: status(source).target_state == "mirror-required")
            assert side(target).state == "mirror-required"
            target.volume.gate.set()
            await until(lambda: status(source).target_state == side(target).state == "ok")
            await target.service.standing_in.stand_in("WEB1")
            await until(lambda: status(source).state == "restore-required")
            assert status(source).target_state == side(target).state == "restore-required"

    run(scenario())


def test_a_target_that_cannot_apply_is_retrying_and_the_source_sees_it() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            target.volume.fail = lambda op: "no_space" if op.path.startswith(ROOT) else None
            source.put(f"{ROOT}/big", b"x")
            await until(lambda: status(source).target_state == side(target).state == "retrying")
            assert "no_space" in side(target).detail
            target.volume.fail = lambda _op: None
            await until(lambda: status(source).target_state == side(target).state == "ok")
            assert same(source, target)

    run(scenario())


# --- pause target ---------------------------------------------------------------------------------------------------


def test_a_paused_target_receives_and_acknowledges_and_applies_nothing() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await pause(target)
            await until(lambda: status(source).target_state == side(target).state == "paused")
            before = target.volume.picture(ROOT)
            source.put(f"{ROOT}/order", b"placed")
            await until(lambda: status(source).acknowledged == status(source).generated > status(source).applied)
            assert target.volume.picture(ROOT) == before
            assert side(target).queue_operations > 0
            await pause(target, paused=False)
            await until(lambda: same(source, target))
            await until(lambda: status(source).target_state == "ok")
            assert [EventCode.TARGET_PAUSED in site.codes() for site in (source, target)] == [True, True]
            assert [EventCode.TARGET_RESUMED in site.codes() for site in (source, target)] == [True, True]

    run(scenario())


def test_the_pause_outlives_the_targets_restart() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            await pause(target)
            source.put(f"{ROOT}/order", b"placed")
            await until(lambda: status(source).acknowledged == status(source).generated)
            await target.stop()
            await target.start()
            source.put(f"{ROOT}/another", b"placed")
            await until(lambda: EventCode.RESUMED in source.codes())
            await until(lambda: status(source).acknowledged == status(source).generated)
            assert target.volume.get(f"{ROOT}/order") is None
            await pause(target, paused=False)
            await until(lambda: same(source, target))

    run(scenario())


def test_a_pause_that_is_not_obeyed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: the applier is woken all the same."""

    def wake(self: Applier) -> None:
        if self.queue.pending and (self._task is None or self._task.done()):
            self._task = self._spawn(self._run(), "applier")

    monkeypatch.setattr(Applier, "wake", wake)

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await pause(target)
            source.put(f"{ROOT}/order", b"placed")
            await until(lambda: target.volume.get(f"{ROOT}/order") is not None)

    run(scenario())


def test_a_paused_target_whose_queue_is_full_holds_the_source_back() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2", target_queue_bytes=50_000, receive_bytes=20_000)
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await pause(target)
            for number in range(60):
                source.put(f"{ROOT}/order-{number}", b"x" * 20_000)
            await until(lambda: "queue full" in side(target).detail)
            assert status(source).target_state == "paused"
            assert status(source).queue_operations > 0
            await pause(target, paused=False)
            await until(lambda: same(source, target))
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    run(scenario())


def test_what_a_paused_target_acknowledged_is_not_dropped_for_a_new_mirror() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port)
            await mirrored(source, target)
            await pause(target)
            source.put(f"{ROOT}/order", b"placed")
            await until(lambda: status(source).acknowledged == status(source).generated)
            await source.stop()
            await source.start()
            await until(lambda: "it is paused" in status(source).detail)
            assert side(target).queue_operations > 0
            await pause(target, paused=False)
            await mirrored(source, target)

    run(scenario())


def test_standing_in_ends_the_pause() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await pause(target)
            source.put(f"{ROOT}/order", b"placed")
            await until(lambda: status(source).acknowledged == status(source).generated)
            await source.stop()
            await target.service.standing_in.stand_in("WEB1")
            assert target.volume.nodes[f"{ROOT}/order"].data == b"placed"

    run(scenario())


def test_pausing_what_is_paused_or_not_there_is_refused() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            with pytest.raises(ConnectionStateError, match="not paused"):
                await pause(target, paused=False)
            with pytest.raises(InputError, match="no replica"):
                await target.service.orders.pause_target("WEB7", "web", paused=True)

    run(scenario())


# --- route ----------------------------------------------------------------------------------------------------------


def test_another_route_to_the_same_target_needs_no_mirror() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.orders.reroute(1, "localhost")
            source.put(f"{ROOT}/by-the-new-route", b"x")
            await until(lambda: same(source, target) and source.state() == "replicating")
            assert (status(source).target, status(source).route) == ("127.0.0.1", "localhost")
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1
            assert EventCode.ROUTE_CHANGED in source.codes()
            await source.stop()
            await source.start()
            assert status(source).route == "localhost"

    run(scenario())


def test_a_route_to_another_machine_is_refused_and_nothing_is_written_there() -> None:
    async def scenario() -> None:
        source, target, other = seeded(), Site("WEB2"), Site("WEB3")
        async with running(source, target, other):
            doors = [target.service.port]
            async with Relay(lambda: doors[0]) as relay:
                await protect(source, relay.port)
                await mirrored(source, target)
                doors[0] = other.service.port
                await source.service.orders.reroute(1, "localhost")
                await until(lambda: source.state() == "error")
                assert "another machine than before" in status(source).detail
                assert other.volume.get(ROOT) is None
                doors[0] = target.service.port
                await source.service.orders.reroute(1, "127.0.0.1")
                await until(lambda: source.state() in ("replicating", "mirroring"))
                await until(lambda: same(source, target))

    run(scenario())


@pytest.mark.parametrize("route", ["", "foo..bar"])
def test_a_route_that_is_none_is_refused(route: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            with pytest.raises(InputError):
                await source.service.orders.reroute(1, route)

    run(scenario())


def test_two_connections_to_one_replica_do_not_push_each_other_out() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.connect(request(target.service.port, target="localhost"))
            await until(lambda: "has this replica already" in source.service.connections()[1].detail)
            assert EventCode.AUTO_RECONNECTING not in source.codes()
            assert source.state() == "replicating"

    run(scenario())


# --- auto-reconnect -------------------------------------------------------------------------------------------------


def test_without_auto_reconnect_a_lost_connection_waits_for_an_operator_and_resumes() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port, auto_reconnect=False)
            await mirrored(source, target)
            relay.cut()
            await until(lambda: source.state() == "disconnected")
            source.put(f"{ROOT}/meanwhile", b"x")
            await asyncio.sleep(0.1)  # five times the interval of attempts
            assert source.state() == "disconnected"
            assert not same(source, target)
            await source.service.connect(request(relay.port, auto_reconnect=False))
            await until(lambda: same(source, target) and source.state() == "replicating")
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1
            assert EventCode.AUTO_RECONNECTING not in source.codes()

    run(scenario())


def test_without_auto_reconnect_a_restarted_source_stays_disconnected() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port, auto_reconnect=False)
            await mirrored(source, target)
            await source.stop()
            await source.start()
            await until(lambda: source.state() == "disconnected")
            source.put(f"{ROOT}/unseen", b"x")
            await source.service.connect(request(relay.port, auto_reconnect=False))
            await mirrored(source, target)

    run(scenario())


def test_a_target_that_is_down_at_first_is_waited_for_without_auto_reconnect_too() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            relay.open = False
            await protect(source, relay.port, auto_reconnect=False)
            await until(lambda: source.state() == "retrying")
            relay.open = True
            await mirrored(source, target)

    run(scenario())


def test_a_queue_that_is_exhausted_while_disconnected_is_mirrored_once_an_operator_connects() -> None:
    async def scenario() -> None:
        source, target = seeded(queue_bytes=40_000, disk_queue_bytes=0, mirror_window_bytes=20_000), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port, auto_reconnect=False)
            await mirrored(source, target)
            relay.cut()
            await until(lambda: source.state() == "disconnected")
            for number in range(30):
                source.put(f"{ROOT}/burst-{number}", b"x" * 5_000)
            await source.service.connect(request(relay.port, auto_reconnect=False))
            await until(lambda: source.codes().count(EventCode.MIRROR_COMPLETE) == 2)
            await mirrored(source, target)

    run(scenario())


# --- disconnect -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drain", [True, False])
def test_disconnecting_drops_what_is_queued_or_sends_it_first(*, drain: bool) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.orders.order_transmission(1, "pause")
            for number in range(20):
                source.put(f"{ROOT}/order-{number}", b"placed")
            await source.service.disconnect(1, drain=drain)
            if drain:
                assert status(source).draining
                source.put(f"{ROOT}/late", b"not any more")
                await source.service.orders.order_transmission(1, "resume")
            await until(lambda: not source.service.connections())
            await until(lambda: not side(target).connected and not side(target).queue_operations)
            assert (target.volume.get(f"{ROOT}/order-19") is not None) == drain
            assert target.volume.get(f"{ROOT}/late") is None

    run(scenario())


def test_draining_ends_with_the_daemon_whose_queue_it_is() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            connection = source.service.connection(1)
            connection.drain()
            await source.service.save_connections()
            await source.stop()
            await source.start()
            assert source.service.connections() == []
            assert any("its queue ended with the daemon" in event.text for event in source.events.after(0))

    run(scenario())


def test_connecting_again_ends_a_drain_and_misses_nothing() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.orders.order_transmission(1, "pause")
            source.put(f"{ROOT}/order", b"placed")
            await source.service.disconnect(1, drain=True)
            source.put(f"{ROOT}/unseen", b"x")
            await source.service.connect(request(target.service.port))
            await source.service.orders.order_transmission(1, "resume")
            await mirrored(source, target)
            source.put(f"{ROOT}/later", b"x")
            await until(lambda: same(source, target))
            assert not status(source).draining

    run(scenario())


def test_connecting_by_another_route_changes_the_route() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.connect(request(target.service.port, route="localhost"))
            source.put(f"{ROOT}/more", b"x")
            await until(lambda: same(source, target) and source.state() == "replicating")
            assert status(source).route == "localhost"
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    run(scenario())
