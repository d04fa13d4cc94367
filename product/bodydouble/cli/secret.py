"""Token files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def read_token(path: Path) -> str:
    """The secret in a token file, without the blanks around it.

    Raises:
        InputError: the file cannot be read or is empty.
    """
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot read the token: {reason}") from error
    if not token:
        raise InputError(f"{path}: expected a token, the file is empty")
    return token
