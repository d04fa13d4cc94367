"""``unit`` and ``completion``: what makes the product at home on a machine. Both print; nothing is installed."""

from __future__ import annotations

import sys
from pathlib import Path
from string import Template
from xml.sax.saxutils import escape

import click
from click.shell_completion import get_completion_class

from bodydouble.cli.session import Command, examples
from bodydouble.errors import InputError

_SYSTEMD = Template("""\
[Unit]
Description=Bodydouble: replication and failover
Wants=network-online.target
After=network-online.target local-fs.target

[Service]
Type=notify
ExecStart=$command daemon --config $config
# Applications go on through the filter program when the daemon ends by itself, and the next start finds it: only the
# daemon may be killed, never its whole group.
KillMode=process
Restart=on-failure
RestartSec=1
# A stop in order unmounts the filter and makes durable what is queued.
TimeoutStopSec=120
LimitNOFILE=65536
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
""")

_WINSW = Template("""\
<service>
  <id>bodydouble</id>
  <name>Bodydouble</name>
  <description>Replication and failover</description>
  <executable>$command</executable>
  <arguments>daemon --config &quot;$config&quot;</arguments>
  <startmode>Automatic</startmode>
  <onfailure action="restart" delay="1 sec"/>
  <resetfailure>1 hour</resetfailure>
  <stoptimeout>120 sec</stoptimeout>
  <log mode="roll"/>
</service>
""")


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble unit systemd --config /etc/bodydouble/daemon.toml > /etc/systemd/system/bodydouble.service",
        r"bodydouble unit winsw --config C:\Bodydouble\daemon.toml > C:\Bodydouble\bodydouble.xml",
    ),
)
@click.argument("manager", type=click.Choice(["systemd", "winsw"]))
@click.option("--config", required=True, help="The daemon's configuration on that machine: an absolute path.")
@click.option("--command", default="", help="The program there; without it, this one.")
def unit(manager: str, config: str, command: str) -> None:
    """Print what starts the daemon with the machine.

    MANAGER: systemd, a unit of type notify; winsw, the configuration of the Windows Service Wrapper (WinSW), which lies
    beside a copy of it named bodydouble.exe: 'bodydouble.exe install' makes the service. The daemon itself has a body
    for Linux only so far; on Windows it is refused at its start.
    """
    click.echo(_filled(manager, config, command or str(Path(sys.argv[0]).absolute())), nl=False)


def _filled(manager: str, config: str, command: str) -> str:
    for option, path in (("--config", config), ("--command", command)):
        if any(character in path for character in '"\n\r'):
            raise InputError(f"{option}: {path!r}: quotation marks and line ends cannot be in a path here")
    if manager == "winsw":
        return _WINSW.substitute(command=escape(command), config=escape(config))
    for option, path in (("--config", config), ("--command", command)):
        if not path.startswith("/"):
            raise InputError(f"{option}: {path!r}: systemd needs an absolute path")
    return _SYSTEMD.substitute(command=_quoted(command), config=_quoted(config))


def _quoted(path: str) -> str:
    """As systemd.service(5) reads words: specifiers, variables and backslashes mean nothing, blanks do not part."""
    plain = path.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if any(character in path for character in " \t';\\") else plain


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble completion bash > /etc/bash_completion.d/bodydouble",
        "source <(bodydouble completion zsh)      (in ~/.zshrc)",
        "bodydouble completion fish > ~/.config/fish/completions/bodydouble.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a SHELL complete commands, options and their values."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "bodydouble", "_BODYDOUBLE_COMPLETE").source())
