"""``chngname``: the name that this machine's services run under, as the application note's utility of that name.

Exit status: 0 done; 1 refused, or there was no name to put back; 2 the arguments are wrong.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from bodydouble.cli import output
from bodydouble.cli.known import state_directory
from bodydouble.cli.session import Command, Session, examples, pass_session
from bodydouble.errors import InputError, UnreachableError
from bodydouble.vocabulary.active_name import ActiveNameStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bodydouble.control.client import ControlClient

_EXPECTED = "chngname: expected one of /s NAME (--set NAME), /t (--reset), --show"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done; ``name`` for ``set`` only."""

    action: Literal["set", "reset", "show"]
    name: str = ""


@click.command(
    cls=Command,
    epilog=examples(
        "bodydouble chngname /s WEB1     (services start under the name WEB1 now)",
        "bodydouble chngname /t          (the machine's own name again; what runs keeps running)",
        "bodydouble chngname --show",
    ),
)
@click.argument("switches", nargs=-1, metavar="[/s NAME | /t]")
@click.option("--set", "name", metavar="NAME", help="The same as /s NAME.")
@click.option("--reset", is_flag=True, help="The same as /t.")
@click.option("--show", is_flag=True, help="Show the active name and what would be put back.")
@pass_session
def chngname(session: Session, *, switches: Sequence[str], name: str | None, reset: bool, show: bool) -> None:
    """Change the active name of the daemon's machine for a while, and put its own one back.

    What the machine answers to on the network stays as it is. A boot puts its own name back, too. While the daemon of
    this Linux machine does not run, --config leads to what it keeps, and the name is changed without it.
    """
    order = _order(switches, name, reset=reset, show=show)
    try:
        seen = session.talk(lambda client: _ask(client, order))
    except UnreachableError:
        if session.config is None or session.host is not None:
            raise
        seen = asyncio.run(_without_daemon(session.config, order))
    if session.json:
        output.print_json(seen)
    else:
        click.echo(output.plain(seen.words))


def _order(switches: Sequence[str], name: str | None, *, reset: bool, show: bool) -> Order:
    """The one thing that was asked for.

    Raises:
        InputError: there is none, or several.
    """
    said = [Order("show")] if show else []
    said += [Order("reset")] if reset else []
    said += [Order("set", name)] if name is not None else []
    match switches:
        case ["/s" | "/S", given]:
            said.append(Order("set", given))
        case ["/t" | "/T"]:
            said.append(Order("reset"))
        case [_, *_]:
            raise InputError(f"{_EXPECTED}, got {' '.join(switches)}")
    if len(said) != 1:
        raise InputError(_EXPECTED)
    return said[0]


async def _ask(client: ControlClient, order: Order) -> ActiveNameStatus:
    if order.action == "show":
        return await client.active_name()
    return await (client.set_active_name(order.name) if order.action == "set" else client.reset_active_name())


async def _without_daemon(config: Path, order: Order) -> ActiveNameStatus:
    """The same on this machine itself: its daemon finds it so when it is started."""
    from bodydouble.adapters.linux import open_active_name  # noqa: PLC0415 - only where it is needed
    from bodydouble.control.chngname import put_back  # noqa: PLC0415 - only where it is needed

    with open_active_name(state_directory(config)) as port:
        if order.action == "set":
            await port.change(order.name)
        elif order.action == "reset":
            await put_back(port, port.active)
        return ActiveNameStatus(port.active, await port.original())
