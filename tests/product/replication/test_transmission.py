"""Transmission over real sockets on loopback: by hand, by schedule, limited, compressed, and over restarts."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.product.replication.site import ROOT, Relay, Site, mirrored, protect, request, running, same, until

from bodydouble.errors import ConnectionStateError, InputError, ProtocolError
from bodydouble.replication.protocol import (
    HEADER_BYTES,
    LAST_PART,
    MAX_FRAME,
    PART,
    Fragment,
    Ping,
    Wire,
    encode,
    encode_parts,
    frame_head,
)
from bodydouble.replication.queue import SourceQueue
from bodydouble.replication.transmission import Transmission
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.operations import Write
from bodydouble.vocabulary.transmission import TransmissionOptions, TransmissionSchedule

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from bodydouble.vocabulary.records import ConnectionStatus


def run(part: Coroutine[Any, Any, None]) -> None:
    asyncio.run(part)


def seeded(name: str = "WEB1", **settings: Any) -> Site:
    site = Site(name, **settings)
    site.mkdir(ROOT)
    site.put(f"{ROOT}/index.htm", b"hello")
    return site


def status(source: Site) -> ConnectionStatus:
    return source.service.connections()[0]


def idle(source: Site) -> bool:
    return source.state() == "replicating" and not status(source).queue_operations


# --- by hand --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hold", "release", "word"), [("pause", "resume", "paused"), ("stop", "start", "stopped")])
def test_held_transmission_queues_and_is_released_by_hand(hold: Any, release: Any, word: str) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await until(lambda: idle(source))
            assert (await source.service.orders.order_transmission(1, hold)).transmission == word
            sent = status(source).sent_bytes
            source.put(f"{ROOT}/order", b"placed" * 1000)
            await asyncio.sleep(0.05)
            assert status(source).sent_bytes - sent < 100  # pings
            assert status(source).queue_operations == 3
            with pytest.raises(ConnectionStateError, match=f"transmission is {word}"):
                await source.service.orders.order_transmission(1, "pause")
            await source.service.orders.order_transmission(1, release)
            await until(lambda: same(source, target))
            assert status(source).transmission == "started"
            assert source.codes().count(EventCode.TRANSMISSION_ORDERED) == 2

    run(scenario())


@pytest.mark.parametrize("mode", ["stop", "pause"])
def test_what_was_ordered_holds_after_a_restart(mode: Any) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.orders.order_transmission(1, mode)
            await source.stop()
            source.put(f"{ROOT}/order", b"placed")
            await source.start()
            await until(lambda: source.state() == "mirroring")
            await asyncio.sleep(0.05)
            assert not same(source, target)
            assert status(source).transmission == {"stop": "stopped", "pause": "paused"}[mode]
            release: Any = {"stop": "start", "pause": "resume"}[mode]
            await source.service.orders.order_transmission(1, release)
            await mirrored(source, target)

    run(scenario())


def test_a_transmission_that_does_not_obey_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect: the order is noted and nobody waits."""

    async def turn(_self: Transmission, stream: Any) -> None:
        while not stream.queue.unsent:
            stream.available.clear()
            await stream.available.wait()

    monkeypatch.setattr(Transmission, "turn", turn)

    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await source.service.orders.order_transmission(1, "pause")
            source.put(f"{ROOT}/order", b"placed")
            await until(lambda: same(source, target))

    run(scenario())


# --- by schedule ----------------------------------------------------------------------------------------------------


def scheduled(**schedule: Any) -> TransmissionOptions:
    return TransmissionOptions(schedule=TransmissionSchedule(**schedule))


def test_a_mirror_passes_and_replication_waits_until_the_queue_has_its_size() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port, transmission=scheduled(start_bytes=20_000, stop_empty=True))
            await mirrored(source, target)
            await until(lambda: idle(source))
            for round_ in range(2):
                source.put(f"{ROOT}/small-{round_}", b"x" * 10_000)
                await asyncio.sleep(0.05)
                assert status(source).transmission == "scheduled"
                assert not same(source, target)
                source.put(f"{ROOT}/more-{round_}", b"x" * 10_000)
                await until(lambda: same(source, target) and idle(source))
                assert status(source).transmission == "scheduled"

    run(scenario())


def test_another_schedule_holds_at_once_and_is_kept() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await until(lambda: idle(source))
            await source.service.orders.set_transmission(1, scheduled(start_operations=1000, stop_empty=True))
            source.put(f"{ROOT}/waits", b"x")
            await asyncio.sleep(0.05)
            assert not same(source, target)
            await source.service.orders.set_transmission(1, TransmissionOptions())
            await until(lambda: same(source, target))
            options = scheduled(start_every=3600.0)
            await source.service.orders.set_transmission(1, options)
            await source.stop()
            await source.start()
            assert source.service.orders.transmission(1) == options
            with pytest.raises(InputError, match="needs one to start"):
                await source.service.orders.set_transmission(1, scheduled(stop_empty=True))

    run(scenario())


# --- limit and compression ------------------------------------------------------------------------------------------


def test_a_limit_lets_pings_and_acknowledgements_through() -> None:
    """One chunk of 64 KiB takes longer than the peer's patience; its parts do not."""

    async def scenario() -> None:
        source, target = (
            seeded(ping_interval=0.05, peer_timeout=0.5),
            Site("WEB2", ping_interval=0.05, peer_timeout=0.5),
        )
        source.put(f"{ROOT}/big", random.Random(1).randbytes(150_000))
        async with running(source, target):
            loop = asyncio.get_running_loop()
            began = loop.time()
            await protect(source, target.service.port, transmission=TransmissionOptions(bandwidth=100_000))
            await mirrored(source, target)
            assert loop.time() - began > 1.0
            assert EventCode.AUTO_RECONNECTING not in source.codes()

    run(scenario())


