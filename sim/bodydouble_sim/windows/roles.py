"""What a machine is in its domain, and what that changes: its accounts, its services, its names on the wire.

Source: KB 167248 (a second primary domain controller that starts logs 3097, and Net Logon ends with service-specific
error 3097; it has to be demoted by hand), KB 160324 (a domain member whose computer name was changed logs 5721 and Net
Logon may fail to start), KB 938449 (5719: no domain controller found; Net Logon runs), Microsoft's ProductOptions
(ProductType WinNT, ServerNT or LanmanNT). The application note, "Requirements", advises standalone servers: promotion
and demotion are in the way of a failover. This model says where: a controller that answers to another active name than
its own is refused both.

Names: a domain controller answers for DOMAIN<1C>, the primary one for DOMAIN<1B> (KB 163409). Domain accounts are the
controllers' own; a member sees its local ones and believes the domain's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bodydouble.errors import InputError
from bodydouble_sim.windows.accounts import CONTROLLER_GROUPS, STANDALONE_GROUPS
from bodydouble_sim.windows.registry import CURRENT_VERSION, PRODUCT_OPTIONS
from bodydouble_sim.windows.service import ACCESS_DENIED, IdleProgram, ServiceFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble.vocabulary.records import StartupType
    from bodydouble_sim.windows.registry import Registry
    from bodydouble_sim.windows.system import WindowsSystem

Role = Literal["standalone", "member", "primary-controller", "backup-controller"]
ROLES: tuple[Role, ...] = ("standalone", "member", "primary-controller", "backup-controller")
CONTROLLERS: tuple[Role, ...] = ("primary-controller", "backup-controller")
SOURCE = "NETLOGON"
NOT_IN_DOMAIN = 3095
SECOND_PRIMARY = 3097
NOT_AUTHENTICATED = 3210
NO_CONTROLLER = 5719
NO_COMPUTER_ACCOUNT = 5721
_PRIMARY_NAME = "1B"
_LONGEST = 15
_POLICY = r"HKLM\SECURITY\Policy"
_WINLOGON = rf"{CURRENT_VERSION}\Winlogon"


def role_of(registry: Registry) -> Role:
    """The role that a registry has."""
    found = registry.text(_POLICY, "Role")
    return next((role for role in ROLES if role == found), "standalone")


def domain_of(registry: Registry) -> str:
    """The domain, or workgroup."""
    return registry.text(_POLICY, "Domain", "WORKGROUP")


def netlogon_startup(role: Role) -> StartupType:
    """How the Net Logon service starts: by itself on every machine of a domain."""
    return "manual" if role == "standalone" else "automatic"


def assign(system: WindowsSystem, role: Role, domain: str) -> None:
    """Give a machine its role at set-up: product type, domain, built-in accounts.

    Raises:
        InputError: no NetBIOS name for a domain.
    """
    if not 1 <= len(domain) <= _LONGEST or not domain.isascii():
        raise InputError(f"{domain!r} is not the name of a domain or workgroup: 1 to {_LONGEST} ASCII characters")
    controller = role in CONTROLLERS
    system.registry.set(PRODUCT_OPTIONS, "ProductType", "LanmanNT" if controller else "ServerNT")
    system.accounts.install(CONTROLLER_GROUPS if controller else STANDALONE_GROUPS)
    _put(system.registry, role, domain.upper())


def _put(registry: Registry, role: Role, domain: str) -> None:
    registry.set(_POLICY, "Role", role)
    registry.set(_POLICY, "Domain", domain)
    registry.set(_WINLOGON, "DefaultDomainName", domain)


def cautions(system: WindowsSystem) -> list[str]:
    """What speaks against protecting this machine as it is; nothing for a standalone server."""
    if system.role not in CONTROLLERS:
        return []
    what = "primary" if system.role == "primary-controller" else "backup"
    text = f"{system.names.permanent} is a {what} domain controller: promotion and demotion may be in the way of a "
    return [text + "failover; standalone servers are recommended."]


class Netlogon(IdleProgram):
    """The Net Logon service."""

    def __init__(self, system: WindowsSystem) -> None:
        self._system = system

    async def start(self, died: Callable[[str], None]) -> None:  # noqa: ARG002 - it never dies by itself
        """Take the machine's place in its domain.

        Raises:
            ServiceFailedError: the machine is in no domain, its name is not the one that the domain knows, or another
                machine is the domain's primary controller.
        """
        role = self._system.role
        if role == "standalone":
            text = "This computer is configured as a member of a workgroup, not as a member of a domain. The Netlogon "
            raise self._refused(NOT_IN_DOMAIN, text + "service does not need to run in this configuration.")
        if role == "primary-controller":
            await self._lead()
        else:
            await self._join(role)

    async def _lead(self) -> None:
        """The primary controller: its domain must have no other."""
        if not await self._system.name_service.claim(primary_name(self._system.domain)):
            raise self._refused(SECOND_PRIMARY, "A primary domain controller is already running in this domain.")

    async def _join(self, role: Role) -> None:
        """A member or backup controller: the primary controller has to know it by its name."""
        system = self._system
        names = system.names
        if await system.name_service.find(primary_name(system.domain)) is None:
            text = f"No Windows NT Domain Controller is available for domain {system.domain}."
            system.event_log.record(SOURCE, NO_CONTROLLER, "error", text)
        elif names.active != names.permanent and role == "member":
            text = (
                f"The session setup to the Windows NT Domain Controller for the domain {system.domain} failed because "
            )
            text += "the Windows NT Domain Controller does not have an account for the computer "
            raise self._refused(NO_COMPUTER_ACCOUNT, f"{text}{names.active}.", ACCESS_DENIED)
        elif names.active != names.permanent:
            text = f"Failed to authenticate with the primary controller of domain {system.domain} as {names.active}."
            raise self._refused(NOT_AUTHENTICATED, text, ACCESS_DENIED)

    def _refused(self, number: int, text: str, error: int = 0) -> ServiceFailedError:
        self._system.event_log.record(SOURCE, number, "error", text)
        return ServiceFailedError(number, text, number=error)

    async def stop(self) -> None:
        """Answer for the domain no longer."""
        await self._system.name_service.release(primary_name(self._system.domain))


def primary_name(domain: str) -> str:
    """The name that a domain's primary controller answers for."""
    return f"{domain.upper()}<{_PRIMARY_NAME}>"


