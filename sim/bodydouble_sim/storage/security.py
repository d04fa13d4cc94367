"""Security descriptors as SDDL text: parsing, inheritance at creation, and the access check.

Source: Microsoft's Security Descriptor Definition Language (ACE strings ``type;flags;rights;object;inherit;trustee``),
and its description of AccessCheck: entries are read in order, a deny entry that comes before the allowing one wins, an
empty DACL lets nobody in and a missing one everybody; the owner may always read and change the DACL.

Trustees are SDDL's two-letter names, SIDs, or an account or group name (this model's own addition, since simulated
accounts are known by name). Object ACEs and the SACL are kept as text and have no effect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from bodydouble_sim.errors import SecurityTextError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Want = Literal["read", "write", "delete", "execute"]

FULL, READ, WRITE, EXECUTE, CHANGE = 0x1F01FF, 0x120089, 0x120116, 0x1200A0, 0x1301BF
DELETE, DELETE_CHILD = 0x10000, 0x40
_DATA = {"read": 0x1, "write": 0x2 | 0x4, "execute": 0x20, "delete": DELETE}

_RIGHTS = {
    "FA": FULL,
    "FR": READ,
    "FW": WRITE,
    "FX": EXECUTE,
    "GA": FULL,
    "GR": READ,
    "GW": WRITE,
    "GX": EXECUTE,
    "SD": DELETE,
    "RC": 0x20000,
    "WD": 0x40000,
    "WO": 0x80000,
    "CC": 0x1,
    "DC": 0x2,
    "LC": 0x4,
    "SW": 0x8,
    "RP": 0x10,
    "WP": 0x20,
    "DT": 0x40,
    "LO": 0x80,
    "CR": 0x100,
}

WELL_KNOWN = {
    "AN": "Anonymous Logon",
    "AO": "Account Operators",
    "AU": "Authenticated Users",
    "BA": "Administrators",
    "BG": "Guests",
    "BO": "Backup Operators",
    "BU": "Users",
    "CG": "Creator Group",
    "CO": "Creator Owner",
    "IU": "Interactive",
    "LA": "Administrator",
    "LG": "Guest",
    "NU": "Network",
    "PO": "Print Operators",
    "PU": "Power Users",
    "RE": "Replicator",
    "SO": "Server Operators",
    "SU": "Service",
    "SY": "System",
    "WD": "Everyone",
}
"""SDDL's two-letter trustees and whom they stand for."""

_SIDS = {
    "S-1-1-0": "WD",
    "S-1-3-0": "CO",
    "S-1-3-1": "CG",
    "S-1-5-7": "AN",
    "S-1-5-11": "AU",
    "S-1-5-18": "SY",
    "S-1-5-32-544": "BA",
    "S-1-5-32-545": "BU",
    "S-1-5-32-546": "BG",
    "S-1-5-32-551": "BO",
}

_PART = re.compile(r"([OGDS]):((?:[^OGDS(]|[OGDS](?!:))*)((?:\([^()]*\))*)")
_ACE = re.compile(r"\(([^()]*)\)")
_FIELDS = 6


