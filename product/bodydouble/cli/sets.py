"""``set``: replication sets, from their creation to their deletion. ``repset``, Double-Take's word, means the same."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodydouble.cli import output, set_file
from bodydouble.cli.session import Group, Interrupted, Session, examples, pass_session, path_argument
from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.vocabulary.records import ReplicationSet, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.cli.session import Action
    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.applications import Uncovered
    from bodydouble.vocabulary.sets import SetSize

POLL = 0.5
"""Seconds between two looks at a calculation that is being waited for."""


@click.group(
    "set",
    cls=Group,
    epilog=examples(
        "bodydouble set save web --include /srv/www --exclude /srv/www/cache",
        "bodydouble set size web",
        "bodydouble set export web web.toml",
    ),
)
def sets() -> None:
    """Replication sets: which files are protected."""


@sets.command("list", epilog=examples("bodydouble set list"))
@pass_session
def list_sets(session: Session) -> None:
    """List the saved replication sets."""
    output.show(session, session.talk(lambda client: client.sets()), output.sets_table)


@sets.command("show", epilog=examples("bodydouble set show web"))
@click.argument("name")
@pass_session
def show_set(session: Session, name: str) -> None:
    """Show the replication set NAME."""
    _show(session, session.talk(lambda client: client.find_set(name)))


def _show(session: Session, found: ReplicationSet) -> None:
    if session.json:
        output.print_json(found)
    else:
        output.print_tables(output.sets_table([found]))


def _saved(session: Session, save: Action[ReplicationSet]) -> ReplicationSet:
    """Save a set, and warn of what applications need and no set holds."""

    async def action(client: ControlClient) -> tuple[ReplicationSet, list[Uncovered]]:
        return await save(client), await client.coverage()

    saved, uncovered = session.talk(action)
    output.warn(uncovered)
    return saved


def _rule_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say a set's rules."""
    for name, text in (
        ("--exclude-flat", "Leave PATH out, not what lies deeper."),
        ("--include-flat", "Protect PATH, not what lies deeper."),
        ("--exclude", "Leave PATH and everything beneath it out."),
        ("--include", "Protect PATH and everything beneath it."),
    ):
        command = click.option(name, multiple=True, metavar="PATH", help=text)(command)
    return command


def _rules(options: dict[str, Any]) -> list[Rule]:
    return [
        *(Rule(path=path_argument(path)) for path in options["include"]),
        *(Rule(path=path_argument(path), include=False) for path in options["exclude"]),
        *(Rule(path=path_argument(path), recursive=False) for path in options["include_flat"]),
        *(Rule(path=path_argument(path), include=False, recursive=False) for path in options["exclude_flat"]),
    ]


@sets.command(
    "create",
    epilog=examples(
        r'bodydouble set create IIS --include "C:\InetPub" --exclude "C:\InetPub\*\*.tmp"',
        "bodydouble set create web --include /srv/www --exclude /srv/www/cache",
    ),
)
@click.argument("name")
@_rule_options
@pass_session
def create_set(session: Session, /, *, name: str, **options: Any) -> None:
    """Create a replication set under NAME, which no other may have. The most specific rule wins; at a tie exclude."""
    wanted = ReplicationSet(name=name, rules=_rules(options))
    _show(session, _saved(session, lambda client: client.save_set(wanted, new=True)))


@sets.command(
    "save",
    epilog=examples(
        r'bodydouble set save IIS --include "C:\InetPub" --include "D:\Sites\*\images"',
        "bodydouble set save web --include /srv/www --exclude /srv/www/cache --no-remirror",
    ),
)
@click.argument("name")
@_rule_options
@click.option(
    "--no-remirror", is_flag=True, help="If it is connected, wait for an operator's mirror to use the change."
)
@pass_session
def save_set(session: Session, /, *, name: str, no_remirror: bool, **options: Any) -> None:
    """Save a replication set under NAME, in place of one that has the name.

    The most specific rule wins; at a tie exclude. A connection that uses the set mirrors again when it changed.
    """
    wanted = ReplicationSet(name=name, rules=_rules(options))
    saved = _saved(session, lambda client: client.save_set(wanted, remirror=not no_remirror))
    output.show(session, [saved], output.sets_table)


@sets.command("copy", epilog=examples("bodydouble set copy web web-test"))
@click.argument("name")
@click.argument("new_name")
@pass_session
def copy_set(session: Session, name: str, new_name: str) -> None:
    """Copy the rules of NAME to a new set NEW_NAME."""
    _show(session, session.talk(lambda client: client.copy_set(name, new_name)))


