r"""Dynamic pages that write data: a guestbook and a counter.

This is no ASP engine. A page whose name ends in ``.asp`` may begin with a directive that names an application of the
model and its data file (relative to the page), so that a workload can write over HTTP and the page travels with the
site's content::

    <%@ Application="guestbook" Data="guestbook.txt" Users="clerk,boss" %>

A page without any script is sent as it is; one with other script fails with 500. Source for the rules around it: IIS
SDK, "AccessFlags" (a script runs only with Script or Execute, else 403.1) and "Custom Error Messages" (401.5: the
application itself refuses, here when ``Users`` does not list the account).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from bodydouble.errors import FileSystemError
from bodydouble_sim.iis.http_exchange import HTML, Response
from bodydouble_sim.iis.http_message import http_date
from bodydouble_sim.iis.http_status import RefusalError, Status
from bodydouble_sim.iis.metabase_schema import EXECUTE, SCRIPT
from bodydouble_sim.iis.web_security import challenges, require

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bodydouble.vocabulary.operations import Entry
    from bodydouble_sim.iis.http_exchange import Exchange

FORM_LIMIT = 64 * 1024
PAGE_LIMIT = 1024 * 1024
_DIRECTIVE = re.compile(r"<%@\s*(.*?)%>", re.DOTALL)
_VALUE = re.compile(r'(\w+)\s*=\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Page:
    """A page's directive.

    Attributes:
        application: the name of one in `APPLICATIONS`.
        data: path of its data file.
        users: accounts that may use it; empty for all.
    """

    application: str
    data: str
    users: tuple[str, ...]


def is_script(path: str) -> bool:
    """Whether a path is mapped to the script engine."""
    return path.lower().endswith(".asp")


def directive(application: str, data: str, users: str = "") -> bytes:
    """The text of a page that runs an application."""
    allowed = f' Users="{users}"' if users else ""
    return f'<%@ Application="{application}" Data="{data}"{allowed} %>\r\n'.encode()


async def run(exchange: Exchange, entry: Entry) -> Response:
    """Answer with the page behind ``entry``.

    Raises:
        RefusalError: 403.1, 401.3, 401.5, 405, 500, and 413 for a form that is too long.
        FileSystemError: the page cannot be read.
    """
    if not exchange.settings.access & (SCRIPT | EXECUTE):
        raise RefusalError(403, 1)
    require(exchange, entry.path, "read")
    if exchange.request.method not in ("GET", "HEAD", "POST"):
        raise RefusalError(405, headers="Allow: OPTIONS, GET, HEAD, POST\r\n")
    text = (await exchange.content.read(entry.path, 0, PAGE_LIMIT)).decode("utf-8", "replace")
    page = _page(text, entry.path)
    if page is None:
        if "<%" in text:
            raise RefusalError(500, text="This model runs no scripts but its own applications.")
        return Response(Status(200), f"{HTML}Cache-control: private\r\n", text.encode())
    if page.users and exchange.who.name.lower() not in page.users:
        raise RefusalError(401, 5, headers=challenges(exchange))
    try:
        parts = await APPLICATIONS[page.application](exchange, page)
    except FileSystemError as error:
        raise RefusalError(500, text=f"{page.application}: {error}") from error
    return Response(Status(200), f"{HTML}Cache-control: private\r\n", parts=parts)


def _page(text: str, path: str) -> Page | None:
    match = _DIRECTIVE.match(text.lstrip("\ufeff \r\n\t"))
    values = {name.lower(): value for name, value in _VALUE.findall(match[1])} if match else {}
    application = values.get("application", "").lower()
    data = values.get("data", "").replace("\\", "/")
    if application not in APPLICATIONS or not data or ".." in data or ":" in data:
        return None
    users = tuple(name.strip().lower() for name in values.get("users", "").split(",") if name.strip())
    return Page(application, f"{path.rpartition('/')[0]}/{data.lstrip('/')}", users)


async def guestbook(exchange: Exchange, page: Page) -> list[bytes]:
    """Show all entries; POST with the form fields ``name`` and ``message`` adds one, a line of the data file each.

    Raises:
        RefusalError: 400 without a message, 413.
        FileSystemError: the data file cannot be read or written.
    """
    if exchange.request.method == "POST":
        await _sign(exchange, page)
    entry = await exchange.content.stat(page.data)
    text = await exchange.content.read(page.data, 0, entry.size) if entry is not None else b""
    lines = text.decode("utf-8", "replace").splitlines()
    shown = [f"<li>{escape(line)}</li>\r\n".encode() for line in lines]
    head = "<html><head><title>Guestbook</title></head><body><ol>\r\n"
    return [head.encode(), *shown, f"</ol><p>{len(lines)} entries</p></body></html>\r\n".encode()]


async def _sign(exchange: Exchange, page: Page) -> None:
    form = await exchange.body.whole(FORM_LIMIT) if exchange.body is not None else b""
    fields = parse_qs(form.decode("utf-8", "replace"), max_num_fields=100) if form.count(b"&") < 100 else {}  # noqa: PLR2004
    name, message = (" ".join(fields.get(key, [""])[0].split()) for key in ("name", "message"))
    if not message:
        raise RefusalError(400, text="The form has no message.")
    stamp = http_date(exchange.system.clock() // 10**9)
    await _append(exchange, page.data, f"{stamp}\t{name}\t{message}\r\n".encode())


async def _append(exchange: Exchange, path: str, data: bytes) -> None:
    entry = await exchange.content.stat(path)
    _may_write(exchange, path, entry)
    if entry is None:
        await exchange.content.create(path)
    await exchange.content.write(path, entry.size if entry is not None else 0, data)


def _may_write(exchange: Exchange, path: str, entry: Entry | None) -> None:
    """Data files are written as the request's account; a refusal is the application's failure, not the page's."""
    place = path if entry is not None else path.rpartition("/")[0]
    if not exchange.content.may(place, exchange.who, "write"):
        raise FileSystemError("denied", path, "the account may not write the data file")


async def counter(exchange: Exchange, page: Page) -> list[bytes]:
    """Count a visit (HEAD does not): the data file holds the number.

    Raises:
        FileSystemError: the data file cannot be read or written.
    """
    entry = await exchange.content.stat(page.data)
    digits = await exchange.content.read(page.data, 0, 18) if entry is not None else b"0"
    number = int(digits) if digits.isdigit() else 0
    if exchange.request.method != "HEAD":
        number += 1
        _may_write(exchange, page.data, entry)
        if entry is None:
            await exchange.content.create(page.data)
        await exchange.content.write(page.data, 0, b"%d" % number)
    return [b"<html><head><title>Counter</title></head><body>%d</body></html>\r\n" % number]


APPLICATIONS: dict[str, Callable[[Exchange, Page], Awaitable[list[bytes]]]] = {
    "counter": counter,
    "guestbook": guestbook,
}
