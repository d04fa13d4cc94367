"""Back-pressure, buffers, large transfers, and what protocols may do meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.networking.arms import Recorder, listen, protocols, streams, until

if TYPE_CHECKING:
    from tests.conformance.networking.arms import Net

CONTENT = bytes(range(251)) * 20_000


async def test_a_writer_is_paused_by_a_reader_that_does_not_read_and_resumed(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        far.transport.pause_reading()
        written = 0
        while "pause" not in near.calls:
            near.transport.write(b"x" * 100_000)
            written += 100_000
        assert near.transport.get_write_buffer_size() > near.transport.get_write_buffer_limits()[1]
        await asyncio.sleep(net.pause)
        assert "resume" not in near.calls
        far.transport.resume_reading()
        await until(lambda: len(far.data) == written)
        assert near.calls == ["made", "pause", "resume"]
        assert near.transport.get_write_buffer_size() == 0


async def test_drain_waits_for_room(net: Net) -> None:
    async with streams(net) as pair:
        pair.writer.write(b"x" * 20_000_000)
        draining = asyncio.create_task(pair.writer.drain())
        await asyncio.sleep(net.pause)
        assert not draining.done()
        assert len(await pair.far_reader.readexactly(20_000_000)) == 20_000_000
        await draining


async def test_a_cancelled_drain_loses_no_bytes(net: Net) -> None:
    async with streams(net) as pair:
        pair.writer.write(b"x" * 20_000_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await pair.writer.drain()
        assert len(await pair.far_reader.readexactly(20_000_000)) == 20_000_000


async def test_paused_reading_delivers_nothing_and_resuming_everything_in_order(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        far.transport.pause_reading()
        assert not far.transport.is_reading()
        for number in range(100):
            near.transport.write(b"%03d" % number)
        await asyncio.sleep(net.pause)
        assert far.data == b""
        far.transport.resume_reading()
        assert far.transport.is_reading()
        await until(lambda: len(far.data) == 300)
        assert far.data == b"".join(b"%03d" % number for number in range(100))


async def test_end_of_file_waits_behind_paused_input(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        far.transport.pause_reading()
        near.transport.write(b"data")
        near.transport.close()
        await asyncio.sleep(net.pause)
        assert far.calls == ["made"]
        far.transport.resume_reading()
        await until(lambda: far.calls[-1] == "lost")
        assert far.calls == ["made", "data", "eof", "lost"]


async def test_pausing_and_resuming_twice_is_harmless(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        for _ in range(2):
            far.transport.pause_reading()
        for _ in range(2):
            far.transport.resume_reading()
        near.transport.write(b"data")
        await until(lambda: far.data == b"data")


async def test_water_marks_can_be_set_and_read(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.set_write_buffer_limits(high=1000)
        assert near.transport.get_write_buffer_limits() == (250, 1000)
        near.transport.set_write_buffer_limits(low=100)
        assert near.transport.get_write_buffer_limits() == (100, 400)
        near.transport.set_write_buffer_limits()
        assert near.transport.get_write_buffer_limits() == (16384, 65536)
        with pytest.raises(ValueError, match="must be >="):
            near.transport.set_write_buffer_limits(high=1, low=2)


async def test_a_high_water_mark_of_zero_pauses_on_the_first_byte_that_waits(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.set_write_buffer_limits(high=0)
        far.transport.pause_reading()
        near.transport.write(b"x")
        assert "pause" not in near.calls
        near.transport.write(b"x" * 20_000_000)
        assert near.calls[-1] == "pause"
        far.transport.resume_reading()
        await until(lambda: near.calls[-1] == "resume")
        assert near.transport.get_write_buffer_size() == 0


async def test_every_kind_of_bytes_can_be_written(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.write(b"a")
        changing = bytearray(b"b")
        near.transport.write(changing)
        changing[0] = ord("?")
        near.transport.write(memoryview(b"c"))
        near.transport.writelines([b"d", bytearray(b"e"), memoryview(b"f")])
        near.transport.write(b"")
        await until(lambda: len(far.data) == 6)
        assert far.data == b"abcdef"
        for wrong in ("text", 5, None):
            with pytest.raises(TypeError):
                near.transport.write(wrong)


async def test_a_large_transfer_arrives_intact_in_both_directions_at_once(net: Net) -> None:
    async def send(writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(CONTENT), 10_007):
            writer.write(CONTENT[at : at + 10_007])
            await writer.drain()
        writer.write_eof()

    async with streams(net) as pair:
        async with asyncio.TaskGroup() as group:
            group.create_task(send(pair.writer))
            group.create_task(send(pair.far_writer))
            near = group.create_task(pair.reader.read())
            far = group.create_task(pair.far_reader.read())
        assert near.result() == far.result() == CONTENT


async def test_many_small_writes_arrive_in_order(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        for number in range(5000):
            near.transport.write(b"%05d" % number)
        await until(lambda: len(far.data) == 25_000)
        assert far.data == b"".join(b"%05d" % number for number in range(5000))


class Buffered(asyncio.BufferedProtocol):
    def __init__(self, size: int) -> None:
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.calls: list[str] = []
        self.transport: Any = None
        self.lost: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        assert sizehint
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.calls.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self.calls.append("lost")


async def test_a_buffered_protocol_gets_the_bytes_through_its_own_buffer(net: Net) -> None:
    near, far = Recorder(), Buffered(1000)
    async with protocols(net, near, far):
        near.transport.write(CONTENT[:500_000])
        near.transport.close()
        await until(lambda: far.calls == ["eof", "lost"])
        assert far.data == CONTENT[:500_000]


async def test_an_empty_buffer_ends_the_connection(net: Net) -> None:
    near, far = Recorder(), Buffered(0)
    async with protocols(net, near, far):
        near.transport.write(b"data")
        await until(lambda: far.calls == ["lost"])
        assert isinstance(far.lost, RuntimeError)
    assert [str(context["exception"]) for context in net.unhandled] == ["get_buffer() returned an empty buffer"]
    net.unhandled.clear()


async def test_a_protocol_can_hand_over_to_another(net: Net) -> None:
    near, far, heir = Recorder(), Recorder(), Recorder()
    heir.calls.append("made")
    async with protocols(net, near, far):
        near.transport.write(b"first")
        await until(lambda: far.data)
        far.transport.set_protocol(heir)
        assert far.transport.get_protocol() is heir
        near.transport.write(b"second")
        near.transport.close()
        await until(lambda: heir.calls[-1] == "lost")
        assert far.data == b"first"
        assert heir.data == b"second"


async def test_a_protocol_can_turn_buffered(net: Net) -> None:
    near, far, heir = Recorder(), Recorder(), Buffered(10)
    async with protocols(net, near, far):
        far.transport.set_protocol(heir)
        near.transport.write(b"into the buffer")
        await until(lambda: heir.data == b"into the buffer")
        near.transport.close()
        await until(lambda: heir.calls)


class Failing(Recorder):
    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def _maybe(self, where: str) -> None:
        if where == self._where:
            raise LookupError(where)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._maybe("connection_made")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._maybe("data_received")

    def eof_received(self) -> bool:
        super().eof_received()
        self._maybe("eof_received")
        return False

    def pause_writing(self) -> None:
        super().pause_writing()
        self._maybe("pause_writing")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._maybe("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._maybe("connection_lost")


@pytest.mark.parametrize("where", ["data_received", "eof_received"])
async def test_a_protocol_that_fails_on_input_loses_its_connection(net: Net, where: str) -> None:
    near, far = Recorder(), Failing(where)
    async with protocols(net, near, far):
        near.transport.write(b"data")
        near.transport.write_eof()
        await until(lambda: far.calls[-1] == "lost" and near.calls[-1] == "lost")
        assert isinstance(far.lost, LookupError)
    assert [type(context["exception"]) for context in net.unhandled] == [LookupError]
    net.unhandled.clear()


@pytest.mark.parametrize("where", ["connection_made", "connection_lost"])
async def test_a_protocol_that_fails_at_begin_or_end_is_reported_and_no_more(net: Net, where: str) -> None:
    near, far = Recorder(), Failing(where)
    async with protocols(net, near, far):
        near.transport.write(b"data")
        near.transport.close()
        await until(lambda: far.calls[-1] == "lost")
        assert far.calls == ["made", "data", "eof", "lost"]
        assert far.lost is None
    assert [type(context["exception"]) for context in net.unhandled] == [LookupError]
    net.unhandled.clear()


@pytest.mark.parametrize("where", ["pause_writing", "resume_writing"])
async def test_a_protocol_that_fails_on_back_pressure_is_reported_and_no_more(net: Net, where: str) -> None:
    near, far = Failing(where), Recorder()
    async with protocols(net, near, far):
        near.transport.write(b"x" * 20_000_000)
        await until(lambda: len(far.data) == 20_000_000)
        await until(lambda: "resume" in near.calls)
        assert near.calls == ["made", "pause", "resume"]
    assert [type(context["exception"]) for context in net.unhandled] == [LookupError]
    net.unhandled.clear()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # 3.11
async def test_a_failing_factory_of_a_server_is_reported_and_the_server_goes_on(net: Net) -> None:
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        if len(made) == 1:
            raise LookupError("first")
        return made[-1]

    server, port = await listen(net, factory)
    loop = asyncio.get_running_loop()
    near, second = Recorder(), Recorder()
    await loop.create_connection(lambda: near, net.host, port)
    await until(lambda: near.calls[-1] == "lost")
    await loop.create_connection(lambda: second, net.host, port)
    await until(lambda: made[-1].calls == ["made"])
    second.transport.close()
    await until(lambda: made[-1].calls[-1] == "lost")
    server.close()
    net.unhandled.clear()  # asyncio tells of it in debug mode only; the simulator always does
