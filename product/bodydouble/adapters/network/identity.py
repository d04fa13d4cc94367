"""The `Identity` port on Linux."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from bodydouble.adapters.network import arp
from bodydouble.adapters.network.addresses import AddressBook
from bodydouble.adapters.network.name_service import NameService
from bodydouble.errors import IdentityError
from bodydouble.vocabulary.records import HostIdentity
from bodydouble.vocabulary.standing_in import NameChange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor


class LinuxIdentity:
    """Host name, added NetBIOS names, addresses.

    The host name of the UTS namespace now is the primary (active) one.

    Args:
        executor: threads for short synchronous calls.
        netbios: whether to answer NetBIOS name queries; without it names cannot be added.
        permanent: the host's own name; empty: that of the UTS namespace at the start.
    """

    def __init__(self, executor: Executor, *, netbios: bool, permanent: str = "") -> None:
        self._permanent = permanent or socket.gethostname()
        self._boot = _present_boot()
        self._book = AddressBook(executor)
        self._names = NameService(self._permanent, self._book) if netbios else None

    async def start(self) -> None:
        """Begin to answer for the host's name.

        Raises:
            IdentityError: see `NameService.start`.
        """
        if self._names is not None:
            await self._names.start()

    async def stop(self) -> None:
        """Stop answering. Addresses stay: they belong to the host until the next boot."""
        if self._names is not None:
            await self._names.stop()

    async def query(self) -> HostIdentity:
        """See the port."""
        return HostIdentity(
            primary_name=socket.gethostname(),
            permanent_name=self._permanent,
            added_names=self._names.added if self._names is not None else [],
            addresses=await self._book.all(),
            boot=self._boot,
        )

    async def add_name(self, name: str, addresses: Sequence[str] = ()) -> None:
        """See the port.

        Raises:
            DuplicateIdentityError: another node answers for it.
            IdentityError: not a NetBIOS name, or names are switched off.
        """
        if self._names is None:
            raise IdentityError(f"{name}: cannot be added; set netbios = true under [host.identity]")
        await self._names.add(name, addresses)

    async def name_in_use(self, name: str) -> bool:
        """See the port.

        Raises:
            IdentityError: not a NetBIOS name, or names are switched off.
        """
        if self._names is None:
            raise IdentityError(f"{name}: cannot be asked for; set netbios = true under [host.identity]")
        return await self._names.in_use(name)

    async def remove_name(self, name: str) -> None:
        """See the port."""
        if self._names is not None:
            await self._names.remove(name)

    async def answer_for_own_name(self, *, answer: bool) -> None:
        """Answer for the host's own name, as from the start on, or do not.

        Raises:
            DuplicateIdentityError: another node answers for it meanwhile.
        """
        if self._names is not None:
            await self._names.answer_for_own(answer=answer)

    async def add_address(self, interface: str, address: str) -> None:
        """See the port."""
        await self._book.add(interface, address)

    async def remove_address(self, interface: str, address: str) -> None:
        """See the port."""
        await self._book.remove(interface, address)

    async def announce(self, interface: str, address: str) -> None:
        """See the port.

        Raises:
            IdentityError: unknown interface, not an address of this host, or not allowed.
        """
        owned = {(record.interface, _bare(record.address)) for record in await self._book.all()}
        if (interface, _bare(address)) not in owned:
            raise IdentityError(f"{address}: not an address of {interface}, so there is nothing to announce")
        arp.announce(interface, _bare(address))

    async def in_use(self, interface: str, address: str) -> bool:
        """See the port."""
        return await arp.in_use(interface, _bare(address))


class LinuxOwnName:
    """The `OwnName` port on Linux: the own name in the NetBIOS name service. The host name stays what it is.

    Args:
        identity: the host's names and addresses.
    """

    def __init__(self, identity: LinuxIdentity) -> None:
        self._identity = identity

    async def give_up(self, _name: str) -> NameChange:
        """See the port; nothing happens where names are switched off, as nobody answers for them then."""
        await self._identity.answer_for_own_name(answer=False)
        return NameChange()

    async def take_back(self) -> NameChange:
        """See the port."""
        await self._identity.answer_for_own_name(answer=True)
        return NameChange()


def _present_boot() -> str:
    """The kernel's boot and the start of the host's first process: a container has the kernel of its host.

    Source: proc(5), ``/proc/sys/kernel/random/boot_id`` and ``/proc/pid/stat``, field 22.
    """
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        started = Path("/proc/1/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{kernel} {started}"


def _bare(address: str) -> str:
    return address.partition("/")[0]
