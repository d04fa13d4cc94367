"""The SOAP messages of the door: what a request says, and the text of answers and faults.

Source: [MS-WSMV] sections 2.2.4 (types) and 3.1.4 (operations); DSP0226 for the headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from bodydouble_sim.errors import XmlError
from bodydouble_sim.live.winrm.faults import NOT_UNDERSTOOD, SCHEMA_ERROR, WsmanFaultError
from bodydouble_sim.plain_xml import Element, parse

if TYPE_CHECKING:
    from bodydouble_sim.live.winrm.faults import FaultKind

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
EXTENSIONS = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
COMMAND_SHELL = f"{SHELL}/cmd"

MESSAGE_LIMIT = 500 * 1024
"""Bytes of a request: Windows' ``MaxEnvelopeSizekb``."""
SMALLEST_ENVELOPE = 8192
LONGEST_TIMEOUT = 60.0
"""Seconds that an operation may wait: Windows' ``MaxTimeoutms``."""
DEFAULT_TIMEOUT = 60.0

_ANONYMOUS = f"{ADDRESSING}/role/anonymous"
_DURATION = re.compile(r"P(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8}(?:\.\d{1,9})?)S)?)?")
_HEADERS = {
    (ADDRESSING, "To"),
    (ADDRESSING, "ReplyTo"),
    (ADDRESSING, "FaultTo"),
    (ADDRESSING, "Action"),
    (ADDRESSING, "MessageID"),
    (WSMAN, "MaxEnvelopeSize"),
    (WSMAN, "Locale"),
    (WSMAN, "OperationTimeout"),
    (WSMAN, "ResourceURI"),
    (WSMAN, "SelectorSet"),
    (WSMAN, "OptionSet"),
    (EXTENSIONS, "DataLocale"),
    (EXTENSIONS, "SessionId"),
    (EXTENSIONS, "OperationID"),
    (EXTENSIONS, "SequenceId"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks.

    Attributes:
        action: the operation's URI.
        resource: the URI of what it is about.
        message_id: what the answer relates to.
        selectors: names that pick one of the resource's instances.
        options: by name.
        timeout: seconds that the client waits for an answer.
        envelope: bytes that the answer may have.
        body: the element inside ``Body``, None when that is empty.
    """

    action: str
    resource: str
    message_id: str
    selectors: dict[str, str]
    options: dict[str, str]
    timeout: float
    envelope: int
    body: Element | None

    def content(self, name: str) -> Element:
        """The body, which has to be that element of the shell's namespace.

        Raises:
            WsmanFaultError: it is another one, or there is none.
        """
        if self.body is None or (self.body.namespace, self.body.name) != (SHELL, name):
            raise WsmanFaultError(SCHEMA_ERROR, f"the body of {self.action} must be one {name}")
        return self.body


def read(data: bytes) -> Request:
    """Understand a request.

    Raises:
        WsmanFaultError: it is no SOAP message of this kind, or demands a header that the door does not know.
    """
    try:
        envelope = parse(data)
    except XmlError as error:
        raise WsmanFaultError(SCHEMA_ERROR, str(error)) from error
    header = envelope.find(SOAP, "Header")
    body = envelope.find(SOAP, "Body")
    if (envelope.namespace, envelope.name) != (SOAP, "Envelope") or header is None or body is None:
        raise WsmanFaultError(SCHEMA_ERROR, "expected a SOAP 1.2 envelope with Header and Body")
    _check_understood(header)
    return Request(
        action=_text(header, ADDRESSING, "Action"),
        resource=_text(header, WSMAN, "ResourceURI"),
        message_id=_text(header, ADDRESSING, "MessageID"),
        selectors=_named(header.find(WSMAN, "SelectorSet"), "Selector"),
        options=_named(header.find(WSMAN, "OptionSet"), "Option"),
        timeout=min(duration(_text(header, WSMAN, "OperationTimeout")) or DEFAULT_TIMEOUT, LONGEST_TIMEOUT),
        envelope=_size(_text(header, WSMAN, "MaxEnvelopeSize")),
        body=body.children[0] if body.children else None,
    )


def _check_understood(header: Element) -> None:
    for item in header.children:
        if (item.namespace, item.name) not in _HEADERS and item.attributes.get(f"{SOAP} mustUnderstand") in (
            "1",
            "true",
        ):
            raise WsmanFaultError(NOT_UNDERSTOOD, f"the header {item.name} is not understood")


def _text(parent: Element, namespace: str, name: str) -> str:
    found = parent.find(namespace, name)
    return found.text.strip() if found is not None else ""


def _named(parent: Element | None, name: str) -> dict[str, str]:
    items = parent.all(WSMAN, name) if parent is not None else []
    return {item.attributes.get("Name", "").upper(): item.text.strip() for item in items}


def _size(text: str) -> int:
    return max(int(text), SMALLEST_ENVELOPE) if text.isascii() and text.isdigit() and len(text) < 12 else MESSAGE_LIMIT  # noqa: PLR2004 - no such size


def duration(text: str) -> float | None:
    """Seconds of an ``xs:duration`` of days, hours, minutes and seconds; None when it is none."""
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds


# --- answers ----------------------------------------------------------------------------------------------------------


def answer(request: Request, action: str, message_id: str, body: str) -> bytes:
    """The envelope of an answer.

    Args:
        request: what it answers.
        action: its own action's URI.
        message_id: its own identifier.
        body: XML inside ``Body``.
    """
    return _envelope(action, message_id, request.message_id, body)


def fault(kind: FaultKind, reason: str, message_id: str, relates_to: str, machine: str) -> bytes:
    """The envelope of a fault, with the Windows error as pywinrm and winrs read it."""
    text = escape(reason)
    body = (
        f"<s:Fault><s:Code><s:Value>{kind.code}</s:Value><s:Subcode><s:Value>{kind.subcode}</s:Value></s:Subcode>"
        f'</s:Code><s:Reason><s:Text xml:lang="en-US">{text}</s:Text></s:Reason><s:Detail>'
        f'<f:WSManFault xmlns:f="{FAULT}" Code="{kind.number}" Machine={quoteattr(machine)}>'
        f"<f:Message>{text}</f:Message></f:WSManFault></s:Detail></s:Fault>"
    )
    return _envelope(f"{ADDRESSING}/fault", message_id, relates_to, body)


def _envelope(action: str, message_id: str, relates_to: str, body: str) -> bytes:
    relation = f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>" if relates_to else ""
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:w="{WSMAN}" xmlns:rsp="{SHELL}" '
        f'xmlns:x="{TRANSFER}"><s:Header><a:Action>{action}</a:Action><a:MessageID>uuid:{message_id}</a:MessageID>'
        f"<a:To>{_ANONYMOUS}</a:To>{relation}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()
