"""``mirror``: start, pause, resume and stop the mirror of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from bodydouble.cli import output
from bodydouble.cli.replication import until_mirrored
from bodydouble.cli.session import Group, Session, age_argument, examples, pass_session
from bodydouble.vocabulary.mirror import MirrorOrder, MirrorWord
from bodydouble.vocabulary.records import MirrorKind, OrphanAction

if TYPE_CHECKING:
    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.records import ConnectionStatus


class _StartUnlessSaid(Group):
    """``mirror 1`` is short for ``mirror start 1``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0].isdecimal():
            args = ["start", *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=_StartUnlessSaid,
    epilog=examples(
        "bodydouble mirror start 1 --kind checksum --wait",
        "bodydouble mirror 1",
        "bodydouble mirror pause 1",
    ),
)
def mirror() -> None:
    """The mirrors of connections. Replication goes on whatever is ordered about them."""


@mirror.command(
    "start",
    epilog=examples(
        "bodydouble mirror start 1 --wait",
        "bodydouble mirror start 1 --kind checksum --orphans delete",
        "bodydouble mirror start 1 --kind full --newer-only",
    ),
)
@click.argument("connection", type=int)
@click.option("--kind", type=click.Choice(get_args(MirrorKind)), help="How differences are found, for this mirror.")
@click.option(
    "--newer-only/--not-only-newer", default=None, help="Whether to leave files alone that are newer on the target."
)
@click.option("--orphans", type=click.Choice(get_args(OrphanAction)), help="What to do with what only the target has.")
@click.option("--orphan-age", metavar="AGE", help="Only orphans not written to for so long (90s, 12h, 7d).")
@click.option("--calculate/--no-calculate", default=None, help="Count files and bytes first, for the estimate.")
@click.option("--wait", is_flag=True, help="Return when the mirror is complete.")
@pass_session
def start(
    session: Session,
    *,
    connection: int,
    kind: MirrorKind | None,
    newer_only: bool | None,
    orphans: OrphanAction | None,
    orphan_age: str | None,
    calculate: bool | None,
    wait: bool,
) -> None:
    """Mirror CONNECTION again: everything, or what differs by date and size, or by checksum.

    What is not said is as the connection was made. Of a file that differs by checksum only the blocks that differ are
    sent.
    """
    age = None if orphan_age is None else age_argument(orphan_age)
    order = MirrorOrder(kind=kind, newer_only=newer_only, orphans=orphans, orphan_age=age, calculate=calculate)

    async def action(client: ControlClient) -> ConnectionStatus:
        status = await client.mirror(connection, order)
        return await until_mirrored(client, status) if wait else status

    output.show(session, [session.talk(action)], output.connections_table)


def _order(word: MirrorWord, text: str) -> None:
    @mirror.command(word, epilog=examples(f"bodydouble mirror {word} 1"), help=text)
    @click.argument("connection", type=int)
    @pass_session
    def order(session: Session, connection: int) -> None:
        status = session.talk(lambda client: client.order_mirror(connection, word))
        output.show(session, [status], output.connections_table)


_order("pause", "Let the mirror of CONNECTION wait, over broken connections and restarts too.")
_order("resume", "Let the mirror of CONNECTION go on.")
_order("stop", "End the mirror of CONNECTION. The replica is incomplete until another mirror completes.")
