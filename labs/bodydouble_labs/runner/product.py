"""Steps at the product: pair, protect, wait, fail back, decide, restore; asked of it only through its control API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bodydouble.errors import ControlError
from bodydouble.vocabulary.records import (
    AcceptRequest,
    ConnectRequest,
    FailbackDecision,
    InterfaceAddress,
    MonitorRequest,
    MonitorScripts,
    OfferRequest,
    ReplicationSet,
    RestoreRequest,
    Rule,
)
from bodydouble.vocabulary.standing_in import SCRIPT_EVENTS, ScriptOptions
from bodydouble_labs.errors import UnmetError
from bodydouble_labs.history import Mark
from bodydouble_labs.runner.console import POLL, asked, until

if TYPE_CHECKING:
    from bodydouble.control.client import ControlClient
    from bodydouble.vocabulary.records import ConnectionStatus, MonitorStatus, RestorationStatus
    from bodydouble_labs.providers.base import LabHost
    from bodydouble_labs.runner.bench import Bench
    from bodydouble_labs.scenario.network import HostSpec
    from bodydouble_labs.scenario.steps import DecideStep, FailbackStep, PairStep, ProtectStep, RestoreStep, WaitForStep

CONFLICT = 409
BROKEN = ("error", "stopped")
QUIET_LOOKS = 2
"""Looks in a row that must find the connection quiet before it counts as converged."""


async def pair(bench: Bench, step: PairStep) -> None:
    """Have one server offer a code, and type it in at the other one."""
    offering, accepting = bench.host(step.pair), bench.host(step.on)
    offer = await asked("offering a pairing", bench.console.of(offering).offer_pairing(OfferRequest()))
    request = AcceptRequest(host=bench.address(step.pair), code=offer.code)
    await asked("accepting the pairing", bench.console.of(accepting).accept_pairing(request))


async def protect(bench: Bench, step: ProtectStep) -> None:
    """Give the product one part of the scenario's protection."""
    if step.protect == "replication-set":
        await _save_set(bench)
    elif step.protect == "connection":
        await _connect(bench)
    else:
        await _monitor(bench)


async def _save_set(bench: Bench) -> None:
    spec = bench.scenario.protection.replication_set
    source = bench.source
    rules = [
        Rule(
            path=source.product_path(rule.include or rule.exclude or ""),
            include=rule.include is not None,
            recursive=rule.recursive,
        )
        for rule in spec.rules
    ]
    request = ReplicationSet(name=spec.name, rules=rules)
    await asked("saving the replication set", bench.console.of(source).save_set(request))


async def _connect(bench: Bench) -> None:
    """Connect (anew, if an old connection is stuck), and see the mirror through to its end."""
    client = bench.console.of(bench.source)
    began = bench.stage.elapsed()
    for old in await asked("listing connections", client.connections()):
        if old.replication_set == bench.scenario.protection.replication_set.name:
            await asked("disconnecting the old connection", client.disconnect(old.id))
    status = await asked("connecting", client.connect(_connect_request(bench)))
    await _note_warnings(bench, client)
    await until(lambda: _connection(bench, status.id), lambda seen: seen.state == "replicating")
    ended = bench.stage.elapsed()
    bench.mark(Mark(began, "mirror", bench.source.name, f"mirror to {bench.target.name}", until=ended))
    watch_replica(bench)


def watch_replica(bench: Bench) -> None:
    """From now on the replica has to follow the source."""
    bench.stage.watch_order(bench.protection)
    bench.collector.replicas[bench.protection] = None


async def _note_warnings(bench: Bench, client: ControlClient) -> None:
    """Keep what the product says that the replication set lacks."""
    noted = bench.stage.history.warnings
    for each in await asked("looking at what the set lacks", client.coverage()):
        if each.words not in noted:
            noted.append(each.words)


def _connect_request(bench: Bench) -> ConnectRequest:
    spec = bench.scenario.protection.connection
    return ConnectRequest(
        replication_set=bench.scenario.protection.replication_set.name,
        target=bench.address(spec.target),
        mirror=spec.mirror,
        orphans=spec.orphans,
        remirror_after_reconnect=spec.remirror_after_reconnect,
        recognise_restore=spec.recognise_restore,
    )


async def _connection(bench: Bench, id_: int) -> ConnectionStatus:
    """The connection as the source shows it.

    Raises:
        UnmetError: it is gone, or has ended in a state that it will not leave.
    """
    listed = await asked("looking at the connection", bench.console.of(bench.source).connections())
    status = next((item for item in listed if item.id == id_), None)
    if status is None:
        raise UnmetError(f"connection {id_} has disappeared from {bench.source.name}")
    if status.state in BROKEN:
        raise UnmetError(f"connection {id_} of {bench.source.name} is in state {status.state}: {status.detail}")
    bench.last_seen = f"connection {status.state}, {status.queue_operations} operations queued {status.detail}".strip()
    return status


