"""``restore`` and ``restorations``: the Restoration Manager."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, get_args

import click

from bodydouble.cli import output, reconnection
from bodydouble.cli.session import (
    Command,
    Session,
    age_argument,
    examples,
    going_on,
    mapping_argument,
    pass_session,
    path_argument,
)
from bodydouble.errors import ConnectionStateError
from bodydouble.vocabulary.records import MirrorKind, OrphanAction, RestoreRequest

if TYPE_CHECKING:
    from bodydouble.cli.reconnection import Reconnect
    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.records import RestorationStatus

POLL = 0.5
REPLICATION_PORT = 6320


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble --host target restore WEB1 IIS --to 10.0.0.10 --wait",
        "bodydouble restore WEB1 IIS --to rebuilt --orphans keep",
        r"bodydouble restore WEB1 IIS --to rebuilt --map C:\InetPub=E:\InetPub",
        "bodydouble --host target restore WEB1 IIS --to 10.0.0.10 --reconnect --to-token-file source.token",
    ),
)
@click.argument("original_source")
@click.argument("replication_set")
@click.option("--to", "restore_to", required=True, metavar="HOST", help="The machine that receives the data.")
@click.option("--port", type=click.IntRange(1, 65535), default=REPLICATION_PORT, show_default=True)
@click.option("--mirror", "kind", type=click.Choice(get_args(MirrorKind)), default="checksum", show_default=True)
@click.option("--newer-only", is_flag=True, help="Leave files alone that are newer on the receiving machine.")
@click.option("--missing-only", is_flag=True, help="Leave every file alone that is there: overwrite none.")
@click.option("--orphans", type=click.Choice(get_args(OrphanAction)), default="delete", show_default=True)
@click.option("--orphan-age", metavar="AGE", help="Only orphans not written to for so long (90s, 12h, 7d).")
@click.option("--map", "maps", multiple=True, metavar="PATH=PATH", help="Restore PATH of the set elsewhere.")
@click.option("--base", default="", metavar="DIR", help="Restore everything else beneath DIR.")
@click.option("--no-calculate", is_flag=True, help="Begin at once, without counting files and bytes first.")
@click.option("--wait", is_flag=True, help="Return when the restoration is complete.")
@reconnection.options
@pass_session
def restore(
    session: Session,
    *,
    original_source: str,
    replication_set: str,
    restore_to: str,
    port: int,
    kind: MirrorKind,
    newer_only: bool,
    missing_only: bool,
    orphans: OrphanAction,
    orphan_age: str | None,
    maps: tuple[str, ...],
    base: str,
    no_calculate: bool,
    wait: bool,
    reconnect: Reconnect | None,
) -> None:
    """Restore REPLICATION_SET of ORIGINAL_SOURCE from this machine, which stood in for it.

    Keep users off the data until the restoration is complete. Once all of it is on ORIGINAL_SOURCE, where that had it,
    the source mirrors over this machine again, so that what was left alone there counts from then on. What goes to
    another machine, or to another place, leaves the set marked as restore required: ORIGINAL_SOURCE stays off.
    """
    if reconnect is not None:
        reconnect.check(session)
    request = RestoreRequest(
        original_source=original_source,
        replication_set=replication_set,
        restore_to=restore_to,
        port=port,
        mirror=kind,
        newer_only=newer_only,
        orphans=orphans,
        orphan_age=0.0 if orphan_age is None else age_argument(orphan_age),
        mapping=mapping_argument(maps),
        base=path_argument(base) if base else "",
        missing_only=missing_only,
        calculate=not no_calculate,
    )

    async def action(client: ControlClient) -> RestorationStatus:
        status = await client.restore(request)
        return await _until_complete(client, status) if wait or reconnect is not None else status

    status = session.talk(action)
    output.show(session, [status], output.restorations_table)
    if reconnect is not None:
        reconnection.reconnect(session, status, reconnect)


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble --host target restorations",
        "bodydouble --host target restorations --available",
        "bodydouble --host target restorations --stop 1",
        'bodydouble --host target restorations --clear WEB1 "IIS data"',
    ),
)
@click.option("--available", is_flag=True, help="What could be restored from this machine.")
@click.option("--stop", "number", type=click.IntRange(1), help="Stop the restoration with this number.")
@click.option(
    "--clear", "cleared", type=(str, str), metavar="SOURCE SET",
    help="Require no restoration of SET any more: what SOURCE has counts, and is mirrored over the data here.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="With --clear: do not ask.")
@pass_session
def restorations(
    session: Session, available: bool, number: int | None, cleared: tuple[str, str] | None, yes: bool
) -> None:
    """List the restorations from this machine, with their progress."""
    if sum((available, number is not None, cleared is not None)) > 1:
        raise click.UsageError("--available, --stop and --clear contradict each other: expected at most one")
    if cleared is not None:
        _clear(session, *cleared, ask=not yes)
    elif available:
        output.show(session, session.talk(lambda client: client.restorable()), output.restorable_table)
    elif number is not None:
        output.show(session, [session.talk(lambda client: client.stop_restoration(number))], output.restorations_table)
    else:
        output.show(session, session.talk(lambda client: client.restorations()), output.restorations_table)


def _clear(session: Session, source: str, replication_set: str, *, ask: bool) -> None:
    """Take *restore required* away, once somebody has said that this is meant."""
    if ask:
        click.echo(f"{source} may then mirror its {replication_set!r} over what this machine has of it.", err=True)
        click.confirm("Is what was written here meanwhile in another place, or needed no more?", abort=True, err=True)
    found = session.talk(lambda client: client.clear_mark(source, replication_set))
    output.show(session, [found], output.restorable_table)


async def _until_complete(client: ControlClient, status: RestorationStatus) -> RestorationStatus:
    """Wait for the end.

    Raises:
        ConnectionStateError: the restoration failed or was stopped.
    """
    ended = f"the restoration goes on: 'bodydouble restorations --stop {status.id}' ends it"
    with going_on(ended), output.progress_bar(f"Restoring {status.request.replication_set}") as update:
        while status.state == "running":
            update(status.progress)
            await asyncio.sleep(POLL)
            found = [item for item in await client.restorations() if item.id == status.id]
            if not found:
                raise ConnectionStateError(f"restoration {status.id} is gone; restore again")
            status = found[0]
        update(status.progress)
    if status.state != "complete":
        word = "failed" if status.state == "failed" else "was stopped"
        raise ConnectionStateError(f"the restoration {word}: {status.detail}")
    return status
