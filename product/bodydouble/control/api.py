"""The routes of the control API, version 1. JSON is exactly the records of `bodydouble.vocabulary`.

=========================================  =================================================================
GET /v1/status                             `DaemonStatus`
GET /v1/events?after=N                     `Event` list, numbers above N, at most 1,000
GET /v1/statistics?after=AT&limit=N        `Sample` list, taken after AT, the newest N
GET /metrics                               the same figures of this moment, for Prometheus
GET /v1/replication-sets                   `ReplicationSet` list
POST /v1/replication-sets?new=BOOL&remirror=BOOL   `ReplicationSet` to the same as saved; ``new``: replace none;
                                           ``remirror`` (true): connections mirror again if it changed
GET /v1/replication-sets/{name}            `ReplicationSet`
DELETE /v1/replication-sets/{name}?disconnect=BOOL   with ``disconnect`` its connections end first
POST /v1/replication-sets/{name}/copy, .../rename   `SetName` to `ReplicationSet`
GET /v1/replication-sets/{name}/explanation?path=PATH   `Explanation`
GET /v1/coverage                           `Uncovered` list: what applications need and no set holds
GET, POST, DELETE /v1/replication-sets/{name}/size   `SetSize`: look; calculate, which goes on; cancel
GET, POST /v1/connections                  `ConnectionStatus` list; `ConnectRequest` to `ConnectionStatus`
DELETE /v1/connections/{id}?drain=BOOL     with ``drain`` the queue is sent first, and the connection goes then
POST /v1/connections/{id}/mirror           `MirrorOrder`, or nothing, to `ConnectionStatus`
POST /v1/connections/{id}/mirror/{order}   pause, resume, stop: `ConnectionStatus`
GET, POST, DELETE /v1/connections/{id}/orphans   `OrphanReport`; `OrphanRequest` to `OrphanReport`, which runs on; stop
PUT /v1/connections/{id}/route             `RouteChange` to `ConnectionStatus`
POST /v1/connections/{id}/replication/{order}   start, stop: `ConnectionStatus`
POST /v1/connections/{id}/tasks            `TaskRequest` to `TaskReceipt`; how it ends is an event
GET, PUT /v1/connections/{id}/transmission `TransmissionOptions`; put answers `ConnectionStatus`
POST /v1/connections/{id}/transmission/{order}   start, stop, pause, resume: `ConnectionStatus`
GET /v1/replicas                           `TargetConnectionStatus` list
POST /v1/replicas/pause, .../resume        `ReplicaName` to `TargetConnectionStatus`
POST /v1/connections/{id}/verification     `VerificationOptions` to `VerificationReport`, which runs on
DELETE /v1/connections/{id}/verification   stop it
GET, PUT, DELETE /v1/connections/{id}/verification-schedule   `VerificationSchedule`, null when there is none
GET /v1/verifications                      `VerificationReport` list, the latest hundred
GET /v1/verifications/{number}             `VerificationDetails`
GET /v1/peers                              `Pairings`: own fingerprint, paired machines
DELETE /v1/peers/{name}                    trust it no more
GET, POST, DELETE /v1/pairing/offer        `OfferStatus`; `OfferRequest` to `Offer`; withdraw it
POST /v1/pairing/accept                    `AcceptRequest` to `Peer`, once both have pinned each other
GET, POST /v1/monitors                     `MonitorStatus` list; `MonitorRequest` to `MonitorStatus`
DELETE /v1/monitors/{source}
POST /v1/monitors/{source}/failover        `MonitorStatus`, once the decision is durable; the work goes on
POST /v1/monitors/{source}/failback        the same
POST /v1/monitors/{source}/decision        `FailbackDecision` to `MonitorStatus`
GET, POST /v1/restorations                 `RestorationStatus` list; `RestoreRequest` to `RestorationStatus`
GET /v1/services/{name}                    `ServiceStatus`
POST /v1/services/{name}/start, .../stop   `ServiceStatus`, once it runs or has stopped
=========================================  =================================================================

Errors are ``{"error": "..."}``: 400 the request is wrong, 401 no token, 404 no such thing, 409 it does not fit the
present state, 500 the host failed. Deletions answer 204.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from bodydouble import __version__
from bodydouble.control.access import TokenGate
from bodydouble.control.answers import EXCEPTION_HANDLERS, answer, not_found, read_body, read_query
from bodydouble.control.connections import connection_routes
from bodydouble.control.metrics import CONTENT_TYPE, exposition
from bodydouble.control.pairing import pairing_routes
from bodydouble.control.replication_sets import set_routes
from bodydouble.control.routing import delete as _delete
from bodydouble.control.routing import done as _done
from bodydouble.control.routing import get as _get
from bodydouble.control.routing import post as _post
from bodydouble.control.statistics import KEPT
from bodydouble.control.verification import verification_routes
from bodydouble.errors import ServiceError
from bodydouble.vocabulary.records import (
    DaemonStatus,
    FailbackDecision,
    MonitorRequest,
    RestoreRequest,
    ServiceStatus,
)

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from bodydouble.control.statistics import StatisticsRing
    from bodydouble.failover.service import FailoverService
    from bodydouble.ports import Host
    from bodydouble.replication.service import ReplicationService
    from bodydouble.restore.service import RestorationService
    from bodydouble.security.pairing import Pairing
    from bodydouble.security.trust import Trust
    from bodydouble.state.events import EventLog


@dataclass(frozen=True, slots=True)
class Backends:
    """What the API speaks for."""

    host: Host
    events: EventLog
    replication: ReplicationService
    restoration: RestorationService
    failover: FailoverService
    statistics: StatisticsRing
    trust: Trust
    pairing: Pairing


def build_app(backends: Backends, token: str) -> ASGIApp:
    """The ASGI application, closed to everybody without ``token``."""
    routes = [
        *_observation(backends),
        *set_routes(backends),
        *connection_routes(backends),
        *verification_routes(backends),
        *pairing_routes(backends.trust, backends.pairing),
        *_failover(backends),
        *_restoration(backends),
        *_services(backends),
    ]
    return TokenGate(Starlette(routes=routes, exception_handlers=EXCEPTION_HANDLERS), token)


def _observation(backends: Backends) -> list[Route]:
    async def status(_request: Request) -> Response:
        return answer(
            DaemonStatus(
                version=__version__,
                identity=await backends.host.identity.query(),
                connections=backends.replication.connections(),
                target_connections=backends.replication.target_connections(),
                monitors=backends.failover.monitors(),
                restorations=backends.restoration.restorations(),
                uncovered=await backends.replication.coverage.now(),
            )
        )

    async def events(request: Request) -> Response:
        return answer(backends.events.after(read_query(request, "after", int, 0)))

    async def statistics(request: Request) -> Response:
        after, limit = read_query(request, "after", float, -1.0), read_query(request, "limit", int, KEPT)
        return answer(backends.statistics.after(after, max(0, limit)))

    async def metrics(_request: Request) -> Response:
        uncovered = len(await backends.replication.coverage.now())
        page = exposition(backends.statistics.current(), backends.failover.monitors(), uncovered)
        return Response(page, media_type=CONTENT_TYPE)

    return [
        _get("status", status),
        _get("events", events),
        _get("statistics", statistics),
        Route("/metrics", metrics, methods=["GET"]),
    ]


def _failover(backends: Backends) -> list[Route]:
    service = backends.failover

    def source(request: Request) -> str:
        name: str = request.path_params["source"]
        if name not in [status.request.source for status in service.monitors()]:
            raise not_found(f"no monitor of {name!r}")
        return name

    async def monitors(_request: Request) -> Response:
        return answer(service.monitors())

    async def create(request: Request) -> Response:
        return answer(await service.create_monitor(await read_body(request, MonitorRequest)))

    async def delete(request: Request) -> Response:
        await service.delete_monitor(source(request))
        return _done()

    async def failover(request: Request) -> Response:
        return answer(await service.failover(source(request)))

    async def failback(request: Request) -> Response:
        return answer(await service.failback(source(request)))

    async def decision(request: Request) -> Response:
        return answer(await service.decide(source(request), await read_body(request, FailbackDecision)))

    return [
        _get("monitors", monitors),
        _post("monitors", create),
        _delete("monitors/{source}", delete),
        _post("monitors/{source}/failover", failover),
        _post("monitors/{source}/failback", failback),
        _post("monitors/{source}/decision", decision),
    ]


def _restoration(backends: Backends) -> list[Route]:
    async def restorations(_request: Request) -> Response:
        return answer(backends.restoration.restorations())

    async def restore(request: Request) -> Response:
        return answer(await backends.restoration.restore(await read_body(request, RestoreRequest)))

    return [_get("restorations", restorations), _post("restorations", restore)]


def _services(backends: Backends) -> list[Route]:
    services = backends.host.services

    async def find(request: Request) -> ServiceStatus:
        try:
            return await services.query(request.path_params["name"])
        except ServiceError as error:
            raise not_found(str(error)) from error

    async def query(request: Request) -> Response:
        return answer(await find(request))

    async def start(request: Request) -> Response:
        await services.start((await find(request)).name)
        return await query(request)

    async def stop(request: Request) -> Response:
        await services.stop((await find(request)).name)
        return await query(request)

    return [
        _get("services/{name}", query),
        _post("services/{name}/start", start),
        _post("services/{name}/stop", stop),
    ]
