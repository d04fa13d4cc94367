from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.peers import SeededEntropy, credential_of

from bodydouble.errors import PairingError
from bodydouble.security.exchange import Accepting, Ask, Offering, Proof, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

CODE, OTHER = "AAAA-AAAA-AAAA-AAAA", "BBBB-BBBB-BBBB-BBBB"
ACCEPTS, OFFERS, MIDDLE = (credential_of(name) for name in ("ACCEPTS", "OFFERS", "MIDDLE"))
ENTROPY = SeededEntropy("exchange")


def accepting(code: str = CODE, seen: bytes = OFFERS.certificate) -> Accepting:
    return Accepting(code, ACCEPTS, "WEB1", seen, ENTROPY)


def offering(ask: Ask, code: str = CODE, own: bytes = OFFERS.certificate) -> Offering:
    return Offering(code, own, "WEB2", ask, ENTROPY)


def test_two_that_know_the_code_believe_each_other() -> None:
    here = accepting()
    there = offering(here.ask())
    there.check(here.proof(there.reply()))
    here.check(there.proof())


def test_another_code_is_believed_by_neither() -> None:
    here = accepting()
    there = offering(here.ask(), OTHER)
    with pytest.raises(PairingError, match="does not know the code"):
        there.check(here.proof(there.reply()))
    with pytest.raises(PairingError, match="does not know the code"):
        here.check(there.proof())


def test_one_that_sees_another_certificate_believes_nobody() -> None:
    """A machine in the middle of TLS passes everything on and shows each side its own certificate."""
    here = accepting(seen=MIDDLE.certificate)
    there = offering(here.ask())
    with pytest.raises(PairingError, match="does not know the code"):
        there.check(here.proof(there.reply()))
    with pytest.raises(PairingError, match="does not know the code"):
        here.check(there.proof())


def test_a_middle_that_puts_its_own_certificate_in_is_not_believed() -> None:
    here = accepting()
    there = offering(msgspec.structs.replace(here.ask(), certificate=MIDDLE.certificate))
    with pytest.raises(PairingError, match="does not know the code"):
        there.check(here.proof(there.reply()))


def test_who_knows_the_code_cannot_pair_a_certificate_that_is_not_its_own() -> None:
    here = accepting()
    there = offering(here.ask())
    proof = here.proof(there.reply())
    forged = msgspec.structs.replace(proof, signature=MIDDLE.sign(b"whatever"))
    with pytest.raises(PairingError, match="has not the key"):
        there.check(forged)
    with pytest.raises(PairingError, match="has not the key"):
        there.check(msgspec.structs.replace(proof, signature=b""))


@pytest.mark.parametrize(
    "change",
    [
        lambda ask: msgspec.structs.replace(ask, name="WEB9"),
        lambda ask: msgspec.structs.replace(ask, element=accepting().ask().element),
    ],
)
def test_what_was_changed_on_the_way_is_not_believed(change: Callable[[Ask], Ask]) -> None:
    here = accepting()
    there = offering(change(here.ask()))
    with pytest.raises(PairingError):
        there.check(here.proof(there.reply()))


def test_a_changed_name_of_the_offering_side_is_not_believed() -> None:
    here = accepting()
    there = offering(here.ask())
    with pytest.raises(PairingError):
        there.check(here.proof(msgspec.structs.replace(there.reply(), name="WEB9")))


def test_a_proof_that_is_sent_back_is_not_believed() -> None:
    here = accepting()
    there = offering(here.ask())
    with pytest.raises(PairingError, match="does not know the code"):
        here.check(here.proof(there.reply()))


def test_a_half_that_is_sent_back_is_refused() -> None:
    here = accepting()
    with pytest.raises(PairingError, match="not a half"):
        here.proof(Reply("WEB2", here.ask().element))


@settings(max_examples=60)
@given(st.binary(min_size=33, max_size=33) | st.binary(max_size=40))
def test_garbage_instead_of_a_half_is_refused(element: bytes) -> None:
    with pytest.raises(PairingError):
        accepting().proof(Reply("WEB2", element))
    with pytest.raises(PairingError):
        offering(msgspec.structs.replace(accepting().ask(), element=element))


@pytest.mark.parametrize("certificate", [b"", b"x" * 300, OFFERS.certificate[:-1], b"\x30" * 2000])
def test_garbage_instead_of_a_certificate_is_refused(certificate: bytes) -> None:
    with pytest.raises(PairingError):
        offering(msgspec.structs.replace(accepting().ask(), certificate=certificate))


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", "a\x7f", 7])
def test_names_that_cannot_be_are_no_messages(name: Any) -> None:
    content = msgspec.msgpack.encode(["ask", name, ACCEPTS.certificate, b"x" * 33])
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(content, type=Ask)


def test_a_proof_is_compared_whole() -> None:
    here = accepting()
    there = offering(here.ask())
    proof = here.proof(there.reply())
    for code in (b"", proof.code[:-1], proof.code + b"\0"):
        with pytest.raises(PairingError):
            there.check(Proof(code, proof.signature))
