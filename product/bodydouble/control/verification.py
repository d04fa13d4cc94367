"""The control API's operations on verifications: now or by a schedule, stop, and read what was found."""

from __future__ import annotations

from typing import Annotated

import msgspec

from bodydouble.control.answers import not_found
from bodydouble.control.backends import Backends
from bodydouble.control.routing import ConnectionId, delete, get, post, put, the_connection
from bodydouble.vocabulary.verification import (
    VerificationDetails,
    VerificationOptions,
    VerificationReport,
    VerificationSchedule,
)

Number = Annotated[int, msgspec.Meta(ge=1, description="number of a verification")]


@post("connections/{id}/verification")
async def verify(backends: Backends, id_: ConnectionId, body: VerificationOptions) -> VerificationReport:
    """Begin to compare source and replica; answers before that is complete."""
    return backends.replication.verify(the_connection(id_, backends.replication), body)


@delete("connections/{id}/verification")
async def stop_verification(backends: Backends, id_: ConnectionId) -> None:
    """Stop the verification that runs on a connection."""
    await backends.replication.stop_verification(the_connection(id_, backends.replication))


@get("connections/{id}/verification-schedule")
async def verification_schedule(backends: Backends, id_: ConnectionId) -> VerificationSchedule | None:
    """When a connection is verified by itself; null: it is not."""
    return backends.replication.verification_schedule(the_connection(id_, backends.replication))


@put("connections/{id}/verification-schedule")
async def schedule_verification(
    backends: Backends, id_: ConnectionId, body: VerificationSchedule
) -> VerificationSchedule:
    """Verify a connection by itself from now on."""
    await backends.replication.schedule_verification(the_connection(id_, backends.replication), body)
    return body


@delete("connections/{id}/verification-schedule")
async def unschedule_verification(backends: Backends, id_: ConnectionId) -> None:
    """Verify a connection by itself no more."""
    await backends.replication.schedule_verification(the_connection(id_, backends.replication), None)


@get("verifications")
async def verifications(backends: Backends) -> list[VerificationReport]:
    """The latest hundred verifications of this source."""
    return backends.replication.verifier.reports()


@get("verifications/{number}")
async def verification(backends: Backends, number: Number) -> VerificationDetails:
    """One verification with its first differences."""
    if number not in [report.number for report in backends.replication.verifier.reports()]:
        raise not_found(f"no verification {number}")
    return await backends.replication.verifier.details(number)
