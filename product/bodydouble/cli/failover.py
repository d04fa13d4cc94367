"""Monitors, failover and failback."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, get_args

import click

from bodydouble.cli import output
from bodydouble.cli.script_options import script_options
from bodydouble.cli.session import Command, Group, Session, examples, going_on, pass_session, path_argument
from bodydouble.errors import ConnectionStateError
from bodydouble.vocabulary.records import FailbackDecision, InterfaceAddress, MonitorRequest, MonitorScripts
from bodydouble.vocabulary.standing_in import Heartbeat, OwnAddress, Trigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.records import MonitorState, MonitorStatus
    from bodydouble.vocabulary.standing_in import ScriptEvent, ScriptOptions

POLL = 0.5


class InterfaceAddressType(click.ParamType[InterfaceAddress]):
    """``ADAPTER=ADDRESS/PREFIX``."""

    name = "ADAPTER=ADDRESS/PREFIX"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> InterfaceAddress:
        """Split at the last ``=``: Windows adapters have free names."""
        interface, sign, address = str(value).rpartition("=")
        if not sign or not interface or not address:
            self.fail(f"expected {self.name}, such as eth0=10.0.0.10/24, got {value!r}", param, ctx)
        return InterfaceAddress(interface=interface, address=address)


@click.group(
    cls=Group,
    epilog=examples(
        "bodydouble monitor create WEB1 --address eth0=10.0.0.10/24",
        "bodydouble monitor list",
        "bodydouble monitor delete WEB1",
    ),
)
def monitor() -> None:
    """Monitors: sources that this machine is ready to stand in for."""


@monitor.command(
    "create",
    epilog=examples(
        "bodydouble monitor create WEB1 --address eth0=10.0.0.10/24",
        "bodydouble monitor create WEB1 --address eth0=10.0.0.10/24 --witness 10.0.0.1 --witness 10.0.0.30:6320",
        'bodydouble monitor create WEB1 --address "Local Area Connection=10.0.0.10/24" \\',
        "    --missed 5 --post-failover C:/bodydouble/postover.bat --pre-failback C:/bodydouble/preback.bat",
        "bodydouble monitor create WEB1 --address eth0=10.0.0.10/24 --watch 10.0.9.10 --trigger any",
        "bodydouble monitor create WEB1 --address eth0=10.0.0.10/24 --heartbeat service --manual",
        "bodydouble monitor create WEB1 --address eth0=10.0.0.10/24 --replace --give-up eth0=10.0.0.20/24",
        "bodydouble monitor create WEB1 --address eth0=10.0.0.10/24 --post-failover /etc/start.sh \\",
        "    --on-failure post-failover=abort --script-arguments 'post-failover=--site www'",
    ),
)
@click.argument("source")
@click.option(
    "--address",
    "addresses",
    type=InterfaceAddressType(),
    multiple=True,
    required=True,
    help="An address of the source and the adapter of this target that assumes it.",
)
@click.option("--interval", type=float, default=5.0, show_default=True, help="Seconds between heartbeats.")
@click.option("--missed", type=int, help="Missed heartbeats that make a failure.  [default: 5; of the service 20]")
@click.option(
    "--trigger",
    type=click.Choice(get_args(Trigger)),
    default="all",
    show_default=True,
    help="Fail over when all watched addresses are silent, or any one of them.",
)
@click.option(
    "--heartbeat",
    type=click.Choice(get_args(Heartbeat)),
    default="icmp",
    show_default=True,
    help="What has to answer: the machine, or its replication service.",
)
@click.option("--service-port", type=int, default=6320, show_default=True, help="The source's replication port.")
@click.option(
    "--watch", "watched", metavar="ADDRESS", multiple=True, help="A further address to watch and not to assume."
)
@click.option("--name/--no-name", "take_name", default=True, show_default=True, help="Assume the source's name, too.")
@click.option(
    "--shares/--no-shares",
    "carry_shares",
    default=True,
    show_default=True,
    help="Share here, too, what the source shares of its replication sets.",
)
@click.option("--replace", is_flag=True, help="Replace this target's own name by the source's, instead of adding it.")
@click.option(
    "--give-up",
    "given_up",
    type=InterfaceAddressType(),
    multiple=True,
    help="With --replace: an address of this target's own that it gives up while it stands in.",
)
@click.option(
    "--witness",
    "witnesses",
    multiple=True,
    metavar="ADDRESS[:PORT]",
    help="Has to answer a ping before this machine stands in; with PORT: is paired, and has to let it.",
)
@click.option("--manual", is_flag=True, help="Wait for an operator instead of failing over at zero.")
@click.option("--pre-failover", default="", metavar="FILE", help="Script to run before the identity is assumed.")
@click.option("--post-failover", default="", metavar="FILE", help="Script to run after the identity is assumed.")
@click.option("--pre-failback", default="", metavar="FILE", help="Script to run before the identity is given back.")
@click.option("--post-failback", default="", metavar="FILE", help="Script to run after the identity is given back.")
@click.option("--script-timeout", type=float, default=120.0, show_default=True, help="Seconds each script may take.")
@script_options
@pass_session
def create(
    session: Session,
    *,
    source: str,
    addresses: Sequence[InterfaceAddress],
    interval: float,
    missed: int | None,
    trigger: Trigger,
    heartbeat: Heartbeat,
    service_port: int,
    watched: Sequence[str],
    take_name: bool,
    carry_shares: bool,
    replace: bool,
    given_up: Sequence[InterfaceAddress],
    witnesses: Sequence[str],
    manual: bool,
    pre_failover: str,
    post_failover: str,
    pre_failback: str,
    post_failback: str,
    script_timeout: float,
    options: dict[ScriptEvent, ScriptOptions],
) -> None:
    """Begin to monitor SOURCE from this target."""
    request = MonitorRequest(
        source=source,
        addresses=list(addresses),
        interval=interval,
        missed=missed,
        manual_intervention=manual,
        scripts=MonitorScripts(
            pre_failover=_script(pre_failover),
            post_failover=_script(post_failover),
            pre_failback=_script(pre_failback),
            post_failback=_script(post_failback),
        ),
        script_timeout=script_timeout,
        script_options=options,
        trigger=trigger,
        heartbeat=heartbeat,
        service_port=service_port,
        watched=list(watched),
        witnesses=list(witnesses),
        name=take_name,
        shares=carry_shares,
        identity="replace" if replace else "add",
        given_up=[OwnAddress(item.interface, item.address) for item in given_up],
    )
    _show(session, session.talk(lambda client: client.create_monitor(request)))


def _script(path: str) -> str:
    return path_argument(path) if path else ""


@monitor.command("list", epilog=examples("bodydouble monitor list --json"))
@pass_session
def list_monitors(session: Session) -> None:
    """List the monitors with their Time to Fail, bullet and status."""
    output.show(session, session.talk(lambda client: client.monitors()), output.monitors_table)


@monitor.command("delete", epilog=examples("bodydouble monitor delete WEB1"))
@click.argument("source")
@pass_session
def delete(session: Session, source: str) -> None:
    """Forget the monitor of SOURCE."""
    session.talk(lambda client: client.delete_monitor(source))


@click.command(cls=Command, epilog=examples("bodydouble failover WEB1", "bodydouble failover WEB1 --no-wait"))
@click.argument("source")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when failover is complete.")
@pass_session
def failover(session: Session, source: str, wait: bool) -> None:
    """Fail SOURCE over to this machine now. The source must be off the network."""

    async def action(client: ControlClient) -> MonitorStatus:
        status = await client.failover(source)
        return await _leave(client, status, "failing-over") if wait else status

    _show(session, session.talk(action))


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble failback WEB1               (the source is still off the network)",
        "bodydouble failback WEB1 --continue    (once the source is back online)",
    ),
)
@click.argument("source")
@click.option("--continue", "decision", flag_value="continue", help="Failback is done: go on monitoring the source.")
@click.option("--stop", "decision", flag_value="stop", help="Failback is done: stop monitoring the source.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when failback is complete.")
@pass_session
def failback(session: Session, source: str, decision: str | None, wait: bool) -> None:
    """Give SOURCE its identity back; then, with the source online, decide: --continue or --stop."""

    async def action(client: ControlClient) -> MonitorStatus:
        if decision is not None:
            answer = FailbackDecision(decision="continue" if decision == "continue" else "stop")
            return await client.decide(source, answer)
        status = await client.failback(source)
        # Asked for while failover is still under way, failback begins when the pass that is running has ended.
        return await _leave(client, status, "failing-over", "failing-back") if wait else status

    status = session.talk(action)
    _show(session, status)
    if status.state == "failed-back" and not session.json:
        click.echo(
            f"Connect {source} to the network. Once it is online: bodydouble failback {source} --continue | --stop"
        )


async def _leave(client: ControlClient, status: MonitorStatus, *states: MonitorState) -> MonitorStatus:
    source = status.request.source
    with going_on(f"what was begun for {source} goes on: 'bodydouble monitor list' shows it"):
        while status.state in states and not status.held:
            await asyncio.sleep(POLL)
            found = [item for item in await client.monitors() if item.request.source == source]
            if not found:
                raise ConnectionStateError(f"the monitor of {source!r} was deleted meanwhile")
            status = found[0]
    return status


def _show(session: Session, status: MonitorStatus) -> None:
    output.show(session, [status] if not session.json else status, output.monitors_table)