async def promote(system: WindowsSystem) -> None:
    """Make a backup controller of Windows NT 4.0 its domain's primary one, from the next start of Net Logon on.

    Source: KB 167248: a primary controller that is on the network is demoted first; one that is not stays primary and
    has to be demoted by hand when it comes back.

    Raises:
        InputError: it is no backup controller, runs Windows 2000 (whose controllers are equal), answers to another
            name than its own, or the primary controller is there and has not been demoted.
    """
    _refuse_role_change(system, "backup-controller")
    if await system.name_service.find(primary_name(system.domain)) is not None:
        raise InputError(f"{system.domain} has a primary domain controller on the network: demote it first")
    _put(system.registry, "primary-controller", system.domain)


async def demote(system: WindowsSystem) -> None:
    """Make a primary controller of Windows NT 4.0 a backup controller, from the next start of Net Logon on.

    Raises:
        InputError: as `promote`.
    """
    _refuse_role_change(system, "primary-controller")
    await system.name_service.release(primary_name(system.domain))
    _put(system.registry, "backup-controller", system.domain)


def _refuse_role_change(system: WindowsSystem, role: Role) -> None:
    if not system.version.is_nt4:
        raise InputError("the domain controllers of Windows 2000 are equal: there is no promotion between them")
    if system.role != role:
        raise InputError(f"{system.names.permanent} is a {system.role}, not a {role}")
    if system.names.active != system.names.permanent:
        raise InputError(
            f"{system.names.permanent} answers to the active name {system.names.active}: its domain does not know it"
        )
