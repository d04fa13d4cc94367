from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.peers import credential_of
from tests.product.replication.memory import MemoryVolume, memory_host

from bodydouble.adapters.linux import LinuxHostSettings, open_host
from bodydouble.errors import FileSystemError, StateError
from bodydouble.security.certificate import Credential
from bodydouble.security.trust import Trust, read_shown
from bodydouble.state.events import EventLog
from bodydouble.state.store import StateStore

if TYPE_CHECKING:
    from pathlib import Path

    from bodydouble.ports import Host

STATE = "/state"


def opened(volume: MemoryVolume) -> Trust:
    host = memory_host("WEB1", volume)
    return loaded(host, STATE)


def loaded(host: Host, state: str) -> Trust:
    store = StateStore(host.file_system, state, host.clock)
    trust = Trust(host, store, EventLog(host.file_system, state, host.clock))
    asyncio.run(trust.load())
    return trust


def test_the_first_start_makes_a_key_and_every_other_one_keeps_it() -> None:
    volume = MemoryVolume()
    first = opened(volume).credential
    assert opened(volume).credential == first
    assert opened(MemoryVolume()).credential == first, "the same entropy, the same key"
    assert read_shown(bytes(volume.nodes[f"{STATE}/certificate.json"].data)).certificate == first.certificate
    assert first.key not in bytes(volume.nodes[f"{STATE}/certificate.json"].data)


def test_what_is_no_secret_is_written_again_when_it_is_gone_or_another_ones() -> None:
    volume = MemoryVolume()
    first = opened(volume).credential
    for damage in (b"", None):
        node = volume.nodes.pop(f"{STATE}/certificate.json")
        if damage is None:
            node.data = bytearray(node.data.replace(first.fingerprint[:8].encode(), b"00000000"))
            volume.nodes[f"{STATE}/certificate.json"] = node
        opened(volume)
        assert read_shown(bytes(volume.nodes[f"{STATE}/certificate.json"].data)).fingerprint == first.fingerprint


@pytest.mark.parametrize("nth", range(10))
def test_a_crash_in_the_first_start_leaves_one_key_or_none(nth: int) -> None:
    """The machine stops at the nth change of its disk; whatever certificate it has shown by then, it keeps."""
    volume, changes = MemoryVolume(), 0

    def fail(_operation: Any) -> str | None:
        nonlocal changes
        changes += 1
        return "io" if changes > nth else None

    volume.fail = fail
    try:
        shown: Credential | None = opened(volume).credential
    except FileSystemError:
        shown = None
    volume.fail = lambda _operation: None
    kept = opened(volume).credential
    assert shown in (None, kept)
    assert opened(volume).credential == kept


@pytest.mark.parametrize("name", ["credential", "peers"])
@pytest.mark.parametrize("content", [b"", b"torn", b'{"version":1,"value":{}}', b'{"version":9,"value":{}}'])
def test_damaged_state_is_named_and_nothing_is_made_anew(name: str, content: bytes) -> None:
    volume = MemoryVolume()
    opened(volume)
    path = f"{STATE}/{name}.json"
    volume.nodes[path] = volume.nodes[f"{STATE}/credential.json"].__class__(path, False, volume.new(path, False).body)
    volume.nodes[path].data = bytearray(content)
    with pytest.raises(StateError, match=rf"{STATE}/{name}\.json"):
        opened(volume)
    assert bytes(volume.nodes[path].data) == content


def test_a_key_that_is_not_the_certificates_is_refused() -> None:
    volume = MemoryVolume()
    store = StateStore(volume, STATE)
    mixed = Credential(credential_of("A").key, credential_of("B").certificate)
    asyncio.run(store.save("credential", mixed))
    with pytest.raises(StateError, match=r"do not belong together.*paired again"):
        opened(volume)


def test_the_key_is_readable_for_nobody_else(tmp_path: Path) -> None:
    async def start() -> None:
        async with open_host(LinuxHostSettings()) as host:
            state = str(tmp_path / "state")
            store = StateStore(host.file_system, state, host.clock)
            await Trust(host, store, EventLog(host.file_system, state, host.clock)).load()

    before = os.umask(0)
    try:
        asyncio.run(start())
    finally:
        os.umask(before)
    assert (tmp_path / "state" / "credential.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
