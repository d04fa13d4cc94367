"""The control API's operations that look at the daemon as a whole."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bodydouble import __version__
from bodydouble.control.access import CALLER
from bodydouble.control.backends import Backends
from bodydouble.control.metrics import CONTENT_TYPE, exposition
from bodydouble.control.routing import get, header
from bodydouble.control.statistics import KEPT
from bodydouble.control.stream import MAX_STREAMS, MEDIA, RETRY_AFTER, STREAMS_OF_ONE, EventStream, StreamedEvent
from bodydouble.vocabulary.records import DaemonStatus, Event, Sample

AfterNumber = Annotated[int, msgspec.Meta(ge=0, description="only events with a higher number")]
LastEventId = Annotated[
    int, header("Last-Event-ID", "as a reader sends it that resumes: only events with a higher number", ge=0)
]
AfterInstant = Annotated[float, msgspec.Meta(description="only samples taken later on the daemon's steady clock")]
Newest = Annotated[int, msgspec.Meta(ge=0, description="so many at most, the newest")]


@get("status")
async def status(backends: Backends) -> DaemonStatus:
    """Everything at a glance."""
    return DaemonStatus(
        version=__version__,
        identity=await backends.host.identity.query(),
        connections=backends.replication.connections(),
        target_connections=backends.replication.target_connections(),
        monitors=backends.failover.monitors(),
        restorations=backends.restoration.restorations(),
        uncovered=await backends.replication.coverage.now(),
    )


@get("events")
async def events(backends: Backends, after: AfterNumber = 0) -> list[Event]:
    """The events log, at most 1,000 events at a time."""
    return backends.events.after(after)


@get("events/stream", media=MEDIA, answer=StreamedEvent)
async def stream_events(
    backends: Backends, request: Request, after: AfterNumber = 0, last_event_id: LastEventId = 0
) -> EventStream:
    """Events as they happen, as server-sent events: id, event (log) and data, an event of the list."""
    if backends.streams.full(request.scope[CALLER].holder):
        text = f"too many streams are open ({STREAMS_OF_ONE} of one token, {MAX_STREAMS} of all)"
        raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, text, {"retry-after": str(RETRY_AFTER)})
    return EventStream(backends.events, backends.tokens, backends.streams, max(after, last_event_id))


@get("statistics")
async def statistics(backends: Backends, after: AfterInstant = -1.0, limit: Newest = KEPT) -> list[Sample]:
    """The figures, once a second, of the last hour."""
    return backends.statistics.after(after, limit)


@get("/metrics", media=CONTENT_TYPE)
async def metrics(backends: Backends) -> str:
    """The figures of this moment, for Prometheus."""
    uncovered = len(await backends.replication.coverage.now())
    return exposition(backends.statistics.current(), backends.failover.monitors(), uncovered)
