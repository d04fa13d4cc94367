"""The control API's operations on replication sets."""

from __future__ import annotations

from typing import Annotated

import msgspec

from bodydouble.control.backends import Backends
from bodydouble.control.routing import SetPath, delete, get, post, the_set
from bodydouble.vocabulary.applications import Uncovered
from bodydouble.vocabulary.records import ReplicationSet
from bodydouble.vocabulary.sets import Explanation, SetName, SetSize

New = Annotated[bool, msgspec.Meta(description="replace no set of that name")]
Remirror = Annotated[bool, msgspec.Meta(description="connections that use it mirror again if it changed")]
DisconnectFirst = Annotated[bool, msgspec.Meta(description="its connections end first")]
AnyPath = Annotated[str, msgspec.Meta(description="an absolute path, as people write it on either platform")]


@get("coverage")
async def coverage(backends: Backends) -> list[Uncovered]:
    """What applications need and no connected set holds (or, when none is connected, no saved one)."""
    return await backends.replication.coverage.now()


@get("replication-sets")
async def sets(backends: Backends) -> list[ReplicationSet]:
    """The saved replication sets."""
    return backends.replication.sets()


@post("replication-sets")
async def save_set(
    backends: Backends, body: ReplicationSet, new: New = False, remirror: Remirror = True
) -> ReplicationSet:
    """Save a replication set under its name; the answer is the set as it was saved."""
    return await backends.replication.save_set(body, new=new, remirror=remirror)


@get("replication-sets/{name}")
async def find_set(backends: Backends, name: SetPath) -> ReplicationSet:
    """One replication set."""
    return backends.replication.home.find(the_set(name, backends.replication))


@delete("replication-sets/{name}")
async def delete_set(backends: Backends, name: SetPath, disconnect: DisconnectFirst = False) -> None:
    """Delete a replication set."""
    await backends.replication.delete_set(the_set(name, backends.replication), disconnect=disconnect)


@post("replication-sets/{name}/copy")
async def copy_set(backends: Backends, name: SetPath, body: SetName) -> ReplicationSet:
    """Save the rules of a set under another name as well."""
    return await backends.replication.home.copy(the_set(name, backends.replication), body.name)


@post("replication-sets/{name}/rename")
async def rename_set(backends: Backends, name: SetPath, body: SetName) -> ReplicationSet:
    """Give a set that is not connected another name."""
    return await backends.replication.home.rename(the_set(name, backends.replication), body.name)


@get("replication-sets/{name}/explanation")
async def explain(backends: Backends, name: SetPath, path: AnyPath = "") -> Explanation:
    """Which rule of a set decides about a path."""
    return backends.replication.home.explain(the_set(name, backends.replication), path)


@get("replication-sets/{name}/size", conflicts=True)
async def set_size(backends: Backends, name: SetPath) -> SetSize:
    """How far the latest calculation of a set's size is."""
    return backends.replication.home.size(the_set(name, backends.replication))


@post("replication-sets/{name}/size")
async def calculate_set(backends: Backends, name: SetPath) -> SetSize:
    """Begin to calculate how large a set is; answers before that is known."""
    return backends.replication.home.calculate(the_set(name, backends.replication))


@delete("replication-sets/{name}/size")
async def cancel_calculation(backends: Backends, name: SetPath) -> SetSize:
    """Calculate a set's size no further; what was counted until then."""
    return await backends.replication.home.cancel(the_set(name, backends.replication))