def test_a_limit_that_is_lifted_holds_nobody_back_any_more() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.put(f"{ROOT}/big", random.Random(1).randbytes(400_000))
        async with running(source, target):
            await protect(source, target.service.port, transmission=TransmissionOptions(bandwidth=2048))
            await until(lambda: status(source).sent_bytes > 1000)
            assert not same(source, target)
            await source.service.orders.set_transmission(1, TransmissionOptions())
            await mirrored(source, target)

    run(scenario())


@pytest.mark.parametrize("level", [0, 1, 9])
def test_compression_carries_everything_in_fewer_bytes(level: int) -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        source.put(f"{ROOT}/text", b"All work and no play makes Jack a dull boy.\n" * 20_000)
        source.put(f"{ROOT}/noise", random.Random(1).randbytes(100_000))
        async with running(source, target):
            await protect(source, target.service.port, transmission=TransmissionOptions(compression=level))
            await mirrored(source, target)
            source.put(f"{ROOT}/long", b"x" * 700_000)
            await until(lambda: same(source, target))
            sent = status(source).sent_bytes
            assert sent < 250_000 if level else sent > 1_600_000

    run(scenario())


def test_compression_is_shared_by_all_connections_to_one_route_and_may_change_while_they_run() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            again = request(target.service.port, target="b", route="127.0.0.1", base="/b")
            options = TransmissionOptions(compression=3, bandwidth=10**9)
            await source.service.connect(msgspec.structs.replace(again, transmission=options))
            assert source.service.orders.transmission(1) == TransmissionOptions(compression=3)
            source.put(f"{ROOT}/text", b"the same again " * 100_000)
            await until(lambda: same(source, target))
            assert status(source).sent_bytes < 200_000
            await source.service.orders.set_transmission(2, TransmissionOptions())
            assert source.service.orders.transmission(1) == TransmissionOptions()
            source.put(f"{ROOT}/text 2", b"the same again " * 10_000)
            await until(lambda: same(source, target))

    run(scenario())


def test_a_broken_connection_begins_a_new_run_of_compression() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target), Relay(lambda: target.service.port) as relay:
            await protect(source, relay.port, transmission=TransmissionOptions(compression=1))
            await mirrored(source, target)
            for number in range(3):
                relay.cut()
                source.put(f"{ROOT}/after-{number}", b"x" * 3000)
                await until(lambda: same(source, target))
            assert source.codes().count(EventCode.MIRROR_STARTED) == 1

    run(scenario())


# --- frames ---------------------------------------------------------------------------------------------------------


def test_many_small_operations_share_frames_and_a_single_one_waits_for_nobody() -> None:
    async def scenario() -> None:
        source, target = seeded(), Site("WEB2")
        async with running(source, target):
            await protect(source, target.service.port)
            await mirrored(source, target)
            await until(lambda: idle(source))
            frames = 0
            original = Wire._write

            def counted(self: Wire, frame: bytes) -> None:
                nonlocal frames
                frames += 1
                original(self, frame)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Wire, "_write", counted)
                generated = status(source).generated
                for number in range(2000):
                    source.volume.do(Write(f"{ROOT}/index.htm", number, b"x", number))
                    if number % 4 == 0:
                        await asyncio.sleep(0)
                await until(lambda: idle(source) and same(source, target))
            assert status(source).generated - generated == 2000
            assert frames < 300, frames

    run(scenario())


def test_a_queue_knows_what_waits_and_what_is_on_its_way() -> None:
    queue = SourceQueue(1 << 20)
    for number in range(4):
        queue.put(Write("/web/a", 0, b"x" * 100 * number, 1))
    assert (queue.unsent, queue.in_flight) == (4, False)
    whole = queue.unsent_bytes
    queue.take(1, 2)
    assert (queue.unsent, queue.in_flight) == (3, True)
    queue.take(10_000, 2)
    assert 0 < queue.unsent_bytes < whole
    queue.acknowledge(2)
    assert queue.in_flight
    assert queue.rewind(2)
    assert (queue.unsent, queue.in_flight) == (2, False)
    assert queue.unsent_bytes == queue.memory_bytes


class Reading:
    """A wire's reading half over bytes that are all there."""

    def __init__(self, *frames: bytes) -> None:
        self.reader = asyncio.StreamReader()
        self.reader.feed_data(b"".join(frames))
        self.reader.feed_eof()
        nobody: Any = None
        self.wire = Wire(self.reader, nobody, 1.0, nobody)


def test_whole_messages_come_between_the_parts_of_another_one() -> None:
    message = Fragment(bytes(range(256)) * 20, 0)
    parts = encode_parts(message, 1000)
    assert [frame_head(part[:HEADER_BYTES])[0] for part in parts] == [PART] * (len(parts) - 1) + [LAST_PART]
    between = [frame for part in parts for frame in (encode(Ping()), part)]

    async def scenario() -> None:
        wire = Reading(*between).wire
        received = [await wire.receive() for _ in range(len(parts) + 1)]
        assert received == [Ping()] * len(parts) + [message]

    run(scenario())


@pytest.mark.parametrize("kind", [PART, LAST_PART, 3])
def test_parts_without_end_and_unknown_kinds_are_refused(kind: int) -> None:
    def frame(content: bytes) -> bytes:
        return (len(content) | kind << 30).to_bytes(HEADER_BYTES, "big") + content

    async def scenario() -> None:
        wire = Reading(*[frame(bytes(500_000))] * (MAX_FRAME // 500_000 + 1)).wire
        with pytest.raises(ProtocolError):
            await wire.receive()

    run(scenario())
