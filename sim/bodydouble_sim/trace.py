"""The event trace: what two runs of one seed must agree on, byte for byte."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from bodydouble_sim.network.frames import ARP, ICMP, TCP, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble_sim.loop import SimLoop

BATCH = 256


class Trace:
    """A running hash over stamped events; with ``keep`` the events stay readable in `lines`.

    An event is hashed as the ``repr`` of a tuple: when, kind, fields. Fields may only be strings, numbers and bytes,
    whose ``repr`` is the same in every process. Events are hashed a few thousand at a time; batch borders do not show.
    """

    def __init__(self, loop: SimLoop, *, keep: bool = False) -> None:
        self._loop = loop
        self._keep = keep
        self._hash = blake2b(digest_size=16)
        self._lines: list[str] = []
        self.buffer: list[tuple[Any, ...]] = []

    def record(self, kind: str, *fields: str | int | float | bytes) -> None:  # noqa: PYI041 - the contract's words
        """Append one event, stamped with the virtual nanoseconds of now."""
        self.buffer.append((self._loop.now, kind, *fields))
        if len(self.buffer) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Hash what is buffered.

        Wires append ``(when, frame)`` to `buffer`, and flush it at `BATCH`: a call a frame would be a tenth of its way.
        """
        if self._keep:
            self._lines += [" ".join(map(str, _fields(*event))) for event in self.buffer]
        self._hash.update("".join(_texts(self.buffer)).encode())
        self.buffer.clear()

    @property
    def digest(self) -> str:
        """Hex digest of every event so far."""
        self.flush()
        return self._hash.hexdigest()

    @property
    def lines(self) -> list[str]:
        """Every event so far, one line each; empty unless the world keeps its trace."""
        self.flush()
        return self._lines


def _fields(when: int, what: Any, *rest: Any) -> tuple[Any, ...]:
    """The fields of an event; of a frame: addresses and header, length and fingerprint of the payload."""
    if type(what) is str:
        return when, what, *rest
    if what[0] is ARP:
        return when, *what
    return when, what[0], *what[3:-1], len(what[-1]), fingerprint(what[-1])


def _texts(events: list[tuple[Any, ...]]) -> Iterator[str]:
    """The ``repr`` of every event's fields, a line each.

    TCP segments and echoes, which are nearly all, are written out here: at half the price.
    """
    latest, tail = b"", "0, 0)\n"  # echoes and plain ACKs repeat their payloads
    for event in events:
        frame = event[1]
        kind = frame[0]
        if kind is TCP:
            _, _, _, source, to, port, to_port, flags, seq, ack, window, data = frame
            if data is not latest:
                latest, tail = data, f"{len(data)}, {fingerprint(data)!r})\n"
            yield (
                f"({event[0]}, 'tcp', '{source}', '{to}', {port}, {to_port}, {flags}, {seq}, {ack}, {window}, {tail}"
            )
        elif kind is ICMP:
            _, _, _, source, to, number, code, identifier, sequence, data = frame
            if data is not latest:
                latest, tail = data, f"{len(data)}, {fingerprint(data)!r})\n"
            yield f"({event[0]}, 'icmp', '{source}', '{to}', {number}, {code}, {identifier}, {sequence}, {tail}"
        else:
            yield f"{_fields(*event)!r}\n"
