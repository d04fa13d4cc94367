"""Orders to existing connections and replicas: ``connection``, ``transmission``, ``target``, ``queue-task``."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click
import msgspec

from bodydouble.cli import output, schedules
from bodydouble.cli.session import Command, Group, Session, examples, pass_session
from bodydouble.vocabulary.tasks import TaskRequest, TaskStage

if TYPE_CHECKING:
    from bodydouble.control.client import ControlClient
    from bodydouble.replication.schedule import Order
    from bodydouble.vocabulary.records import ConnectionStatus
    from bodydouble.vocabulary.transmission import TransmissionOptions


@click.group(cls=Group, epilog=examples("bodydouble connection route 1 10.1.0.20"))
def connection() -> None:
    """Change an existing connection."""


@connection.command("route", epilog=examples("bodydouble connection route 1 10.1.0.20"))
@click.argument("number", type=int)
@click.argument("address")
@pass_session
def route(session: Session, number: int, address: str) -> None:
    """Reach the target of connection NUMBER by ADDRESS. No mirror is needed when the same machine answers there."""
    output.show(session, [session.talk(lambda client: client.reroute(number, address))], output.connections_table)


@click.group(
    cls=Group,
    epilog=examples(
        "bodydouble transmission pause 1",
        "bodydouble transmission limit 1 2MB",
        'bodydouble transmission schedule 1 "window 18:00-06:00"',
    ),
)
def transmission() -> None:
    """When, how fast and how packed a connection transmits; what is not sent is queued."""


def _order(name: Order, text: str) -> None:
    @transmission.command(name, epilog=examples(f"bodydouble transmission {name} 1"), help=text)
    @click.argument("number", type=int)
    @pass_session
    def order(session: Session, number: int) -> None:
        status = session.talk(lambda client: client.order_transmission(number, name))
        output.show(session, [status], output.connections_table)


_order("start", "Transmit now; a window that is shut still holds it back.")
_order("stop", "Transmit nothing until it is started again, whatever the schedule says.")
_order("pause", "Hold transmission where it is.")
_order("resume", "Go on where transmission was paused.")


def _change(session: Session, number: int, **fields: object) -> None:
    async def action(client: ControlClient) -> ConnectionStatus:
        changed = msgspec.structs.replace(await client.transmission(number), **fields)
        return await client.set_transmission(number, changed)

    output.show(session, [session.talk(action)], output.connections_table)


@transmission.command(
    "limit", epilog=examples("bodydouble transmission limit 1 2MB", "bodydouble transmission limit 1 off")
)
@click.argument("number", type=int)
@click.argument("rate")
@pass_session
def limit(session: Session, number: int, rate: str) -> None:
    """Send at most RATE bytes a second (500kB, 2MB, 50% of 10Mbit), or `off`. It holds at once."""
    _change(session, number, bandwidth=None if rate == "off" else schedules.rate(rate))


@transmission.command(
    "compression",
    epilog=examples("bodydouble transmission compression 1 1", "bodydouble transmission compression 1 0"),
)
@click.argument("number", type=int)
@click.argument("level", type=click.IntRange(0, 9))
@pass_session
def compression(session: Session, number: int, level: int) -> None:
    """Compress by zstd's LEVEL, 0: not at all. All connections to the same route do it alike."""
    _change(session, number, compression=level)


@transmission.command(
    "schedule",
    epilog=examples(
        'bodydouble transmission schedule 1 "start at 10MB; stop when empty; window mon-fri 18:00-06:00 limit 2MB"',
        "bodydouble transmission schedule 1 nightly.txt",
        "bodydouble transmission schedule 1 --off",
        "bodydouble transmission schedule 1",
    ),
)
@click.argument("number", type=int)
@click.argument("schedule", required=False)
@click.option("--off", is_flag=True, help="Transmit always.")
@pass_session
def schedule(session: Session, number: int, schedule: str | None, off: bool) -> None:
    """Set the SCHEDULE of connection NUMBER, given here or as the name of a file, or show it. Times are UTC."""
    if schedule is not None and off:
        raise click.UsageError("a schedule and --off contradict each other")
    if schedule is not None or off:
        _change(session, number, schedule=None if schedule is None else schedules.read(schedule))
        return
    options = session.talk(lambda client: client.transmission(number))
    if session.json:
        output.print_json(options)
        return
    click.echo(f"connection {number}: {_words(options)}")


def _words(options: TransmissionOptions) -> str:
    rate = "no limit" if options.bandwidth is None else f"{schedules.sized(options.bandwidth)}/s"
    packed = "not compressed" if not options.compression else f"compressed (zstd {options.compression})"
    return f"{schedules.words(options.schedule)}; {rate}; {packed}"


@click.group(
    cls=Group, epilog=examples("bodydouble --host target target list", "bodydouble --host target target pause WEB1 IIS")
)
def target() -> None:
    """The replicas on this machine."""


@target.command("list", epilog=examples("bodydouble --host target target list"))
@pass_session
def list_replicas(session: Session) -> None:
    """List the replicas on this machine with the state of this side."""
    output.show(session, session.talk(lambda client: client.replicas()), output.target_table)


def _pause(name: str, text: str, *, paused: bool) -> None:
    @target.command(name, epilog=examples(f"bodydouble --host target target {name} WEB1 IIS"), help=text)
    @click.argument("source")
    @click.argument("replication_set")
    @pass_session
    def pause(session: Session, source: str, replication_set: str) -> None:
        status = session.talk(lambda client: client.pause_target(source, replication_set, paused=paused))
        output.show(session, [status], output.target_table)


_pause("pause", "Receive from SOURCE's REPLICATION_SET and apply nothing, for a backup for instance.", paused=True)
_pause("resume", "Apply what SOURCE's REPLICATION_SET sent meanwhile, and go on.", paused=False)


@click.command(
    "queue-task",
    cls=Command,
    epilog=examples(
        "bodydouble queue-task 1 --on execute -- snapshot.sh before-release",
        "bodydouble queue-task 1 --on transmit --timeout 300 -- link-up.sh",
    ),
)
@click.argument("number", type=int)
@click.option("--on", "on", type=click.Choice(get_args(TaskStage)), required=True, help="Where and when it runs.")
@click.option("--timeout", type=click.FloatRange(0.1, 86_400), default=60.0, show_default=True, metavar="SECONDS")
@click.argument("command")
@click.argument("arguments", nargs=-1)
@pass_session
def queue_task(
    session: Session, *, number: int, on: TaskStage, timeout: float, command: str, arguments: tuple[str, ...]
) -> None:
    """Queue COMMAND in the stream of connection NUMBER, in order with the data.

    It is a script in the task directory of the machine that runs it: on the source when it is queued or transmitted,
    on the target when it is received or executed. How it ends is an event on both sides.
    """
    request = TaskRequest(on=on, command=command, arguments=list(arguments), timeout=timeout)
    receipt = session.talk(lambda client: client.queue_task(number, request))
    if session.json:
        output.print_json(receipt)
    else:
        click.echo(output.plain(f"task {receipt.id} queued, runs on {receipt.on}"))
