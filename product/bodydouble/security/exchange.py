"""The proof that two machines hold the same one-time code. Pure: messages in, messages out.

SPAKE2, with both certificates' fingerprints as the parties' names, gives both sides a key that is the same only if the
code was, and only if each saw the certificate that the other one has: a machine in the middle shows each of them its
own. Then each side proves the key over everything that was said, the one that connected first, so that whoever merely
connects gets one guess and no answer to it. What an eavesdropper or either party can record allows no guess to be
checked later.

    accepting                                offering
    Ask (name, certificate, X)       ->
                                     <-      Reply (name, Y)
    Proof (code, own key)            ->
                                     <-      Proof (code) | Declined
    Pinned                           ->
                                     <-      Paired
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated

import msgspec
from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError
from spake2.ed25519_basic import NotOnCurve

from bodydouble.errors import InputError, PairingError
from bodydouble.security.certificate import fingerprint_of, public_key_of, signed_by

if TYPE_CHECKING:
    from bodydouble.ports import Entropy
    from bodydouble.security.certificate import Credential

MAX_NAME = 255
ELEMENT_BYTES = 33
WRONG = "the other side does not know the code"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME, pattern=r"^[^\x00-\x1f\x7f]+$")]
Element = Annotated[bytes, msgspec.Meta(min_length=ELEMENT_BYTES, max_length=ELEMENT_BYTES)]


class PairingMessage(msgspec.Struct, frozen=True, array_like=True, tag=True, forbid_unknown_fields=True):
    """Base of what is said while pairing."""


class Ask(PairingMessage, frozen=True, tag="ask"):
    """Who wants to be paired, and its half of the key exchange."""

    name: Name
    certificate: bytes
    element: Element


class Reply(PairingMessage, frozen=True, tag="reply"):
    """Who offers, and its half."""

    name: Name
    element: Element


class Proof(PairingMessage, frozen=True, tag="proof"):
    """The sender knows the code. ``signature``: and has its certificate's key, unless TLS has shown that."""

    code: bytes
    signature: bytes = b""


class Declined(PairingMessage, frozen=True, tag="declined"):
    """The code is right, but there is a reason against it."""

    detail: Annotated[str, msgspec.Meta(max_length=500)]


class Pinned(PairingMessage, frozen=True, tag="pinned"):
    """The sender has pinned the other side's certificate, durably."""


class Paired(PairingMessage, frozen=True, tag="paired"):
    """So has the sender, and it knows that both have."""


AnyPairingMessage = Ask | Reply | Proof | Declined | Pinned | Paired


class Accepting:
    """The side that was given the code.

    Args:
        code: as `codes.read_code` gives it.
        credential: this machine's.
        name: this machine's.
        offering: the certificate that the other side has shown and proved in TLS.
        entropy: for this machine's half of the key exchange.
    """

    def __init__(self, code: str, credential: Credential, name: str, offering: bytes, entropy: Entropy) -> None:
        self._credential = credential
        self._offering = offering
        ours, theirs = _id(credential.certificate), _id(offering)
        self._half = SPAKE2_A(code.encode(), idA=ours, idB=theirs, entropy_f=entropy.random_bytes)
        self._ask = Ask(name, credential.certificate, self._half.start())
        self._keys: _Keys | None = None

    def ask(self) -> Ask:
        """The first message."""
        return self._ask

    def proof(self, reply: Reply) -> Proof:
        """The answer to the other side's half.

        Raises:
            PairingError: that was none.
        """
        self._keys = _Keys(_finish(self._half, reply.element), self._ask, reply, self._offering)
        return Proof(self._keys.accepting, self._credential.sign(self._keys.transcript))

    def check(self, proof: Proof) -> None:
        """Believe the other side, or not.

        Raises:
            PairingError: it does not know the code, or somebody is in between.
        """
        assert self._keys is not None, "there is a key only after `proof`"
        if not hmac.compare_digest(proof.code, self._keys.offering):
            raise PairingError(WRONG)


class Offering:
    """The side that made the code up.

    Args:
        code: as `codes.draw_code` gave it.
        certificate: this machine's.
        name: this machine's.
        ask: what the other side began with.
        entropy: for this machine's half of the key exchange.

    Raises:
        PairingError: ``ask`` holds no certificate that can be pinned, or no half of a key exchange.
    """

    def __init__(self, code: str, certificate: bytes, name: str, ask: Ask, entropy: Entropy) -> None:
        self._ask = ask
        try:
            public_key_of(ask.certificate)
        except InputError as error:
            raise PairingError(str(error)) from error
        half = SPAKE2_B(code.encode(), idA=_id(ask.certificate), idB=_id(certificate), entropy_f=entropy.random_bytes)
        self._reply = Reply(name, half.start())
        self._keys = _Keys(_finish(half, ask.element), ask, self._reply, certificate)

    def reply(self) -> Reply:
        """This machine's half; it says nothing about the code."""
        return self._reply

    def check(self, proof: Proof) -> None:
        """Believe the other side, or not.

        Raises:
            PairingError: it does not know the code, somebody is in between, or the certificate is not its own.
        """
        if not hmac.compare_digest(proof.code, self._keys.accepting):
            raise PairingError(WRONG)
        if not signed_by(self._ask.certificate, proof.signature, self._keys.transcript):
            raise PairingError("the other side has not the key of the certificate that it sent")

    def proof(self) -> Proof:
        """This machine knows the code; only for one that was believed."""
        return Proof(self._keys.offering)


class _Keys:
    """What both sides derive: the transcript's digest, and the proof of each."""

    def __init__(self, shared: bytes, ask: Ask, reply: Reply, offering: bytes) -> None:
        said = ["bodydouble pairing 1", ask, reply, offering]
        self.transcript = sha256(msgspec.msgpack.encode(said)).digest()
        self.accepting = self._proof(shared, b"accepting")
        self.offering = self._proof(shared, b"offering")

    def _proof(self, shared: bytes, who: bytes) -> bytes:
        key = hmac.digest(shared, b"bodydouble pairing 1: " + who, "sha256")
        return hmac.digest(key, self.transcript, "sha256")


def _id(certificate: bytes) -> bytes:
    return fingerprint_of(certificate).encode()


def _finish(half: SPAKE2_A | SPAKE2_B, element: bytes) -> bytes:
    try:
        shared = half.finish(element)
    except (SPAKEError, NotOnCurve, ValueError) as error:
        raise PairingError(f"not a half of a key exchange: {error}") from error
    assert isinstance(shared, bytes)
    return shared
