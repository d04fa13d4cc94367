"""Streams whose long reads have their own place: the same bytes as any stream's, however they come, and its ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble.security.streams import DirectProtocol, DirectReader, direct_streams

if TYPE_CHECKING:
    from collections.abc import Coroutine

LONG = 16 * 1024
CONTENT = bytes(range(256)) * 1024


class Paused(asyncio.Transport):
    """A transport that only knows whether it is paused."""

    paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def a_stream() -> tuple[DirectReader, DirectProtocol, Paused]:
    reader, protocol = direct_streams()
    transport = Paused()
    protocol.connection_made(transport)
    return reader, protocol, transport


def feed(protocol: DirectProtocol, content: bytes) -> bytes:
    """As much of it as the protocol has room for now; the rest."""
    buffer: Any = protocol.get_buffer(-1)
    size = min(len(buffer), len(content))
    buffer[:size] = content[:size]
    protocol.buffer_updated(size)
    return content[size:]


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@given(
    reads=st.lists(st.one_of(st.integers(1, 8), st.integers(LONG - 2, 4 * LONG)), min_size=1, max_size=5),
    pieces=st.lists(st.integers(900, 3 * LONG), min_size=1, max_size=30),
)
def test_reads_give_the_bytes_in_order_however_they_come(reads: list[int], pieces: list[int]) -> None:
    async def scenario() -> None:
        reader, protocol, transport = a_stream()

        async def read() -> list[bytes]:
            return [bytes(await reader.readexactly(size)) for size in reads]

        reading = asyncio.create_task(read())
        left, at = CONTENT, 0
        while not reading.done():
            await turns()
            if not transport.paused:
                piece = left[: pieces[at % len(pieces)]]
                left = feed(protocol, piece) + left[len(piece) :]
                at += 1
        ends = [sum(reads[: number + 1]) for number in range(len(reads))]
        assert await reading == [CONTENT[end - size : end] for end, size in zip(ends, reads, strict=True)]

    asyncio.run(scenario())


def test_a_long_read_gets_its_bytes_without_the_buffer_in_between() -> None:
    async def scenario() -> None:
        reader, protocol, _ = a_stream()
        reading = asyncio.create_task(reader.readexactly(4 * LONG))
        await turns()
        feed(protocol, b"x")
        await turns()
        assert len(protocol.get_buffer(-1)) == 4 * LONG - 1
        feed(protocol, b"x" * 4 * LONG)
        assert await reading == b"x" * 4 * LONG

    asyncio.run(scenario())


def test_what_nobody_reads_stops_the_connection_from_reading_on() -> None:
    async def scenario() -> None:
        _, protocol, transport = a_stream()
        fed = 0
        while not transport.paused and fed < 1 << 20:
            feed(protocol, bytes(LONG))
            fed += LONG
        assert transport.paused
        assert fed <= 256 * 1024

    asyncio.run(scenario())


def ends(protocol: DirectProtocol, how: str) -> None:
    if how == "farewell":
        protocol.eof_received()
    else:
        protocol.connection_lost(ConnectionResetError("cut") if how == "broken" else None)


@pytest.mark.parametrize("moment", ["before", "at the beginning", "within", "between"])
@pytest.mark.parametrize("how", ["farewell", "broken", "closed"])
def test_a_long_read_ends_with_the_connection(how: str, moment: str) -> None:
    async def scenario() -> None:
        reader, protocol, _ = a_stream()
        if moment == "before":
            ends(protocol, how)
        reading = asyncio.create_task(reader.readexactly(4 * LONG))
        await turns()
        if moment in ("within", "between"):
            feed(protocol, b"x" * 100)
            if moment == "within":
                await turns()
                feed(protocol, b"x" * 100)
        if moment != "before":
            ends(protocol, how)
        with pytest.raises(ConnectionResetError if how == "broken" else asyncio.IncompleteReadError):
            async with asyncio.timeout(5):
                await reading

    asyncio.run(scenario())


def test_after_a_long_read_that_was_given_up_nothing_is_written_to_its_place() -> None:
    async def scenario() -> None:
        reader, protocol, _ = a_stream()
        waiting: Coroutine[Any, Any, bytes] = reader.readexactly(4 * LONG)
        reading = asyncio.create_task(waiting)
        await turns()
        feed(protocol, b"x")
        await turns()
        reading.cancel()
        await asyncio.wait([reading])
        feed(protocol, b"yz")
        assert await reader.readexactly(2) == b"yz"

    asyncio.run(scenario())
