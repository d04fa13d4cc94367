"""``verify`` and ``verification``: compare source and replica."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from bodydouble.cli import output
from bodydouble.cli.session import (
    FAILURE_STATUS,
    Command,
    Group,
    Session,
    age_argument,
    examples,
    going_on,
    pass_session,
)
from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.vocabulary.verification import VerificationOptions, VerificationSchedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.verification import VerificationDetails, VerificationReport

POLL = 0.5
"""Seconds between two looks at a verification that is being waited for."""
LEAST_INTERVAL = 1.0
"""Seconds between two scheduled verifications, at least."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say how to compare."""
    for option in (
        click.option("--checksum", is_flag=True, help="Compare the bytes too, not only size and time."),
        click.option("--newer-only", is_flag=True, help="Only files whose copy on the source is the newer one."),
        click.option("--repair", is_flag=True, help="Mirror what differs; otherwise it is only logged."),
    ):
        command = option(command)
    return command


@click.command(cls=Command, epilog=examples("bodydouble verify 1 --wait", "bodydouble verify 1 --checksum --repair"))
@click.argument("connection", type=int)
@_options
@click.option("--wait", is_flag=True, help="Return when it is complete; exit status 1 if something still differs.")
@pass_session
def verify(session: Session, *, connection: int, repair: bool, newer_only: bool, checksum: bool, wait: bool) -> None:
    """Compare source and replica of CONNECTION while applications go on."""
    options = VerificationOptions(repair=repair, newer_only=newer_only, checksum=checksum)

    async def begin(client: ControlClient) -> VerificationReport:
        return await client.verify(connection, options)

    if not wait:
        output.show(session, [session.talk(begin)], output.verifications_table)
        return

    async def see_through(client: ControlClient) -> VerificationDetails:
        return await _until_complete(client, await begin(client))

    details = session.talk(see_through)
    _show(session, details)
    if details.report.found and not details.report.repaired:
        raise click.exceptions.Exit(FAILURE_STATUS)


async def _until_complete(client: ControlClient, report: VerificationReport) -> VerificationDetails:
    """Wait for the end.

    Raises:
        ConnectionStateError: it was interrupted.
    """
    ended = f"verification {report.number} goes on: 'bodydouble verification show {report.number}' has its report"
    ended += f", 'bodydouble verification stop {report.connection}' ends it"
    with going_on(ended), output.tally_bar(f"Comparing {report.replication_set}") as update:
        while report.state in ("running", "repairing"):
            update(report.totals.files, report.totals.bytes)
            await asyncio.sleep(POLL)
            details = await client.verification(report.number)
            report = details.report
    if report.state == "interrupted":
        raise ConnectionStateError(f"verification {report.number} was interrupted: {report.detail}")
    return details


def _show(session: Session, details: VerificationDetails) -> None:
    if session.json:
        output.print_json(details)
        return
    output.print_tables(output.verifications_table([details.report]), output.differences_table(details))
    if details.report.log:
        click.echo(output.plain(f"Log on the source: {details.report.log}"))


@click.group(
    cls=Group,
    epilog=examples(
        "bodydouble verification list",
        "bodydouble verification show 3",
        "bodydouble verification schedule 1 --every 1d --checksum",
    ),
)
def verification() -> None:
    """Reports and schedules of verifications."""


@verification.command("list", epilog=examples("bodydouble verification list"))
@pass_session
def list_reports(session: Session) -> None:
    """List the latest verifications of this source."""
    output.show(session, session.talk(lambda client: client.verifications()), output.verifications_table)


@verification.command("show", epilog=examples("bodydouble verification show 3"))
@click.argument("number", type=int)
@pass_session
def show_report(session: Session, number: int) -> None:
    """Show the verification NUMBER with its first differences."""
    _show(session, session.talk(lambda client: client.verification(number)))


@verification.command("stop", epilog=examples("bodydouble verification stop 1"))
@click.argument("connection", type=int)
@pass_session
def stop(session: Session, connection: int) -> None:
    """Stop the verification that runs on CONNECTION."""
    session.talk(lambda client: client.stop_verification(connection))


@verification.command(
    "schedule",
    epilog=examples(
        "bodydouble verification schedule 1 --every 1d --checksum",
        "bodydouble verification schedule 1 --off",
        "bodydouble verification schedule 1",
    ),
)
@click.argument("connection", type=int)
@click.option("--every", metavar="TIME", help="Verify this long after the last one (90s, 12h, 7d, or seconds).")
@_options
@click.option("--off", is_flag=True, help="Verify by order only.")
@pass_session
def schedule(
    session: Session,
    *,
    connection: int,
    every: str | None,
    repair: bool,
    newer_only: bool,
    checksum: bool,
    off: bool,
) -> None:
    """Set the schedule of CONNECTION, or show it."""
    if every is not None and off:
        raise click.UsageError("--every and --off contradict each other")
    if every is not None or off:
        options = VerificationOptions(repair=repair, newer_only=newer_only, checksum=checksum)
        wanted = None if every is None else VerificationSchedule(interval=_seconds(every), options=options)
        session.talk(lambda client: client.schedule_verification(connection, wanted))
    current = session.talk(lambda client: client.verification_schedule(connection))
    if session.json:
        output.print_json(current)
        return
    click.echo(f"connection {connection}: {_words(current)}")


def _seconds(text: str) -> float:
    """How long ``--every`` is.

    Raises:
        InputError: it is no time, or shorter than a second.
    """
    found = float(text) if text.replace(".", "", 1).isdecimal() else age_argument(text)
    if found < LEAST_INTERVAL:
        raise InputError(f"--every: expected at least {LEAST_INTERVAL:g} s, got {found:g} s")
    return found


def _words(schedule_: VerificationSchedule | None) -> str:
    if schedule_ is None:
        return "verified by order only"
    chosen = schedule_.options
    flags = {"checksum": chosen.checksum, "newer only": chosen.newer_only, "repair": chosen.repair}
    how = ", ".join(name for name, given in flags.items() if given) or "size and time, log only"
    return f"verified every {schedule_.interval:g} s ({how})"
