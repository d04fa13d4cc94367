"""TCP (RFC 793, RFC 1122 section 4.2) with the timers of Windows 2000: one connection's protocol machine.

Sequence numbers are plain integers that never wrap. There is no Nagle delay and no congestion window: a switched LAN.
Retransmission: a SYN is sent again after 3 and 6 s more, and 12 s later the attempt ends (TcpMaxConnectRetransmissions
and TcpInitialRTT of the Windows 2000 Registry Reference); data five times with a doubling time-out that begins at 3 s,
follows the measured round trip afterwards and never exceeds 240 s; then the connection is aborted (KB 170359).

A closed window is probed with the same doubling for as long as the peer answers (RFC 1122, 4.2.2.17). Keep-alives, when
an application asks for them, begin after 2 hours of silence, 1 s apart (KeepAliveTime, KeepAliveInterval of the Windows
2000 Registry Reference), and give up as data does. A connection whose own direction is closed and whose peer never
sends its FIN is forced to close after 300 s, whether the application still reads or not (KB 813056).
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from bodydouble_sim.network.frames import ACK, FIN, PSH, RST, SYN, TCP

if TYPE_CHECKING:
    from bodydouble_sim.handles import Incarnation
    from bodydouble_sim.network.nic import Nic
    from bodydouble_sim.network.ports import TcpPorts

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MSS = 1460
_HEADERS = 40  # of IP and TCP
WINDOW = 44 * MSS  # 64,240: the largest unscaled window in whole segments
FIRST_TIMEOUT = 3 * SECOND
LEAST_TIMEOUT = 300 * MILLISECOND
MOST_TIMEOUT = 240 * SECOND
SYN_RETRIES = 2
DATA_RETRIES = 5
DELAYED_ACK = 200 * MILLISECOND
FIN_WAIT_2 = 300 * SECOND
KEEP_ALIVE_TIME = 7200 * SECOND
KEEP_ALIVE_INTERVAL = SECOND
DUPLICATE_ACKS = 2  # TcpMaxDupAcks of Windows 2000: the ACK that repeats twice asks for the segment

CLOSED = 0
SYN_SENT = 1
SYN_RECEIVED = 2
ESTABLISHED = 3

DATA = PSH | ACK


class KeepAlive(NamedTuple):
    """When a silent peer is asked whether it is there (RFC 1122, 4.2.3.6).

    Attributes:
        idle: nanoseconds of silence before the first question.
        interval: nanoseconds between questions.
        questions: how many in a row it may leave unanswered.
    """

    idle: int
    interval: int
    questions: int


class TcpConnection(asyncio.Transport):
    """The protocol machine; `TcpTransport` puts asyncio's transport interface on top of it."""

    __slots__ = (
        "_ack_owed",
        "_ack_timer",
        "_deadline",
        "_duplicates",
        "_eof_sent",
        "_fin_acked",
        "_fin_received",
        "_fin_wanted",
        "_heard",
        "_in_flight",
        "_inbox_size",
        "_keep_alive",
        "_out_of_order",
        "_pending",
        "_probed",
        "_recover",
        "_retries",
        "_rto",
        "_silent",
        "_srtt",
        "_timed",
        "_timer",
        "_unsent",
        "_variance",
        "hop",
        "key",
        "local",
        "local_port",
        "loop",
        "mss",
        "nic",
        "ports",
        "rcv_nxt",
        "remote",
        "remote_port",
        "snd_nxt",
        "snd_una",
        "snd_wnd",
        "state",
    )

    def __init__(self, ports: TcpPorts, nic: Nic | None, key: tuple[str, int, str, int], first: int) -> None:
        super().__init__()
        self.ports = ports
        self.loop = ports.stack.loop
        self.nic = nic
        self.key = key
        self.local, self.local_port, self.remote, self.remote_port = key
        self.hop = ports.stack.next_hop(nic, self.remote)
        self.mss = MSS if nic is None else nic.segment.mtu - _HEADERS
        self.state = CLOSED
        self.snd_una = self.snd_nxt = first
        self.snd_wnd = WINDOW
        self.rcv_nxt = 0
        self._inbox_size = 0
        self._pending: deque[bytes] = deque()
        self._unsent = 0
        self._in_flight: deque[tuple[int, int, int, bytes]] = deque()  # seq, end, flags, payload
        self._out_of_order: dict[int, tuple[int, bytes]] = {}
        self._ack_owed = 0
        self._ack_timer = False
        self._timer = 0  # the deadline that the armed timer fires at; 0: none is armed
        self._deadline = 0
        self._rto = FIRST_TIMEOUT
        self._retries = 0
        self._srtt = 0
        self._variance = 0
        self._timed: tuple[int, int] | None = None
        self._recover = 0
        self._duplicates = 0
        self._fin_wanted = False
        self._eof_sent = False
        self._fin_acked = False
        self._fin_received = False
        self._heard = 0  # when the peer last sent anything
        self._probed = 0
        self._silent = 0  # probes in a row that nobody answered
        self._keep_alive: KeepAlive | None = None

    # --- what the transport adds ------------------------------------------------------------------------------------

    def on_established(self) -> None:
        """The handshake is complete."""

    def on_data(self, payload: bytes) -> None:
        """Payload arrived in order."""

    def on_eof(self) -> None:
        """The peer will send no more."""

    def on_room(self) -> None:
        """The peer acknowledged something."""

    def on_lost(self, error: Exception | None) -> None:
        """The connection is gone."""

    def belongs_to(self, owner: Incarnation) -> bool:  # noqa: ARG002 - a bare connection is nobody's
        """Whether it was made by code of that life."""
        return False

    def orphan(self) -> None:
        """Its process was killed."""

    # --- opening ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin the handshake."""
        self.state = SYN_SENT
        self._queue(SYN, b"", 1)

    def accept(self, seq: int, window: int) -> None:
        """Answer a SYN."""
        self.state = SYN_RECEIVED
        self.rcv_nxt = seq + 1
        self.snd_wnd = window
        self._queue(SYN | ACK, b"", 1)

    # --- sending ----------------------------------------------------------------------------------------------------

    def emit(self, flags: int, seq: int, payload: bytes) -> None:
        """Send one segment; it carries the acknowledgement that is owed."""
        self._ack_owed = 0
        nic = self.nic
        remote = self.remote
        window = WINDOW - self._inbox_size
        rest = (self.local_port, self.remote_port, flags, seq, self.rcv_nxt if flags & ACK else 0, window, payload)
        if nic is not None:
            mac = nic.arp.lookup(self.hop)
            if mac is not None:
                nic.send((TCP, nic.mac, mac, self.local, remote) + rest)  # noqa: RUF005 - half the price
                return
        self.ports.stack.send(nic, TCP, self.local, remote, rest)

    def _queue(self, flags: int, payload: bytes, length: int) -> None:
        """Send something that occupies sequence space, and keep it until it is acknowledged."""
        seq = self.snd_nxt
        self.snd_nxt = end = seq + length
        now = self.loop.now
        if not self._in_flight:
            self._deadline = now + self._rto
        if self._timed is None:
            self._timed = (end, now)
        self._in_flight.append((seq, end, flags, payload))
        self.emit(flags, seq, payload)
        if not 0 < self._timer <= self._deadline:
            self._arm()

    def _arm(self) -> None:
        """Have the timer fire at the deadline; one that is armed for later turns stale."""
        self._timer = self._deadline
        self.loop.schedule(self._deadline - self.loop.now, self._on_timer, self._deadline)

    def push(self) -> None:
        """Send what the peer's window allows, then the FIN when it is due."""
        pending = self._pending
        while pending:
            size = len(pending[0])
            if self.snd_nxt - self.snd_una + size > self.snd_wnd:
                self._await_window()
                return
            self._unsent -= size
            self._queue(DATA, pending.popleft(), size)
        if self._fin_wanted and not self._eof_sent:
            self._eof_sent = True
            self._queue(FIN | ACK, b"", 1)

    def fit(self, mtu: int) -> None:
        """The way takes no longer packets (RFC 1191): cut what waits, and what is in flight, which goes again."""
        size = mtu - _HEADERS
        if not 0 < size < self.mss:
            return
        self.mss = size
        self._pending = deque(piece for data in self._pending for piece in _cut(data, size))
        flight, self._in_flight = self._in_flight, deque()
        for seq, end, flags, payload in flight:
            at = seq
            for piece in _cut(payload, size) or [payload]:
                last = at + len(piece) >= end - bool(flags & (SYN | FIN))
                self._in_flight.append((at, end if last else at + len(piece), flags, piece))
                at += len(piece)
        self._timed = None
        self._recover = self.snd_nxt
        for seq, _, flags, payload in self._in_flight:
            self.emit(flags, seq, payload)

    def _await_window(self) -> None:
        """With nothing in flight only the timer can find out that the window opened (RFC 1122, 4.2.2.17)."""
        if not self._in_flight and not self._timer:
            self._deadline = self.loop.now + self._rto
            self._arm()

    def _on_timer(self, armed_for: int) -> None:
        """The one retransmission timer; it is not moved when an ACK comes but looks at the deadline when it fires."""
        if armed_for != self._timer:
            return
        self._timer = 0
        if self.state == CLOSED or not (self._in_flight or self._pending):
            return
        if self._deadline <= self.loop.now:
            if not self._again():
                return
            self._deadline = self.loop.now + min(self._rto << self._retries, MOST_TIMEOUT)
        self._arm()

    def _again(self) -> bool:
        """Retransmit, probe a closed window, or give up (False)."""
        self._timed = None  # Karn: a segment sent twice measures nothing
        if not self._in_flight:
            self._retries = min(self._retries + 1, DATA_RETRIES)
            return self._probe(DATA_RETRIES)
        self._retries += 1
        if self._retries > (DATA_RETRIES if self.state == ESTABLISHED else SYN_RETRIES):
            self._give_up()
            return False
        self._recover = self.snd_nxt
        seq, _, flags, payload = self._in_flight[0]
        self.emit(flags, seq, payload)
        return True

    def _give_up(self) -> None:
        self.end(TimeoutError(errno.ETIMEDOUT, f"{self.remote}:{self.remote_port} does not answer"))

    def _probe(self, most: int) -> bool:
        """Ask a silent peer for an ACK with a number below its window; False: it left ``most`` in a row unanswered."""
        self._silent = self._silent + 1 if self._heard < self._probed else 0
        if self._silent >= most:
            self._give_up()
            return False
        self._probed = self.loop.now
        self.emit(ACK, self.snd_una - 1, b"")
        return True

    def keep_alive(self, wanted: KeepAlive | None) -> None:
        """SO_KEEPALIVE: find out about a peer that died in silence (RFC 1122, 4.2.3.6)."""
        if wanted != self._keep_alive:
            self._keep_alive = wanted
            if wanted is not None:
                self._watch(wanted)

    def _watch(self, terms: KeepAlive) -> None:
        """Look again once the peer could have been silent for long enough."""
        quiet = self.loop.now - self._heard
        self.loop.schedule(max(0, terms.idle - quiet), self._still_there, terms)

    def _still_there(self, terms: KeepAlive) -> None:
        if self.state == CLOSED or self._keep_alive is not terms:
            return
        if self._in_flight or self._pending:  # retransmission and window probes find out by themselves
            self.loop.schedule(terms.idle, self._still_there, terms)
        elif self.loop.now - self._heard < terms.idle:
            self._watch(terms)
        elif self._probe(terms.questions):
            self.loop.schedule(terms.interval, self._still_there, terms)

    # --- receiving --------------------------------------------------------------------------------------------------

    def segment(self, flags: int, seq: int, ack: int, window: int, payload: bytes) -> None:
        """Take a segment."""
        self._heard = self.loop.now
        if flags & (SYN | RST | FIN) or self.state != ESTABLISHED:
            self._unusual(flags, seq, ack, window, payload)
            return
        if ack > self.snd_una:
            self._acknowledged(ack, window)
            if self.state == CLOSED:
                return
        elif not payload:
            self._repeated(seq, ack, window)
            return
        elif window > self.snd_wnd and ack == self.snd_una:
            self._widened(window)
        if payload:
            self._take(seq, payload, fin=False)

    def _widened(self, window: int) -> None:
        """The peer takes more than it said before.

        A window's right edge never moves back (RFC 1122, 4.2.2.16), so a segment that says less was overtaken.
        """
        self.snd_wnd = window
        self._retries = 0
        self.push()

    def _acknowledged(self, ack: int, window: int) -> None:
        """The peer confirmed everything before ``ack`` and takes ``window`` bytes more."""
        if ack > self.snd_nxt:
            return
        self.snd_una = ack
        self.snd_wnd = window
        in_flight = self._in_flight
        while in_flight and in_flight[0][1] <= ack:
            if in_flight.popleft()[2] & FIN:
                self._fin_confirmed()
        now = self.loop.now
        timed = self._timed
        if timed is not None and ack >= timed[0]:
            self._measure(now - timed[1])
            self._timed = None
        self._retries = 0
        self._duplicates = 0
        self._deadline = now + self._rto
        if in_flight:
            if self._timer > self._deadline:
                self._arm()
            if ack < self._recover:  # more was lost than the segment that was sent again (RFC 6582)
                self.emit(in_flight[0][2], in_flight[0][0], in_flight[0][3])
        if self._pending:
            self.push()
        self.on_room()
        if self._fin_acked and self._fin_received:
            self.ports.finished(self)

    def _fin_confirmed(self) -> None:
        self._fin_acked = True
        if not self._fin_received:
            self.loop.schedule(FIN_WAIT_2, self._abandon, None)

    def _abandon(self, _: object) -> None:
        """FIN-WAIT-2 has lasted too long; an application that still reads finds its connection reset."""
        if self.state == CLOSED or self._fin_received:
            return
        lost = f"{self.remote}:{self.remote_port} did not close its direction"
        self.end(None if self.is_closing() else ConnectionResetError(errno.ECONNRESET, lost))

    def _measure(self, trip: int) -> None:
        """Smooth the round trip (RFC 6298 with Windows 2000's small minimum)."""
        if self._srtt == 0:
            self._srtt, self._variance = trip, trip // 2
        else:
            self._variance += (abs(self._srtt - trip) - self._variance) // 4
            self._srtt += (trip - self._srtt) // 8
        self._rto = min(max(self._srtt + 4 * self._variance, LEAST_TIMEOUT), MOST_TIMEOUT)

    def _repeated(self, seq: int, ack: int, window: int) -> None:
        """An ACK without payload that confirms nothing new: window update, probe, or sign of a loss."""
        if seq < self.rcv_nxt:  # a probe of our window (sent below it on purpose) wants an answer
            self.emit(ACK, self.snd_nxt, b"")
        if ack != self.snd_una:
            return
        if window > self.snd_wnd:
            self._widened(window)
        elif self._in_flight and seq >= self.rcv_nxt:
            self._duplicates += 1
            if self._duplicates == DUPLICATE_ACKS:
                self._recover = self.snd_nxt
                self._timed = None
                self.emit(self._in_flight[0][2], self._in_flight[0][0], self._in_flight[0][3])

    def _take(self, seq: int, payload: bytes, *, fin: bool) -> None:
        """Deliver what is in order; keep what came early; acknowledge."""
        expected = self.rcv_nxt
        if seq != expected or self._fin_received:
            self._misplaced(seq, payload, fin=fin)
            return
        if self._inbox_size + len(payload) > WINDOW:
            self.emit(ACK, self.snd_nxt, b"")  # the sender overran the window: refuse the segment
            return
        self.rcv_nxt = expected + len(payload)
        self._owe()
        if payload:
            self.on_data(payload)
        if self.state == CLOSED:
            return
        if fin:
            self._finish_input()
        elif self._out_of_order:
            self._take_kept()

    def _misplaced(self, seq: int, payload: bytes, *, fin: bool) -> None:
        if seq > self.rcv_nxt:
            if seq + len(payload) <= self.rcv_nxt + WINDOW:
                self._out_of_order[seq] = (FIN if fin else 0, payload)
        elif seq + len(payload) > self.rcv_nxt and not self._fin_received:
            self._take(self.rcv_nxt, payload[self.rcv_nxt - seq :], fin=fin)
            return
        self.emit(ACK, self.snd_nxt, b"")

    def _take_kept(self) -> None:
        """Take what came early and is next now: a loop, for thousands of small segments may follow a lost one."""
        early, self._out_of_order = self._out_of_order, {}
        while (kept := early.pop(self.rcv_nxt, None)) is not None:
            self._take(self.rcv_nxt, kept[1], fin=bool(kept[0]))
        expected = self.rcv_nxt  # what came a second time, in order, is kept no longer
        self._out_of_order = {seq: segment for seq, segment in early.items() if seq > expected}

    def _owe(self) -> None:
        """Owe an acknowledgement: it rides on the next segment, follows a burst, or goes after 200 ms.

        RFC 1122, 4.2.3.2. The second segment of one instant asks for an ACK once the instant's arrivals are through.
        """
        owed = self._ack_owed = self._ack_owed + 1
        if owed == 2:  # noqa: PLR2004 - every second segment
            self.loop.schedule(0, self._send_ack, None)
        elif owed == 1 and not self._ack_timer:
            self._ack_timer = True
            self.loop.schedule(DELAYED_ACK, self._delayed_ack, None)

    def _delayed_ack(self, _: object) -> None:
        self._ack_timer = False
        self._send_ack(None)

    def _send_ack(self, _: object) -> None:
        if self._ack_owed and self.state == ESTABLISHED:
            self.emit(ACK, self.snd_nxt, b"")

    def _finish_input(self) -> None:
        self._fin_received = True
        self.rcv_nxt += 1
        self.emit(ACK, self.snd_nxt, b"")
        self.on_eof()
        if self._fin_acked and self.state != CLOSED:
            self.ports.finished(self)

    def _unusual(self, flags: int, seq: int, ack: int, window: int, payload: bytes) -> None:
        """Handshake, reset and end of input: RFC 793, "SEGMENT ARRIVES"."""
        if flags & RST:
            self._reset(flags, seq, ack)
        elif self.state == SYN_SENT:
            self._answered(flags, seq, ack, window)
        elif flags & SYN:
            if self.state == SYN_RECEIVED and seq + 1 == self.rcv_nxt:
                self.emit(SYN | ACK, self.snd_una, b"")
            else:
                self.emit(ACK, self.snd_nxt, b"")  # a rebooted peer answers this with a reset
        elif flags & ACK:
            if self.state == SYN_RECEIVED and not self._complete(ack, window):
                return
            if ack > self.snd_una:
                self._acknowledged(ack, window)
            if self.state == ESTABLISHED and (payload or flags & FIN):
                self._take(seq, payload, fin=bool(flags & FIN))

    def _answered(self, flags: int, seq: int, ack: int, window: int) -> None:
        """SYN-SENT: the answer to our SYN, or a leftover of an older connection of the same ports."""
        if flags & ACK and ack != self.snd_nxt:
            self.emit(RST, ack, b"")
        elif flags & SYN and flags & ACK:
            self.rcv_nxt = seq + 1
            self.state = ESTABLISHED
            self._rto = FIRST_TIMEOUT
            self._acknowledged(ack, window)
            self.emit(ACK, self.snd_nxt, b"")
            self.on_established()

    def _complete(self, ack: int, window: int) -> bool:
        """SYN-RECEIVED: the third part of the handshake."""
        if ack != self.snd_nxt:
            self.emit(RST, ack, b"")
            return False
        self.state = ESTABLISHED
        self._acknowledged(ack, window)
        self.on_established()
        return self.state == ESTABLISHED

    def _reset(self, flags: int, seq: int, ack: int) -> None:
        if self.state == SYN_SENT:
            if flags & ACK and ack == self.snd_nxt:
                self.end(ConnectionRefusedError(errno.ECONNREFUSED, f"{self.remote}:{self.remote_port} refused"))
        elif self.rcv_nxt <= seq <= self.rcv_nxt + WINDOW:
            self.end(ConnectionResetError(errno.ECONNRESET, f"reset by {self.remote}:{self.remote_port}"))

    # --- ending -----------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Send RST and forget the connection."""
        if self.state in (SYN_RECEIVED, ESTABLISHED):
            self.emit(RST | ACK, self.snd_nxt, b"")
        self.end(None)

    def end(self, error: Exception | None) -> None:
        """Forget the connection and tell the owner."""
        if self.state != CLOSED:
            self.die()
            self.ports.forget(self)
            self.on_lost(error)

    def die(self) -> None:
        """Stop at once and in silence, as when the power goes."""
        self.state = CLOSED
        self._ack_owed = 0
        self._in_flight.clear()
        self._pending.clear()


def _cut(data: bytes, size: int) -> list[bytes]:
    """Pieces of at most ``size`` bytes, of the same kind."""
    return [type(data)(data[at : at + size]) for at in range(0, len(data), size)]
