"""After a restoration: the source's connection to the stand-in again, ordered by the console that speaks to both.

The source decides about its connections, so its own daemon is asked. One that has a connection to that target asks the
target again by itself as soon as it was restored; one that was rebuilt has neither set nor connection, and gets both.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodydouble.cli import output
from bodydouble.cli.replication import until_mirrored
from bodydouble.cli.session import Session
from bodydouble.errors import ConnectionStateError, ControlError, InputError
from bodydouble.vocabulary.records import ConnectRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.records import ConnectionStatus, ReplicationSet, RestorationStatus

POLL = 0.5
LOOKS = 20
"""Looks for a connection that was told of the restoration to ask its target again."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How the restored machine's daemon is reached, and where it is to connect to.

    Attributes:
        target: the stand-in, as the source reaches it; None: as the console does.
        port: of the source's control API.
        token_file: with its token.
        pin: the fingerprint of its certificate.
    """

    target: str | None
    port: int | None
    token_file: Path | None
    pin: str | None

    def check(self, session: Session) -> None:
        """Find out what is missing before anything is restored.

        Raises:
            InputError: it is not known how the source reaches this machine, or by which token its daemon is reached.
        """
        if self.target is None and session.host is None:
            raise InputError("--reconnect: say --reconnect-to HOST, this machine's address as the source reaches it")
        if self.token_file is None:
            raise InputError("--reconnect: say --to-token-file FILE, with the token of the restored machine's daemon")


def options(command: Callable[..., None]) -> Callable[..., None]:
    """The options about the source's daemon; the command is given one `Reconnect`, or None."""

    def collected(
        *arguments: Any,
        reconnect: bool,
        reconnect_to: str | None,
        to_control_port: int | None,
        to_token_file: Path | None,
        to_pin: str | None,
        **others: Any,
    ) -> None:
        wanted = Reconnect(reconnect_to, to_control_port, to_token_file, to_pin) if reconnect else None
        command(*arguments, reconnect=wanted, **others)

    collected.__doc__ = command.__doc__
    collected.__name__ = command.__name__
    for option in (
        click.option("--to-pin", metavar="FINGERPRINT", help="SHA-256 of the restored machine's certificate."),
        click.option(
            "--to-token-file", type=click.Path(path_type=Path), help="Token of the restored machine's daemon."
        ),
        click.option("--to-control-port", type=click.IntRange(1, 65535), help="Control port of the restored machine."),
        click.option("--reconnect-to", metavar="HOST", help="This machine, as the source reaches it; else --host."),
        click.option(
            "--reconnect", is_flag=True, help="Wait, then make the source's connection again and wait for its mirror."
        ),
    ):
        collected = option(collected)
    return collected


def reconnect(session: Session, status: RestorationStatus, wanted: Reconnect) -> None:
    """Bring the restored machine's connection up again, and show it.

    Raises:
        InputError: its daemon is not known.
        ConnectionStateError: the set stays restore required, or the connection does not come up.
    """
    if status.stays_required:
        raise ConnectionStateError(f"restored, and not connected again: the stand-in would refuse ({status.detail})")
    request = status.request
    target = wanted.target or session.host
    assert target is not None, "it was checked"
    known = next(
        each.replication_set
        for each in session.talk(lambda client: client.restorable())
        if (each.original_source, each.replication_set.name) == (request.original_source, request.replication_set)
    )
    there = Session(
        host=request.restore_to,
        port=wanted.port,
        token_file=wanted.token_file,
        pin=wanted.pin,
        json=session.json,
    )

    async def action(client: ControlClient) -> ConnectionStatus:
        return await until_mirrored(client, await connection_to(client, known, target))

    output.show(session, [there.talk(action)], output.connections_table)


async def connection_to(client: ControlClient, known: ReplicationSet, target: str) -> ConnectionStatus:
    """The restored machine's connection: its own of before, or a new one.

    Args:
        client: of its daemon.
        known: the set as the stand-in knows it.
        target: the stand-in, as that machine reaches it.

    Raises:
        ConnectionStateError: it has a connection that does not come up.
    """
    return await _own(client, known.name) or await _made(client, known, target)


async def _own(client: ControlClient, name: str) -> ConnectionStatus | None:
    """The connection that the source had, once it has asked its target again; None: it has none."""
    for look in range(LOOKS):
        found = [each for each in await client.connections() if each.replication_set == name]
        if not found:
            return None
        status = found[-1]
        if status.state == "mirror-required" and look == 0:
            await client.mirror(status.id)
        elif status.state in ("connecting", "mirroring", "replicating"):
            return status
        await asyncio.sleep(POLL)
    raise ConnectionStateError(
        f"connection {status.id} of {name!r} on the source is {status.state}: {status.detail}; connect it again there"
    )


async def _made(client: ControlClient, known: ReplicationSet, target: str) -> ConnectionStatus:
    """A connection of a source that has none, with the set as the stand-in knows it unless the source has it."""
    try:
        await client.find_set(known.name)
    except ControlError as error:
        if error.status != 404:  # noqa: PLR2004 - HTTP's own number for what is not there
            raise
        await client.save_set(known)
    return await client.connect(ConnectRequest(replication_set=known.name, target=target))
