"""``service``: the services of the daemon's machine."""

from __future__ import annotations

import click

from bodydouble.cli import output
from bodydouble.cli.session import Group, Session, examples, pass_session


@click.group(cls=Group, epilog=examples("bodydouble service query W3SVC", "bodydouble service start W3SVC"))
def service() -> None:
    """Services of the daemon's machine."""


@service.command("query", epilog=examples('bodydouble service query "World Wide Web Publishing Service"'))
@click.argument("name")
@pass_session
def query(session: Session, name: str) -> None:
    """Show the service NAME (short or display name)."""
    output.show(session, session.talk(lambda client: client.service(name)), output.service_table)


@service.command("start", epilog=examples("bodydouble service start W3SVC"))
@click.argument("name")
@pass_session
def start(session: Session, name: str) -> None:
    """Start the service NAME, dependencies first."""
    output.show(session, session.talk(lambda client: client.start_service(name)), output.service_table)


@service.command("stop", epilog=examples("bodydouble service stop W3SVC"))
@click.argument("name")
@pass_session
def stop(session: Session, name: str) -> None:
    """Stop the service NAME, dependents first."""
    output.show(session, session.talk(lambda client: client.stop_service(name)), output.service_table)
