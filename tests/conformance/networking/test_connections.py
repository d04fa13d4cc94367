"""How connections open, end and break."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.networking.arms import Recorder, listen, protocols, reset, serve, streams, until

if TYPE_CHECKING:
    from tests.conformance.networking.arms import Net


async def closed_port(net: Net) -> int:
    server, port = await listen(net, asyncio.Protocol)
    server.close()
    await server.wait_closed()
    return port


async def test_a_closed_port_refuses(net: Net) -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        await asyncio.open_connection(net.host, await closed_port(net))
    assert caught.value.errno == errno.ECONNREFUSED


async def test_a_refused_client_can_try_again(net: Net) -> None:
    port = await closed_port(net)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(net.host, port)


async def test_a_connection_begins_with_connection_made_on_both_sides(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        assert near.calls == far.calls == ["made"]


async def test_both_sides_agree_on_their_addresses(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        assert near.transport.get_extra_info("sockname") == far.transport.get_extra_info("peername")
        assert near.transport.get_extra_info("peername") == far.transport.get_extra_info("sockname")
        assert near.transport.get_extra_info("sockname")[0] == net.own
        assert near.transport.get_extra_info("nothing", 5) == 5


async def test_the_socket_shown_tells_family_kind_and_names(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        shown = near.transport.get_extra_info("socket")
        assert (shown.family, shown.type) == (socket.AF_INET, socket.SOCK_STREAM)
        assert shown.getsockname() == near.transport.get_extra_info("sockname")
        assert shown.getpeername() == near.transport.get_extra_info("peername")
        shown.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert shown.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_client_may_choose_its_local_address(net: Net) -> None:
    far = Recorder()
    server, port = await listen(net, lambda: far)
    transport, _ = await asyncio.get_running_loop().create_connection(Recorder, net.host, port, local_addr=(net.own, 0))
    await until(lambda: far.transport)
    assert far.transport.get_extra_info("peername") == transport.get_extra_info("sockname")
    transport.close()
    server.close()
    await until(lambda: "lost" in far.calls)


async def test_a_client_may_not_choose_a_foreign_local_address(net: Net) -> None:
    server, port = await listen(net, Recorder)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
        await asyncio.open_connection(net.host, port, local_addr=("203.0.113.1", 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL
    server.close()


async def test_a_connection_needs_a_destination(net: Net) -> None:
    del net
    with pytest.raises(ValueError, match="host and port"):
        await asyncio.get_running_loop().create_connection(asyncio.Protocol)


async def test_a_server_name_without_tls_is_an_error(net: Net) -> None:
    with pytest.raises(ValueError, match="server_hostname"):
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, net.host, 9, server_hostname="x")


async def test_an_option_that_asyncio_does_not_know_is_a_type_error(net: Net) -> None:
    loop: Any = asyncio.get_running_loop()
    with pytest.raises(TypeError):
        await loop.create_connection(asyncio.Protocol, net.host, 9, no_such_option=1)
    with pytest.raises(TypeError):
        await loop.create_server(asyncio.Protocol, net.host, 0, no_such_option=1)
    with pytest.raises(TypeError):
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (net.own, 0), no_such_option=1)


async def test_the_options_that_asyncio_knows_are_taken(net: Net) -> None:
    far = Recorder()
    server, port = await listen(net, lambda: far, backlog=5, reuse_address=True, family=socket.AF_INET)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(
        Recorder, net.host, port, family=socket.AF_INET, happy_eyeballs_delay=0.1, interleave=1
    )
    transport.close()
    await until(lambda: "lost" in far.calls)
    server.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")  # 3.11
async def test_a_failing_protocol_factory_fails_the_connect(net: Net) -> None:
    def fail() -> asyncio.Protocol:
        raise LookupError("no protocol")

    server, port = await listen(net, Recorder)
    with pytest.raises(LookupError, match="no protocol"):
        await asyncio.get_running_loop().create_connection(fail, net.host, port)
    server.close()
    await asyncio.sleep(net.pause)


async def test_a_cancelled_connect_leaves_no_connection(net: Net) -> None:
    far = Recorder()
    server, port = await listen(net, lambda: far)
    connecting = asyncio.create_task(asyncio.open_connection(net.host, port))
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await asyncio.sleep(net.pause)
    assert far.calls in ([], ["made", "eof", "lost"], ["made", "lost"])
    server.close()


async def test_close_is_end_of_file_for_the_peer(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.write(b"last words")
        near.transport.close()
        await until(lambda: "lost" in far.calls)
        assert far.calls == ["made", "data", "eof", "lost"]
        assert far.lost is None
        assert far.data == b"last words"
        assert near.calls == ["made", "lost"]


async def test_close_sends_all_that_was_written(net: Net) -> None:
    content = bytes(range(256)) * 40_000
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.write(content)
        near.transport.close()
        assert near.transport.is_closing()
        await until(lambda: "lost" in far.calls)
        assert far.data == content
        assert far.lost is None


async def test_what_is_written_after_close_is_dropped(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.write(b"before")
        near.transport.close()
        near.transport.write(b"after")
        near.transport.close()
        await until(lambda: "lost" in far.calls)
        assert far.data == b"before"


async def test_connection_lost_comes_later_and_once(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.close()
        near.transport.abort()
        assert "lost" not in near.calls
        await asyncio.sleep(net.pause)
        assert near.calls == ["made", "lost"]
        assert near.lost is None


async def test_abort_is_end_of_file_not_reset(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.write(b"short")
        near.transport.abort()
        await until(lambda: "lost" in far.calls)
        assert far.calls == ["made", "data", "eof", "lost"]
        assert far.data == b"short"
        assert far.lost is None


async def test_abort_after_close_takes_nothing_back_that_the_stack_has(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.write(b"x" * 10_000)
        near.transport.close()
        near.transport.abort()
        await until(lambda: "lost" in far.calls)
        assert far.data == b"x" * 10_000
        assert far.lost is None


async def test_abort_drops_what_the_stack_has_not_taken(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        far.transport.pause_reading()
        while "pause" not in near.calls:
            near.transport.write(b"x" * 1_000_000)
        written = near.transport.get_write_buffer_size()
        near.transport.abort()
        assert near.transport.get_write_buffer_size() == 0 < written
        far.transport.resume_reading()
        await until(lambda: "lost" in far.calls)
        assert far.lost is None
        assert set(far.data) == {ord("x")}


async def test_a_reset_is_an_error_for_the_peer(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        reset(near.transport)
        await until(lambda: "lost" in far.calls)
        assert isinstance(far.lost, ConnectionResetError)
        assert far.lost.errno == errno.ECONNRESET
        assert far.calls == ["made", "lost"]


async def test_a_reset_ends_a_read(net: Net) -> None:
    async with streams(net) as pair:
        reading = asyncio.create_task(pair.reader.read(100))
        await asyncio.sleep(0)
        reset(pair.far_writer.transport)
        with pytest.raises(ConnectionResetError):
            await reading


async def test_a_reset_ends_a_drain(net: Net) -> None:
    async with streams(net) as pair:
        pair.far_writer.transport.pause_reading()  # type: ignore[attr-defined]  # every stream transport has it
        pair.writer.write(b"x" * 20_000_000)
        draining = asyncio.create_task(pair.writer.drain())
        await asyncio.sleep(net.pause)
        assert not draining.done()
        reset(pair.far_writer.transport)
        with pytest.raises(ConnectionError):
            await draining


async def test_wait_closed_after_a_reset_raises_it(net: Net) -> None:
    async with streams(net) as pair:
        reset(pair.far_writer.transport)
        with pytest.raises(ConnectionResetError):
            await pair.writer.wait_closed()
        with pytest.raises(ConnectionResetError):
            await pair.reader.read()


async def test_closing_with_unread_input_resets_the_peer(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        far.transport.pause_reading()
        near.transport.write(b"unread")
        await asyncio.sleep(net.pause)
        far.transport.close()
        await until(lambda: near.calls[-1] == "lost")
        assert isinstance(near.lost, ConnectionResetError)


async def test_writing_to_a_peer_that_closed_ends_in_an_error(net: Net) -> None:
    near, far = Recorder(keep_open=True), Recorder()
    async with protocols(net, near, far):
        far.transport.close()
        await until(lambda: near.calls[-1] == "eof")
        while near.calls[-1] != "lost":
            near.transport.write(b"more")
            await asyncio.sleep(0.001)
        assert isinstance(near.lost, (ConnectionResetError, BrokenPipeError))


async def test_half_close_leaves_the_other_direction_open(net: Net) -> None:
    async with streams(net) as pair:
        pair.writer.write(b"question")
        pair.writer.write_eof()
        assert await pair.far_reader.read() == b"question"
        await asyncio.sleep(net.pause)
        pair.far_writer.write(b"answer" * 10_000)
        pair.far_writer.close()
        assert await pair.reader.read() == b"answer" * 10_000


async def test_write_eof_waits_for_what_was_written(net: Net) -> None:
    content = bytes(range(256)) * 20_000
    async with streams(net) as pair:
        pair.writer.write(content)
        pair.writer.write_eof()
        assert await pair.far_reader.read() == content


async def test_writing_after_write_eof_is_a_mistake(net: Net) -> None:
    async with streams(net) as pair:
        assert pair.writer.can_write_eof()
        pair.writer.write_eof()
        pair.writer.write_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            pair.writer.write(b"x")


async def test_a_protocol_that_does_not_keep_open_closes_at_end_of_file(net: Net) -> None:
    near, far = Recorder(keep_open=True), Recorder()
    async with protocols(net, near, far):
        near.transport.write_eof()
        await until(lambda: near.calls[-1] == "eof")
        assert far.calls == ["made", "eof", "lost"]
        assert "lost" not in near.calls
        near.transport.close()
        await until(lambda: near.calls[-1] == "lost")
        assert near.lost is None


async def test_simultaneous_close_ends_well_on_both_sides(net: Net) -> None:
    near, far = Recorder(), Recorder()
    async with protocols(net, near, far):
        near.transport.close()
        far.transport.close()
        await until(lambda: near.calls[-1] == far.calls[-1] == "lost")
        assert near.lost is None
        assert far.lost is None


async def test_a_hundred_clients_are_served_at_once(net: Net) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    server, port = await serve(net, echo)

    async def client(number: int) -> str:
        reader, writer = await asyncio.open_connection(net.host, port)
        for turn in range(3):
            writer.write(b"c%d-%d\n" % (number, turn))
            assert await reader.readline() == b"C%d-%d\n" % (number, turn)
        writer.close()
        await writer.wait_closed()
        return f"c{number}"

    assert await asyncio.gather(*map(client, range(100))) == [f"c{number}" for number in range(100)]
    server.close()
    await asyncio.sleep(net.pause)


async def test_a_connection_can_be_opened_again_and_again(net: Net) -> None:
    far: list[Recorder] = []

    def factory() -> Recorder:
        far.append(Recorder())
        return far[-1]

    server, port = await listen(net, factory)
    for number in range(50):
        _, writer = await asyncio.open_connection(net.host, port)
        writer.write(b"%d" % number)
        writer.close()
        await writer.wait_closed()
    await until(lambda: len(far) == 50 and all(one.calls[-1] == "lost" for one in far))
    assert [bytes(one.data) for one in far] == [b"%d" % number for number in range(50)]
    server.close()
