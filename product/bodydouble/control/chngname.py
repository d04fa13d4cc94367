"""The control API's operations on the active name: the utility Chngname of the application note."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.control.backends import Backends
from bodydouble.control.routing import delete, get, put
from bodydouble.errors import ConnectionStateError
from bodydouble.vocabulary.active_name import ActiveNameStatus, NewActiveName
from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from bodydouble.ports import ActiveName


@get("active-name")
async def active_name(backends: Backends) -> ActiveNameStatus:
    """The name that the host runs under, and the one that would be put back."""
    return await _status(backends)


@put("active-name")
async def set_active_name(backends: Backends, body: NewActiveName) -> ActiveNameStatus:
    """Run under another name; answers once that is in force."""
    await changeable(backends.host.active_name).change(body.name)
    now = await _status(backends)
    backends.events.record(EventCode.ACTIVE_NAME_CHANGED, now.words)
    return now


@delete("active-name")
async def reset_active_name(backends: Backends) -> ActiveNameStatus:
    """Run under the host's own name again; 409 when it does so already."""
    await put_back(changeable(backends.host.active_name), (await _status(backends)).active)
    now = await _status(backends)
    backends.events.record(EventCode.ACTIVE_NAME_RESTORED, now.words)
    return now


def changeable(port: ActiveName | None) -> ActiveName:
    """The port, where there is one.

    Raises:
        ConnectionStateError: the name of this host cannot be changed.
    """
    if port is None:
        raise ConnectionStateError("the name of this machine cannot be changed")
    return port


async def put_back(port: ActiveName, active: str) -> None:
    """Run under the host's own name again, instead of ``active``.

    Raises:
        IdentityError: the system refused.
        ConnectionStateError: there is none to put back.
    """
    if await port.original() is None:
        raise ConnectionStateError(f"no other name was set: this machine runs as {active}")
    await port.restore()


async def _status(backends: Backends) -> ActiveNameStatus:
    active = (await backends.host.identity.query()).primary_name
    port = backends.host.active_name
    return ActiveNameStatus(active, None if port is None else await port.original())
