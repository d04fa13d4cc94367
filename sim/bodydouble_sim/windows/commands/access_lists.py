"""Access lists as ``cacls`` shows and changes them, over the SDDL text that a volume keeps.

Source: the letters of ``cacls``'s help text (N, R, W, C, F); SDDL's two-letter names of well-known accounts
(Microsoft, "SID Strings") and of rights ("ACE Strings").
"""

from __future__ import annotations

import re

_NAMES = {
    "WD": "Everyone",
    "BA": "BUILTIN\\Administrators",
    "SY": "NT AUTHORITY\\SYSTEM",
    "CO": "CREATOR OWNER",
    "BU": "BUILTIN\\Users",
    "AU": "NT AUTHORITY\\Authenticated Users",
    "BO": "BUILTIN\\Backup Operators",
    "SO": "BUILTIN\\Server Operators",
    "PU": "BUILTIN\\Power Users",
    "BG": "BUILTIN\\Guests",
}
_SIDS = {name.rpartition("\\")[2].upper(): sid for sid, name in _NAMES.items()}
_RIGHTS = {"f": "FA", "c": "0x1301bf", "r": "FRFX", "w": "FW"}
_ACE = re.compile(r"\(([AD]);([A-Z]*);([^;]*);[^;]*;[^;]*;([^)]*)\)")
_SHOWN = {
    "FA": "F",
    "GA": "F",
    "0x1f01ff": "F",
    "0x1301bf": "C",
    "FRFX": "R",
    "GRGX": "R",
    "0x1200a9": "R",
    "FW": "W",
    "FR": "R",
}


def shown(descriptor: str, *, directory: bool) -> list[str]:
    """A line for each entry: who, how it is inherited, what it allows."""
    lines = []
    for kind, flags, rights, who in _ACE.findall(descriptor):
        name = _NAMES.get(who, who)
        inherited = "(OI)(CI)" if directory and "OI" in flags and "CI" in flags else ""
        inherited += "(IO)" if "IO" in flags else ""
        letter = "N" if kind == "D" else _SHOWN.get(rights, rights)
        lines.append(f"{name}:{inherited}{letter}")
    return lines or [
        "No permissions are set. All users have full control." if "D:" not in descriptor else "<no access>"
    ]


def changed(descriptor: str, edits: list[tuple[str, str, str]], *, keep: bool) -> str:
    """The descriptor after ``/g``, ``/p``, ``/r`` and ``/d``; without ``/e`` old entries go."""
    owner = descriptor.partition("D:")[0]
    entries = [match[0] for match in _ACE.finditer(descriptor)] if keep else []
    for switch, user, permission in edits:
        sid = _SIDS.get(user.rpartition("\\")[2].upper(), user)
        if switch in ("/r", "/p", "/d"):
            entries = [entry for entry in entries if not entry.endswith(f";{sid})")]
        if switch == "/d" or permission == "n":
            entries.insert(0, f"(D;OICI;FA;;;{sid})")
        elif switch in ("/g", "/p"):
            entries.append(f"(A;OICI;{_RIGHTS[permission]};;;{sid})")
    return f"{owner}D:{''.join(entries)}"
