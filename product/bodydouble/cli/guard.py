"""``guard``: this machine's own addresses, which a stand-in may have."""

from __future__ import annotations

import click

from bodydouble.cli import output
from bodydouble.cli.session import Group, Session, examples, pass_session


@click.group(cls=Group, epilog=examples("bodydouble guard show", "bodydouble guard return"))
def guard() -> None:
    """This machine's own addresses: kept only while no stand-in has them."""


@guard.command("show", epilog=examples("bodydouble guard show", "bodydouble guard show --json"))
@pass_session
def show(session: Session) -> None:
    """Show the guarded addresses, and the witnesses that answer."""
    output.show(session, session.talk(lambda client: client.guard()), output.guard_table)


@guard.command("return", epilog=examples("bodydouble guard return      (once the stand-in was failed back)"))
@pass_session
def return_addresses(session: Session) -> None:
    """Use the guarded addresses again; refused while another machine answers for one."""
    output.show(session, session.talk(lambda client: client.return_addresses()), output.guard_table)
