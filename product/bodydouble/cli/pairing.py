"""``pair``: machines that trust each other; ``trust``: daemons that this console knows."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, get_args

import click

from bodydouble.cli import output
from bodydouble.cli.known import not_known
from bodydouble.cli.restoration import REPLICATION_PORT
from bodydouble.cli.session import Command, Group, Session, examples, going_on, pass_session, pinned
from bodydouble.control.client import fetch_certificate
from bodydouble.errors import InputError, PairingError
from bodydouble.security.certificate import fingerprint_of, read_fingerprint
from bodydouble.security.codes import read_code
from bodydouble.vocabulary.records import BOTH_ROLES, AcceptRequest, OfferRequest, Role

if TYPE_CHECKING:
    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.records import Offer, OfferStatus, Roles

POLL = 0.5
"""Seconds between two looks at an offer that is being waited for."""

_roles = click.option(
    "--role",
    "roles",
    type=click.Choice(get_args(Role)),
    multiple=True,
    default=BOTH_ROLES,
    show_default="both",
    help="What the other machine may be to this one: a source of ours, a target of ours.",
)


@click.group(
    cls=Group,
    epilog=examples(
        "bodydouble pair offer --role source",
        "bodydouble pair accept 10.0.0.20 7KQ2-M9XD-4TBH-WZ3C",
        "bodydouble pair list",
    ),
)
def pair() -> None:
    """Machines that trust each other."""


@pair.command("offer", epilog=examples("bodydouble pair offer", "bodydouble pair offer --role source --wait"))
@_roles
@click.option(
    "--minutes", type=click.IntRange(1, 60), default=10, show_default=True, help="How long the code is valid."
)
@click.option("--wait", is_flag=True, help="Return when the other machine has used it, or the offer has ended.")
@pass_session
def offer(session: Session, *, roles: Roles, minutes: int, wait: bool) -> None:
    """Make a one-time code up, and let the machine that is told it pair with this one."""

    async def action(client: ControlClient) -> None:
        made = await client.offer_pairing(OfferRequest(roles=roles, minutes=minutes))
        _show_offer(session, made)
        if wait:
            _show_end(session, await _until_used(client))

    session.talk(action)


def _show_offer(session: Session, made: Offer) -> None:
    if session.json:
        output.print_json(made)
        return
    click.echo(f"Code: {made.code}")
    minutes = f"{made.seconds / 60:g}"
    click.echo(f"Valid for {minutes} minutes and one machine; there: bodydouble pair accept HOST {made.code}", err=True)


async def _until_used(client: ControlClient) -> OfferStatus:
    """Wait for the end of the offer.

    Raises:
        PairingError: nobody has used it.
    """
    with going_on("the code stays valid until it is used, or its time is over"):
        while (status := await client.offered_pairing()).state == "open":  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(POLL)
    if status.state != "used":
        raise PairingError(f"nobody was paired: the offer is {status.state}")
    return status


def _show_end(session: Session, status: OfferStatus) -> None:
    if session.json:
        output.print_json(status)
    else:
        click.echo(output.plain(f"The code was used by {status.peer}; 'bodydouble pair list' shows it."))


@pair.command(
    "accept",
    epilog=examples("bodydouble pair accept 10.77.0.20 7KQ2-M9XD-4TBH-WZ3C", "bodydouble pair accept target"),
)
@click.argument("host")
@click.argument("code", required=False)
@click.option("--port", type=click.IntRange(1, 65535), default=REPLICATION_PORT, show_default=True)
@_roles
@pass_session
def accept(session: Session, *, host: str, code: str | None, port: int, roles: Roles) -> None:
    """Pair with HOST, which offers CODE (asked for when it is left out)."""
    typed = code if code is not None else click.prompt("Code", err=True)
    request = AcceptRequest(host=host, code=read_code(typed), port=port, roles=roles)
    peer = session.talk(lambda client: client.accept_pairing(request))
    output.show(session, [peer], output.peers_table)


@pair.command("list", epilog=examples("bodydouble pair list"))
@pass_session
def show_peers(session: Session) -> None:
    """List this machine's fingerprint and the machines that it is paired with."""
    pairings = session.talk(lambda client: client.pairings())
    if session.json:
        output.print_json(pairings)
        return
    click.echo(f"This machine: {pairings.fingerprint}")
    output.print_tables(output.peers_table(pairings.peers))


@pair.command("remove", epilog=examples("bodydouble pair remove WEB1"))
@click.argument("name")
@pass_session
def remove(session: Session, name: str) -> None:
    """Trust the machine NAME no more; its connections end at once. The other side has to remove this one itself."""
    session.talk(lambda client: client.remove_peer(name))


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble --host target trust",
        "bodydouble --host target trust --pin 5b21...4920",
        "bodydouble --host target trust --forget",
        "bodydouble trust --list",
    ),
)
@click.option("--pin", metavar="FINGERPRINT", help="Trust it only with this fingerprint, and ask nothing.")
@click.option("--forget", is_flag=True, help="Trust it no more.")
@click.option("--list", "listing", is_flag=True, help="List the trusted daemons.")
@pass_session
def trust(session: Session, *, pin: str | None, forget: bool, listing: bool) -> None:
    """Let this console speak to the daemon at --host from now on.

    Its certificate is kept in the user's known-daemons file, and nothing is ever sent to whoever does not show it. The
    first time, compare the fingerprint with what 'bodydouble pair list' says on the daemon's own machine.
    """
    host, port = session.place
    if listing:
        kept = {place: fingerprint_of(certificate) for place, certificate in session.known.all().items()}
        output.show(session, kept, output.known_table)
        return
    if forget:
        if not session.known.forget(host, port):
            raise InputError(f"the daemon at {host} port {port} is not trusted")
        return
    session.known.keep(host, port, asyncio.run(_judged(host, port, pin)))


async def _judged(host: str, port: int, pin: str | None) -> bytes:
    """The daemon's certificate, once somebody has said that it is the right one."""
    if pin is not None:
        return await pinned(host, port, read_fingerprint(pin))
    certificate = await fetch_certificate(host, port)
    if not _can_ask():
        raise not_known(host, port, certificate)
    click.echo(f"The daemon at {host} port {port} shows the certificate\n  {fingerprint_of(certificate)}", err=True)
    click.confirm("Is that what 'bodydouble pair list' says on its machine?", abort=True, err=True)
    return certificate


def _can_ask() -> bool:
    return sys.stdin.isatty()
