"""What the door refuses: SOAP faults with the error numbers that clients of WS-Management know.

Source: the message table of the Windows SDK (``wsmerror.h``) for numbers and subcodes; [MS-WSMV] 2.2.4.43 for the shape
of a fault, 3.1.4.5.2.1 for the quota of shells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bodydouble_sim.errors import SimulationError


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault that WS-Management defines.

    Attributes:
        number: the Windows error, as ``WSManFault/@Code`` carries it.
        code: whose fault it is.
        subcode: with its prefix (``w:`` WS-Management, ``a:`` WS-Addressing).
    """

    number: int
    code: Literal["s:Sender", "s:Receiver", "s:MustUnderstand"]
    subcode: str


ACCESS_DENIED = FaultKind(5, "s:Sender", "w:AccessDenied")
INVALID_DIRECTORY = FaultKind(267, "s:Sender", "w:InternalError")
ACTION_NOT_SUPPORTED = FaultKind(0x80338013, "s:Sender", "a:ActionNotSupported")
RESOURCE_NOT_FOUND = FaultKind(0x80338000, "s:Sender", "a:DestinationUnreachable")
TIMED_OUT = FaultKind(0x80338029, "s:Receiver", "w:TimedOut")
SCHEMA_ERROR = FaultKind(0x80338041, "s:Sender", "w:SchemaValidationError")
UNSUPPORTED_FEATURE = FaultKind(0x80338042, "s:Sender", "w:UnsupportedFeature")
NO_SHELL_SELECTED = FaultKind(0x8033805A, "s:Sender", "w:InvalidSelectors")
SHELL_NOT_FOUND = FaultKind(0x8033805B, "s:Sender", "w:InvalidSelectors")
TOO_MANY_SHELLS = FaultKind(0x803381A5, "s:Sender", "w:QuotaLimit")
TOO_MANY_COMMANDS = FaultKind(0x803381A6, "s:Sender", "w:QuotaLimit")
NOT_UNDERSTOOD = FaultKind(0x80338042, "s:MustUnderstand", "w:UnsupportedFeature")


class WsmanFaultError(SimulationError):
    """A request that is answered by a fault; the text is its reason."""

    def __init__(self, kind: FaultKind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
