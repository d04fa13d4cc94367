"""The entry point: global options, the product's commands, and plug-ins.

Exit status: 0 done; 1 an error of the product or the daemon; 2 the command line, a file or a request is wrong; 130
interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodydouble import __version__
from bodydouble.cli import (
    chngname,
    connection,
    daemon,
    dtcl,
    failover,
    guard,
    installation,
    mirror,
    observation,
    openapi,
    orphans,
    pairing,
    preflight,
    replication,
    restoration,
    scripts,
    services,
    sets,
    statistics,
    tokens,
    verification,
)
from bodydouble.cli.session import Group, Session, examples
from bodydouble.control.settings import DEFAULT_PORT

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PLUGINS = "bodydouble.commands"
"""The entry-point group in which other packages register commands."""


class Bodydouble(Group):
    """The product's commands and those of plug-ins; a plug-in is imported only when it is called or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name, sorted."""
        return sorted({*super().list_commands(ctx), *_plugins()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by name; plug-ins are looked for only when the product has none of that name."""
        own = super().get_command(ctx, cmd_name)
        plugin = _plugins().get(cmd_name) if own is None else None
        return own if plugin is None else _load(plugin)


def _plugins() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - it and its search cost more than most commands

    return {point.name: point for point in entry_points(group=PLUGINS)}


def _load(plugin: EntryPoint) -> click.Command:
    """The plug-in's command; one that cannot be imported becomes a command that says so."""
    try:
        command = plugin.load()
    except ImportError as error:
        return _unavailable(plugin.name, f"{plugin.value} cannot be imported: {error}")
    except AttributeError as error:
        return _unavailable(plugin.name, f"{plugin.value} is not there: {error}")
    if not isinstance(command, click.Command):
        return _unavailable(plugin.name, f"{plugin.value} is not a click command")
    return command


def _unavailable(name: str, reason: str) -> click.Command:
    def refuse(arguments: tuple[str, ...]) -> None:
        called = " ".join([name, *arguments])
        raise click.ClickException(f"{called!r} is not available: {reason}")

    return click.Command(
        name,
        callback=refuse,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        help=f"Not available: {reason}",
        context_settings={"ignore_unknown_options": True},
    )


@click.group(
    cls=Bodydouble,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "bodydouble daemon --config /etc/bodydouble.toml",
        "bodydouble --config /etc/bodydouble.toml status",
        "BODYDOUBLE_CONFIG=/etc/bodydouble.toml bodydouble events --follow",
        "bodydouble --host target --token-file token status",
    ),
)
@click.option(
    "--host",
    envvar="BODYDOUBLE_HOST",
    show_envvar=True,
    help="The daemon's machine; without it, this one (127.0.0.1).",
)
@click.option(
    "--port",
    envvar="BODYDOUBLE_PORT",
    type=click.IntRange(1, 65535),
    show_envvar=True,
    help=f"The daemon's control port; without it, {DEFAULT_PORT} or what --config says.",
)
@click.option(
    "--config",
    envvar="BODYDOUBLE_CONFIG",
    type=click.Path(path_type=Path),
    show_envvar=True,
    help="Configuration of this machine's daemon: gives its port, token and certificate.",
)
@click.option(
    "--token-file",
    envvar="BODYDOUBLE_TOKEN_FILE",
    type=click.Path(path_type=Path),
    show_envvar=True,
    help="File with the daemon's token.",
)
@click.option(
    "--pin",
    envvar="BODYDOUBLE_PIN",
    metavar="FINGERPRINT",
    show_envvar=True,
    help="SHA-256 of the daemon's certificate; without it, a daemon of another machine has to be trusted first.",
)
@click.option("--plain-http", is_flag=True, help="Speak plain HTTP to this machine's daemon (control.plain_http).")
@click.option("--json", is_flag=True, help="Print JSON instead of tables.")
@click.version_option(__version__, prog_name="bodydouble")
@click.pass_context
def cli(context: click.Context, /, **options: Any) -> None:
    """Ordered file replication from sources to a target, with failover of name and address."""
    context.obj = Session(**options)


for _command in (
    daemon.daemon,
    installation.unit,
    installation.completion,
    observation.status,
    observation.events,
    openapi.openapi,
    statistics.statistics,
    sets.sets,
    sets.repset,
    replication.connect,
    replication.disconnect,
    replication.connections,
    replication.replication,
    mirror.mirror,
    orphans.orphans,
    connection.connection,
    connection.transmission,
    connection.target,
    connection.queue_task,
    pairing.pair,
    pairing.trust,
    verification.verify,
    verification.verification,
    failover.monitor,
    failover.failover,
    failover.failback,
    guard.guard,
    restoration.restore,
    restoration.restorations,
    services.service,
    dtcl.dtcl,
    tokens.token,
    scripts.script,
    chngname.chngname,
    preflight.preflight,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit with its status."""
    cli(prog_name="bodydouble")
