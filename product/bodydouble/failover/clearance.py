"""Whether the source's identity may be assumed at all: one question, asked before the first address is added.

Everybody who may have a reason against it is asked here and nowhere else. The wire itself is not among them: each
address is probed when it is added, because another machine may answer for one of several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import ConnectionStateError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.ports import Host
    from bodydouble.vocabulary.records import MonitorRequest

    Witness = Callable[[Host, MonitorRequest], Awaitable[str]]
    """Asks one witness; returns its objection, empty: it has none."""

WITNESSES: tuple[Witness, ...] = ()
"""In the order in which they are asked; nobody so far."""


async def check(host: Host, request: MonitorRequest) -> None:
    """Ask each witness; the caller tries again an interval later when one objects.

    Raises:
        ConnectionStateError: the first objection.
    """
    for witness in WITNESSES:
        objection = await witness(host, request)
        if objection:
            raise ConnectionStateError(objection)
