"""Commands about transmission and about what happens by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from bodydouble.dtcl.connecting import MAX_LEVEL, each_connection
from bodydouble.dtcl.session import carries_out
from bodydouble.errors import InputError
from bodydouble.vocabulary.transmission import Moment, TransmissionOptions, TransmissionSchedule, Window
from bodydouble.vocabulary.verification import VerificationOptions, VerificationSchedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from bodydouble.control.client import ControlClient
    from bodydouble.dtcl.session import Session
    from bodydouble.dtcl.values import Call, Given
    from bodydouble.vocabulary.records import ConnectionStatus

Change = dict[str, Any]


def _order(word: Literal["start", "stop", "pause", "resume"]) -> None:
    @carries_out(f"transmission_{word}")
    async def order(session: Session, call: Call) -> object:
        return await each_connection(session, call.value(), lambda client, id_: client.order_transmission(id_, word))


_order("start")
_order("stop")
_order("pause")
_order("resume")


@carries_out("transmission_display")
async def display(session: Session, call: Call) -> TransmissionOptions:
    """How a connection transmits."""
    connection = await session.one_connection(call.value())
    return await (await session.source()).transmission(connection.id)


@carries_out("transmission_bandwidth")
async def limit(session: Session, call: Call) -> object:
    """Limit what is sent."""
    given = call.needed()
    rate = None if given.text().lower() == "none" else given.size()
    return await _change(session, call.option("for"), lambda options: {**options, "bandwidth": rate})


@carries_out("transmission_compression")
async def compress(session: Session, call: Call) -> object:
    """Compress what is sent."""
    level = call.needed().number(0, MAX_LEVEL)
    return await _change(session, call.option("for"), lambda options: {**options, "compression": level})


async def _change(session: Session, named: Given | None, change: Callable[[Change], Change]) -> object:
    async def order(client: ControlClient, id_: int) -> ConnectionStatus:
        options = msgspec.to_builtins(await client.transmission(id_))
        try:
            changed = msgspec.convert(change(options), TransmissionOptions)
        except msgspec.ValidationError as error:
            raise InputError(f"that does not fit: {error}") from error
        return await client.set_transmission(id_, changed)

    return await each_connection(session, named, order)


# --- schedules --------------------------------------------------------------------------------------------------------


async def _reschedule(session: Session, call: Call, **fields: object) -> object:
    """Change fields of the schedule; what is a list there gets one more."""

    def change(options: Change) -> Change:
        schedule = options["schedule"] or msgspec.to_builtins(TransmissionSchedule())
        for name, value in fields.items():
            schedule[name] = [*schedule[name], value] if isinstance(schedule[name], list) else value
        return {**options, "schedule": schedule}

    return await _change(session, call.option("for"), change)


def _days(call: Call) -> list[str]:
    given = call.option("days")
    return [] if given is None else [each for each in given.text().lower().split(",") if each]


@carries_out("schedule_window")
async def window(session: Session, call: Call) -> object:
    """Add a window."""
    rate = call.option("bandwidth")
    wanted: Change = {"begin": call.needed(0).text(), "end": call.needed(1).text(), "days": _days(call)}
    if rate is not None:
        wanted["bandwidth"] = rate.size()
    return await _reschedule(session, call, windows=_fitting(wanted, Window))


@carries_out("schedule_start_at")
async def start_at(session: Session, call: Call) -> object:
    """Add a time of day."""
    wanted = {"at": call.needed().text(), "days": _days(call)}
    return await _reschedule(session, call, start_at=_fitting(wanted, Moment))


def _fitting(wanted: Change, type_: type[Moment | Window]) -> Change:
    try:
        msgspec.convert(wanted, type_)
    except msgspec.ValidationError as error:
        raise InputError(f"that does not fit: {error}; expected times as 22:00 and days as mon,tue") from error
    return wanted


@carries_out("schedule_start_every")
async def start_every(session: Session, call: Call) -> object:
    """Start at an interval."""
    return await _reschedule(session, call, start_every=call.needed().seconds())


@carries_out("schedule_start_queue")
async def start_queue(session: Session, call: Call) -> object:
    """Start at a size of the queue."""
    return await _reschedule(session, call, start_bytes=call.needed().size())


@carries_out("schedule_start_percent")
async def start_percent(session: Session, call: Call) -> object:
    """Start at a share of the queue's memory."""
    return await _reschedule(session, call, start_percent=call.needed().number())


@carries_out("schedule_start_operations")
async def start_operations(session: Session, call: Call) -> object:
    """Start at a number of operations."""
    return await _reschedule(session, call, start_operations=call.needed().number())


@carries_out("schedule_stop_empty")
async def stop_empty(session: Session, call: Call) -> object:
    """Stop once the queue is empty."""
    return await _reschedule(session, call, stop_empty=True)


@carries_out("schedule_stop_after")
async def stop_after(session: Session, call: Call) -> object:
    """Stop after a time."""
    return await _reschedule(session, call, stop_after=call.needed().seconds())


@carries_out("schedule_stop_bytes")
async def stop_bytes(session: Session, call: Call) -> object:
    """Stop after so much."""
    return await _reschedule(session, call, stop_bytes=call.needed().size())


@carries_out("schedule_clear")
async def clear(session: Session, call: Call) -> object:
    """Have no schedule."""
    return await _change(session, call.option("for"), lambda options: {**options, "schedule": None})


@carries_out("schedule_display")
async def display_schedule(session: Session, call: Call) -> dict[str, object]:
    """When a connection transmits, and when it is verified."""
    connection = await session.one_connection(call.option("for"))
    client = await session.source()
    return {
        "transmission": msgspec.to_builtins((await client.transmission(connection.id)).schedule),
        "verification": msgspec.to_builtins(await client.verification_schedule(connection.id)),
    }


@carries_out("schedule_verify_every")
async def verify_every(session: Session, call: Call) -> VerificationSchedule:
    """Verify by itself."""
    seconds = call.needed().seconds()
    if not seconds:
        raise InputError("expected more than no time between two verifications")
    schedule = VerificationSchedule(interval=seconds, options=verification_options(call))
    connection = await session.one_connection(call.option("for"))
    await (await session.source()).schedule_verification(connection.id, schedule)
    return schedule


@carries_out("schedule_verify_off")
async def verify_off(session: Session, call: Call) -> None:
    """Verify by order only."""
    connection = await session.one_connection(call.option("for"))
    await (await session.source()).schedule_verification(connection.id, None)


def verification_options(call: Call) -> VerificationOptions:
    """How to compare."""
    return VerificationOptions(repair=call.has("repair"), newer_only=call.has("newer"), checksum=call.has("checksum"))
