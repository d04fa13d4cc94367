from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodydouble.adapters.network import nbns
from bodydouble.errors import IdentityError

NAMES = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="abcdefghijklmnopqrstuvwxyz"),
    min_size=1,
    max_size=15,
)


@given(NAMES, st.integers(0, 0xFFFF), st.sampled_from([0x00, 0x03, 0x20]))
def test_what_is_encoded_decodes_to_the_same(name: str, transaction: int, kind: int) -> None:
    question = nbns.query(name, transaction=transaction, kind=kind)
    claim = nbns.registration(name, "10.0.0.1", transaction=transaction, kind=kind)
    packets = [
        question,
        claim,
        nbns.release(name, "10.0.0.1", transaction=transaction, kind=kind),
        nbns.positive_answer(question, ("10.0.0.1", "10.0.0.2"), 60),
        nbns.refusal(claim, "10.0.0.9"),
    ]
    assert [nbns.decode(nbns.encode(packet)) for packet in packets] == packets


@given(st.binary(max_size=120))
def test_any_bytes_are_a_packet_or_refused(data: bytes) -> None:
    try:
        nbns.decode(data)
    except IdentityError as error:
        assert "malformed" in str(error)  # noqa: PT017 - either outcome is right


def test_broadcast_query_has_the_bytes_of_rfc_1002() -> None:
    data = nbns.encode(nbns.query("FRED", transaction=0x1234))
    header, encoded, tail = data[:12], data[13:45], data[45:]
    assert header.hex() == "123401100001000000000000"
    assert encoded == b"EGFCEFEE" + b"CA" * 11 + b"AA"  # RFC 1001, 14.1: FRED
    assert (data[12], tail.hex()) == (0x20, "0000200001")


def test_name_pointer_that_points_at_itself_is_refused() -> None:
    with pytest.raises(IdentityError, match="pointer"):
        nbns.decode(bytes.fromhex("000185000000000100000000c00c002000010000000000060000 0a000001"))
