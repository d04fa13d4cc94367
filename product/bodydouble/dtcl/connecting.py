"""Commands about connections: connect, mirror, replication, queue, tasks, pausing a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from bodydouble.dtcl.selecting import check_saved
from bodydouble.dtcl.session import carries_out
from bodydouble.errors import InputError
from bodydouble.vocabulary.mapping import PathMapping
from bodydouble.vocabulary.mirror import MirrorOrder
from bodydouble.vocabulary.records import ConnectRequest
from bodydouble.vocabulary.tasks import TaskRequest
from bodydouble.vocabulary.transmission import TransmissionOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bodydouble.control.client import ControlClient
    from bodydouble.dtcl.session import Session
    from bodydouble.dtcl.values import Call, Given
    from bodydouble.vocabulary.mirror import MirrorWord
    from bodydouble.vocabulary.records import (
        ConnectionStatus,
        MirrorKind,
        OrphanAction,
        TargetConnectionStatus,
    )
    from bodydouble.vocabulary.tasks import TaskReceipt, TaskStage

REPLICATION_PORT = 6320
MAX_PORT = 65_535
MAX_LEVEL = 9
MAX_AGE = 36_525 * 86_400


@carries_out("connect")
async def connect(session: Session, call: Call) -> ConnectionStatus:
    """Connect; the connection is the one that later commands mean."""
    name = call.needed().text()
    check_saved(session, name)
    target, route = call.option("to"), call.option("route")
    assert target is not None, "the grammar requires it"
    mirror = cast("MirrorKind", call.choice("mirror", "difference"))
    remirror = call.choice("remirror", mirror)
    request = ConnectRequest(
        replication_set=name,
        target=target.text(),
        port=port(call),
        route="" if route is None else route.text(),
        mirror=mirror,
        remirror=None if remirror in ("none", mirror) else cast("MirrorKind", remirror),
        remirror_after_reconnect=remirror != "none",
        newer_only=call.has("newer"),
        calculate=call.has("calculate"),
        orphans=cast("OrphanAction", call.choice("orphans", "keep")),
        orphan_age=age(call) or 0.0,
        auto_reconnect=call.choice("reconnect", "auto") == "auto",
        recognise_restore=call.choice("compatibility", "4.2") == "4.2",
        mapping=mapping(call),
        base=base(call),
        scripts=session.scripts,
        transmission=_transmission(call),
    )
    status = await (await session.source()).connect(request)
    session.connection = status.id
    return status


def _transmission(call: Call) -> TransmissionOptions:
    rate, level = call.option("bandwidth"), call.option("compression")
    return TransmissionOptions(
        bandwidth=None if rate is None else rate.size(),
        compression=0 if level is None else level.number(0, MAX_LEVEL),
    )


def port(call: Call) -> int:
    """The replication port that is said, or the usual one."""
    given = call.option("port")
    return REPLICATION_PORT if given is None else given.number(1, MAX_PORT)


def mapping(call: Call) -> list[PathMapping]:
    """What goes where."""
    return [PathMapping(source.path(), target.path()) for source, target in call.options.get("map", ())]


def base(call: Call) -> str:
    """The directory that everything else goes beneath."""
    given = call.option("map_base")
    return "" if given is None else given.path()


def age(call: Call) -> float | None:
    """How old an orphan has to be.

    Raises:
        InputError: more than a century.
    """
    given = call.option("older")
    if given is None:
        return None
    if given.seconds() > MAX_AGE:
        raise InputError("older: expected at most a century")
    return given.seconds()


async def each_connection(
    session: Session, named: Given | None, order: Callable[[ControlClient, int], Awaitable[ConnectionStatus]]
) -> ConnectionStatus | list[ConnectionStatus]:
    """Order something of the connections that are meant; a list only for ``*``."""
    client = await session.source()
    found = [await order(client, each.id) for each in await session.connections(named)]
    return found[0] if len(found) == 1 and not (named is not None and named.data == "*") else found


@carries_out("disconnect")
async def disconnect(session: Session, call: Call) -> None:
    """Disconnect; ``*`` means all, if there are any."""
    client = await session.source()
    for each in await session.connections(call.value()):
        await client.disconnect(each.id, drain=call.has("drain"))
        if each.id == session.connection:
            session.connection = None


@carries_out("mirror_start")
async def start_mirror(session: Session, call: Call) -> object:
    """Mirror again."""
    kind, orphans = call.choice("by"), call.choice("orphans")
    order = MirrorOrder(
        kind=cast("MirrorKind", kind) if kind else None,
        newer_only=True if call.has("newer") else None,
        orphans=cast("OrphanAction", orphans) if orphans else None,
        orphan_age=age(call),
        calculate=True if call.has("calculate") else None,
    )
    return await each_connection(session, call.value(), lambda client, id_: client.mirror(id_, order))


def _mirror_order(word: MirrorWord) -> None:
    @carries_out(f"mirror_{word}")
    async def order(session: Session, call: Call) -> object:
        return await each_connection(session, call.value(), lambda client, id_: client.order_mirror(id_, word))


_mirror_order("stop")
_mirror_order("pause")
_mirror_order("resume")


@carries_out("replication_start")
async def start_replication(session: Session, call: Call) -> object:
    """Replicate again."""
    return await each_connection(session, call.value(), lambda client, id_: client.start_replication(id_))


@carries_out("replication_stop")
async def stop_replication(session: Session, call: Call) -> object:
    """Replicate no more."""
    return await each_connection(session, call.value(), lambda client, id_: client.stop_replication(id_))


@carries_out("queue_flush")
async def flush_queue(session: Session, call: Call) -> object:
    """Drop what is queued."""
    return await each_connection(session, call.value(), lambda client, id_: client.flush_queue(id_))


@carries_out("queuetask")
async def queue_task(session: Session, call: Call) -> TaskReceipt:
    """Queue a task."""
    stage = next(name for name in ("onqueue", "ontransmit", "onreceive", "onexecute") if call.has(name))
    command, *arguments = [each.text() for each in call.values]
    timeout = call.option("timeout")
    seconds = 60.0 if timeout is None else timeout.seconds()
    request = _checked(
        TaskRequest(
            on=cast("TaskStage", stage.removeprefix("on")), command=command, arguments=arguments, timeout=seconds
        )
    )
    connection = await session.one_connection(call.option("for"))
    return await (await session.source()).queue_task(connection.id, request)


def _checked(request: TaskRequest) -> TaskRequest:
    try:
        return msgspec.convert(msgspec.to_builtins(request), TaskRequest)
    except msgspec.ValidationError as error:
        raise InputError(f"the task: {error}") from error


_MOMENTS = {"mirrorstart": "start", "mirrorstop": "stop", "mirrorcomplete": "complete"}


@carries_out("script_add")
async def add_script(session: Session, call: Call) -> None:
    """Give new connections a script."""
    moment = _MOMENTS[call.choice("")]
    session.scripts = msgspec.structs.replace(session.scripts, **{moment: call.needed(1).text()})


@carries_out("script_remove")
async def remove_script(session: Session, call: Call) -> None:
    """Give new connections none."""
    session.scripts = msgspec.structs.replace(session.scripts, **{_MOMENTS[call.choice("")]: ""})


@carries_out("pause_target")
async def pause_target(session: Session, call: Call) -> list[TargetConnectionStatus]:
    """Apply nothing that comes from a source."""
    return await _each_replica(session, call, paused=True)


@carries_out("resume_target")
async def resume_target(session: Session, call: Call) -> list[TargetConnectionStatus]:
    """Apply it again."""
    return await _each_replica(session, call, paused=False)


async def _each_replica(session: Session, call: Call, *, paused: bool) -> list[TargetConnectionStatus]:
    client = await session.target()
    source, name = call.option("for"), call.option("set")
    assert source is not None, "the grammar requires it"
    word, chosen = source.text(), None if name is None else name.text()
    found = [
        each
        for each in await client.replicas()
        if each.source.casefold() == word.casefold() and chosen in (None, each.replication_set)
    ]
    # Without a set all of them are meant, and those that are so already are no reason to leave the others as they are.
    names = [each.replication_set for each in found if (each.state == "paused") != paused] or [
        each.replication_set for each in found
    ]
    if not names:
        which = "" if chosen is None else f"{chosen!r} "
        raise InputError(f"the target holds no replica {which}of {word!r}")
    return [await client.pause_target(word, each, paused=paused) for each in _unique(names)]


def _unique(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