async def _monitor(bench: Bench) -> None:
    spec = bench.scenario.protection.monitor
    host = bench.host(spec.on)
    paths = {
        name: host.product_path(path)
        for name in ("pre_failover", "post_failover", "pre_failback", "post_failback")
        if (path := getattr(spec.scripts, name))
    }
    request = MonitorRequest(
        source=bench.host(spec.source).computer_name,
        addresses=_addresses(bench, host, bench.scenario.hosts[spec.source]),
        interval=spec.interval,
        missed=spec.missed,
        manual_intervention=spec.manual_intervention,
        scripts=MonitorScripts(**paths),
        script_options={
            event: ScriptOptions(on_failure=getattr(spec.on_failure, event.replace("-", "_")))
            for event in SCRIPT_EVENTS
            if event.replace("-", "_") in paths
        },
        trigger=spec.trigger,
        heartbeat=spec.heartbeat,
    )
    await asked("creating the monitor", bench.console.of(host).create_monitor(request))
    bench.collector.monitored[bench.protection] = None


def _addresses(bench: Bench, target: LabHost, source: HostSpec) -> list[InterfaceAddress]:
    """The source's addresses that the target can take, having an adapter on their segment."""
    return [
        InterfaceAddress(interface=interface, address=address)
        for adapter in source.adapters
        if (interface := target.interface_on(bench.scenario.network.segment_of(adapter))) is not None
        for address in adapter.addresses
    ]


async def _monitor_status(bench: Bench) -> MonitorStatus:
    spec = bench.scenario.protection.monitor
    name = bench.host(spec.source).computer_name
    listed = await asked("looking at the monitor", bench.console.of(bench.host(spec.on)).monitors())
    status = next((item for item in listed if item.request.source == name), None)
    if status is None:
        raise UnmetError(f"the monitor of {name} has disappeared from {spec.on}")
    bench.last_seen = f"monitor {status.state}: {status.status_line}"
    bench.collector.monitor_seen(spec.on, status)
    if status.state in ("failing-over", "failed-over"):
        bench.stage.stop_watching_order(bench.protection)
    return status


async def wait_for(bench: Bench, step: WaitForStep) -> None:
    """Wait for a state of the monitor or of the connection."""
    if step.wait_for in ("monitoring", "failed-over", "failed-back"):
        await until(lambda: _monitor_status(bench), lambda seen: seen.state == step.wait_for)
        return
    listed = await asked("looking for a connection", bench.console.of(bench.source).connections())
    if not listed:
        raise UnmetError(f"{bench.source.name} has no connection")
    id_ = listed[-1].id
    looks = QUIET_LOOKS if step.wait_for == "converged" else 1
    for _ in range(looks):
        wanted = _quiet if step.wait_for == "converged" else _replicating
        await until(lambda: _connection(bench, id_), wanted)
        await asyncio.sleep(POLL)


def _replicating(status: ConnectionStatus) -> bool:
    return status.state == "replicating"


def _quiet(status: ConnectionStatus) -> bool:
    return _replicating(status) and status.queue_operations == 0 and status.applied == status.generated


async def failback(bench: Bench, step: FailbackStep) -> None:
    """Have the target give up the source's identity, up to the prompt."""
    target = bench.console.of(bench.host(bench.scenario.protection.monitor.on))
    await asked("failback", target.failback(bench.host(step.failback).computer_name))
    await until(lambda: _monitor_status(bench), lambda seen: seen.state == "failed-back")


async def decide(bench: Bench, step: DecideStep) -> None:
    """Answer the prompt; the source may need a moment until it is seen online."""
    target = bench.console.of(bench.host(bench.scenario.protection.monitor.on))
    name = bench.host(bench.scenario.protection.monitor.source).computer_name
    while True:
        try:
            await target.decide(name, FailbackDecision(decision=step.decide))
        except ControlError as error:
            if error.status != CONFLICT:
                raise UnmetError(f"answering the prompt: {error}") from error
            bench.last_seen = str(error)
            await asyncio.sleep(POLL)
        else:
            return


async def restore(bench: Bench, step: RestoreStep) -> None:
    """Restore from the stand-in and wait until that is complete."""
    client = bench.console.of(bench.target)
    request = RestoreRequest(
        original_source=bench.source.computer_name,
        replication_set=bench.scenario.protection.replication_set.name,
        restore_to=bench.address(step.restore),
    )
    began = await asked("starting the restoration", client.restore(request))

    async def look() -> RestorationStatus:
        listed = await asked("looking at the restoration", client.restorations())
        return next(item for item in listed if item.id == began.id)

    ended = await until(look, lambda seen: seen.state != "running")
    if ended.state == "failed":
        raise UnmetError(f"the restoration failed: {ended.detail}")
