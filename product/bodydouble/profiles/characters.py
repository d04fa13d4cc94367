"""What may stand in a generated script: every character that is not known to be harmless there is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import InputError

if TYPE_CHECKING:
    import re


def refuse_characters(text: str, allowed: re.Pattern[str], what: str, why: str, begin: int = 0) -> None:
    """Let nothing into a script that its interpreter could take for more than a part of a name.

    Args:
        text: what would be written.
        allowed: matches each character that may be.
        what: which value of the command it is.
        why: what would be right.
        begin: how many characters at the beginning were judged already.

    Raises:
        InputError: names the first character that is not allowed, and its position.
    """
    for position, character in enumerate(text, 1):
        if position > begin and not allowed.fullmatch(character):
            raise InputError(f"{what}: {text!r}: character {position}, {character!r}, is not allowed: {why}")