@sets.command("rename", epilog=examples("bodydouble set rename web intranet"))
@click.argument("name")
@click.argument("new_name")
@pass_session
def rename_set(session: Session, name: str, new_name: str) -> None:
    """Rename NAME to NEW_NAME; refused while a connection uses it."""
    _show(session, session.talk(lambda client: client.rename_set(name, new_name)))


@sets.command("delete", epilog=examples("bodydouble set delete web", "bodydouble set delete web --disconnect"))
@click.argument("name")
@click.option("--disconnect", is_flag=True, help="End its connections first; what they have queued is dropped.")
@pass_session
def delete_set(session: Session, name: str, disconnect: bool) -> None:
    """Delete the replication set NAME; refused while a connection uses it."""
    session.talk(lambda client: client.delete_set(name, disconnect=disconnect))


@sets.command("export", epilog=examples("bodydouble set export web", "bodydouble set export web web.toml --replace"))
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--replace", is_flag=True, help="Replace FILE if it is there.")
@pass_session
def export_set(session: Session, name: str, file: Path | None, replace: bool) -> None:
    """Write the replication set NAME to FILE, or to standard output."""
    found = session.talk(lambda client: client.find_set(name))
    if file is None and session.json:
        output.print_json(found)
        return
    text = set_file.write(found)
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        with file.open("w" if replace else "x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise InputError(f"{file}: is there already: choose another name, or give --replace") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror or error}") from error


@sets.command("import", epilog=examples("bodydouble set import web.toml", "bodydouble set import web.toml --name web2"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Save it under this name instead of the file's.")
@click.option("--replace", is_flag=True, help="Replace a set that has the name.")
@click.option(
    "--no-remirror", is_flag=True, help="If it is connected, wait for an operator's mirror to use the change."
)
@pass_session
def import_set(session: Session, file: Path, name: str | None, replace: bool, no_remirror: bool) -> None:
    """Save the replication set that FILE holds; see `bodydouble set export`."""
    read = set_file.read(file)
    wanted = read if name is None else ReplicationSet(name=name, rules=read.rules)
    saved = _saved(session, lambda client: client.save_set(wanted, new=not replace, remirror=not no_remirror))
    _show(session, saved)


@sets.command(
    "explain",
    epilog=examples(
        "bodydouble set explain web /srv/www/cache/x", r'bodydouble set explain IIS "C:\InetPub\a.tmp" --json'
    ),
)
@click.argument("name")
@click.argument("path", nargs=-1, required=True)
@pass_session
def explain(session: Session, name: str, path: tuple[str, ...]) -> None:
    """Say which rule of the set NAME decides about each PATH, whether it exists or not."""
    asked = [path_argument(each) for each in path]

    async def action(client: ControlClient) -> list[Any]:
        return [await client.explain(name, each) for each in asked]

    output.show(session, session.talk(action), output.explanations_table)


@sets.command(
    "size",
    epilog=examples("bodydouble set size web", "bodydouble set size web --begin", "bodydouble set size web --cancel"),
)
@click.argument("name")
@click.option("--begin", "order", flag_value="begin", help="Begin to calculate, and do not wait.")
@click.option("--show", "order", flag_value="show", help="Show how far the latest calculation is.")
@click.option("--cancel", "order", flag_value="cancel", help="Cancel the one that runs; what it counted is shown.")
@pass_session
def size(session: Session, name: str, order: str | None) -> None:
    """Calculate how large the set NAME is: files, directories and bytes, for each include rule and together.

    Interrupting the command cancels the calculation.
    """
    orders: dict[str | None, Callable[[ControlClient], Any]] = {
        "begin": lambda client: client.calculate_set(name),
        "show": lambda client: client.set_size(name),
        "cancel": lambda client: client.cancel_calculation(name),
        None: lambda client: _calculated(client, name),
    }
    found: SetSize = session.talk(orders[order])
    output.show(session, found, output.size_table)
    if order is None and found.state != "complete":
        raise ConnectionStateError(f"the calculation of {name!r} has {found.state}: {found.detail or 'begin again'}")


async def _calculated(client: ControlClient, name: str) -> SetSize:
    """The size, once it is known."""
    found = await client.calculate_set(name)
    try:
        with output.count_bar(f"Calculating {name}") as update:
            while found.state == "running":
                await asyncio.sleep(POLL)
                found = await client.set_size(name)
                update(found)
    except asyncio.CancelledError:
        await client.cancel_calculation(name)
        raise Interrupted(f"interrupted; the calculation of {name!r} is cancelled") from None
    return found


repset = Group(
    "repset",
    commands=sets.commands,
    epilog=examples("bodydouble repset save web --include /srv/www", "bodydouble repset size web"),
    help="Replication sets, under Double-Take's word for them: the same as `bodydouble set`.",
)
