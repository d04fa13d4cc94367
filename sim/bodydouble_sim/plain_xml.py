"""Reads small XML documents that strangers send: no document types, so no entities; bounded size and depth.

expat expands nothing that a document does not declare, and a document that declares anything is refused at its
``<!DOCTYPE``: neither a "billion laughs" nor an external entity gets further. That is what defusedxml adds to the
standard library's parsers with ``forbid_dtd``; for one parser it is a handler of one line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from bodydouble_sim.errors import XmlError

if TYPE_CHECKING:
    from collections.abc import Iterator

DEEPEST = 50
MOST_ELEMENTS = 10_000


@dataclass(slots=True)
class Element:
    """An XML element.

    Attributes:
        namespace: its namespace name, empty without one.
        name: its local name.
        attributes: by local name; those of a namespace as ``namespace name``.
        children: the elements directly in it.
        text: the characters directly in it.
    """

    namespace: str
    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, namespace: str, name: str) -> list[Element]:
        """Its children of that name."""
        return [child for child in self.children if (child.namespace, child.name) == (namespace, name)]

    def find(self, namespace: str, *path: str) -> Element | None:
        """The first descendant along a path of names, all of one namespace."""
        element: Element | None = self
        for name in path:
            element = next(iter(element.all(namespace, name)), None) if element is not None else None
        return element

    def walk(self) -> Iterator[Element]:
        """It and all beneath it, in the document's order."""
        yield self
        for child in self.children:
            yield from child.walk()


class _Builder:
    def __init__(self) -> None:
        self.root = Element("", "")
        self._stack = [self.root]
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._stack) > DEEPEST or self._count > MOST_ELEMENTS:
            raise XmlError(f"more than {DEEPEST} levels or {MOST_ELEMENTS} elements")
        namespace, _, local = name.rpartition(" ")
        element = Element(namespace, local, attributes)
        self._stack[-1].children.append(element)
        self._stack.append(element)

    def end(self, _name: str) -> None:
        self._stack.pop()

    def text(self, data: str) -> None:
        self._stack[-1].text += data

    def doctype(self, *_: Any) -> None:
        raise XmlError("document types are refused")


def parse(data: bytes) -> Element:
    """The root element of a document.

    Raises:
        XmlError: it is no XML, has a document type, or too many elements or levels.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    builder = _Builder()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise XmlError(f"not XML: {error}") from error
    return builder.root.children[0]
