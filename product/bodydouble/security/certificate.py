"""A daemon's key and certificate, and the fingerprint by which others know it.

Nothing in a certificate depends on the calendar or says anything: it is valid from 1970 to the end that RFC 5280
(4.1.2.5) gives for "no well-defined end", its names are derived from the key, and its length is constant. Only its
fingerprint is ever judged.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from bodydouble.errors import InputError

KEY_BYTES = 32
MAX_CERTIFICATE = 1024
"""Bytes that a certificate may have; ours have some 300."""
FINGERPRINT_DIGITS = 64
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class Credential(msgspec.Struct, frozen=True):
    """What a machine shows and proves on the wire.

    Attributes:
        key: the Ed25519 private key, 32 bytes; never shown.
        certificate: self-signed, DER.
    """

    key: bytes
    certificate: bytes

    def __repr__(self) -> str:
        return f"Credential(fingerprint={self.fingerprint}, key=...)"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate."""
        return fingerprint_of(self.certificate)

    def sign(self, message: bytes) -> bytes:
        """A signature by the key."""
        return Ed25519PrivateKey.from_private_bytes(self.key).sign(message)

    def pem(self) -> tuple[bytes, bytes]:
        """Certificate and key as PEM, which is how OpenSSL reads them."""
        private = Ed25519PrivateKey.from_private_bytes(self.key)
        certificate = x509.load_der_x509_certificate(self.certificate)
        key = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), key


def make_credential(key: bytes) -> Credential:
    """The credential of a new key; the same key gives the same certificate.

    Args:
        key: 32 bytes that nobody can foresee.
    """
    private = Ed25519PrivateKey.from_private_bytes(key)
    public = private.public_key()
    digest = sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, digest[:16].hex())])
    # Eight bytes, the first of them never 0 and never with its highest bit set: DER then always takes eight.
    serial = int.from_bytes(digest[16:24], "big") >> 2 | 1 << 62
    builder = (
        x509.CertificateBuilder(name, name, public, serial, _BEGIN, _END)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNS_ONLY, critical=True)
    )
    return Credential(key, builder.sign(private, algorithm=None).public_bytes(Encoding.DER))


_SIGNS_ONLY = x509.KeyUsage(
    digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 of a certificate in DER, in hexadecimal digits."""
    return sha256(certificate).hexdigest()


def public_key_of(certificate: bytes) -> Ed25519PublicKey:
    """The key of a certificate that can be pinned.

    Raises:
        InputError: it is not one as `make_credential` makes them.
    """
    if len(certificate) > MAX_CERTIFICATE:
        raise InputError(f"a certificate of {len(certificate)} bytes: at most {MAX_CERTIFICATE} are allowed")
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        key, end = parsed.public_key(), parsed.not_valid_after_utc
        parsed.verify_directly_issued_by(parsed)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise InputError(f"not a self-signed certificate: {error or type(error).__name__}") from error
    if not isinstance(key, Ed25519PublicKey) or end != _END:
        raise InputError("not a certificate of a daemon: expected Ed25519, valid without end")
    return key


def owns(credential: Credential) -> bool:
    """Whether a credential's certificate is one of its key.

    Raises:
        ValueError: it is no key.
        InputError: it is not a certificate that can be pinned.
    """
    return Ed25519PrivateKey.from_private_bytes(credential.key).public_key() == public_key_of(credential.certificate)


def signed_by(certificate: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the owner of a certificate signed ``message``.

    Raises:
        InputError: it is not a certificate that can be pinned.
    """
    try:
        public_key_of(certificate).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def read_fingerprint(text: str) -> str:
    """A fingerprint as people write it: with colons or blanks, in either case, or with ``sha256:`` before it.

    Raises:
        InputError: it has not 64 hexadecimal digits.
    """
    digits = "".join(text.lower().removeprefix("sha256:").replace(":", "").split())
    if len(digits) != FINGERPRINT_DIGITS or any(digit not in "0123456789abcdef" for digit in digits):
        raise InputError(f"{text!r} is no fingerprint: expected the {FINGERPRINT_DIGITS} hexadecimal digits of SHA-256")
    return digits
