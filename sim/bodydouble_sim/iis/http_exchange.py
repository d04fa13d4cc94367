"""One request on its way through the web service, and the answer that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bodydouble_sim.iis.host import Identity
from bodydouble_sim.iis.http_status import Status, page

if TYPE_CHECKING:
    from bodydouble_sim.iis.content import Content
    from bodydouble_sim.iis.http_body import Body
    from bodydouble_sim.iis.http_message import Request
    from bodydouble_sim.iis.web_site import Settings, WebSite
    from bodydouble_sim.windows.system import WindowsSystem

HTML = "Content-Type: text/html\r\n"


@dataclass(frozen=True, slots=True)
class Remaining:
    """A part of a file that is still to be sent: ``offset`` up to ``end``."""

    content: Content
    path: str
    offset: int
    end: int


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        status: its number.
        headers: header lines, each with its end.
        body: its first bytes.
        rest: the part of a file that follows ``body``.
        length: what Content-Length says; the length of ``body`` when None.
        parts: sent in chunks instead of ``body`` (a dynamic page).
    """

    status: Status
    headers: str = ""
    body: bytes = b""
    rest: Remaining | None = None
    length: int | None = None
    parts: list[bytes] | None = None


@dataclass(slots=True)
class Exchange:
    """A request with everything that is known about it.

    Attributes:
        system: the machine.
        site: the site that answers.
        request: the request's head.
        settings: what counts at its path.
        client: the client's address.
        server: the address and port that the client reached.
        started: when it came, on the loop's clock.
        body: the request's body.
        who: on whose behalf it is carried out.
        user: the name that the client gave, for the log.
    """

    system: WindowsSystem
    site: WebSite
    request: Request
    settings: Settings
    client: str
    server: tuple[str, int]
    started: float = 0.0
    body: Body | None = None
    who: Identity = field(default_factory=Identity)
    user: str = ""

    @property
    def content(self) -> Content:
        """Where the files of the request's virtual directory are."""
        return self.site.content(self.settings)

    @property
    def path(self) -> str:
        """The file or directory behind the request's path."""
        return self.settings.physical(self.request.path)


def error(status: Status, headers: str = "", text: str = "") -> Response:
    """An answer that is no document."""
    return Response(status, headers + HTML, page(status, text))
