"""The control API's operations on restorations: the Restoration Manager."""

from __future__ import annotations

from typing import Annotated

import msgspec

from bodydouble.control.answers import not_found
from bodydouble.control.backends import Backends
from bodydouble.control.routing import delete, get, post
from bodydouble.vocabulary.records import ReplicaName, RestorationStatus, RestoreRequest
from bodydouble.vocabulary.restoration import Restorable

RestorationId = Annotated[int, msgspec.Meta(ge=1, description="number of a restoration of this machine")]


@get("restorations")
async def restorations(backends: Backends) -> list[RestorationStatus]:
    """The latest hundred restorations from this machine."""
    return backends.restoration.restorations()


@post("restorations")
async def restore(backends: Backends, body: RestoreRequest) -> RestorationStatus:
    """Begin a restoration; answers before it is complete."""
    return await backends.restoration.restore(body)


@delete("restorations/{id}")
async def stop_restoration(backends: Backends, id_: RestorationId) -> RestorationStatus:
    """Stop a restoration that runs; the set stays restore required."""
    if id_ not in [each.id for each in backends.restoration.restorations()]:
        raise not_found(f"no restoration {id_}")
    return await backends.restoration.stop(id_)


@get("restorable")
async def restorable(backends: Backends) -> list[Restorable]:
    """What may be restored from this machine."""
    return backends.restoration.restorable()


@post("restorable/clear")
async def clear_mark(backends: Backends, body: ReplicaName) -> Restorable:
    """Require no restoration any more: the source may mirror what it has over the data here, which is then lost."""
    return await backends.restoration.clear(body.source, body.replication_set)
