"""The control API's operations on connections while they exist, and on the target's side of them."""

from __future__ import annotations

from typing import Literal

from bodydouble.control.answers import not_found
from bodydouble.control.backends import Backends
from bodydouble.control.routing import ConnectionId, delete, get, post, put, the_connection
from bodydouble.replication.schedule import Order
from bodydouble.vocabulary.mirror import AS_CONNECTED, MirrorOrder, MirrorWord
from bodydouble.vocabulary.orphans import OrphanReport, OrphanRequest
from bodydouble.vocabulary.records import (
    ConnectionStatus,
    ConnectRequest,
    ReplicaName,
    TargetConnectionStatus,
)
from bodydouble.vocabulary.tasks import TaskReceipt, TaskRequest
from bodydouble.vocabulary.transmission import RouteChange, TransmissionOptions

ANY_ORPHANS = OrphanRequest()


@get("connections")
async def connections(backends: Backends) -> list[ConnectionStatus]:
    """This source's connections."""
    return backends.replication.connections()


@post("connections")
async def connect(backends: Backends, body: ConnectRequest) -> ConnectionStatus:
    """Connect a replication set to a target."""
    return await backends.replication.connect(body)


@delete("connections/{id}")
async def disconnect(backends: Backends, id_: ConnectionId, drain: bool = False) -> None:
    """Disconnect; with ``drain`` what is queued is sent first, and this answers before that is done."""
    await backends.replication.disconnect(the_connection(id_, backends.replication), drain=drain)


@post("connections/{id}/mirror")
async def mirror(backends: Backends, id_: ConnectionId, body: MirrorOrder = AS_CONNECTED) -> ConnectionStatus:
    """Start a mirror (an operator's remirror); without a body, as the connection's own options say."""
    return await backends.replication.start_mirror(the_connection(id_, backends.replication), body)


@post("connections/{id}/mirror/{order}")
async def order_mirror(backends: Backends, id_: ConnectionId, order: MirrorWord) -> ConnectionStatus:
    """Pause, resume or stop the mirror that runs."""
    return await backends.replication.orders.order_mirror(the_connection(id_, backends.replication), order)


@delete("connections/{id}/queue")
async def flush_queue(backends: Backends, id_: ConnectionId) -> ConnectionStatus:
    """Drop what is queued and not acknowledged; nothing is replicated until a mirror."""
    return await backends.replication.orders.flush(the_connection(id_, backends.replication))


@put("connections/{id}/route")
async def reroute(backends: Backends, id_: ConnectionId, body: RouteChange) -> ConnectionStatus:
    """Reach the target by another address."""
    return await backends.replication.orders.reroute(the_connection(id_, backends.replication), body.route)


@post("connections/{id}/tasks")
async def queue_task(backends: Backends, id_: ConnectionId, body: TaskRequest) -> TaskReceipt:
    """Queue a task in the stream; how it ends is an event."""
    return await backends.replication.orders.queue_task(the_connection(id_, backends.replication), body)


@post("connections/{id}/orphans")
async def find_orphans(backends: Backends, id_: ConnectionId, body: OrphanRequest = ANY_ORPHANS) -> OrphanReport:
    """Look for files that only the target has; answers before that is complete."""
    return backends.replication.orders.find_orphans(the_connection(id_, backends.replication), body)


@get("connections/{id}/orphans")
async def orphans(backends: Backends, id_: ConnectionId) -> OrphanReport:
    """The latest report on orphans."""
    if (found := backends.replication.orphans.report(the_connection(id_, backends.replication))) is None:
        raise not_found(f"connection {id_}: nobody has looked for orphans yet")
    return found


@delete("connections/{id}/orphans")
async def stop_orphans(backends: Backends, id_: ConnectionId) -> None:
    """Stop looking for orphans."""
    await backends.replication.orphans.stop(the_connection(id_, backends.replication))


@post("connections/{id}/replication/{order}")
async def order_replication(backends: Backends, id_: ConnectionId, order: Literal["start", "stop"]) -> ConnectionStatus:
    """Stop: queue nothing more, send what is queued, and then a mirror is due. Start: begin with a mirror."""
    orders = backends.replication.orders
    return await orders.order_replication(the_connection(id_, backends.replication), running=order == "start")


@get("connections/{id}/transmission")
async def transmission(backends: Backends, id_: ConnectionId) -> TransmissionOptions:
    """How the connection transmits."""
    return backends.replication.orders.transmission(the_connection(id_, backends.replication))


@put("connections/{id}/transmission")
async def set_transmission(backends: Backends, id_: ConnectionId, body: TransmissionOptions) -> ConnectionStatus:
    """Transmit otherwise from now on."""
    return await backends.replication.orders.set_transmission(the_connection(id_, backends.replication), body)


@post("connections/{id}/transmission/{order}")
async def order_transmission(backends: Backends, id_: ConnectionId, order: Order) -> ConnectionStatus:
    """Start, stop, pause or resume transmission."""
    return await backends.replication.orders.order_transmission(the_connection(id_, backends.replication), order)


@get("replicas")
async def replicas(backends: Backends) -> list[TargetConnectionStatus]:
    """The replicas on this machine."""
    return backends.replication.target_connections()


@post("replicas/pause")
async def pause_replica(backends: Backends, body: ReplicaName) -> TargetConnectionStatus:
    """Have this machine receive a replica's operations and not apply them."""
    return await backends.replication.orders.pause_target(body.source, body.replication_set, paused=True)


@post("replicas/resume")
async def resume_replica(backends: Backends, body: ReplicaName) -> TargetConnectionStatus:
    """Apply a replica's operations again."""
    return await backends.replication.orders.pause_target(body.source, body.replication_set, paused=False)
