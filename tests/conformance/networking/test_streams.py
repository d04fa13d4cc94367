"""Streams: limits, cancellation, timeouts, and writers that nobody closes."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import TYPE_CHECKING

import pytest
from tests.conformance.networking.arms import serve, streams, until

if TYPE_CHECKING:
    from tests.conformance.networking.arms import Net


async def test_lines_arrive_one_by_one(net: Net) -> None:
    async with streams(net) as pair:
        pair.writer.write(b"one\ntwo\nthr")
        pair.writer.write_eof()
        assert [line async for line in pair.far_reader] == [b"one\n", b"two\n", b"thr"]
        assert pair.far_reader.at_eof()
        assert await pair.far_reader.readline() == b""


async def test_a_line_over_the_limit_is_a_value_error(net: Net) -> None:
    async with streams(net, limit=100) as pair:
        pair.writer.write(b"x" * 500 + b"\nnext\n")
        with pytest.raises(ValueError, match="limit"):
            await pair.far_reader.readline()


async def test_read_until_reports_the_limit_and_keeps_the_bytes(net: Net) -> None:
    async with streams(net, limit=100) as pair:
        pair.writer.write(b"x" * 150)
        with pytest.raises(asyncio.LimitOverrunError):
            await pair.far_reader.readuntil(b"|")
        assert await pair.far_reader.readexactly(150) == b"x" * 150


async def test_read_exactly_at_the_end_says_what_it_got(net: Net) -> None:
    async with streams(net) as pair:
        pair.writer.write(b"12345")
        pair.writer.close()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await pair.far_reader.readexactly(10)
        assert (caught.value.partial, caught.value.expected) == (b"12345", 10)


async def test_a_small_limit_holds_the_sender_back_and_loses_nothing(net: Net) -> None:
    content = bytes(range(256)) * 40_000
    async with streams(net, limit=1000) as pair:
        pair.writer.write(content)
        await asyncio.sleep(net.pause)
        assert pair.writer.transport.get_write_buffer_size() > 0
        got = bytearray()
        while len(got) < len(content):
            got += await pair.far_reader.read(50_000)
        assert got == content


async def test_a_cancelled_read_loses_no_bytes(net: Net) -> None:
    async with streams(net) as pair:
        reading = asyncio.create_task(pair.far_reader.readexactly(4))
        await asyncio.sleep(0)
        pair.writer.write(b"ab")
        await asyncio.sleep(net.pause)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        pair.writer.write(b"cd")
        assert await pair.far_reader.readexactly(4) == b"abcd"


async def test_a_read_that_times_out_leaves_the_connection_usable(net: Net) -> None:
    async with streams(net) as pair:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pair.reader.read(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pair.reader.read(1), 0.01)
        pair.far_writer.write(b"x")
        assert await pair.reader.read(1) == b"x"


async def test_two_readers_of_one_stream_are_a_mistake(net: Net) -> None:
    async with streams(net) as pair:
        first = asyncio.create_task(pair.reader.read(1))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already waiting"):
            await pair.reader.read(1)
        pair.far_writer.write(b"x")
        assert await first == b"x"


async def test_wait_closed_returns_once_the_connection_is_closed(net: Net) -> None:
    async with streams(net) as pair:
        pair.writer.close()
        assert pair.writer.is_closing()
        await pair.writer.wait_closed()
        assert await pair.far_reader.read() == b""


async def test_the_bytes_before_end_of_file_can_be_read_after_it(net: Net) -> None:
    async with streams(net) as pair:
        pair.writer.write(b"x" * 1000)
        pair.writer.close()
        await asyncio.sleep(net.pause)
        assert await pair.far_reader.readexactly(600) == b"x" * 600
        assert not pair.far_reader.at_eof()
        assert await pair.far_reader.read() == b"x" * 400
        assert pair.far_reader.at_eof()


async def test_a_connection_that_both_sides_finished_stays_open_until_it_is_closed(net: Net) -> None:
    async with streams(net) as pair:
        pair.writer.write_eof()
        assert await pair.far_reader.read() == b""
        pair.far_writer.write_eof()
        assert await pair.reader.read() == b""
        await asyncio.sleep(net.pause)
        assert not pair.writer.is_closing()
        assert not pair.far_writer.is_closing()
        for writer in (pair.writer, pair.far_writer):
            writer.close()
            await writer.wait_closed()


async def test_a_handler_that_fails_is_reported_and_the_server_goes_on(net: Net) -> None:
    served: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(1)
        try:
            await reader.readline()
            if len(served) == 1:
                raise LookupError("first")
        finally:
            writer.close()

    server, port = await serve(net, handler)
    for _ in range(2):
        reader, writer = await asyncio.open_connection(net.host, port)
        writer.write(b"\n")
        assert await reader.read() == b""
        writer.close()
    server.close()
    gc.collect()
    await until(lambda: len(served) == 2)
    assert {type(context["exception"]) for context in net.unhandled} <= {LookupError}
    net.unhandled.clear()


async def test_a_dropped_writer_closes_its_connection_and_warns(net: Net) -> None:
    ended = asyncio.get_running_loop().create_future()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.set_result(await reader.read())
        writer.close()

    server, port = await serve(net, handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pair = await asyncio.open_connection(net.host, port)
        pair[1].write(b"forgotten")
        del pair
        gc.collect()
        assert await ended == b"forgotten"
    assert any("unclosed" in str(one.message) for one in caught)
    server.close()
    await asyncio.sleep(net.pause)


async def test_an_accepted_connection_shows_its_peer(net: Net) -> None:
    async with streams(net) as pair:
        assert pair.far_writer.get_extra_info("peername") == pair.writer.get_extra_info("sockname")


async def test_pings_and_pongs_alternate(net: Net) -> None:
    async with streams(net) as pair:
        for number in range(200):
            pair.writer.write(b"%d\n" % number)
            assert await pair.far_reader.readline() == b"%d\n" % number
            pair.far_writer.write(b"%d\n" % -number)
            assert await pair.reader.readline() == b"%d\n" % -number
