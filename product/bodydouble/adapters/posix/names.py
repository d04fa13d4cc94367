"""Which names on a volume, and which targets of symbolic links, the product can speak about.

Product form is text without control characters, so a name that is not UTF-8 or that carries one cannot be replicated.
Such names are listed nowhere, and the filter refuses to make new ones rather than leave them unreplicated silently.
"""

from __future__ import annotations

import errno
import os
import stat as modes

from bodydouble.vocabulary.operations import MAX_TARGET_CHARACTERS

_LONGEST_NAME = 255


def speakable(name: str) -> bool:
    """Whether a name as Python decodes it (undecodable bytes become surrogates) fits product form."""
    return all(character >= " " and not "\ud800" <= character <= "\udfff" for character in name)


def decoded(name: bytes) -> str | None:
    """The name as text, or None when product form has no way to say it."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return None
    return text if len(name) <= _LONGEST_NAME and speakable(text) else None


def link_target(name: str, directory: int, status: os.stat_result) -> str | None:
    """Where the symbolic link ``name`` in an open directory leads; None when it is no link, or leads nowhere sayable.

    Raises:
        OSError: it cannot be read.
    """
    if not modes.S_ISLNK(status.st_mode):
        return None
    try:
        target = os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None  # it was replaced meanwhile by something that is no link
        raise
    return target if sayable_target(target) else None


def sayable_target(target: str) -> bool:
    """Whether a target as Python decodes it is text that an operation can carry."""
    return 0 < len(target) <= MAX_TARGET_CHARACTERS and not any("\ud800" <= each <= "\udfff" for each in target)
