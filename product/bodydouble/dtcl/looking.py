"""Commands that look, set options, and order services and daemons; `sleep` and `help`."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING

from bodydouble.dtcl.session import carries_out
from bodydouble.dtcl.words import COMMANDS, spelled
from bodydouble.errors import InputError

if TYPE_CHECKING:
    from bodydouble.dtcl.session import Session
    from bodydouble.dtcl.values import Call
    from bodydouble.vocabulary.options import DaemonOption
    from bodydouble.vocabulary.records import DaemonStatus, Event, Sample, ServiceStatus


@carries_out("status")
async def status(session: Session, call: Call) -> DaemonStatus | list[DaemonStatus]:
    """One machine, or source and target."""
    if call.has("on") or session.machines.named("source") == session.machines.named("target"):
        return await (await session.on(call, "source")).status()
    return [await (await session.source()).status(), await (await session.target()).status()]


@carries_out("stats")
async def statistics(session: Session, call: Call) -> Sample:
    """The newest second."""
    samples = await (await session.on(call, "source")).statistics(limit=1)
    if not samples:
        raise InputError("there is no statistics yet: the daemon has only just started")
    return samples[-1]


@carries_out("events")
async def events(session: Session, call: Call) -> list[Event]:
    """The events log."""
    client, after = await session.on(call, "source"), call.option("after")
    found = await client.events(0 if after is None else after.number())
    while found and (more := await client.events(found[-1].number)):
        found += more
    return found


@carries_out("set_option")
async def set_option(session: Session, call: Call) -> DaemonOption:
    """Change an option."""
    return await (await session.on(call, "source")).set_option(call.needed(0).text(), call.needed(1).text())


@carries_out("get_option")
async def get_option(session: Session, call: Call) -> DaemonOption | list[DaemonOption]:
    """Options, or one."""
    found = await (await session.on(call, "source")).options()
    name = call.value()
    if name is None:
        return found
    for option in found:
        if option.name == name.text():
            return option
    raise InputError(f"no option {name.text()!r}; there are: {', '.join(option.name for option in found)}")


@carries_out("service_start")
async def start_service(session: Session, call: Call) -> ServiceStatus:
    """Start a service."""
    return await (await session.on(call, "source")).start_service(call.needed().text())


@carries_out("service_stop")
async def stop_service(session: Session, call: Call) -> ServiceStatus:
    """Stop a service."""
    return await (await session.on(call, "source")).stop_service(call.needed().text())


@carries_out("service_display")
async def display_service(session: Session, call: Call) -> ServiceStatus:
    """A service's state."""
    return await (await session.on(call, "source")).service(call.needed().text())


@carries_out("shutdown")
async def shutdown(session: Session, call: Call) -> None:
    """End a daemon."""
    await (await session.on(call, "source")).shutdown()


@carries_out("sleep")
async def sleep(_session: Session, call: Call) -> None:
    """Do nothing."""
    await asyncio.sleep(call.needed().seconds())


@carries_out("help")
async def explain(session: Session, call: Call) -> None:
    """List the commands, or explain those that begin so."""
    given = call.value()
    wanted = "" if given is None else " ".join(given.text().lower().split())
    found = [each for each in COMMANDS if f"{spelled(each.name)} ".startswith(f"{wanted} ".lstrip())]
    if not found:
        raise InputError(f"no command {wanted!r}: help lists them")
    for chapter, commands in groupby(found, lambda each: each.chapter):
        if not wanted:
            session.surroundings.write(f"{chapter}:")
        for each in commands:
            lines = [f"  {each.line}"] if not wanted else [each.line, f"    {each.help}", f"    {each.example}"]
            for line in lines:
                session.surroundings.write(line)
    if not wanted:
        session.surroundings.write("The language: $name = value; if ... { } else { }; while ... { }; # comment")
