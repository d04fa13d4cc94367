"""``token``: who may ask the daemon, and what."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click
import msgspec

from bodydouble.cli import output
from bodydouble.cli.session import Command, Group, Session, examples, pass_session
from bodydouble.errors import InputError
from bodydouble.vocabulary.tokens import AccessRole, TokenRequest

if TYPE_CHECKING:
    from bodydouble.vocabulary.tokens import IssuedToken


@click.group(
    cls=Group,
    epilog=examples(
        "bodydouble token create grafana --role monitor > grafana.token",
        "bodydouble token list",
        "bodydouble token revoke grafana",
    ),
)
def token() -> None:
    """Who may ask the daemon, and what: named tokens with a role."""


@token.command(
    "create",
    cls=Command,
    epilog=examples(
        "bodydouble token create grafana --role monitor > grafana.token", "bodydouble token create alice --role admin"
    ),
)
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(get_args(AccessRole)),
    default="monitor",
    show_default=True,
    help="A monitor looks and changes nothing; an admin may do everything.",
)
@pass_session
def create(session: Session, name: str, role: AccessRole) -> None:
    """Make a token and print it: this once, because the daemon keeps only a digest of it."""
    try:
        request = msgspec.convert({"name": name, "role": role}, TokenRequest)
    except msgspec.ValidationError:
        raise InputError(
            f"{name!r} is no name of a token: expected letters, digits, '.', '_' and '-', at most 64"
        ) from None
    issued = session.talk(lambda client: client.create_token(request))
    _show(session, issued)


def _show(session: Session, issued: IssuedToken) -> None:
    if session.json:
        output.print_json(issued)
        return
    click.echo(issued.secret)
    click.echo(f"The {issued.role} token {issued.name!r}, shown this once. Use it by --token-file FILE.", err=True)


@token.command("list", cls=Command, epilog=examples("bodydouble token list"))
@pass_session
def list_(session: Session) -> None:
    """Show the tokens' names and roles."""
    output.show(session, session.talk(lambda client: client.tokens()), output.tokens_table)


@token.command("revoke", cls=Command, epilog=examples("bodydouble token revoke grafana"))
@click.argument("name")
@pass_session
def revoke(session: Session, name: str) -> None:
    """Let a token be valid no more, at once."""
    session.talk(lambda client: client.revoke_token(name))
