"""Datagram endpoints."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.networking.arms import until

if TYPE_CHECKING:
    from tests.conformance.networking.arms import Net


class Mailbox(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.got: list[tuple[bytes, Any]] = []
        self.errors: list[Exception] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.calls.append("made")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.append((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        assert exc is None
        self.calls.append("lost")


async def near(net: Net, **options: Any) -> Mailbox:
    loop = asyncio.get_running_loop()
    options.setdefault("local_addr", (net.own, 0))
    _, box = await loop.create_datagram_endpoint(Mailbox, **options)
    return box


async def far(net: Net) -> Mailbox:
    loop = asyncio.get_running_loop()
    box: Mailbox
    _, box = await net.at_server(loop.create_datagram_endpoint(Mailbox, (net.host, 0)))
    return box


def name(box: Mailbox) -> Any:
    return box.transport.get_extra_info("sockname")


def close(*boxes: Mailbox) -> None:
    for box in boxes:
        box.transport.close()


async def test_a_datagram_arrives_with_its_sender_and_can_be_answered(net: Net) -> None:
    here, there = await near(net), await far(net)
    here.transport.sendto(b"question", name(there))
    await until(lambda: there.got)
    assert there.got == [(b"question", name(here))]
    there.transport.sendto(b"answer", there.got[0][1])
    await until(lambda: here.got)
    assert here.got == [(b"answer", name(there))]
    close(here, there)


async def test_datagrams_keep_their_borders_and_their_order(net: Net) -> None:
    here, there = await near(net), await far(net)
    here.transport.sendto(b"first", name(there))
    await until(lambda: there.got.pop() if there.got else None)  # an ARP entry in the making holds one packet only
    for number in range(100):
        here.transport.sendto(b"%d" % number, name(there))
    await until(lambda: len(there.got) == 100)
    assert [data for data, _ in there.got] == [b"%d" % number for number in range(100)]
    close(here, there)


async def test_a_connected_endpoint_needs_no_address_and_hears_only_its_peer(net: Net) -> None:
    there, stranger = await far(net), await far(net)
    here = await near(net, remote_addr=name(there))
    assert here.transport.get_extra_info("peername") == name(there)
    here.transport.sendto(b"question")
    await until(lambda: there.got)
    stranger.transport.sendto(b"noise", name(here))
    there.transport.sendto(b"answer", name(here))
    await until(lambda: here.got)
    await asyncio.sleep(net.pause)
    assert here.got == [(b"answer", name(there))]
    close(here, there, stranger)


async def test_a_connected_endpoint_cannot_send_elsewhere(net: Net) -> None:
    there = await far(net)
    here = await near(net, remote_addr=name(there))
    with pytest.raises(ValueError, match="address"):
        here.transport.sendto(b"x", (net.host, 9))
    close(here, there)


async def test_a_closed_port_is_reported_to_a_connected_endpoint(net: Net) -> None:
    there = await far(net)
    gone = name(there)
    close(there)
    await until(lambda: there.calls == ["made", "lost"])
    here = await near(net, remote_addr=gone)
    here.transport.sendto(b"anybody?")
    await until(lambda: here.errors)
    assert isinstance(here.errors[0], ConnectionRefusedError)
    close(here)


async def test_a_datagram_that_is_too_large_is_reported(net: Net) -> None:
    here, there = await near(net), await far(net)
    here.transport.sendto(b"x" * 65_508, name(there))
    await until(lambda: here.errors)
    assert isinstance(here.errors[0], OSError)
    assert here.errors[0].errno == errno.EMSGSIZE
    here.transport.sendto(b"x" * 60_000, name(there))
    await until(lambda: there.got)
    assert len(there.got[0][0]) == 60_000
    close(here, there)


async def test_a_port_in_use_is_an_error(net: Net) -> None:
    here = await near(net)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
        await near(net, local_addr=name(here))
    assert caught.value.errno == errno.EADDRINUSE
    close(here)


async def test_closing_ends_the_endpoint_once(net: Net) -> None:
    here = await near(net)
    here.transport.close()
    here.transport.close()
    assert here.transport.is_closing()
    assert here.calls == ["made"]
    await until(lambda: here.calls == ["made", "lost"])


async def test_aborting_ends_the_endpoint_too(net: Net) -> None:
    here = await near(net)
    here.transport.abort()
    await until(lambda: here.calls == ["made", "lost"])


async def test_the_port_of_a_closed_endpoint_is_free_again(net: Net) -> None:
    here = await near(net)
    taken = name(here)
    close(here)
    await until(lambda: here.calls == ["made", "lost"])
    again = await near(net, local_addr=taken)
    assert name(again) == taken
    close(again)


async def test_the_socket_shown_is_a_datagram_socket(net: Net) -> None:
    here = await near(net)
    shown = here.transport.get_extra_info("socket")
    assert (shown.family, shown.type) == (socket.AF_INET, socket.SOCK_DGRAM)
    close(here)


async def test_only_bytes_can_be_sent(net: Net) -> None:
    here, there = await near(net), await far(net)
    with pytest.raises(TypeError):
        here.transport.sendto("text", name(there))
    here.transport.sendto(bytearray(b"bytes"), name(there))
    await until(lambda: there.got)
    close(here, there)
