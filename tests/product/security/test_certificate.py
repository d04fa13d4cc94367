from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from tests.certificates import Authority
from tests.peers import credential_of

from bodydouble.errors import InputError
from bodydouble.security import tls
from bodydouble.security.certificate import (
    Credential,
    fingerprint_of,
    make_credential,
    owns,
    public_key_of,
    read_fingerprint,
    signed_by,
)
from bodydouble.security.tls import client_context, server_context

if TYPE_CHECKING:
    from collections.abc import Sequence

A, B, C = (credential_of(name) for name in "ABC")


def shake(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """A handshake in memory; raises what either side raises, the server's first."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return answering, asking


def listening(own: Credential, *peers: Credential, anonymous: bool = False) -> ssl.SSLContext:
    return server_context(own, ["x"], [peer.certificate for peer in peers], anonymous=anonymous)


def calling(own: Credential | None, *peers: Credential, names: Sequence[str] = ("x",)) -> ssl.SSLContext:
    return client_context(own, list(names), [peer.certificate for peer in peers])


@given(st.binary(min_size=32, max_size=32))
def test_certificates_have_one_length_one_validity_and_say_nothing(key: bytes) -> None:
    made = make_credential(key)
    parsed = x509.load_der_x509_certificate(made.certificate)
    assert len(made.certificate) == len(A.certificate)
    assert parsed.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert parsed.not_valid_after_utc == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert parsed.serial_number.bit_length() == 63
    assert make_credential(key) == made
    assert owns(made)
    assert "Bodydouble" not in parsed.subject.rfc4514_string()


def test_the_key_is_in_no_repr() -> None:
    assert A.key.hex() not in repr(A)
    assert str(A.key) not in repr(A)


def test_peers_that_pinned_each_other_shake_hands() -> None:
    answering, asking = shake(listening(A, B, C), calling(B, C, A))
    assert tls.certificate_of(answering) == B.certificate
    assert tls.certificate_of(asking) == A.certificate
    assert answering.version() == "TLSv1.3"
    assert answering.compression() is None
    assert answering.session_reused is False


@pytest.mark.parametrize(
    ("server", "client"),
    [
        (listening(A, B), calling(C, A)),
        (listening(A, B), calling(None, A)),
        (listening(A), calling(B, A)),
        (listening(A, B), calling(B, C)),
        (listening(A, B, anonymous=True), calling(C, A)),
    ],
    ids=["not pinned by the server", "no certificate", "no peers at all", "not pinned by the client", "while pairing"],
)
def test_nobody_else_gets_through(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    with pytest.raises(ssl.SSLError):
        shake(server, client)


def test_a_pinned_certificate_cannot_vouch_for_another_one(tmp_path: Path) -> None:
    """Even one that is an authority: it signs a certificate, which then is judged by its own fingerprint."""
    authority = Authority(tmp_path)
    signing = authority._own.certificate.public_bytes(Encoding.DER)
    server = server_context(A, ["x"], [signing], anonymous=False)
    client = authority.client(certificate=True)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    answering, _ = shake(server, client)
    assert fingerprint_of(tls.certificate_of(answering) or b"") != fingerprint_of(signing)
    with pytest.raises(InputError, match=r"Ed25519, valid without end|self-signed"):
        public_key_of(tls.certificate_of(answering) or b"")


def test_older_versions_are_refused_by_either_side() -> None:
    old = calling(B, A)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake(listening(A, B), old)
    old = listening(A, B)
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake(old, calling(B, A))


def test_the_key_is_read_from_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def noted(self: ssl.SSLContext, *given: str) -> None:
        paths.extend(given)
        load(self, *given)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", noted)
    listening(A)
    assert paths
    assert all(path.startswith("/dev/fd/") for path in paths)
    assert not any(Path(path).exists() for path in paths)


def test_a_signature_is_the_owners() -> None:
    assert signed_by(A.certificate, A.sign(b"said"), b"said")
    assert not signed_by(A.certificate, A.sign(b"said"), b"something else")
    assert not signed_by(A.certificate, B.sign(b"said"), b"said")


@pytest.mark.filterwarnings("ignore:Parsed a")
@given(st.binary(max_size=2000))
def test_what_is_no_certificate_cannot_be_pinned(content: bytes) -> None:
    with pytest.raises(InputError):
        public_key_of(content)


@pytest.mark.filterwarnings("ignore:Parsed a")  # the parser's own remarks about what it then refuses
@given(st.integers(0, 304), st.integers(1, 255))
def test_a_damaged_certificate_cannot_be_pinned(at: int, change: int) -> None:
    damaged = bytearray(A.certificate)
    damaged[at] ^= change
    if at == 240:  # how many bits of the signature's last byte do not count: nobody asks, and it is signed by nobody
        return
    with pytest.raises(InputError):
        public_key_of(bytes(damaged))


def test_fingerprints_are_read_as_people_write_them() -> None:
    written = A.fingerprint.upper()
    pairs = [written[at : at + 2] for at in range(0, 64, 2)]
    for text in (A.fingerprint, written, ":".join(pairs), f"SHA256:{written}", f" {written[:32]} {written[32:]}"):
        assert read_fingerprint(text) == A.fingerprint
    for text in ("", written[:-1], written + "0", "g" * 64):
        with pytest.raises(InputError, match="is no fingerprint"):
            read_fingerprint(text)
