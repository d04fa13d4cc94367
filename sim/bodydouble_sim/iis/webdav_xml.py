"""The XML of WebDAV: reading small request bodies without document types, writing multi-status answers (RFC 2518)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from bodydouble_sim.iis.http_status import RefusalError

DAV = "DAV:"
_DEEPEST = 50


@dataclass(slots=True)
class Element:
    """An XML element: namespace, name, its children and the text directly in it."""

    namespace: str
    name: str
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def child(self, name: str) -> Element | None:
        """The first child in the DAV: namespace with that name."""
        return next((item for item in self.children if (item.namespace, item.name) == (DAV, name)), None)


class _Builder:
    def __init__(self) -> None:
        self.root = Element("", "")
        self._stack = [self.root]

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if len(self._stack) > _DEEPEST:
            raise RefusalError(400)
        namespace, _, local = name.rpartition(" ")
        element = Element(namespace, local)
        self._stack[-1].children.append(element)
        self._stack.append(element)

    def end(self, _name: str) -> None:
        self._stack.pop()

    def text(self, data: str) -> None:
        self._stack[-1].text += data

    def doctype(self, *_: Any) -> None:
        raise RefusalError(400, text="Document types are not allowed.")


def parse(data: bytes) -> Element:
    """The root element of a document.

    Raises:
        RefusalError: 400 for no XML, a document type, or elements nested too deep.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    builder = _Builder()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise RefusalError(400, text="The body is not XML.") from error
    return builder.root.children[0]


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
