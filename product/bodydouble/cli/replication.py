"""Connections: connect, look, disconnect."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, get_args

import click

from bodydouble.cli import output, schedules
from bodydouble.cli.session import (
    Command,
    Group,
    Session,
    age_argument,
    examples,
    going_on,
    mapping_argument,
    pass_session,
    path_argument,
)
from bodydouble.control.client import find_connection
from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.vocabulary.records import (
    AutoRemirror,
    Compatibility,
    ConnectRequest,
    MirrorKind,
    MirrorScripts,
    OrphanAction,
)
from bodydouble.vocabulary.transmission import TransmissionOptions

if TYPE_CHECKING:
    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.records import ConnectionStatus

POLL = 0.5
"""Seconds between two looks at something that is being waited for."""

REPLICATION_PORT = 6320


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble connect IIS 10.0.0.20 --wait",
        "bodydouble connect web target --mirror checksum --orphans delete",
        "bodydouble connect web target --base /replicas/source1",
        r"bodydouble connect IIS target --map C:\InetPub=D:\Backup\InetPub --route 10.1.0.20",
        "bodydouble connect web target --remirror none --compatibility 4.1",
        "bodydouble connect web target --mirror-script complete=notify.sh",
        'bodydouble connect web target --bandwidth 2MB --compression 1 --schedule "start at 10MB; stop when empty"',
    ),
)
@click.argument("replication_set")
@click.argument("target")
@click.option("--port", type=click.IntRange(1, 65535), default=REPLICATION_PORT, show_default=True)
@click.option("--mirror", "kind", type=click.Choice(get_args(MirrorKind)), default="difference", show_default=True)
@click.option("--newer-only", is_flag=True, help="Mirrors leave files alone that are newer on the target.")
@click.option("--calculate", is_flag=True, help="Mirrors count files and bytes first, for the estimate of their end.")
@click.option("--orphans", type=click.Choice(get_args(OrphanAction)), default="keep", show_default=True)
@click.option("--orphan-age", metavar="AGE", help="Only orphans not written to for so long (90s, 12h, 7d).")
@click.option(
    "--remirror", type=click.Choice(get_args(AutoRemirror)), help="Mirror after an auto-reconnect; as --mirror."
)
@click.option("--no-remirror", is_flag=True, help="The same as --remirror none: wait for an operator's mirror.")
@click.option(
    "--compatibility",
    type=click.Choice(get_args(Compatibility)),
    default="4.2",
    show_default=True,
    help="4.1: remirror over a stand-in's data, as versions until then did.",
)
@click.option("--no-recognise-restore", is_flag=True, help="The same as --compatibility 4.1.")
@click.option(
    "--mirror-script", multiple=True, metavar="WHEN=SCRIPT", help="Run at a mirror's start, stop or complete."
)
@click.option("--map", "maps", multiple=True, metavar="PATH=PATH", help="Keep PATH of the set elsewhere on the target.")
@click.option("--base", default="", metavar="DIR", help="Keep everything else beneath DIR on the target.")
@click.option("--route", default="", metavar="ADDRESS", help="The target's address to use, if not TARGET itself.")
@click.option("--no-auto-reconnect", is_flag=True, help="Once lost, stay disconnected until somebody connects.")
@click.option("--bandwidth", metavar="RATE", help="Send at most so many bytes a second (500kB, 2MB, 50% of 10Mbit).")
@click.option("--compression", type=click.IntRange(0, 9), default=0, show_default=True, help="zstd's level; 0: none.")
@click.option("--schedule", metavar="TEXT|FILE", help="When to transmit; see `bodydouble transmission schedule`.")
@click.option("--wait", is_flag=True, help="Return when the mirror is complete.")
@pass_session
def connect(
    session: Session,
    *,
    replication_set: str,
    target: str,
    port: int,
    kind: MirrorKind,
    newer_only: bool,
    calculate: bool,
    orphans: OrphanAction,
    orphan_age: str | None,
    remirror: AutoRemirror | None,
    no_remirror: bool,
    compatibility: Compatibility,
    no_recognise_restore: bool,
    mirror_script: tuple[str, ...],
    maps: tuple[str, ...],
    base: str,
    route: str,
    no_auto_reconnect: bool,
    bandwidth: str | None,
    compression: int,
    schedule: str | None,
    wait: bool,
) -> None:
    """Connect REPLICATION_SET to TARGET and begin to mirror and replicate.

    TARGET is the name or address by which this source reaches the target. Without --map and --base the mapping is One
    To One: the target keeps the source's directory structure.
    """
    request = ConnectRequest(
        replication_set=replication_set,
        target=target,
        port=port,
        mirror=kind,
        newer_only=newer_only,
        calculate=calculate,
        orphans=orphans,
        orphan_age=0.0 if orphan_age is None else age_argument(orphan_age),
        remirror=None if remirror == "none" else remirror,
        remirror_after_reconnect=not no_remirror and remirror != "none",
        recognise_restore=not no_recognise_restore and compatibility == "4.2",
        scripts=_scripts(mirror_script),
        route=route,
        mapping=mapping_argument(maps),
        base=path_argument(base) if base else "",
        auto_reconnect=not no_auto_reconnect,
        transmission=TransmissionOptions(
            bandwidth=None if bandwidth is None else schedules.rate(bandwidth),
            compression=compression,
            schedule=None if schedule is None else schedules.read(schedule),
        ),
    )

    async def action(client: ControlClient) -> ConnectionStatus:
        status = await client.connect(request)
        output.warn(await client.coverage())
        return await until_mirrored(client, status) if wait else status

    output.show(session, [session.talk(action)], output.connections_table)


def _scripts(texts: tuple[str, ...]) -> MirrorScripts:
    """Scripts as people name them, ``WHEN=SCRIPT``.

    Raises:
        InputError: one is not said so, or a moment is named twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        moment, separator, script = text.partition("=")
        if moment not in MirrorScripts.__struct_fields__ or not separator or not script or moment in found:
            moments = ", ".join(MirrorScripts.__struct_fields__)
            raise InputError(f"--mirror-script {text!r}: expected one of {moments}, each once, =, and a script's name")
        found[moment] = script
    return MirrorScripts(**found)


