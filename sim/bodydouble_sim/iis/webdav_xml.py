"""The XML of WebDAV: reading small request bodies without document types, writing multi-status answers (RFC 2518)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from bodydouble_sim import plain_xml
from bodydouble_sim.errors import XmlError
from bodydouble_sim.iis.http_status import RefusalError

if TYPE_CHECKING:
    from bodydouble_sim.plain_xml import Element

DAV = "DAV:"


def parse(data: bytes) -> Element:
    """The root element of a request's body.

    Raises:
        RefusalError: 400 for no XML, a document type, or too many or too deep elements.
    """
    try:
        return plain_xml.parse(data)
    except XmlError as error:
        raise RefusalError(400, text=f"The body cannot be read: {error}.") from error


@dataclass(frozen=True, slots=True)
class Property:
    """A property's name, and its value as XML text."""

    name: str
    value: str = ""
    namespace: str = DAV

    def xml(self) -> str:
        """The property as an element."""
        opening = f"a:{self.name}" if self.namespace == DAV else f'{self.name} xmlns="{escape(self.namespace)}"'
        closing = f"a:{self.name}" if self.namespace == DAV else self.name
        return f"<{opening}>{self.value}</{closing}>" if self.value else f"<{opening}/>"


def response(href: str, groups: dict[str, list[Property]]) -> str:
    """One resource of a multi-status answer: properties by status line (``HTTP/1.1 200 OK``)."""
    stats = "".join(_propstat(status, items) for status, items in groups.items() if items)
    return f"<a:response><a:href>{escape(href)}</a:href>{stats}</a:response>"


def multistatus(responses: list[str]) -> bytes:
    """The body of a 207 answer."""
    return f'<?xml version="1.0"?><a:multistatus xmlns:a="DAV:">{"".join(responses)}</a:multistatus>'.encode()


def _propstat(status: str, items: list[Property]) -> str:
    inside = "".join(item.xml() for item in items)
    return f"<a:propstat><a:status>{status}</a:status><a:prop>{inside}</a:prop></a:propstat>"
