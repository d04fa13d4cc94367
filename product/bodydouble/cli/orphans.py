"""``orphans``: files on the target that the source does not have."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from bodydouble.cli import output
from bodydouble.cli.session import Group, Session, age_argument, examples, going_on, pass_session
from bodydouble.errors import ConnectionStateError
from bodydouble.vocabulary.orphans import OrphanRequest

if TYPE_CHECKING:
    from typing import Literal

    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.orphans import OrphanReport

POLL = 0.5
"""Seconds between two looks at a search that is being waited for."""


@click.group(
    cls=Group,
    epilog=examples(
        "bodydouble orphans list 1",
        "bodydouble orphans move 1 --older-than 30d",
        "bodydouble orphans delete 1 --older-than 12h",
        "bodydouble orphans show 1",
    ),
)
def orphans() -> None:
    """Files on the target, beneath the roots of a set, that the source does not have.

    What the set's rules leave out is none.
    """


def _search(name: Literal["list", "move", "delete"], text: str) -> None:
    @orphans.command(name, epilog=examples(f"bodydouble orphans {name} 1 --older-than 7d"), help=text)
    @click.argument("connection", type=int)
    @click.option("--older-than", metavar="AGE", help="Only those not written to for so long (90s, 12h, 7d).")
    @pass_session
    def search(session: Session, connection: int, older_than: str | None) -> None:
        action: Literal["log", "move", "delete"] = "log" if name == "list" else name
        request = OrphanRequest(action, 0.0 if older_than is None else age_argument(older_than))
        _show(session, session.talk(lambda client: _see_through(client, connection, request)))


_search("list", "List what only the target of CONNECTION has; nothing is changed.")
_search("move", "Move what only the target of CONNECTION has to the orphan directory of the target's settings.")
_search("delete", "Delete what only the target of CONNECTION has.")


@orphans.command("show", epilog=examples("bodydouble orphans show 1 --json"))
@click.argument("connection", type=int)
@pass_session
def show(session: Session, connection: int) -> None:
    """Show what the latest mirror or search of CONNECTION found."""
    _show(session, session.talk(lambda client: client.orphans(connection)))


@orphans.command("stop", epilog=examples("bodydouble orphans stop 1"))
@click.argument("connection", type=int)
@pass_session
def stop(session: Session, connection: int) -> None:
    """Stop the search that runs on CONNECTION."""
    session.talk(lambda client: client.stop_orphans(connection))


async def _see_through(client: ControlClient, connection: int, request: OrphanRequest) -> OrphanReport:
    """Search to the end.

    Raises:
        ConnectionStateError: it was interrupted.
    """
    report = await client.find_orphans(connection, request)
    ended = f"the search goes on: 'bodydouble orphans stop {connection}' ends it"
    with going_on(ended), output.tally_bar("Found on the target only") as update:
        while report.state == "running":
            update(report.totals.files, report.totals.bytes)
            await asyncio.sleep(POLL)
            report = await client.orphans(connection)
    if report.state == "interrupted":
        raise ConnectionStateError(f"the search for orphans was interrupted: {report.detail}")
    return report


def _show(session: Session, report: OrphanReport) -> None:
    if session.json:
        output.print_json(report)
    else:
        output.print_tables(*output.orphans_tables(report))
