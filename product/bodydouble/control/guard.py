"""The control API's operations on the guard of this machine's own addresses."""

from __future__ import annotations

from bodydouble.control.backends import Backends
from bodydouble.control.routing import get, post
from bodydouble.vocabulary.guard import GuardStatus


@get("guard")
async def guard(backends: Backends) -> GuardStatus:
    """The guarded addresses of this machine, and the witnesses that answer."""
    return backends.guard.status()


@post("guard/return")
async def return_addresses(backends: Backends) -> GuardStatus:
    """Use the guarded addresses again; refused while another machine answers for one."""
    return await backends.guard.take_back()
