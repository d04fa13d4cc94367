"""Shares: directories that a host's file server offers to the network by name, and what of them goes over the wire.

Source of the limits: Microsoft, NetShareAdd (names of up to 80 characters, comments of up to 255; ``pipe`` and
``mailslot`` are the system's); KB 314984 (administrative shares: ``C$``, ``ADMIN$``, ``IPC$``, ``PRINT$``).
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from bodydouble.errors import InputError, PathError
from bodydouble.vocabulary import paths

MAX_SHARES = 200
"""Shares of one replication set that a target keeps, and of one source that a failover makes."""
MAX_SHARE_CHARACTERS = 64 * 1024
"""Of all names, paths and comments of one set's shares together."""
MAX_COMMENT = 255

_NOT_IN_A_NAME = '" / \\ [ ] : | < > + ; , ? * ='
_NAME = re.compile(r'[^\x00-\x1f\x7f"/\\\[\]:|<>+;,?*=]{1,80}')
_SYSTEM = re.compile(r"[a-z]\$|admin\$|ipc\$|print\$|fax\$|pipe|mailslot|global", re.IGNORECASE)


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A directory that is offered to the network.

    Attributes:
        name: by which it is asked for, in any case.
        path: of the directory, in product form.
        comment: shown to those who look at the machine.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    path: Annotated[str, msgspec.Meta(min_length=1, max_length=paths.MAX_PATH_CHARACTERS)]
    comment: Annotated[str, msgspec.Meta(max_length=MAX_COMMENT)] = ""

    @property
    def characters(self) -> int:
        """How much there is to keep of it."""
        return len(self.name) + len(self.path) + len(self.comment)


def is_systems_own(name: str) -> bool:
    """Whether a share of that name is the system's own on every machine: administrative, or reserved."""
    return _SYSTEM.fullmatch(name) is not None


def check_share(share: Share) -> None:
    """Refuse what cannot be shared on any host, or must not be at the word of another machine.

    Raises:
        InputError: a name that is none or is the system's own, a path that names no directory, a comment with control
            characters or too long.
    """
    if not _NAME.fullmatch(share.name) or share.name != share.name.strip(" ."):
        raise InputError(f"share {share.name[:80]!r}: a name has 1 to 80 characters, and none of {_NOT_IN_A_NAME}")
    if is_systems_own(share.name):
        raise InputError(f"share {share.name!r}: a share of that name is the system's own")
    if len(share.comment) > MAX_COMMENT or not share.comment.isprintable():
        raise InputError(f"share {share.name!r}: a comment has up to {MAX_COMMENT} printable characters")
    try:
        paths.check_file(share.path)
    except PathError as error:
        raise InputError(f"share {share.name!r}: {error}") from error
