"""The control API's routes for connections while they exist, and for the target's side of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from bodydouble.control.answers import answer, not_found, read_body, read_query
from bodydouble.control.routing import connection_of, delete, done, get, post, put
from bodydouble.replication.schedule import Order
from bodydouble.vocabulary.mirror import AS_CONNECTED, MirrorOrder, MirrorWord
from bodydouble.vocabulary.orphans import OrphanRequest
from bodydouble.vocabulary.records import ConnectRequest, ReplicaName, RouteChange
from bodydouble.vocabulary.tasks import TaskRequest
from bodydouble.vocabulary.transmission import TransmissionOptions

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from bodydouble.control.api import Backends


def connection_routes(backends: Backends) -> list[Route]:
    """Connect, disconnect, mirror, route, transmission, tasks."""
    service = backends.replication

    async def connections(_request: Request) -> Response:
        return answer(service.connections())

    async def connect(request: Request) -> Response:
        return answer(await service.connect(await read_body(request, ConnectRequest)))

    async def disconnect(request: Request) -> Response:
        drain = read_query(request, "drain", bool, default=False)
        await service.disconnect(connection_of(request, service), drain=drain)
        return done()

    async def mirror(request: Request) -> Response:
        id_ = connection_of(request, service)
        return answer(await service.start_mirror(id_, await read_body(request, MirrorOrder, empty=AS_CONNECTED)))

    async def order_mirror(request: Request) -> Response:
        id_, word = connection_of(request, service), request.path_params["word"]
        if word not in get_args(MirrorWord):
            raise not_found(f"no order {word!r}: pause, resume or stop")
        return answer(await service.orders.order_mirror(id_, word))

    async def reroute(request: Request) -> Response:
        id_ = connection_of(request, service)
        return answer(await service.orders.reroute(id_, (await read_body(request, RouteChange)).route))

    async def queue_task(request: Request) -> Response:
        id_ = connection_of(request, service)
        return answer(await service.orders.queue_task(id_, await read_body(request, TaskRequest)))

    return [
        get("connections", connections),
        post("connections", connect),
        delete("connections/{id:int}", disconnect),
        post("connections/{id:int}/mirror", mirror),
        post("connections/{id:int}/mirror/{word}", order_mirror),
        put("connections/{id:int}/route", reroute),
        post("connections/{id:int}/tasks", queue_task),
        *_orphans(backends),
        *_orders(backends),
        *_targets(backends),
    ]


def _orphans(backends: Backends) -> list[Route]:
    service = backends.replication

    async def search(request: Request) -> Response:
        id_ = connection_of(request, service)
        return answer(service.orders.find_orphans(id_, await read_body(request, OrphanRequest, empty=OrphanRequest())))

    async def report(request: Request) -> Response:
        id_ = connection_of(request, service)
        if (found := service.orphans.report(id_)) is None:
            raise not_found(f"connection {id_}: nobody has looked for orphans yet")
        return answer(found)

    async def stop(request: Request) -> Response:
        await service.orphans.stop(connection_of(request, service))
        return done()

    return [
        post("connections/{id:int}/orphans", search),
        get("connections/{id:int}/orphans", report),
        delete("connections/{id:int}/orphans", stop),
    ]


def _orders(backends: Backends) -> list[Route]:
    service = backends.replication

    async def options(request: Request) -> Response:
        return answer(service.orders.transmission(connection_of(request, service)))

    async def change(request: Request) -> Response:
        id_ = connection_of(request, service)
        return answer(await service.orders.set_transmission(id_, await read_body(request, TransmissionOptions)))

    async def order(request: Request) -> Response:
        id_, word = connection_of(request, service), request.path_params["order"]
        if word not in get_args(Order):
            raise not_found(f"no order {word!r}: start, stop, pause or resume")
        return answer(await service.orders.order_transmission(id_, word))

    async def order_replication(request: Request) -> Response:
        id_, word = connection_of(request, service), request.path_params["order"]
        if word not in ("start", "stop"):
            raise not_found(f"no order {word!r}: start or stop")
        return answer(await service.orders.order_replication(id_, running=word == "start"))

    return [
        post("connections/{id:int}/replication/{order}", order_replication),
        get("connections/{id:int}/transmission", options),
        put("connections/{id:int}/transmission", change),
        post("connections/{id:int}/transmission/{order}", order),
    ]


def _targets(backends: Backends) -> list[Route]:
    service = backends.replication

    async def replicas(_request: Request) -> Response:
        return answer(service.target_connections())

    async def pause(request: Request) -> Response:
        return await _pause(request, paused=True)

    async def resume(request: Request) -> Response:
        return await _pause(request, paused=False)

    async def _pause(request: Request, *, paused: bool) -> Response:
        named = await read_body(request, ReplicaName)
        return answer(await service.orders.pause_target(named.source, named.replication_set, paused=paused))

    return [get("replicas", replicas), post("replicas/pause", pause), post("replicas/resume", resume)]
