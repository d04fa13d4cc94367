"""The control API's routes for verification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.control.answers import answer, not_found, read_body
from bodydouble.control.routing import connection_of, delete, done, get, post, put
from bodydouble.vocabulary.verification import VerificationOptions, VerificationSchedule

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from bodydouble.control.api import Backends


def verification_routes(backends: Backends) -> list[Route]:
    """Verify now or by a schedule, stop, and read what was found."""
    service = backends.replication

    async def verify(request: Request) -> Response:
        id_ = connection_of(request, service)
        return answer(service.verify(id_, await read_body(request, VerificationOptions)))

    async def stop(request: Request) -> Response:
        await service.stop_verification(connection_of(request, service))
        return done()

    async def schedule(request: Request) -> Response:
        return answer(service.verification_schedule(connection_of(request, service)))

    async def reschedule(request: Request) -> Response:
        id_ = connection_of(request, service)
        wanted = await read_body(request, VerificationSchedule)
        await service.schedule_verification(id_, wanted)
        return answer(wanted)

    async def unschedule(request: Request) -> Response:
        await service.schedule_verification(connection_of(request, service), None)
        return done()

    async def reports(_request: Request) -> Response:
        return answer(service.verifier.reports())

    async def details(request: Request) -> Response:
        number: int = request.path_params["number"]
        if number not in [report.number for report in service.verifier.reports()]:
            raise not_found(f"no verification {number}")
        return answer(await service.verifier.details(number))

    return [
        post("connections/{id:int}/verification", verify),
        delete("connections/{id:int}/verification", stop),
        get("connections/{id:int}/verification-schedule", schedule),
        put("connections/{id:int}/verification-schedule", reschedule),
        delete("connections/{id:int}/verification-schedule", unschedule),
        get("verifications", reports),
        get("verifications/{number:int}", details),
    ]