@dataclass(frozen=True, slots=True)
class Ace:
    """One entry of an access control list.

    Attributes:
        kind: ``A`` allows, ``D`` denies; others are kept and have no effect.
        flags: inheritance: ``OI`` for files, ``CI`` for directories, ``IO`` only for what inherits, ``NP`` no further
            than one level, ``ID`` was inherited.
        rights: access mask.
        trustee: whom it is about.
    """

    kind: str
    flags: tuple[str, ...]
    rights: int
    trustee: str

    @property
    def text(self) -> str:
        """The entry as SDDL writes it."""
        return f"({self.kind};{''.join(self.flags)};{_rights_text(self.rights)};;;{self.trustee})"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Owner, group and discretionary access control list.

    Attributes:
        owner: a trustee, empty when not stated.
        group: likewise.
        control: the DACL's flags (``P`` keeps inheritance out, ``AI`` was inherited by 2000's rule).
        dacl: the entries in order; None when there is no DACL, which lets everybody in.
    """

    owner: str = ""
    group: str = ""
    control: str = ""
    dacl: tuple[Ace, ...] | None = None

    @property
    def text(self) -> bytes:
        """The descriptor as SDDL writes it."""
        parts = [f"O:{self.owner}" if self.owner else "", f"G:{self.group}" if self.group else ""]
        if self.dacl is not None:
            parts.append(f"D:{self.control}{''.join(ace.text for ace in self.dacl)}")
        return "".join(parts).encode()


@lru_cache(maxsize=1024)
def parse(text: bytes) -> Descriptor:
    """Read SDDL; no text at all is a descriptor without a DACL.

    Raises:
        SecurityTextError: it is not SDDL; the message quotes what was not understood.
    """
    found: dict[str, tuple[str, str]] = {}
    rest = text.decode("latin-1")
    while rest:
        part = _PART.match(rest)
        if part is None or part[1] in found:
            raise SecurityTextError(f"not a security descriptor: {rest!r}")
        found[part[1]] = (part[2], part[3])
        rest = rest[part.end() :]
    dacl = tuple(_ace(ace[1]) for ace in _ACE.finditer(found["D"][1])) if "D" in found else None
    return Descriptor(found.get("O", ("",))[0], found.get("G", ("",))[0], found.get("D", ("",))[0], dacl)


def _ace(text: str) -> Ace:
    fields = text.split(";")
    if len(fields) != _FIELDS or len(fields[1]) % 2:
        raise SecurityTextError(f"not an access control entry: ({text})")
    flags = tuple(fields[1][at : at + 2] for at in range(0, len(fields[1]), 2))
    return Ace(fields[0], flags, _rights(fields[2]), fields[5])


def _rights(text: str) -> int:
    try:
        if text[:2].lower() == "0x" or text.isdigit():
            return int(text, 0)
        mask = 0
        for at in range(0, len(text), 2):
            mask |= _RIGHTS[text[at : at + 2]]
    except (KeyError, ValueError):
        raise SecurityTextError(f"not access rights: {text!r}") from None
    return mask


def _rights_text(mask: int) -> str:
    return {FULL: "FA", READ: "FR", WRITE: "FW", EXECUTE: "FX"}.get(mask, f"0x{mask:x}")


@lru_cache(maxsize=1024)
def inherited(parent: bytes, *, directory: bool, marked: bool) -> bytes:
    """What a new file or directory gets from the directory that it is made in.

    Args:
        parent: the directory's descriptor.
        directory: whether a directory is made.
        marked: Windows 2000's rule: inherited entries carry ``ID``. NT 4.0 copies them and forgets where from.

    Returns:
        The new descriptor; the parent's text as it is when that is no SDDL.
    """
    try:
        above = parse(parent)
    except SecurityTextError:
        return parent
    if above.dacl is None:
        return parent
    entries = [entry for ace in above.dacl for entry in _passed_on(ace, above.owner, directory=directory)]
    if marked:
        entries = [replace(entry, flags=(*entry.flags, "ID")) for entry in entries]
    return replace(above, control="AI" if marked else "", dacl=tuple(entries)).text


def _passed_on(ace: Ace, owner: str, *, directory: bool) -> Iterable[Ace]:
    flags = [flag for flag in ace.flags if flag not in ("ID", "IO")]
    if not directory:
        if "OI" in flags:
            yield replace(ace, flags=(), trustee=owner if ace.trustee == "CO" else ace.trustee)
        return
    if "OI" not in flags and "CI" not in flags:
        return
    further = () if "NP" in flags else tuple(flags)
    effective = "CI" in flags
    if not further and not effective:
        return
    if effective and ace.trustee == "CO":
        yield replace(ace, flags=(), trustee=owner)
        effective = False
    if effective or further:
        yield replace(ace, flags=further if effective else (*further, "IO"))


def allows(descriptor: bytes, account: str | None, groups: Sequence[str], want: Want) -> bool:
    """Whether the descriptor lets somebody do something.

    Args:
        descriptor: SDDL; text that is no SDDL lets nobody in but the system.
        account: who; None is the system itself, which belongs to Administrators.
        groups: the groups that the account belongs to, as its token lists them; Everyone is added.
        want: what.
    """
    return granted(descriptor, account, groups, _DATA[want])


def may(descriptor: bytes, parent: bytes, account: str | None, groups: Sequence[str], want: Want) -> bool:
    """As `allows`; who may delete children of the directory above (``parent``) may delete this one whatever it says.

    Source: Microsoft's "File Security and Access Rights": FILE_DELETE_CHILD on the directory, or DELETE on the file.
    """
    if allows(descriptor, account, groups, want):
        return True
    return want == "delete" and granted(parent, account, groups, DELETE_CHILD)


def granted(descriptor: bytes, account: str | None, groups: Sequence[str], mask: int) -> bool:
    """As `allows`, for an access mask: all its bits must be granted."""
    try:
        security = parse(descriptor)
    except SecurityTextError:
        return account is None
    if security.dacl is None:
        return True
    token = _token(account, groups)
    missing = mask & ~(0x60000 if _is(security.owner, token) else 0)
    for ace in security.dacl:
        if not missing or "IO" in ace.flags or not _is(ace.trustee, token):
            continue
        if ace.kind == "D" and ace.rights & missing:
            return False
        if ace.kind == "A":
            missing &= ~ace.rights
    return not missing


def _token(account: str | None, groups: Sequence[str]) -> frozenset[str]:
    if account is None:
        return frozenset({"SYSTEM", "ADMINISTRATORS", "EVERYONE", *(group.upper() for group in groups)})
    return frozenset({account.upper(), "EVERYONE", *(group.upper() for group in groups)})


def _is(trustee: str, token: frozenset[str]) -> bool:
    known = WELL_KNOWN.get(_SIDS.get(trustee, trustee), trustee)
    return known.upper() in token or trustee.upper() in token
