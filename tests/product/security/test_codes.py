from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.peers import SeededEntropy

from bodydouble.errors import InputError
from bodydouble.security.codes import ALPHABET, draw_code, read_code

codes = st.integers(0, 10_000).map(lambda seed: draw_code(SeededEntropy(str(seed))))


def test_codes_are_four_groups_that_a_person_can_read_out() -> None:
    code = draw_code(SeededEntropy("one"))
    assert [len(group) for group in code.split("-")] == [4, 4, 4, 4]
    assert not set(code) & set("ILOU")


class Counting:
    """Gives all ones, and knows how much was asked for."""

    asked = 0

    def random_bytes(self, size: int) -> bytes:
        self.asked += size
        return b"\xff" * size


def test_a_code_holds_seventy_random_bits() -> None:
    entropy = Counting()
    assert draw_code(entropy).replace("-", "")[:14] == "Z" * 14
    assert entropy.asked * 8 >= 70
    assert len({draw_code(SeededEntropy(str(seed))) for seed in range(500)}) == 500


@given(codes, st.sampled_from(["", " ", "-", "  "]), st.booleans())
def test_codes_are_read_in_any_case_and_grouping(code: str, between: str, lower: bool) -> None:
    typed = code.replace("-", between)
    assert read_code(typed.lower() if lower else typed) == code


def test_what_looks_like_a_digit_is_read_as_one() -> None:
    code = next(code for seed in range(1000) if {"0", "1"} <= set(code := draw_code(SeededEntropy(str(seed)))))
    assert read_code(code.replace("0", "O").replace("1", "l")) == code


@given(codes, st.integers(0, 15), st.sampled_from(ALPHABET))
def test_any_one_wrong_character_is_noticed_before_the_code_is_tried(code: str, at: int, wrong: str) -> None:
    letters = list(code.replace("-", ""))
    if letters[at] != wrong:
        letters[at] = wrong
        with pytest.raises(InputError, match="was not tried"):
            read_code("".join(letters))


@given(codes, st.integers(0, 13), st.integers(0, 13))
def test_any_two_characters_that_changed_places_are_noticed(code: str, one: int, other: int) -> None:
    letters = list(code.replace("-", ""))
    if letters[one] != letters[other]:
        letters[one], letters[other] = letters[other], letters[one]
        with pytest.raises(InputError, match="was not tried"):
            read_code("".join(letters))


@pytest.mark.parametrize(("typed", "why"), [("", "0 characters"), ("7KQ2", "4 characters"), ("7" * 15 + "U", "'U'")])
def test_what_cannot_be_a_code_is_refused_with_the_reason(typed: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        read_code(typed)
