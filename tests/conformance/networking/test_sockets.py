"""Non-blocking sockets and the loop's ``sock_*`` calls, and calls that take over a socket."""

from __future__ import annotations

import asyncio
import errno
import io
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.networking.arms import Recorder, reset, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conformance.networking.arms import Net


def made(kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.setblocking(False)
    return sock


async def bound(net: Net, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket where the servers are."""

    async def bind() -> socket.socket:
        sock = made(kind)
        sock.bind((net.host, 0))
        return sock

    sock: socket.socket = await net.at_server(bind())
    return sock


async def listening(net: Net) -> socket.socket:
    sock = await bound(net)
    sock.listen()
    return sock


@asynccontextmanager
async def pair(net: Net) -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    loop = asyncio.get_running_loop()
    listener = await listening(net)
    near = made()
    accepting = net.at_server(loop.sock_accept(listener))
    await loop.sock_connect(near, listener.getsockname())
    far, _ = await accepting
    with listener, near, far:
        yield near, far


def fill(sock: socket.socket) -> None:
    while True:
        sock.send(bytes(65_536))


async def everything(sock: socket.socket) -> bytes:
    got = b""
    while piece := await asyncio.get_running_loop().sock_recv(sock, 65_536):
        got += piece
    return got


# --- streams --------------------------------------------------------------------------------------------------------


async def test_two_sockets_connect_and_agree_on_their_names(net: Net) -> None:
    async with pair(net) as (near, far):
        assert near.getsockname() == far.getpeername()
        assert near.getpeername() == far.getsockname()
        assert near.getsockname()[0] == net.own
        assert far.getsockname()[0] == net.host


async def test_accept_tells_who_came_and_gives_a_socket_that_does_not_block(net: Net) -> None:
    loop = asyncio.get_running_loop()
    listener, near = await listening(net), made()
    accepting = net.at_server(loop.sock_accept(listener))
    await loop.sock_connect(near, listener.getsockname())
    far, address = await accepting
    assert address == near.getsockname()
    assert not far.getblocking()
    for sock in (near, far, listener):
        sock.close()


async def test_what_is_sent_arrives_in_order_however_long(net: Net) -> None:
    data = bytes(range(256)) * 4000
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        reading = asyncio.create_task(everything(far))
        await loop.sock_sendall(near, data)
        near.shutdown(socket.SHUT_WR)
        assert await reading == data


async def test_received_bytes_can_go_into_a_buffer(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        await loop.sock_sendall(near, b"hello")
        buffer = bytearray(10)
        assert await loop.sock_recv_into(far, buffer) == 5
        assert buffer == b"hello" + bytes(5)


async def test_at_most_so_many_bytes_come_at_once_and_the_rest_stays(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        await loop.sock_sendall(near, b"abcdef")
        assert await loop.sock_recv(far, 2) == b"ab"
        assert await loop.sock_recv(far, 3) == b"cde"
        assert await loop.sock_recv(far, 9) == b"f"


async def test_a_sender_waits_for_a_reader_that_does_not_read(net: Net) -> None:
    loop = asyncio.get_running_loop()
    size = 20_000_000
    async with pair(net) as (near, far):
        sending = asyncio.create_task(loop.sock_sendall(near, bytes(size)))
        await asyncio.sleep(net.pause)
        assert not sending.done()
        got = 0
        while got < size:
            got += len(await loop.sock_recv(far, 1 << 20))
        await sending


async def test_the_end_of_input_is_empty_bytes_for_ever(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        near.close()
        assert await loop.sock_recv(far, 10) == b""
        assert await loop.sock_recv(far, 10) == b""


async def test_a_half_closed_connection_still_carries_the_other_way(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        near.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(far, 10) == b""
        await loop.sock_sendall(far, b"answer")
        assert await loop.sock_recv(near, 10) == b"answer"
        with pytest.raises(BrokenPipeError):
            await loop.sock_sendall(near, b"x")


async def test_a_closed_port_refuses_a_socket(net: Net) -> None:
    loop = asyncio.get_running_loop()
    listener = await listening(net)
    gone = listener.getsockname()
    listener.close()
    near = made()
    with pytest.raises(ConnectionRefusedError):
        await loop.sock_connect(near, gone)
    near.close()


async def test_a_reset_is_an_error_once(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        near.close()
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(far, 10)
        assert await loop.sock_recv(far, 10) == b""


async def test_unread_input_turns_a_close_into_a_reset(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        await loop.sock_sendall(far, b"never read")
        await until(lambda: far.send(b"more"))
        await asyncio.sleep(net.pause)
        near.close()
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(far, 10)


async def test_a_socket_connects_once(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, _):
        near.connect_ex(near.getpeername())  # Linux says 0 once more to what began without blocking
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
            await loop.sock_connect(near, near.getpeername())
        assert caught.value.errno == errno.EISCONN


async def test_what_needs_a_connection_says_so(net: Net) -> None:
    loop = asyncio.get_running_loop()
    with made() as sock:
        for call in (sock.getpeername, lambda: sock.recv(1), lambda: sock.shutdown(socket.SHUT_RDWR)):
            with pytest.raises(OSError) as caught:  # noqa: PT011 - as above
                call()
            assert caught.value.errno == errno.ENOTCONN
        with pytest.raises(OSError) as caught:  # noqa: PT011 - as above
            await loop.sock_accept(sock)
        assert caught.value.errno == errno.EINVAL
    assert net.unhandled == []


async def test_calls_that_would_block_say_so_at_once(net: Net) -> None:
    async with pair(net) as (near, _):
        with pytest.raises(BlockingIOError):
            near.recv(1)
        with pytest.raises(BlockingIOError):
            fill(near)
    listener = await listening(net)
    with listener, pytest.raises(BlockingIOError):
        listener.accept()


async def test_connecting_by_hand_begins_and_is_told_by_the_error_option(net: Net) -> None:
    async with pair(net):
        pass  # both machines are up
    listener = await listening(net)
    with listener, made() as near:
        assert near.connect_ex(listener.getsockname()) in (0, errno.EINPROGRESS)
        await asyncio.sleep(net.pause)
        assert near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert near.getpeername() == listener.getsockname()


async def test_a_port_is_taken_from_bind_on(net: Net) -> None:
    holder, other = await bound(net), made()

    async def bind() -> None:
        other.bind(holder.getsockname())

    async def rebound() -> socket.socket:
        sock = made()
        sock.bind(where)
        return sock

    where = holder.getsockname()
    assert where[1]
    if net.own == net.host:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - as above
            await net.at_server(bind())
        assert caught.value.errno == errno.EADDRINUSE
    holder.close()
    again = await net.at_server(rebound())
    assert again.getsockname() == where
    for sock in (again, other):
        sock.close()


async def test_a_foreign_address_cannot_be_bound(net: Net) -> None:
    del net
    with made() as sock, pytest.raises(OSError) as caught:  # noqa: PT011 - as above
        sock.bind(("203.0.113.1", 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_a_socket_knows_what_it_is(net: Net) -> None:
    del net
    with made() as stream, made(socket.SOCK_DGRAM) as datagram:
        assert isinstance(stream, socket.socket)
        assert (stream.family, stream.type) == (socket.AF_INET, socket.SOCK_STREAM)
        assert (datagram.family, datagram.type) == (socket.AF_INET, socket.SOCK_DGRAM)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        assert stream.getsockname() == datagram.getsockname() == ("0.0.0.0", 0)
        assert stream.gettimeout() == 0
        assert not stream.getblocking()
    assert stream.fileno() == -1


async def test_a_closed_socket_says_bad_descriptor(net: Net) -> None:
    del net
    sock = made()
    sock.close()
    sock.close()
    with pytest.raises(OSError) as caught:  # noqa: PT011 - as above
        sock.getsockname()
    assert caught.value.errno == errno.EBADF


async def test_keep_alive_times_are_positive_and_kept(net: Net) -> None:
    async with pair(net) as (near, _):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
            assert near.getsockopt(socket.IPPROTO_TCP, option) > 0
            near.setsockopt(socket.IPPROTO_TCP, option, 7)
            assert near.getsockopt(socket.IPPROTO_TCP, option) == 7
            with pytest.raises(OSError) as caught:  # noqa: PT011 - as above
                near.setsockopt(socket.IPPROTO_TCP, option, 0)
            assert caught.value.errno == errno.EINVAL


async def test_a_waiting_call_can_be_cancelled_and_repeated(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(net.pause):
                    await loop.sock_recv(far, 1)
        await loop.sock_sendall(near, b"x")
        assert await loop.sock_recv(far, 1) == b"x"


async def test_a_file_is_sent_by_a_socket(net: Net, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    data = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(data)
    async with pair(net) as (near, far):
        reading = asyncio.create_task(everything(far))
        with (tmp_path / "file").open("rb") as file:
            assert await loop.sock_sendfile(near, file) == len(data)
            assert await loop.sock_sendfile(near, file, 100, 50) == 50
            assert file.tell() == 150
        near.shutdown(socket.SHUT_WR)
        assert await reading == data + data[100:150]


async def test_a_file_is_sent_over_a_transport_whose_protocol_reads_on_afterwards(net: Net, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    data = bytes(range(256)) * 4000
    (tmp_path / "file").write_bytes(data)
    listener = await listening(net)
    far = Recorder()
    server = await net.at_server(loop.create_server(lambda: far, sock=listener))
    transport, near = await loop.create_connection(Recorder, *listener.getsockname())
    with (tmp_path / "file").open("rb") as file:
        assert await loop.sendfile(transport, file) == len(data)
        assert await loop.sendfile(transport, file, 5, 10) == 10
    await until(lambda: len(far.data) == len(data) + 10)
    assert far.data == data + data[5:15]
    assert transport.get_protocol() is near
    far.transport.write(b"thanks")
    await until(lambda: near.data == b"thanks")
    transport.close()
    with pytest.raises(RuntimeError, match="closing"):
        await loop.sendfile(transport, io.BytesIO(b"x"))
    server.close()
    await until(lambda: "lost" in far.calls)


@pytest.mark.parametrize(
    ("file", "arguments"),
    [(io.StringIO("text"), ()), (io.BytesIO(b"x"), (-1,)), (io.BytesIO(b"x"), (0, 0))],
)
async def test_a_file_that_cannot_be_sent_is_an_error(net: Net, file: Any, arguments: Any) -> None:
    if isinstance(file, io.StringIO):
        file.mode = "r"  # type: ignore[misc]  # as open() says of text files
    async with pair(net) as (near, _):
        with pytest.raises((ValueError, TypeError)):
            await asyncio.get_running_loop().sock_sendfile(near, file, *arguments)


# --- sockets that calls take over -----------------------------------------------------------------------------------


async def test_a_server_takes_over_a_bound_socket(net: Net) -> None:
    loop = asyncio.get_running_loop()
    sock, far = await bound(net), Recorder()
    where = sock.getsockname()
    server = await net.at_server(loop.create_server(lambda: far, sock=sock))
    assert server.sockets[0].getsockname() == where
    transport, near = await loop.create_connection(Recorder, *where)
    transport.write(b"hello")
    await until(lambda: far.data == b"hello")
    transport.close()
    await until(lambda: "lost" in far.calls and "lost" in near.calls)
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(Recorder, *where)


async def test_a_server_gets_what_waited_at_its_socket(net: Net) -> None:
    loop = asyncio.get_running_loop()
    listener, near = await listening(net), made()
    await loop.sock_connect(near, listener.getsockname())
    await loop.sock_sendall(near, b"early")
    far = Recorder()
    server = await net.at_server(loop.create_server(lambda: far, sock=listener))
    await until(lambda: far.data == b"early")
    near.close()
    await until(lambda: "lost" in far.calls)
    server.close()


async def test_streams_take_over_a_connected_socket_with_what_came_already(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        await loop.sock_sendall(far, b"early ")
        await asyncio.sleep(net.pause)
        reader, writer = await asyncio.open_connection(sock=near)
        await loop.sock_sendall(far, b"late\n")
        assert await reader.readline() == b"early late\n"
        assert writer.get_extra_info("peername") == far.getsockname()
        writer.write(b"answer")
        assert await loop.sock_recv(far, 10) == b"answer"
        writer.close()
        await writer.wait_closed()
        assert await loop.sock_recv(far, 10) == b""


async def test_a_protocol_takes_over_an_accepted_socket(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, far):
        transport, protocol = await net.at_server(loop.connect_accepted_socket(Recorder, far))
        await loop.sock_sendall(near, b"hello")
        await until(lambda: protocol.data == b"hello")
        reset(transport)
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(near, 1)


async def test_a_socket_that_a_transport_uses_is_no_longer_to_be_used(net: Net) -> None:
    loop = asyncio.get_running_loop()
    async with pair(net) as (near, _):
        transport, _ = await loop.create_connection(Recorder, sock=near)
        with pytest.raises(RuntimeError, match="transport"):
            await loop.sock_recv(near, 1)
        transport.close()
        await asyncio.sleep(net.pause)


async def test_a_socket_and_an_address_contradict_each_other(net: Net) -> None:
    loop: Any = asyncio.get_running_loop()
    with made() as sock, made(socket.SOCK_DGRAM) as datagram:
        for call in (loop.create_connection, loop.create_server):
            with pytest.raises(ValueError, match="sock"):
                await call(asyncio.Protocol, net.host, 9, sock=sock)
            with pytest.raises(ValueError, match="Stream Socket"):
                await call(asyncio.Protocol, sock=datagram)
        with pytest.raises(ValueError, match="UDP Socket"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=sock)
        with pytest.raises(ValueError, match="local_addr"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, (net.own, 0), sock=datagram)


# --- datagrams ------------------------------------------------------------------------------------------------------


async def test_datagrams_go_both_ways(net: Net) -> None:
    loop = asyncio.get_running_loop()
    far = await bound(net, socket.SOCK_DGRAM)
    with far, made(socket.SOCK_DGRAM) as near:
        assert await loop.sock_sendto(near, b"question", far.getsockname()) == 8
        data, sender = await loop.sock_recvfrom(far, 100)
        assert data == b"question"
        assert sender == (net.own, near.getsockname()[1])
        await loop.sock_sendto(far, b"answer", sender)
        buffer = bytearray(20)
        assert await loop.sock_recvfrom_into(near, buffer) == (6, far.getsockname())
        assert buffer[:6] == b"answer"


async def test_a_datagram_is_cut_to_what_was_asked_for(net: Net) -> None:
    loop = asyncio.get_running_loop()
    far = await bound(net, socket.SOCK_DGRAM)
    with far, made(socket.SOCK_DGRAM) as near:
        await loop.sock_sendto(near, b"first", far.getsockname())
        assert (await loop.sock_recvfrom(far, 2))[0] == b"fi"
        await loop.sock_sendto(near, b"second", far.getsockname())
        assert (await loop.sock_recvfrom(far, 100))[0] == b"second"


async def test_a_connected_datagram_socket_has_one_peer(net: Net) -> None:
    loop = asyncio.get_running_loop()
    far, stranger = await bound(net, socket.SOCK_DGRAM), await bound(net, socket.SOCK_DGRAM)
    with far, stranger, made(socket.SOCK_DGRAM) as near:
        await loop.sock_connect(near, far.getsockname())
        assert near.getsockname()[0] == net.own
        assert near.getpeername() == far.getsockname()
        await loop.sock_sendall(near, b"question")
        await loop.sock_recvfrom(far, 100)
        await loop.sock_sendto(stranger, b"noise", near.getsockname())
        await loop.sock_sendto(far, b"answer", near.getsockname())
        assert await loop.sock_recv(near, 100) == b"answer"


async def test_a_closed_port_is_an_error_of_the_next_call(net: Net) -> None:
    loop = asyncio.get_running_loop()
    far = await bound(net, socket.SOCK_DGRAM)
    gone = far.getsockname()
    far.close()
    with made(socket.SOCK_DGRAM) as near:
        await loop.sock_connect(near, gone)
        await loop.sock_sendall(near, b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            await loop.sock_recv(near, 100)


async def test_a_datagram_that_is_too_large_is_an_error_at_once(net: Net) -> None:
    loop = asyncio.get_running_loop()
    far = await bound(net, socket.SOCK_DGRAM)
    with far, made(socket.SOCK_DGRAM) as near:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - as above
            await loop.sock_sendto(near, bytes(65_508), far.getsockname())
        assert caught.value.errno == errno.EMSGSIZE


async def test_a_broadcast_needs_the_option(net: Net) -> None:
    loop = asyncio.get_running_loop()
    with made(socket.SOCK_DGRAM) as near, pytest.raises(PermissionError):
        await loop.sock_sendto(near, b"x", ("255.255.255.255", 9))
    assert net.unhandled == []


async def test_an_endpoint_takes_over_a_socket_with_what_came_already(net: Net) -> None:
    loop = asyncio.get_running_loop()

    class Mailbox(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.got: list[bytes] = []

        def datagram_received(self, data: bytes, addr: Any) -> None:
            del addr
            self.got.append(data)

    far = await bound(net, socket.SOCK_DGRAM)
    where = far.getsockname()
    with made(socket.SOCK_DGRAM) as near:
        await loop.sock_sendto(near, b"early", where)
        await asyncio.sleep(net.pause)
        transport, box = await net.at_server(loop.create_datagram_endpoint(Mailbox, sock=far))
        await loop.sock_sendto(near, b"late", where)
        await until(lambda: box.got == [b"early", b"late"])
        assert transport.get_extra_info("sockname") == where
        transport.close()
        await asyncio.sleep(net.pause)
