"""Machines that are paired from the beginning: credentials by name, pinned without a conversation."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

from bodydouble.security.certificate import Credential, make_credential
from bodydouble.security.trust import PinnedPeer, Trust
from bodydouble.vocabulary.records import BOTH_ROLES, Roles

if TYPE_CHECKING:
    from bodydouble.ports import Host
    from bodydouble.state.events import EventLog
    from bodydouble.state.store import StateStore


def credential_of(name: str) -> Credential:
    """The credential that a machine of this name has in tests, in any of its lives."""
    return make_credential(sha256(name.encode()).digest())


class SeededEntropy:
    """Bytes that follow from a name."""

    def __init__(self, name: str) -> None:
        self._stream = Random(name)

    def random_bytes(self, size: int) -> bytes:
        return self._stream.randbytes(size)


async def open_trust(name: str, host: Host, store: StateStore, events: EventLog) -> Trust:
    """A machine's trust, with the credential of its name."""
    if await store.load("credential", Credential) is None:
        await store.save("credential", credential_of(name))
    trust = Trust(host, store, events)
    await trust.load()
    return trust


async def pin(trust: Trust, name: str, roles: Roles = BOTH_ROLES, called: str = "") -> None:
    """Be paired with the machine of a name; nothing happens when it is pinned, or is the machine itself."""
    certificate = credential_of(name).certificate
    if trust.find(certificate) is None and certificate != trust.credential.certificate:
        since = datetime(2002, 12, 2, tzinfo=UTC)
        await trust._put(
            PinnedPeer(name=called or name, certificate=certificate, roles=roles, state="paired", since=since)
        )
