"""Settings of the replication service."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

MIB = 1024 * 1024

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Amount = Annotated[int, msgspec.Meta(ge=1)]


class ReplicationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How this daemon replicates, as source and as target.

    The bounds hold for what is read from a configuration.

    Attributes:
        address: local address that the target side listens on.
        port: its TCP port; 0 takes a free one (see `ReplicationService.port`).
        retry_interval: seconds between attempts to reach a target.
        slow_retry_interval: seconds between attempts when only a restoration or an operator can help.
        connect_timeout: seconds for opening the connection, and for Hello and its answer.
        handshake_timeout: seconds for the TLS handshake of a machine that connects.
        max_handshakes: connections that have not shown yet who they are, at one time; the one that has waited longest
            makes room.
        max_handshakes_per_address: the same for one address.
        ping_interval: seconds between keep-alive messages, both ways.
        peer_timeout: seconds of silence after which the peer counts as dead.
        queue_bytes: memory for operations not yet acknowledged (``QmemoryBufferMax``: 128 MB).
        disk_queue_bytes: what does not fit into memory is queued on disk, at most so much; None: as far as the volume
            goes; 0: there is no disk queue.
        target_queue_bytes: what a target has received and not yet applied, at most, on disk, for each replica; None:
            as far as the volume goes. A target whose queue is full reads no further.
        queue_floor_bytes: stays free on the volume of the disk queues.
        queue_alert_percent: of memory and disk queue together; an event says when it is reached.
        queue_full: what follows when both are exhausted. ``disconnect``: what is queued is dropped, the connection made
            again and remirrored (auto-disconnect). ``pause``: what is queued is still sent, then it is remirrored.
            ``stop``: what is queued is still sent, then replication stays stopped until an operator mirrors.
        mirror_window_bytes: how much of the queue a mirror may fill; never more than half of ``queue_bytes``.
        receive_bytes: how much a target session takes in ahead of what it has applied.
        settle_interval: seconds after which a target makes durable what it has applied, and records how far it is. What
            a power cut finds between the two is applied again out of the target's queue: nothing depends on it but how
            much that is.
        shares_interval: seconds between two looks at what this machine shares with its clients; targets are told of it.
        max_sessions: target sessions at one time.
        task_directory: scripts that tasks in the stream may run on this machine, as source and as target; empty: none.
            It is never replicated.
        orphan_directory: where this machine, as a target, keeps orphans that a source orders to be moved; a directory a
            day. It is never replicated. Empty: none is moved.
        accepted_roots: directories in product form. What other machines replicate or restore to this one has to lie
            beneath one of them; None: anywhere but in the daemon's own state.
    """

    address: str = "0.0.0.0"  # noqa: S104 - a target serves every route unless told otherwise
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 6320
    retry_interval: Seconds = 5.0
    slow_retry_interval: Seconds = 30.0
    connect_timeout: Seconds = 10.0
    handshake_timeout: Seconds = 5.0
    max_handshakes: Amount = 32
    max_handshakes_per_address: Amount = 8
    ping_interval: Seconds = 5.0
    peer_timeout: Seconds = 15.0
    queue_bytes: Amount = 128 * MIB
    disk_queue_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    target_queue_bytes: Amount | None = None
    queue_floor_bytes: Annotated[int, msgspec.Meta(ge=0)] = 50 * MIB
    queue_alert_percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
    queue_full: Literal["disconnect", "pause", "stop"] = "disconnect"
    mirror_window_bytes: Amount = 8 * MIB
    receive_bytes: Amount = 32 * MIB
    settle_interval: Seconds = 0.25
    shares_interval: Seconds = 10.0
    max_sessions: Amount = 64
    task_directory: str = ""
    orphan_directory: str = ""
    accepted_roots: list[str] | None = None
