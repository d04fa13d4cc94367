"""Orders: what an operator says to a connection while it exists (route, transmission, tasks), or to a replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.replication.schedule import check_schedule
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.tasks import TaskReceipt

if TYPE_CHECKING:
    from bodydouble.replication.schedule import Order
    from bodydouble.replication.service import ReplicationService
    from bodydouble.vocabulary.mirror import MirrorWord
    from bodydouble.vocabulary.orphans import OrphanReport, OrphanRequest
    from bodydouble.vocabulary.records import ConnectionStatus, TargetConnectionStatus
    from bodydouble.vocabulary.tasks import TaskRequest
    from bodydouble.vocabulary.transmission import TransmissionOptions


class Orders:
    """Orders to existing connections and replicas.

    Args:
        service: has them.
    """

    def __init__(self, service: ReplicationService) -> None:
        self._service = service

    async def reroute(self, id_: int, route: str) -> ConnectionStatus:
        """Reach a connection's target by another of its addresses; no mirror is needed.

        Raises:
            InputError: there is no such connection, or the route is none.
        """
        connection = self._service.connection(id_)
        check_host(route)
        connection.reroute(route)
        self._service.share_compression(connection)
        await self._service.save_connections()
        request = connection.record.request
        text = f"{request.replication_set} to {request.target}:{request.port}: the route is {route} now"
        self._service.context.events.record(EventCode.ROUTE_CHANGED, text)
        return connection.status()

    async def order_replication(self, id_: int, *, running: bool) -> ConnectionStatus:
        """Stop replication, or start it again with a mirror.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: it is as ordered already, or a mirror or verification runs.
        """
        connection = self._service.connection(id_)
        if running:
            connection.mirrors.start_replication()
        else:
            connection.mirrors.stop_replication()
        await self._service.save_connections()
        return connection.status()

    async def flush(self, id_: int) -> ConnectionStatus:
        """Drop what is queued; a mirror is due then.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: it has no queue now.
        """
        connection = self._service.connection(id_)
        connection.mirrors.flush()
        await self._service.save_connections()
        return connection.status()

    def transmission(self, id_: int) -> TransmissionOptions:
        """How the connection transmits.

        Raises:
            InputError: there is no such connection.
        """
        return self._service.connection(id_).record.request.transmission

    async def order_mirror(self, id_: int, word: MirrorWord) -> ConnectionStatus:
        """Pause, resume or stop the mirror that runs on a connection; a pause is kept over restarts.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: it does not fit how the mirror stands.
        """
        connection = self._service.connection(id_)
        mirrors = connection.mirrors
        {"pause": mirrors.pause, "resume": mirrors.resume, "stop": mirrors.stop}[word]()
        await self._service.save_connections()
        return connection.status()

    def find_orphans(self, id_: int, request: OrphanRequest) -> OrphanReport:
        """Look for orphans without a mirror; see `OrphanSearch.start`.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: the replica is not complete, something else reads, or the target moves none.
        """
        return self._service.orphans.start(self._service.connection(id_), request)

    async def set_transmission(self, id_: int, options: TransmissionOptions) -> ConnectionStatus:
        """Transmit otherwise from now on.

        Raises:
            InputError: there is no such connection, or the schedule contradicts itself.
        """
        connection = self._service.connection(id_)
        if options.schedule is not None:
            check_schedule(options.schedule)
        connection.transmit(options)
        self._service.share_compression(connection)
        await self._service.save_connections()
        return connection.status()

    async def order_transmission(self, id_: int, order: Order) -> ConnectionStatus:
        """Start, stop, pause or resume transmission; kept over restarts.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: it does not fit what was ordered before.
        """
        connection = self._service.connection(id_)
        connection.order_transmission(order)
        await self._service.save_connections()
        request = connection.record.request
        text = f"{request.replication_set} to {request.target}:{request.port}: transmission {order} ordered"
        self._service.context.events.record(EventCode.TRANSMISSION_ORDERED, text)
        return connection.status()

    async def queue_task(self, id_: int, request: TaskRequest) -> TaskReceipt:
        """Queue a task behind what applications did until now.

        Raises:
            InputError: there is no such connection.
            ConnectionStateError: it has no stream now, or the queue takes nothing.
        """
        connection = self._service.connection(id_)
        await self._service.context.host.file_filter.settled()
        if connection.stream is None or not connection.stream.alive:
            raise ConnectionStateError(f"connection {id_} is {connection.state}: there is no stream to queue a task in")
        task = connection.stream.put_task(request)
        text = f"{connection.where}: task {task.id} ({task.command}, on {task.on}) queued"
        self._service.context.events.record(EventCode.TASK_QUEUED, text)
        if task.on == "queue":
            run = self._service.context.tasks.run(task, connection.where)
            self._service.spawn_now(run, f"bodydouble-queue-{task.id}")
        return TaskReceipt(task.id, task.on)

    async def pause_target(self, source: str, replication_set: str, *, paused: bool) -> TargetConnectionStatus:
        """Receive and apply nothing for now, or apply again; kept over restarts.

        Raises:
            InputError: this machine holds no such replica.
            ConnectionStateError: it is so already.
        """
        return await self._service.registry.pause(source, replication_set, paused=paused)


def check_host(name: str) -> None:
    """Refuse what is no host name.

    Raises:
        InputError: it is none.
    """
    if not name:
        raise InputError("a host is needed: a name or an address")
    try:
        name.encode("idna")
    except UnicodeError as error:
        raise InputError(f"target {name!r} is not a host name: {error}") from error