@click.group(cls=Group, epilog=examples("bodydouble replication stop 1", "bodydouble replication start 1"))
def replication() -> None:
    """Stop and start the replication of connections."""


@replication.command("stop", epilog=examples("bodydouble replication stop 1"))
@click.argument("connection", type=int)
@pass_session
def stop_replication(session: Session, connection: int) -> None:
    """Queue nothing more of what applications do; what is queued is still sent. A mirror is due afterwards."""
    output.show(session, [session.talk(lambda client: client.stop_replication(connection))], output.connections_table)


@replication.command("start", epilog=examples("bodydouble replication start 1"))
@click.argument("connection", type=int)
@pass_session
def start_replication(session: Session, connection: int) -> None:
    """Replicate again; begins with a mirror."""
    output.show(session, [session.talk(lambda client: client.start_replication(connection))], output.connections_table)


@click.command(cls=Command, epilog=examples("bodydouble disconnect 1", "bodydouble disconnect 1 --drain --wait"))
@click.argument("connection", type=int)
@click.option("--drain", is_flag=True, help="Send what is queued until now first; otherwise it is dropped.")
@click.option("--wait", is_flag=True, help="Return when that is done.")
@pass_session
def disconnect(session: Session, connection: int, drain: bool, wait: bool) -> None:
    """End the connection with the number CONNECTION."""

    async def action(client: ControlClient) -> None:
        await client.disconnect(connection, drain=drain)
        with going_on(f"connection {connection} sends what is queued and ends then"):
            while wait and any(status.id == connection for status in await client.connections()):  # noqa: ASYNC110
                await asyncio.sleep(POLL)  # it is in another process

    session.talk(action)


@click.command(cls=Command, epilog=examples("bodydouble connections"))
@pass_session
def connections(session: Session) -> None:
    """List this source's connections."""
    output.show(session, session.talk(lambda client: client.connections()), output.connections_table)


async def until_mirrored(client: ControlClient, status: ConnectionStatus) -> ConnectionStatus:
    """Wait until the connection replicates.

    Raises:
        ConnectionStateError: it came to a state that no waiting ends.
    """
    ended = (
        f"the connection goes on: 'bodydouble connections' shows it, 'bodydouble mirror stop {status.id}' ends a mirror"
    )
    told = ""
    with going_on(ended), output.progress_bar(f"Mirroring {status.replication_set}") as update:
        while status.state in ("connecting", "mirroring", "retrying"):
            told = _tell(status, told)
            update(status.mirror)
            await asyncio.sleep(POLL)
            status = await find_connection(client, status.id)
        update(status.mirror)
    if status.state != "replicating":
        raise ConnectionStateError(f"connection {status.id} is {status.state}: {status.detail or 'no mirror runs'}")
    return status


def _tell(status: ConnectionStatus, told: str) -> str:
    """Say once why a mirror that is waited for does not begin; whoever waits may know what to do."""
    if status.state == "mirroring" or status.detail in ("", told):
        return told
    click.echo(output.plain(f"bodydouble: connection {status.id} is {status.state}: {status.detail}"), err=True)
    return status.detail
