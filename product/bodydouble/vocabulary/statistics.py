"""Statistics: what was counted, how fast it grows, and how far the target is behind.

Counts begin with the daemon; what grows never shrinks while it runs. Bytes are those of the operations' data and names,
unless something else is said.
"""

from __future__ import annotations

import msgspec


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast counts grew since the sample before, a second: operations, then bytes."""

    generated: float = 0.0
    sent: float = 0.0
    acknowledged: float = 0.0
    applied: float = 0.0
    generated_bytes: float = 0.0
    sent_bytes: float = 0.0
    mirror_bytes: float = 0.0


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A source's figures, of one connection or of all together.

    Attributes:
        operations_generated: put into the queue, by applications and by mirrors.
        operations_sent: handed to the network for the first time.
        operations_acknowledged: safe on the target's disk.
        operations_applied: in the replica.
        operations_queued: in the queue now: generated, and neither acknowledged nor dropped.
        generated_bytes: of what was generated.
        mirror_bytes: of that, contents of files that mirrors sent.
        plain_bytes: of what was sent, before compression, repetitions included.
        sent_bytes: written to the network, before TLS.
        queue_memory_bytes: queued in memory.
        queue_disk_bytes: queued on disk, or on the way there.
        lag_s: age of the oldest operation that is not acknowledged; 0 when there is none. Never too small, and too
            large by a hundredth of a second, or of the age if that is more.
        rates: how fast these grow.
    """

    operations_generated: int = 0
    operations_sent: int = 0
    operations_acknowledged: int = 0
    operations_applied: int = 0
    operations_queued: int = 0
    generated_bytes: int = 0
    mirror_bytes: int = 0
    plain_bytes: int = 0
    sent_bytes: int = 0
    queue_memory_bytes: int = 0
    queue_disk_bytes: int = 0
    lag_s: float = 0.0
    rates: Rates = Rates()


class ConnectionFigures(Figures, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Figures of one connection: its number on this source, its set and target, and its state."""

    id: int
    replication_set: str
    target: str
    state: str


class ReplicaFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A target's figures of one replica.

    Attributes:
        source: whose.
        replication_set: of which set.
        state: of the target's side.
        applied: elements of the present stream that are in the replica.
        operations_queued: received, safe on disk, not yet applied.
        queue_bytes: bytes of that.
    """

    source: str
    replication_set: str
    state: str
    applied: int = 0
    operations_queued: int = 0
    queue_bytes: int = 0


class RestorationFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Figures of a restoration that runs.

    Attributes:
        id: its number.
        original_source: whose data.
        replication_set: which of it.
        target: the machine that receives it.
        files_done: looked at and, where needed, sent.
        files_total: known so far.
        bytes_done: of those files, sent or found to be there.
        bytes_total: known so far.
        sent_bytes: written to the network, before TLS.
        remaining: seconds that are left, by an estimate.
    """

    id: int
    original_source: str
    replication_set: str
    target: str
    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    sent_bytes: int = 0
    remaining: float | None = None
