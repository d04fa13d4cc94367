"""The audit: every change that is asked for over the API, with who asked and how it ended, in the events log."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from bodydouble.vocabulary.events import EventCode

if TYPE_CHECKING:
    from starlette.requests import Request

    from bodydouble.control.access import Caller
    from bodydouble.state.events import EventLog

FORBIDDEN_A_MINUTE = 30
"""So many requests that its role forbids are told of one token; more are counted, and cannot fill the events log."""
_MINUTE = 60.0
_MAX_PATH = 500


class Audit:
    """Writes the events.

    Args:
        events: the events log.
    """

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._forbidden: dict[str, _Forbidden] = {}

    def note(self, request: Request, caller: Caller, status: int | None) -> None:
        """A change was asked for and ended so; None: it did not end.

        The query and the body are left out: the one has nothing to say that the other events do not, the other may hold
        secrets.
        """
        more = self._counted(caller) if status == HTTPStatus.FORBIDDEN else ""
        if more is None:
            return
        path = quote(request.scope["path"], safe="/")[:_MAX_PATH]
        done = status is not None and status < HTTPStatus.BAD_REQUEST
        outcome = "done" if done else "not ended" if status is None else f"refused with status {status}"
        code = EventCode.CHANGE_MADE if done else EventCode.CHANGE_REFUSED
        self._events.record(code, f"{caller}: {request.method} {path}: {outcome}{more}")

    def _counted(self, caller: Caller) -> str | None:
        """What to add about requests that were only counted; None: this one is, too."""
        now = asyncio.get_running_loop().time()
        count = self._forbidden.get(caller.holder.name)
        if count is None or now - count.since >= _MINUTE:
            self._forget(now)
            self._forbidden[caller.holder.name] = _Forbidden(now)
            left = 0 if count is None else count.told - FORBIDDEN_A_MINUTE
            return f"; {left} more before were not told" if left > 0 else ""
        count.told += 1
        return "" if count.told <= FORBIDDEN_A_MINUTE else None

    def _forget(self, now: float) -> None:
        """Tokens come and go."""
        for name in [name for name, each in self._forbidden.items() if now - each.since >= _MINUTE]:
            del self._forbidden[name]


class _Forbidden:
    """Requests of one token that its role forbids, since an instant."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.told = 1
