"""Which names on a volume the product can speak about.

Product form is text without control characters, so a name that is not UTF-8 or that carries one cannot be replicated.
Such names are listed nowhere, and the filter refuses to make new ones rather than leave them unreplicated silently.
"""

from __future__ import annotations

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
