"""Commands that bring both sides together: verify, restore, and waiting for what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bodydouble.control.client import find_connection
from bodydouble.dtcl.connecting import age, base, mapping, port
from bodydouble.dtcl.scheduling import verification_options
from bodydouble.dtcl.session import carries_out, until
from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.vocabulary.records import RestoreRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.control.client import ControlClient
    from bodydouble.dtcl.session import Session
    from bodydouble.dtcl.values import Call
    from bodydouble.vocabulary.records import ConnectionStatus, MirrorKind, OrphanAction, RestorationStatus
    from bodydouble.vocabulary.restoration import Restorable
    from bodydouble.vocabulary.verification import VerificationDetails, VerificationReport

_ON_THE_WAY = ("connecting", "mirroring", "retrying", "queue-full")
_MIRROR_RUNS = ("calculating", "running", "paused")
LOOKS = 5
"""Looks in a row that must find a connection in a state that no waiting ends: an order needs a moment to show."""


@carries_out("verify")
async def verify(session: Session, call: Call) -> VerificationReport:
    """Begin to compare."""
    connection = await session.one_connection(call.value())
    report = await (await session.source()).verify(connection.id, verification_options(call))
    session.verification = report.number
    return report


@carries_out("verify_stop")
async def stop_verification(session: Session, call: Call) -> None:
    """Compare no further."""
    connection = await session.one_connection(call.value())
    await (await session.source()).stop_verification(connection.id)


@carries_out("restore")
async def restore(session: Session, call: Call) -> RestorationStatus:
    """Begin a restoration."""
    source, place = call.option("of"), call.option("to")
    assert source is not None, "the grammar requires it"
    assert place is not None, "the grammar requires it"
    request = RestoreRequest(
        original_source=source.text(),
        replication_set=call.needed().text(),
        restore_to=place.text(),
        port=port(call),
        mirror=cast("MirrorKind", call.choice("by", "checksum")),
        newer_only=call.has("newer"),
        missing_only=call.has("missing"),
        orphans=cast("OrphanAction", call.choice("orphans", "delete")),
        orphan_age=age(call) or 0.0,
        mapping=mapping(call),
        base=base(call),
    )
    status = await (await _stand_in(session, call)).restore(request)
    session.restoration = status.id
    return status


async def _stand_in(session: Session, call: Call) -> ControlClient:
    """The machine that is restored from."""
    given = call.option("from")
    return await session.machines.client("target" if given is None else given.text())


async def _restoration(session: Session, call: Call) -> RestorationStatus:
    """The restoration that is meant: named, or the latest.

    Raises:
        InputError: there is none such.
    """
    given = call.value()
    listed = await (await _stand_in(session, call)).restorations()
    wanted = session.restoration if given is None else given.number(1)
    found = [each for each in listed if each.id == wanted] if wanted is not None else listed[-1:]
    if not found:
        raise InputError(f"the machine knows no restoration {wanted or ''}".rstrip())
    return found[0]


@carries_out("restore_stop")
async def stop_restoration(session: Session, call: Call) -> RestorationStatus:
    """Restore no further."""
    restoration = await _restoration(session, call)
    return await (await _stand_in(session, call)).stop_restoration(restoration.id)


@carries_out("restore_clear")
async def clear_mark(session: Session, call: Call) -> Restorable:
    """Require no restoration any more."""
    source = call.option("of")
    assert source is not None, "the grammar requires it"
    return await (await _stand_in(session, call)).clear_mark(source.text(), call.needed().text())


# --- waiting ----------------------------------------------------------------------------------------------------------


@carries_out("wait_on_mirror")
async def wait_for_mirror(session: Session, call: Call) -> ConnectionStatus:
    """Wait until a connection replicates and no mirror runs."""
    return await _wait_for(session, call, lambda status: status.mirror_state not in _MIRROR_RUNS)


@carries_out("wait_on_queue")
async def wait_for_queue(session: Session, call: Call) -> ConnectionStatus:
    """Wait until everything is applied."""
    return await _wait_for(
        session, call, lambda status: not status.queue_operations and status.applied == status.generated
    )


async def _wait_for(session: Session, call: Call, done: Callable[[ConnectionStatus], bool]) -> ConnectionStatus:
    """Wait for a connection that is to replicate in the end.

    Raises:
        ConnectionStateError: it came to a state that no waiting ends.
    """
    client = await session.source()
    id_ = (await session.one_connection(call.value())).id
    stuck = 0

    def ended(status: ConnectionStatus) -> bool:
        nonlocal stuck
        stuck = 0 if status.state in ("replicating", *_ON_THE_WAY) else stuck + 1
        return stuck >= LOOKS or (status.state == "replicating" and done(status))

    status = await until(call, lambda: find_connection(client, id_), ended)
    if status.state != "replicating":
        raise ConnectionStateError(f"connection {id_} is {status.state}: {status.detail or 'no mirror runs'}")
    return status


@carries_out("wait_on_verify")
async def wait_for_verification(session: Session, call: Call) -> VerificationDetails:
    """Wait until a verification is complete; differences that it found are in its report, not an error."""
    client = await session.source()
    given = call.value()
    number = session.verification if given is None else given.number(1)
    if number is None:
        number = await _latest_verification(client)
    details = await until(
        call, lambda: client.verification(number), lambda seen: seen.report.state not in ("running", "repairing")
    )
    if details.report.state == "interrupted":
        raise ConnectionStateError(f"verification {number} was interrupted: {details.report.detail}")
    return details


async def _latest_verification(client: ControlClient) -> int:
    known = await client.verifications()
    if not known:
        raise InputError("nothing was verified yet")
    return known[-1].number


@carries_out("wait_on_restore")
async def wait_for_restoration(session: Session, call: Call) -> RestorationStatus:
    """Wait until a restoration is complete."""
    id_ = (await _restoration(session, call)).id
    client = await _stand_in(session, call)

    async def look() -> RestorationStatus:
        for status in await client.restorations():
            if status.id == id_:
                return status
        raise ConnectionStateError(f"restoration {id_} is not known any more")

    status = await until(call, look, lambda seen: seen.state != "running")
    if status.state != "complete":
        raise ConnectionStateError(f"restoration {id_} is {status.state}: {status.detail}")
    return status
