"""Commands about monitors and failover. A monitor is put together here; the target has it once it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from bodydouble.dtcl.reaching import MAX_PORT
from bodydouble.dtcl.session import carries_out, until
from bodydouble.errors import ConnectionStateError, InputError
from bodydouble.vocabulary.records import FailbackDecision, InterfaceAddress, MonitorRequest
from bodydouble.vocabulary.standing_in import OwnAddress, ScriptOptions

if TYPE_CHECKING:
    from bodydouble.control.client import ControlClient
    from bodydouble.dtcl.session import Session
    from bodydouble.dtcl.values import Call
    from bodydouble.vocabulary.records import MonitorState, MonitorStatus
    from bodydouble.vocabulary.standing_in import ScriptEvent, ScriptPolicy

_MOMENTS = {
    "prefailover": "pre_failover",
    "postfailover": "post_failover",
    "prefailback": "pre_failback",
    "postfailback": "post_failback",
}


@carries_out("monitor_create")
async def create(session: Session, call: Call) -> None:
    """Begin a monitor."""
    source = call.needed().text()
    if await _find(await session.target(), source) is not None:
        raise InputError(f"the target monitors {source!r} already: monitor use")
    session.monitors[source] = MonitorRequest(source=source, addresses=[])
    session.used_monitor = source


@carries_out("monitor_use")
async def use(session: Session, call: Call) -> None:
    """Use a monitor of the target; one that is in use stays as it is."""
    source = call.needed().text()
    if source not in session.monitors:
        session.monitors[source] = (await _status(await session.target(), source)).request
    session.used_monitor = source


def _in_use(session: Session, call: Call) -> MonitorRequest:
    return session.monitors[call.of_this(None, session.used_monitor, "monitor")]


def _changed(session: Session, request: MonitorRequest, **fields: Any) -> None:
    session.monitors[request.source] = msgspec.structs.replace(request, **fields)


@carries_out("monitor_move")
async def move(session: Session, call: Call) -> None:
    """Say which adapter takes an address."""
    request, adapter = _in_use(session, call), call.option("to")
    assert adapter is not None, "the grammar requires it"
    moved = InterfaceAddress(interface=adapter.text(), address=call.needed().text())
    others = [each for each in request.addresses if each.address != moved.address]
    _changed(session, request, addresses=[*others, moved])


@carries_out("monitor_watch")
async def watch(session: Session, call: Call) -> None:
    """Watch one address more."""
    request, address = _in_use(session, call), call.needed().text()
    _changed(session, request, watched=[*(each for each in request.watched if each != address), address])


@carries_out("monitor_giveup")
async def give_up(session: Session, call: Call) -> None:
    """Say which own address the target gives up."""
    request, adapter = _in_use(session, call), call.option("of")
    assert adapter is not None, "the grammar requires it"
    given_up = OwnAddress(adapter.text(), call.needed().text())
    _changed(session, request, given_up=[*(each for each in request.given_up if each != given_up), given_up])


@carries_out("monitor_option")
async def option(session: Session, call: Call) -> None:
    """Change how it watches."""
    request = _in_use(session, call)
    changed: dict[str, Any] = {}
    if (interval := call.option("interval")) is not None:
        changed["interval"] = interval.seconds()
    if (missed := call.option("missed")) is not None:
        changed["missed"] = missed.number(1)
    if call.has("manual"):
        changed["manual_intervention"] = call.choice("manual") == "on"
    if (timeout := call.option("timeout")) is not None:
        changed["script_timeout"] = timeout.seconds()
    if (port := call.option("serviceport")) is not None:
        changed["service_port"] = port.number(1, MAX_PORT)
    if call.has("name"):
        changed["name"] = call.choice("name") == "on"
    if call.has("shares"):
        changed["shares"] = call.choice("shares") == "on"
    changed |= {word: call.choice(word) for word in ("trigger", "heartbeat", "identity") if call.has(word)}
    _changed(session, request, **changed)


@carries_out("monitor_script_add")
async def add_script(session: Session, call: Call) -> None:
    """Run a script at a moment."""
    _script(session, call, call.needed(1).path())
    request, timeout = _in_use(session, call), call.option("timeout")
    options = ScriptOptions(
        arguments=tuple(given.text() for (given,) in call.options.get("argument", ())),
        timeout=None if timeout is None else timeout.seconds(),
        on_failure=cast("ScriptPolicy", call.choice("onfailure", "continue")),
    )
    _changed(session, request, script_options={**request.script_options, _event(call): options})


@carries_out("monitor_script_remove")
async def remove_script(session: Session, call: Call) -> None:
    """Run none."""
    _script(session, call, "")
    request = _in_use(session, call)
    others = {event: options for event, options in request.script_options.items() if event != _event(call)}
    _changed(session, request, script_options=others)


def _event(call: Call) -> ScriptEvent:
    return cast("ScriptEvent", _MOMENTS[call.choice("")].replace("_", "-"))


def _script(session: Session, call: Call, path: str) -> None:
    request = _in_use(session, call)
    scripts = msgspec.structs.replace(request.scripts, **{_MOMENTS[call.choice("")]: path})
    _changed(session, request, scripts=scripts)


@carries_out("monitor_start")
async def start(session: Session, call: Call) -> MonitorStatus:
    """Have the target monitor; a monitor that runs is replaced."""
    source = call.of_this(call.value(), session.used_monitor, "monitor")
    client = await session.target()
    running = await _find(client, source)
    request = session.monitors.get(source) or (None if running is None else running.request)
    if request is None:
        raise InputError(f"no monitor of {source!r} here or on the target: monitor create")
    if not request.addresses:
        raise InputError(f"the monitor of {source!r} has no address: monitor move ADDRESS/PREFIX to ADAPTER")
    if running is not None and running.state != "stopped":
        await client.delete_monitor(source)
    return await client.create_monitor(request)


@carries_out("monitor_stop")
async def stop(session: Session, call: Call) -> None:
    """Have the target monitor no more, and keep the monitor here."""
    source = call.of_this(call.value(), session.used_monitor, "monitor")
    client = await session.target()
    session.monitors.setdefault(source, (await _status(client, source)).request)
    await client.delete_monitor(source)


@carries_out("monitor_delete")
async def delete(session: Session, call: Call) -> None:
    """Forget a monitor, there and here."""
    source = call.of_this(call.value(), session.used_monitor, "monitor")
    client = await session.target()
    if source not in session.monitors or await _find(client, source) is not None:
        await client.delete_monitor(source)
    session.monitors.pop(source, None)
    if session.used_monitor == source:
        session.used_monitor = ""


@carries_out("monitor_display")
async def display(session: Session, call: Call) -> MonitorStatus | list[MonitorStatus]:
    """One monitor, or all."""
    source = call.value()
    client = await session.target()
    return await client.monitors() if source is None else await _status(client, source.text())


# --- failover ---------------------------------------------------------------------------------------------------------


async def _monitored(session: Session, call: Call) -> str:
    """The source that is meant: named, in use, or the only one."""
    given = call.value()
    if given is not None or session.used_monitor:
        return call.of_this(given, session.used_monitor, "monitor")
    found = [each.request.source for each in await (await session.target()).monitors()]
    if len(found) != 1:
        raise InputError(
            f"name a source; monitored are: {', '.join(found)}" if found else "the target monitors nothing"
        )
    return found[0]


@carries_out("failover")
async def failover(session: Session, call: Call) -> MonitorStatus:
    """Fail over now."""
    return await (await session.target()).failover(await _monitored(session, call))


@carries_out("failback")
async def failback(session: Session, call: Call) -> MonitorStatus:
    """Give the identity back."""
    return await (await session.target()).failback(await _monitored(session, call))


@carries_out("failback_continue")
async def go_on(session: Session, call: Call) -> MonitorStatus:
    """Go on monitoring."""
    return await _decide(session, call, "continue")


@carries_out("failback_stop")
async def end(session: Session, call: Call) -> MonitorStatus:
    """Monitor no more."""
    return await _decide(session, call, "stop")


async def _decide(session: Session, call: Call, word: Literal["continue", "stop"]) -> MonitorStatus:
    return await (await session.target()).decide(await _monitored(session, call), FailbackDecision(decision=word))


@carries_out("wait_on_failover")
async def wait_for_failover(session: Session, call: Call) -> MonitorStatus:
    """Wait until the target stands in."""
    return await _wait(session, call, "failed-over", ("monitoring", "waiting-for-operator", "failing-over"))


@carries_out("wait_on_failback")
async def wait_for_failback(session: Session, call: Call) -> MonitorStatus:
    """Wait until the identity was given back."""
    return await _wait(session, call, "failed-back", ("failed-over", "failing-over", "failing-back"))


async def _wait(
    session: Session, call: Call, wanted: MonitorState, on_the_way: tuple[MonitorState, ...]
) -> MonitorStatus:
    source = await _monitored(session, call)
    client = await session.target()
    status = await until(
        call, lambda: _status(client, source), lambda seen: seen.state not in on_the_way or bool(seen.held)
    )
    if status.held:
        raise ConnectionStateError(f"the monitor of {source!r} waits for an operator: {status.held}")
    if status.state != wanted:
        raise ConnectionStateError(f"the monitor of {source!r} is {status.state}, not {wanted}: {status.status_line}")
    return status


async def _find(client: ControlClient, source: str) -> MonitorStatus | None:
    return next((each for each in await client.monitors() if each.request.source == source), None)


async def _status(client: ControlClient, source: str) -> MonitorStatus:
    found = await _find(client, source)
    if found is None:
        raise InputError(f"the target has no monitor of {source!r}")
    return found
