"""The control API's operations on monitors, failover and failback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from bodydouble.control.answers import not_found
from bodydouble.control.backends import Backends
from bodydouble.control.routing import delete, get, post
from bodydouble.vocabulary.records import (
    FailbackDecision,
    MonitorRequest,
    MonitorStatus,
)

if TYPE_CHECKING:
    from bodydouble.failover.service import FailoverService

Source = Annotated[str, msgspec.Meta(description="name of a source that is monitored")]


@get("monitors")
async def monitors(backends: Backends) -> list[MonitorStatus]:
    """The target's monitors."""
    return backends.failover.monitors()


@post("monitors")
async def create_monitor(backends: Backends, body: MonitorRequest) -> MonitorStatus:
    """Begin to monitor a source."""
    return await backends.failover.create_monitor(body)


@delete("monitors/{source}")
async def delete_monitor(backends: Backends, source: Source) -> None:
    """Forget a monitor."""
    await backends.failover.delete_monitor(_monitored(source, backends.failover))


@post("monitors/{source}/failover")
async def failover(backends: Backends, source: Source) -> MonitorStatus:
    """Fail over now; answers once the decision is durable, and the work goes on."""
    return await backends.failover.failover(_monitored(source, backends.failover))


@post("monitors/{source}/failback")
async def failback(backends: Backends, source: Source) -> MonitorStatus:
    """Give the identity back; answers once the decision is durable, and the work goes on."""
    return await backends.failover.failback(_monitored(source, backends.failover))


@post("monitors/{source}/decision")
async def decide(backends: Backends, source: Source, body: FailbackDecision) -> MonitorStatus:
    """Continue or stop monitoring after failback."""
    return await backends.failover.decide(_monitored(source, backends.failover), body)


def _monitored(source: str, service: FailoverService) -> str:
    if source not in [status.request.source for status in service.monitors()]:
        raise not_found(f"no monitor of {source!r}")
    return source
