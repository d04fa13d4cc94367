"""Socket objects of simulated machines: what ``socket.socket(...)`` gives to code that runs on one.

They are sockets to ``isinstance`` and have no file descriptor. What never blocks works as on Linux; what could block is
served while the socket is non-blocking, and refused with the way out (the loop's ``sock_*`` calls) while it is not:
a call that waited would stop the whole world.
"""

from __future__ import annotations

import errno
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from bodydouble_sim.errors import RefusedError
from bodydouble_sim.handles import current_machine
from bodydouble_sim.network.frames import NO_ADDRESS, is_address
from bodydouble_sim.network.options import SocketOptions
from bodydouble_sim.network.socket_datagram import DatagramEnd
from bodydouble_sim.network.socket_stream import StreamEnd

if TYPE_CHECKING:
    from bodydouble_sim.machine import Machine

End: TypeAlias = StreamEnd | DatagramEnd

_KINDS = {
    int(socket.SOCK_STREAM): (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    int(socket.SOCK_DGRAM): (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
}
_NON_BLOCKING = getattr(socket, "SOCK_NONBLOCK", 0)
_FLAGS = _NON_BLOCKING | getattr(socket, "SOCK_CLOEXEC", 0)
_BACKLOG = 128
_PORTS = 65536
_WILDCARDS = ("", NO_ADDRESS)


class MachineSocket(socket.socket):
    """A TCP or UDP socket of the machine that the running code belongs to.

    Raises:
        OSError: IPv6, which the simulated network does not have (EAFNOSUPPORT).
        RefusedError: another family, a raw socket, a descriptor of the host, or code that runs on no machine.
    """

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:  # noqa: A002
        # The base class is not initialised on purpose: it would open a descriptor.
        kind = int(socket.SOCK_STREAM) if type == -1 else type & ~_FLAGS
        _refuse_kind(family, kind, proto, fileno)
        self.options = SocketOptions()
        self._begin(_end(current_machine(), kind, self.options), kind)
        if type != -1 and type & _NON_BLOCKING:
            self.setblocking(False)

    def _begin(self, end: End, kind: int) -> None:
        self.end: End = end
        self._kind, self._proto = _KINDS[kind]
        self._patience: float | None = socket.getdefaulttimeout()
        self._inheritable = False
        self._given_away = False
        self._closed = False
        self._io_refs = 0

    @classmethod
    def _holding(cls, end: StreamEnd) -> MachineSocket:
        """A socket of a connection that was accepted."""
        made = cls.__new__(cls)
        made.options = end.options
        made._begin(end, int(socket.SOCK_STREAM))  # noqa: SLF001 - our own
        return made

    # --- what it is -------------------------------------------------------------------------------------------------

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4."""
        return socket.AF_INET

    @property
    def type(self) -> socket.SocketKind:
        """Stream or datagram."""
        return self._kind

    @property
    def proto(self) -> int:
        """TCP or UDP."""
        return self._proto

    def __repr__(self) -> str:
        where = "closed" if self._closed else f"{self.end.machine.name}, laddr={self.end.name}"
        return f"<MachineSocket {self._kind.name}, {where}>"

    def fileno(self) -> int:
        """-1 once it is closed.

        Raises:
            RefusedError: it is open.
        """
        if self._closed:
            return -1
        raise RefusedError("fileno: a simulated socket has no descriptor; give the socket to the loop's sock_* calls")

    def getsockname(self) -> tuple[str, int]:
        """Local address and port."""
        return self._open().name

    def getpeername(self) -> tuple[str, int]:
        """Remote address and port; OSError (ENOTCONN) without."""
        return self._open().peer

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:
        """As `SocketOptions.set`."""
        del optlen
        self._open()
        self.options.set(level, optname, value)

    def getsockopt(self, level: int, optname: int, buflen: int = 0) -> Any:
        """What was set or is in force; SO_ERROR tells and forgets why connecting failed."""
        del buflen
        if (level, optname) == (socket.SOL_SOCKET, socket.SO_TYPE):
            return int(self._kind)
        if (level, optname) == (socket.SOL_SOCKET, socket.SO_ERROR):
            return self._error()
        self._open()
        return self.options.get(level, optname)

    def _error(self) -> int:
        try:
            self._open().connected()
        except BlockingIOError:
            return 0
        except OSError as error:
            return 0 if error.errno == errno.ENOTCONN else error.errno or errno.EIO
        return 0

    def setblocking(self, flag: bool, /) -> None:
        """Non-blocking sockets are served; blocking ones are refused where they could block."""
        self._patience = None if flag else 0.0

    def getblocking(self) -> bool:
        """Whether calls are to wait."""
        return self._patience != 0.0

    def settimeout(self, value: float | None, /) -> None:
        """0: non-blocking; anything else asks to wait."""
        self._patience = None if value is None else float(value)

    def gettimeout(self) -> float | None:
        """What `settimeout` was given."""
        return self._patience

    @property
    def timeout(self) -> float | None:
        """As `gettimeout`."""
        return self._patience

    def set_inheritable(self, inheritable: bool) -> None:
        """Remembered: a simulated machine starts no process."""
        self._inheritable = inheritable

    def get_inheritable(self) -> bool:
        """What `set_inheritable` was given."""
        return self._inheritable

    # --- what it does -----------------------------------------------------------------------------------------------

    def _open(self) -> End:
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self.end

    def _at_once(self, call: str) -> End:
        """For a call that could block."""
        end = self._open()
        if self._given_away:
            raise RefusedError(f"{call}: this socket is used by a transport")
        if self._patience != 0.0:
            raise RefusedError(
                f"{call}: waiting on a blocking socket would stop the whole simulated world; setblocking(False) and "
                "await the loop's sock_* calls, or use streams"
            )
        return end

    def _stream(self) -> StreamEnd:
        end = self._open()
        if not isinstance(end, StreamEnd):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return end

    def bind(self, address: Any, /) -> None:
        """Take a local address and port."""
        end = self._open()
        host, port = checked(address)
        if host not in _WILDCARDS and not host.startswith("127.") and host not in end.machine.stack.locals:
            raise OSError(errno.EADDRNOTAVAIL, f"{host} is not an address of {end.machine.name}")
        end.bind(host or NO_ADDRESS, port)

    def listen(self, backlog: int = _BACKLOG, /) -> None:
        """Accept connections."""
        self._stream().listen(backlog)

    def accept(self) -> tuple[MachineSocket, Any]:
        """The connection that waits longest, as a socket of its own."""
        self._at_once("accept")
        end = self._stream().accept()
        return self._holding(end), end.peer

    def connect(self, address: Any, /) -> None:
        """Begin to connect; a stream says EINPROGRESS."""
        host, port = checked(address)
        self._at_once("connect").connect(host or "127.0.0.1", port)

    def connect_ex(self, address: Any, /) -> int:
        """As `connect`, and the number of its error."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """What came, at most so many bytes."""
        return self.recvfrom(bufsize, flags)[0]

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Any]:
        """What came, and from whom."""
        _refuse_flags("recv", flags)
        return self._at_once("recv").receive(bufsize)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `recv`, into a buffer."""
        return self.recvfrom_into(buffer, nbytes, flags)[0]

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """As `recvfrom`, into a buffer."""
        view = memoryview(buffer).cast("B")
        data, sender = self.recvfrom(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data), sender

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send what there is room for."""
        _refuse_flags("send", flags)
        return self._at_once("send").send(data)

    def sendto(self, data: Any, *rest: Any) -> int:
        """Send a datagram; that never blocks."""
        end = self._open()
        if isinstance(end, StreamEnd):
            raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
        _refuse_flags("sendto", rest[0] if len(rest) > 1 else 0)
        host, port = checked(rest[-1])
        return end.send_to(data, (host or "127.0.0.1", port))

    def shutdown(self, how: int, /) -> None:
        """Close one direction or both."""
        reading, writing = how in (socket.SHUT_RD, socket.SHUT_RDWR), how in (socket.SHUT_WR, socket.SHUT_RDWR)
        self._open().shutdown(reading=reading, writing=writing)

    def close(self) -> None:
        """Close it. Idempotent."""
        if not self._closed:
            self._closed = True
            if not self._given_away:
                self.end.close()

    def given_away(self) -> None:
        """A protocol or server takes over what it holds: from now on it only tells names and options."""
        self._given_away = True


def _end(machine: Machine, kind: int, options: SocketOptions) -> End:
    return (StreamEnd if kind == socket.SOCK_STREAM else DatagramEnd)(machine, options)


def checked(address: Any) -> tuple[str, int]:
    """A pair of IPv4 address (or "") and port.

    Raises:
        TypeError: it is no pair.
        OverflowError: there is no such port.
        RefusedError: a name, which only the loop can look up without stopping the world.
    """
    if not isinstance(address, tuple) or len(address) != 2:  # noqa: PLR2004 - address and port
        raise TypeError(f"AF_INET address must be a pair (host, port), not {address!r}")
    host, port = address
    if host == "<broadcast>":
        host = "255.255.255.255"
    if not 0 <= port < _PORTS:
        raise OverflowError("port must be 0-65535.")
    if host and not is_address(host):
        if host == "localhost":
            return "127.0.0.1", port
        raise RefusedError(f"{host}: looking a name up would stop the whole simulated world; await loop.getaddrinfo")
    return host, port


def _refuse_kind(family: int, kind: int, proto: int, fileno: int | None) -> None:
    if fileno is not None:
        raise RefusedError("fileno: a simulated machine has none of the host's descriptors")
    if family == getattr(socket, "AF_INET6", None):
        raise OSError(errno.EAFNOSUPPORT, "the simulated network is IPv4 only")
    if family not in (-1, socket.AF_INET):
        raise RefusedError(f"family {family}: the simulated network has TCP and UDP over IPv4 only; use 127.0.0.1")
    if kind not in _KINDS or proto not in (-1, 0, _KINDS[kind][1]):
        raise RefusedError(
            f"type {kind}, protocol {proto}: a simulated machine has TCP and UDP sockets only; "
            "its Pinger port sends ICMP echoes"
        )


def _refuse_flags(call: str, flags: int) -> None:
    if flags & ~getattr(socket, "MSG_NOSIGNAL", 0):
        raise RefusedError(f"{call}: flags {flags:#x} are not modelled")


def _refuse(name: str, reason: str, *_: Any, **__: Any) -> NoReturn:
    raise RefusedError(f"{name}: {reason}")


_NO_DESCRIPTOR = "a simulated socket has no descriptor to share; pass the socket itself"
_BLOCKS = "it would stop the whole simulated world; use the loop's sock_* calls, or streams"
_ANCILLARY = "a simulated socket carries no ancillary data; use send and recv"
_REFUSED = {
    **dict.fromkeys(("detach", "dup", "share", "ioctl"), _NO_DESCRIPTOR),
    **dict.fromkeys(("makefile", "sendall", "sendfile"), _BLOCKS),
    **dict.fromkeys(("recvmsg", "recvmsg_into", "sendmsg", "sendmsg_afalg"), _ANCILLARY),
}

for _name, _reason in _REFUSED.items():
    setattr(MachineSocket, _name, staticmethod(partial(_refuse, _name, _reason)))
