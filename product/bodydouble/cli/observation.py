"""``status`` and ``events``: look, change nothing."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from bodydouble.cli import output
from bodydouble.cli.session import Command, Session, examples, pass_session

if TYPE_CHECKING:
    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.records import DaemonStatus

RESUME_PERIOD = 1.0
"""Seconds until a stream of events that ended is opened again; a daemon that is gone then ends the command."""


@click.command(cls=Command, epilog=examples("bodydouble status", "bodydouble --host target status --json"))
@pass_session
def status(session: Session) -> None:
    """Show the daemon's connections, monitors and restorations."""
    seen = session.talk(lambda client: client.status())
    if session.json:
        output.print_json(seen)
        return
    print_status(seen)


def print_status(seen: DaemonStatus) -> None:
    """A machine at a glance, for people."""
    identity = seen.identity
    added = f", also answering as {', '.join(identity.added_names)}" if identity.added_names else ""
    click.echo(output.plain(f"bodydouble {seen.version} on {identity.primary_name}{added}"))
    for item in identity.addresses:
        click.echo(output.plain(f"  {item.address} on {item.interface}"))
    output.print_tables(
        output.connections_table(seen.connections),
        output.target_table(seen.target_connections),
        output.monitors_table(seen.monitors),
        output.restorations_table(seen.restorations),
        *([output.uncovered_table(seen.uncovered)] if seen.uncovered else []),
    )


@click.command(cls=Command, epilog=examples("bodydouble events --after 120", "bodydouble events --follow --json"))
@click.option("--after", type=click.IntRange(0), default=0, help="Only events with a higher number.")
@click.option("--follow", is_flag=True, help="Go on printing until interrupted.")
@pass_session
def events(session: Session, after: int, follow: bool) -> None:
    """Print the events log, an event a line."""
    try:
        session.talk(lambda client: _print_events(session, client, after, follow))
    except KeyboardInterrupt:
        if not follow:  # following has no other end
            raise


async def _print_events(session: Session, client: ControlClient, after: int, follow: bool) -> None:
    while batch := await client.events(after):
        for event in batch:
            output.print_event(session, event)
            after = event.number
    while follow:
        async with aclosing(client.stream_events(after)) as stream:
            async for event in stream:
                output.print_event(session, event)
                after = event.number
        await asyncio.sleep(RESUME_PERIOD)
