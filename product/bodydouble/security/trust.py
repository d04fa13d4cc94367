"""Trust: this machine's credential, the machines that it is paired with, and the TLS contexts that follow from them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import datetime  # noqa: TC003 - msgspec reads it at run time
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import InputError, PairingError, StateError
from bodydouble.security.certificate import (
    KEY_BYTES,
    Credential,
    fingerprint_of,
    make_credential,
    owns,
    public_key_of,
)
from bodydouble.security.tls import PAIRING_PROTOCOL, client_context, http_server_context, server_context
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import BOTH_ROLES, Peer, PeerState, Roles

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from bodydouble.ports import Host
    from bodydouble.state.events import EventLog
    from bodydouble.state.store import StateStore
    from bodydouble.vocabulary.records import Role

MAX_PEERS = 256
CERTIFICATE_FILE = "certificate"
"""The record of a daemon's state that holds `Shown`."""
_CREDENTIAL = "credential"
_PEERS = "peers"


class PinnedPeer(msgspec.Struct, frozen=True, kw_only=True):
    """A paired machine as it is kept on disk; `Peer` is what is shown of it."""

    name: str
    certificate: bytes
    roles: Roles
    state: PeerState
    since: datetime

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its certificate."""
        return fingerprint_of(self.certificate)

    def shown(self) -> Peer:
        """What the control API shows."""
        return Peer(
            name=self.name, fingerprint=self.fingerprint, roles=self.roles, state=self.state, since=self.since
        )  # fmt: skip


class PeerList(msgspec.Struct, frozen=True):
    """The durable list of paired machines."""

    peers: list[PinnedPeer]


class Shown(msgspec.Struct, frozen=True):
    """What of the credential is no secret; it lies apart, so that a local command need not read the key."""

    fingerprint: str
    certificate: bytes


class _Envelope(msgspec.Struct):
    version: int
    value: Shown


def read_shown(content: bytes) -> Shown:
    """What lies in the file of `CERTIFICATE_FILE`.

    Raises:
        InputError: something else.
    """
    try:
        shown = msgspec.json.decode(content, type=_Envelope).value
    except (msgspec.MsgspecError, ValueError) as error:
        raise InputError(f"not a daemon's certificate: {error}") from error
    public_key_of(shown.certificate)
    return shown


class Trust:
    """Who this machine is and whom it trusts.

    Args:
        host: gives the entropy of the key, and dates.
        store: keeps credential and peers.
        events: the events log.
    """

    def __init__(self, host: Host, store: StateStore, events: EventLog) -> None:
        self._host = host
        self._store = store
        self._events = events
        self._credential: Credential | None = None
        self._itself: PinnedPeer | None = None
        self._peers: dict[str, PinnedPeer] = {}
        self._contexts: dict[tuple[str, str, bool], ssl.SSLContext] = {}
        self._held: dict[str, list[asyncio.WriteTransport]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read the credential and the peers; the first start makes a credential, durably before it is used.

        Raises:
            StateError: what is kept cannot be understood.
            FileSystemError: a new credential could not be saved.
        """
        credential = await self._store.load(_CREDENTIAL, Credential)
        if credential is None:
            credential = make_credential(self._host.entropy.random_bytes(KEY_BYTES))
            await self._store.save(_CREDENTIAL, credential)
        self._credential = _checked(credential, self._store.directory)
        shown = Shown(credential.fingerprint, credential.certificate)
        if await self._store.load(CERTIFICATE_FILE, Shown) != shown:
            await self._store.save(CERTIFICATE_FILE, shown)
        stored = await self._store.load(_PEERS, PeerList)
        self._peers = {} if stored is None else {each.fingerprint: each for each in stored.peers}
        self._contexts.clear()
        self._itself = PinnedPeer(
            name=await self.name(), certificate=credential.certificate, roles=BOTH_ROLES, state="paired",
            since=self._host.clock.now(),
        )  # fmt: skip

    @property
    def credential(self) -> Credential:
        """This machine's; only after `load`."""
        assert self._credential is not None, "Trust.load has not run"
        return self._credential

    async def name(self) -> str:
        """What this machine calls itself towards others: its permanent name."""
        return (await self._host.identity.query()).permanent_name

    # --- the peers ---

    def peers(self) -> list[Peer]:
        """The paired machines, by name."""
        return sorted((each.shown() for each in self._peers.values()), key=lambda peer: peer.name.casefold())

    def find(self, certificate: bytes | None) -> Peer | None:
        """The peer whose certificate this is; the machine itself counts as one."""
        if certificate is None:
            return None
        if certificate == self.credential.certificate:
            return self._own().shown()
        found = self._peers.get(fingerprint_of(certificate))
        return None if found is None else found.shown()

    def name_of(self, fingerprint: str) -> str:
        """The name under which the machine with this certificate is paired; the fingerprint itself when none is."""
        if fingerprint == self.credential.fingerprint:
            return self._own().name
        return self._peers[fingerprint].name if fingerprint in self._peers else fingerprint

    def _own(self) -> PinnedPeer:
        """This machine, which may be a target of its own."""
        assert self._itself is not None, "Trust.load has not run"
        return self._itself

    def check_new(self, name: str, certificate: bytes) -> None:
        """Refuse a machine that cannot be pinned.

        Raises:
            PairingError: it is this machine, its name is another one's, or there are too many.
        """
        fingerprint = fingerprint_of(certificate)
        if fingerprint == self.credential.fingerprint:
            raise PairingError("this is the machine itself: pair it with another one")
        for other in self._peers.values():
            if other.name.casefold() == name.casefold() and other.fingerprint != fingerprint:
                raise PairingError(
                    f"{name} is paired already, with another certificate; if the machine was set up anew, remove the "
                    f"old pairing first: bodydouble pair remove {other.name}"
                )
        if fingerprint not in self._peers and len(self._peers) >= MAX_PEERS:
            raise PairingError(f"{MAX_PEERS} machines are paired already: remove one first")

    async def pin(self, name: str, certificate: bytes, roles: Roles) -> Peer:
        """Trust a machine that has proved to know the code; durable when this returns.

        Raises:
            PairingError: see `check_new`.
            FileSystemError: it could not be saved, and is not trusted.
        """
        async with self._changing:
            self.check_new(name, certificate)
            earlier = self._peers.get(fingerprint_of(certificate))
            state: PeerState = "unfinished" if earlier is None else earlier.state
            since = self._host.clock.now()
            pinned = PinnedPeer(name=name, certificate=certificate, roles=roles, state=state, since=since)
            await self._put(pinned)
        return pinned.shown()

    async def finish(self, fingerprint: str) -> Peer:
        """The peer is known to have pinned this machine, too.

        Raises:
            PairingError: it was removed meanwhile.
            FileSystemError: it could not be saved, and stays unfinished.
        """
        if fingerprint == self.credential.fingerprint:
            return self._own().shown()
        async with self._changing:
            peer = self._peers.get(fingerprint)
            if peer is None:
                raise PairingError("the pairing was removed meanwhile")
            if peer.state != "paired":
                peer = msgspec.structs.replace(peer, state="paired")
                await self._put(peer)
                roles = " and ".join(peer.roles)
                self._events.record(EventCode.PAIRED, f"paired with {peer.name} ({roles}), certificate {fingerprint}")
        return peer.shown()

    async def remove(self, name: str) -> None:
        """Trust a machine no more; its connections end at once.

        Raises:
            InputError: no such machine is paired.
        """
        async with self._changing:
            found = [each for each in self._peers.values() if each.name.casefold() == name.casefold()]
            if not found:
                raise InputError(f"no machine {name!r} is paired")
            fingerprint = found[0].fingerprint
            await self._save([each for each in self._peers.values() if each.fingerprint != fingerprint])
        for transport in self._held.pop(fingerprint, []):
            transport.abort()
        self._events.record(EventCode.PEER_REMOVED, f"{found[0].name} is paired no more, certificate {fingerprint}")

    async def _put(self, peer: PinnedPeer) -> None:
        await self._save([*(each for each in self._peers.values() if each.fingerprint != peer.fingerprint), peer])

    async def _save(self, peers: list[PinnedPeer]) -> None:
        """First the disk, then what is believed."""
        await self._store.save(_PEERS, PeerList(peers))
        self._peers = {each.fingerprint: each for each in peers}
        self._contexts.clear()
        for listener in self._listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever the peers have changed."""
        self._listeners.append(listener)

    @contextmanager
    def held(self, peer: Peer, transport: asyncio.WriteTransport) -> Iterator[None]:
        """While a connection with ``peer`` lasts: it is cut off if the peer is removed."""
        self._held.setdefault(peer.fingerprint, []).append(transport)
        try:
            yield
        finally:
            held = self._held.get(peer.fingerprint, [])
            if transport in held:
                held.remove(transport)

    # --- contexts ---

    def listening(self, protocol: str, *, pairing: bool) -> ssl.SSLContext:
        """How the replication port answers.

        Args:
            protocol: the ALPN name of replication.
            pairing: whether a machine without certificate may speak, to pair.
        """
        key = ("listening", protocol, pairing)
        if key not in self._contexts:
            names = [protocol, PAIRING_PROTOCOL] if pairing else [protocol]
            accepted = [*self._certificates(), self.credential.certificate]
            self._contexts[key] = server_context(self.credential, names, accepted, anonymous=pairing)
        return self._contexts[key]

    def towards(self, role: Role, protocol: str, *, itself: bool = False) -> ssl.SSLContext:
        """How this machine connects to one that has ``role``.

        Args:
            role: what the other machine has to be.
            protocol: the ALPN name of replication.
            itself: it may be this machine that answers.

        Raises:
            PairingError: it is paired with none.
        """
        certificates = self._certificates(role) + ([self.credential.certificate] if itself else [])
        if not certificates:
            raise PairingError(
                f"not paired with any {role}: 'bodydouble pair offer' on one machine, then "
                "'bodydouble pair accept HOST CODE' on the other"
            )
        key = ("towards", f"{role} {protocol}", itself)
        if key not in self._contexts:
            self._contexts[key] = client_context(self.credential, [protocol], certificates)
        return self._contexts[key]

    def controlled(self) -> ssl.SSLContext:
        """How the control API answers."""
        return http_server_context(self.credential)

    def _certificates(self, role: Role | None = None) -> list[bytes]:
        return [each.certificate for each in self._peers.values() if role is None or role in each.roles]


def _checked(credential: Credential, directory: str) -> Credential:
    """What was read is a key and its own certificate.

    Raises:
        StateError: it is not.
    """
    try:
        if owns(credential):
            return credential
    except (ValueError, InputError) as error:
        raise StateError(f"{directory}/{_CREDENTIAL}.json: {error}") from error
    raise StateError(
        f"{directory}/{_CREDENTIAL}.json: key and certificate do not belong together; restore it from a "
        "backup, or move it away (this machine then gets a new identity and has to be paired again)"
    )
