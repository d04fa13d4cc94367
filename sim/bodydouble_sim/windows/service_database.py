"""The services that are registered: their keys in the registry, their order at boot, who depends on whom.

Source: Microsoft, "Services" in the registry reference (Start, Group, DependOnService, DependOnGroup, ObjectName, Type
with 0x100 for interactive, ErrorControl, DeleteFlag); ServiceGroupOrder: groups start in the list's order, then groups
that it does not name, then services in no group; DeleteService: a service that cannot be stopped is gone after the
next restart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bodydouble_sim.windows.registry import CONTROL, SERVICES
from bodydouble_sim.windows.service import (
    ACCESS_DENIED,
    BAD_ACCOUNT,
    CIRCULAR,
    DISPLAY_NAME_TAKEN,
    LOCAL_SYSTEM,
    MARKED_FOR_DELETION,
    NO_SUCH_SERVICE,
    Service,
    ServiceConfig,
    ServiceControlError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bodydouble.vocabulary.records import StartupType
    from bodydouble_sim.windows.accounts import Accounts
    from bodydouble_sim.windows.registry import Registry
    from bodydouble_sim.windows.service import ServiceProgram

GROUP_ORDER = rf"{CONTROL}\ServiceGroupOrder"
SECRETS = r"HKLM\SECURITY\Policy\Secrets"
_OWN_PROCESS, _SHARED_PROCESS, _INTERACTIVE = 0x10, 0x20, 0x100
_STARTS: dict[int, StartupType] = {2: "automatic", 3: "manual", 4: "disabled"}
_START_NUMBERS: dict[StartupType, int] = {name: number for number, name in _STARTS.items()}
_CONTROLLERS = ("Administrators", "Server Operators")
_MANUAL_CONTROLLERS = ("Power Users",)


class ServiceDatabase:
    """Registrations and what the service control manager knows of each.

    Args:
        registry: where registrations are kept.
        accounts: the machine's accounts, None: every caller and every service account is believed.
    """

    def __init__(self, registry: Registry, accounts: Accounts | None = None) -> None:
        self._registry = registry
        self._accounts = accounts
        self._factories: dict[str, Callable[[], ServiceProgram]] = {}
        self._services: dict[str, Service] = {}

    # --- registration -----------------------------------------------------------------------------------------------

    def register(self, config: ServiceConfig, factory: Callable[[], ServiceProgram]) -> None:
        """Register a service, or replace the registration of one that is stopped.

        Raises:
            ServiceControlError: 1059 (it would depend on itself), 1072 (the old one is marked for deletion), 1078
                (another service has its display name).
        """
        old = self._services.get(config.name.upper())
        if old is not None and old.deleted:
            raise ServiceControlError(MARKED_FOR_DELETION, config.name)
        self._refuse_taken_name(config)
        self._refuse_circle(config)
        self._store(config)
        self._services[config.name.upper()] = Service(config)
        self.provide(config.name, factory)

    def provide(self, name: str, factory: Callable[[], ServiceProgram]) -> None:
        """Say what program a registration that was loaded from the registry runs."""
        self._factories[name.upper()] = factory

    def _refuse_taken_name(self, config: ServiceConfig) -> None:
        for other in self._services.values():
            same = other.config.display_name.upper() == config.display_name.upper()
            if same and other.config.name.upper() != config.name.upper():
                raise ServiceControlError(DISPLAY_NAME_TAKEN, config.display_name)

    def _refuse_circle(self, config: ServiceConfig) -> None:
        if self.circular(config):
            raise ServiceControlError(CIRCULAR, config.display_name)

    def circular(self, config: ServiceConfig) -> bool:
        """Whether a service with this configuration would depend on itself."""
        seen: dict[str, None] = {}
        waiting = list(config.depends_on)
        while waiting:
            name = waiting.pop().upper()
            if name == config.name.upper():
                return True
            if name not in seen:
                seen[name] = None
                service = self._services.get(name)
                waiting += service.config.depends_on if service is not None else ()
        return False

    def _store(self, config: ServiceConfig) -> None:
        key = rf"{SERVICES}\{config.name}"
        put = self._registry.set
        put(key, "DisplayName", config.display_name)
        put(key, "Start", _START_NUMBERS[config.startup])
        put(key, "DependOnService", list(config.depends_on))
        put(key, "ImagePath", config.process, kind="REG_EXPAND_SZ")
        put(key, "ObjectName", config.account)
        put(key, "Type", self._type(config))
        put(key, "ErrorControl", config.error_control)
        for name, value in (("Aliases", config.aliases), ("DependOnGroup", config.depends_on_groups)):
            if value:
                put(key, name, list(value))
        if config.group:
            put(key, "Group", config.group)

    def _type(self, config: ServiceConfig) -> int:
        shared = any(
            other.config.process.upper() == config.process.upper() and other.config.name != config.name
            for other in self._services.values()
        )
        return (_SHARED_PROCESS if shared else _OWN_PROCESS) | (_INTERACTIVE if config.interactive else 0)

    def load(self) -> None:
        """Read the registrations from the registry; all services are stopped afterwards.

        Services that were marked for deletion are deleted for good.
        """
        self._services = {}
        for name in self._registry.subkeys(SERVICES):
            key = rf"{SERVICES}\{name}"
            if self._registry.number(key, "DeleteFlag"):
                self._registry.delete(key)
            elif self._registry.get(key, "Start") is not None:
                self._services[name.upper()] = Service(self._read(name, key))

    def _read(self, name: str, key: str) -> ServiceConfig:
        registry = self._registry
        return ServiceConfig(
            name,
            registry.text(key, "DisplayName", name),
            _STARTS.get(registry.number(key, "Start"), "manual"),
            tuple(registry.strings(key, "DependOnService")),
            registry.text(key, "ImagePath"),
            tuple(registry.strings(key, "Aliases")),
            registry.text(key, "Group"),
            tuple(registry.strings(key, "DependOnGroup")),
            registry.text(key, "ObjectName", LOCAL_SYSTEM),
            interactive=bool(registry.number(key, "Type") & _INTERACTIVE),
            error_control=registry.number(key, "ErrorControl", 1),
        )

    # --- changes ----------------------------------------------------------------------------------------------------

    def _change(self, service: Service, config: ServiceConfig) -> None:
        if service.deleted:
            raise ServiceControlError(MARKED_FOR_DELETION, service.config.display_name)
        self._refuse_circle(config)
        service.config = config
        self._store(config)

    def set_startup(self, name: str, startup: StartupType) -> None:
        """Change a service's startup type; it counts from the next start or boot.

        Raises:
            ServiceControlError: 1060, 1072.
        """
        service = self.find(name)
        self._change(service, replace(service.config, startup=startup))

    def set_dependencies(self, name: str, depends_on: Sequence[str]) -> None:
        """Change what a service depends on.

        Raises:
            ServiceControlError: 1060, 1072, 1059.
        """
        service = self.find(name)
        self._change(service, replace(service.config, depends_on=tuple(depends_on)))

    def set_interactive(self, name: str, interactive: bool) -> None:
        """The check box "Allow Service to Interact with Desktop": counts from the service's next start.

        Source: the application note, "Install and Configure Software on the Target", step 7; Microsoft, "Interactive
        Services": such a service must run as LocalSystem.

        Raises:
            ServiceControlError: 1060, 1072, 1057 (it runs in a user's account).
        """
        service = self.find(name)
        if interactive and service.config.account != LOCAL_SYSTEM:
            raise ServiceControlError(BAD_ACCOUNT, service.config.display_name)
        self._change(service, replace(service.config, interactive=interactive))

    def set_account(self, name: str, account: str, password: str = "") -> None:
        """Let a service log on as a user from its next start on; the password is kept as a secret of the system.

        Raises:
            ServiceControlError: 1060, 1072, 1057 (no such account on this machine).
        """
        service = self.find(name)
        local = account.startswith(".\\")
        if local and self._accounts is not None and self._accounts.find(account[2:]) is None:
            raise ServiceControlError(BAD_ACCOUNT, account)
        system = account.upper() == LOCAL_SYSTEM.upper()
        interactive = service.config.interactive and system
        self._change(
            service, replace(service.config, account=LOCAL_SYSTEM if system else account, interactive=interactive)
        )
        self._registry.set(rf"{SECRETS}\_SC_{service.config.name}", "CurrVal", password)

    def delete(self, name: str) -> None:
        """Delete a service: at once when it stands still, else once it has stopped or the machine was restarted.

        Raises:
            ServiceControlError: 1060, 1072 (it is marked already).
        """
        service = self.find(name)
        if service.deleted:
            raise ServiceControlError(MARKED_FOR_DELETION, service.config.display_name)
        service.deleted = True
        self._registry.set(rf"{SERVICES}\{service.config.name}", "DeleteFlag", 1)
        self._registry.set(rf"{SERVICES}\{service.config.name}", "Start", _START_NUMBERS["disabled"])
        self._bury(service)

    def _bury(self, service: Service) -> None:
        """Remove a deleted service that has stopped."""
        if service.deleted and service.state == "stopped":
            self._services.pop(service.config.name.upper(), None)
            self._registry.delete(rf"{SERVICES}\{service.config.name}")

    # --- questions --------------------------------------------------------------------------------------------------

    def services(self) -> Sequence[Service]:
        """All services in order of registration."""
        return list(self._services.values())

    def find(self, name: str) -> Service:
        """A service by short name, display name or alias, in any case.

        Raises:
            ServiceControlError: 1060 when there is none.
        """
        if (service := self._services.get(name.upper())) is not None:
            return service
        for service in self._services.values():
            if service.answers_to(name):
                return service
        raise ServiceControlError(NO_SUCH_SERVICE, name)

    def running_dependents(self, service: Service) -> list[Service]:
        """Services that do not stand still and need ``service``, those that depend on others of them first."""
        found: dict[Service, None] = {}
        needed = service.config.name.upper()
        for other in self._services.values():
            needs = needed in (name.upper() for name in other.config.depends_on)
            if needs and (other.state != "stopped" or other.starting):
                found.update(dict.fromkeys(self.running_dependents(other)))
                found[other] = None
        return list(found)

    def boot_order(self) -> list[Service]:
        """The automatic services as the system starts them: by group, then those in no group."""
        order = [group.upper() for group in self._registry.strings(GROUP_ORDER, "List")]
        place = {group: number for number, group in enumerate(order)}

        def rank(service: Service) -> int:
            group = service.config.group.upper()
            return place.get(group, len(order)) if group else len(order) + 1

        return sorted((service for service in self.services() if service.config.startup == "automatic"), key=rank)

    def authorise(self, service: Service, account: str | None) -> None:
        """Let an account control a service; None is the system itself.

        Administrators and Server Operators may; Power Users may start and stop services that do not start by
        themselves.

        Raises:
            ServiceControlError: 5.
        """
        if account is None or self._accounts is None:
            return
        groups = self._accounts.groups_of(account)
        allowed = _CONTROLLERS + (_MANUAL_CONTROLLERS if service.config.startup == "manual" else ())
        if not any(group in allowed for group in groups):
            raise ServiceControlError(ACCESS_DENIED, service.config.display_name)
