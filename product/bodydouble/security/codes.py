"""One-time codes for pairing: 70 random bits and a checksum, as people can read them out over a telephone.

Sixteen characters in groups of four, out of Crockford's alphabet, which has no I, L, O and U; what looks like one of
them is read as the digit that it looks like. The last two are the remainder of the number before them modulo 1021, a
prime: any one wrong character, and any two that changed places, are noticed before the code is tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble.errors import InputError

if TYPE_CHECKING:
    from bodydouble.ports import Entropy

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SECRET_CHARACTERS = 14
CHECK_CHARACTERS = 2
GROUP = 4
_CHARACTERS = SECRET_CHARACTERS + CHECK_CHARACTERS
_MODULUS = 1021
_LOOKALIKES = str.maketrans("ILOilo", "110110", " -")


def draw_code(entropy: Entropy) -> str:
    """A new code, in groups: ``7KQ2-M9XD-4TBH-WZ3C``."""
    number = int.from_bytes(entropy.random_bytes(9), "big") >> 2
    return _grouped(_digits(number, SECRET_CHARACTERS) + _digits(number % _MODULUS, CHECK_CHARACTERS))


def read_code(text: str) -> str:
    """A code as somebody typed it, in the form of `draw_code`.

    Raises:
        InputError: it cannot be a code; says whether it is its length, a character, or a slip of the finger.
    """
    typed = text.translate(_LOOKALIKES).upper()
    if len(typed) != _CHARACTERS:
        raise InputError(f"the code has {len(typed)} characters: expected {_CHARACTERS}, as in 7KQ2-M9XD-4TBH-WZ3C")
    wrong = [letter for letter in typed if letter not in ALPHABET]
    if wrong:
        raise InputError(f"the code has the character {wrong[0]!r}, which no code has")
    number, check = _number(typed[:SECRET_CHARACTERS]), _number(typed[SECRET_CHARACTERS:])
    if number % _MODULUS != check:
        raise InputError("the code has a mistake in it: compare it character by character (it was not tried)")
    return _grouped(typed)


def _grouped(characters: str) -> str:
    return "-".join(characters[at : at + GROUP] for at in range(0, len(characters), GROUP))


def _digits(number: int, count: int) -> str:
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(count)))


def _number(characters: str) -> int:
    number = 0
    for character in characters:
        number = number << 5 | ALPHABET.index(character)
    return number
