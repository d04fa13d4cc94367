"""What properties the metabase knows: type, whether keys beneath inherit them, and their default.

Source: "Metabase Properties" of the IIS 4.0/5.0 SDK (MSDN Library, April 2000: AccessFlags, AuthFlags, DirBrowseFlags,
ServerBindings, ServerState, "Property Inheritance"). The SDK keeps address restrictions in one binary property; here
they are the three properties of its IPSecurity object (GrantByDefault, IPGrant, IPDeny).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Value = bool | int | str | list[str]
Kind = Literal["boolean", "integer", "string", "list"]

READ, WRITE, EXECUTE, SOURCE, SCRIPT = 1, 2, 4, 16, 512
ANONYMOUS, BASIC, NTLM = 1, 2, 4
SHOW_ENTRIES, DEFAULT_DOCUMENT, BROWSE = 0x1E, 0x4000_0000, 0x8000_0000
UNLIMITED = 0xFFFF_FFFF
STARTED, STOPPED, PAUSED = 2, 4, 6
LOG_FIELDS_DEFAULT = 0x586


@dataclass(frozen=True, slots=True)
class Definition:
    """One property.

    Attributes:
        name: as the SDK spells it.
        kind: type of its value.
        default: what a key has when nothing is set on it or above it.
        inherit: whether keys beneath have the value too.
        volatile: not written to the file.
    """

    name: str
    kind: Kind
    default: Value
    inherit: bool = True
    volatile: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A name for one bit of an integer property (``AccessWrite`` is bit 2 of ``AccessFlags``)."""

    name: str
    property: str
    bit: int


_DEFINITIONS = (
    Definition("KeyType", "string", "", inherit=False),
    Definition("Path", "string", "", inherit=False),
    Definition("ServerComment", "string", "", inherit=False),
    Definition("ServerBindings", "list", []),
    Definition("ServerState", "integer", STOPPED, inherit=False, volatile=True),
    Definition("ServerAutoStart", "boolean", default=True),
    Definition("MaxConnections", "integer", UNLIMITED),
    Definition("ConnectionTimeout", "integer", 900),
    Definition("AllowKeepAlive", "boolean", default=True),
    Definition("AccessFlags", "integer", READ),
    Definition("AuthFlags", "integer", ANONYMOUS),
    Definition("AnonymousUserName", "string", ""),
    Definition("AnonymousUserPass", "string", ""),
    Definition("Realm", "string", ""),
    Definition("UNCUserName", "string", ""),
    Definition("UNCPassword", "string", ""),
    Definition("DefaultDoc", "string", "Default.htm,Default.asp"),
    Definition("DirBrowseFlags", "integer", DEFAULT_DOCUMENT | SHOW_ENTRIES),
    Definition("HttpErrors", "list", []),
    Definition("HttpCustomHeaders", "list", []),
    Definition("GrantByDefault", "boolean", default=True),
    Definition("IPGrant", "list", []),
    Definition("IPDeny", "list", []),
    Definition("LogFileDirectory", "string", ""),
    Definition("LogType", "integer", 1),
    Definition("LogExtFileFlags", "integer", LOG_FIELDS_DEFAULT),
    Definition("AllowAnonymous", "boolean", default=True),
    Definition("AnonymousOnly", "boolean", default=False),
    Definition("MSDOSDirOutput", "boolean", default=True),
    Definition("FtpDirBrowseShowLongDate", "boolean", default=False),
    Definition("GreetingMessage", "list", []),
    Definition("ExitMessage", "string", ""),
    Definition("MaxClientsMessage", "string", ""),
    Definition("PickupDirectory", "string", ""),
    Definition("QueueDirectory", "string", ""),
    Definition("BadMailDirectory", "string", ""),
    Definition("DropDirectory", "string", ""),
)
_FLAGS = (
    Flag("AccessRead", "AccessFlags", READ),
    Flag("AccessWrite", "AccessFlags", WRITE),
    Flag("AccessExecute", "AccessFlags", EXECUTE),
    Flag("AccessSource", "AccessFlags", SOURCE),
    Flag("AccessScript", "AccessFlags", SCRIPT),
    Flag("AuthAnonymous", "AuthFlags", ANONYMOUS),
    Flag("AuthBasic", "AuthFlags", BASIC),
    Flag("AuthNTLM", "AuthFlags", NTLM),
    Flag("EnableDefaultDoc", "DirBrowseFlags", DEFAULT_DOCUMENT),
    Flag("EnableDirBrowsing", "DirBrowseFlags", BROWSE),
)

DEFINITIONS = {definition.name.upper(): definition for definition in _DEFINITIONS}
FLAGS = {flag.name.upper(): flag for flag in _FLAGS}
