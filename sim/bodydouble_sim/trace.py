"""The event trace: what two runs of one seed must agree on, byte for byte."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bodydouble_sim.loop import SimLoop

_BATCH = 2048


class Trace:
    """A running hash over stamped events; with ``keep`` the events stay readable in `lines`.

    Events are buffered as tuples and hashed a few thousand at a time; batch borders do not show. Fields may only be
    strings, numbers and bytes, whose ``repr`` is the same in every process.
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
        if len(self.buffer) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Hash what is buffered. Called by whoever appends to ``buffer`` directly once it is long."""
        if self.buffer:
            self._hash.update("".join([f"{event!r}\n" for event in self.buffer]).encode())
            if self._keep:
                self._lines.extend(" ".join(map(str, event)) for event in self.buffer)
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
