"""What a monitor's settings must satisfy before failover is trusted to them."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

import msgspec

from bodydouble.errors import InputError, PathError
from bodydouble.vocabulary import paths
from bodydouble.vocabulary.witnesses import MAX_PORT, witness_of

if TYPE_CHECKING:
    from bodydouble.vocabulary.records import HostIdentity, InterfaceAddress, MonitorRequest, MonitorScripts

MIN_INTERVAL = 0.01
MAX_INTERVAL = 3600.0
MAX_MISSED = 1000
MAX_SCRIPT_TIMEOUT = 86_400.0
MAX_WITNESSES = 16

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_NAME = re.compile(r"[^\s/\\?%#\x00-\x1f]{1,253}")


def check_request(request: MonitorRequest) -> None:
    """Check the settings by themselves.

    Raises:
        InputError: names the setting and what is expected.
    """
    if not _NAME.fullmatch(request.source):
        raise InputError(f"source: expected a machine's name without blanks, slashes, ? % #, got {request.source!r}")
    if not MIN_INTERVAL <= request.interval <= MAX_INTERVAL:
        raise InputError(f"interval: expected {MIN_INTERVAL} to {MAX_INTERVAL:.0f} seconds, got {request.interval}")
    if not 1 <= request.misses <= MAX_MISSED:
        raise InputError(f"missed: expected 1 to {MAX_MISSED} heartbeats, got {request.missed}")
    if not 1 <= request.service_port <= MAX_PORT:
        raise InputError(f"service_port: expected 1 to {MAX_PORT}, got {request.service_port}")
    if not 0 < request.script_timeout <= MAX_SCRIPT_TIMEOUT:
        limit = f"{MAX_SCRIPT_TIMEOUT:.0f}"
        raise InputError(f"script_timeout: expected more than 0, at most {limit} seconds, got {request.script_timeout}")
    _check_addresses(request.addresses)
    _check_watched(request)
    _check_replacement(request)
    _check_witnesses(request)
    _check_scripts(request.scripts)
    _check_script_options(request)


def _check_addresses(addresses: list[InterfaceAddress]) -> None:
    if not addresses:
        raise InputError("addresses: expected at least one address of the source")
    seen: list[str] = []
    for item in addresses:
        try:
            address = str(ipaddress.IPv4Interface(item.address).ip)
        except ValueError as error:
            raise InputError(f"addresses: expected an address such as 10.0.0.10/24, got {item.address!r}") from error
        if "/" not in item.address:
            raise InputError(f"addresses: expected a prefix length, such as {item.address}/24, got {item.address!r}")
        if address in seen:
            raise InputError(f"addresses: {address} is listed twice")
        seen.append(address)


def _check_watched(request: MonitorRequest) -> None:
    seen = [item.address.partition("/")[0] for item in request.addresses]
    for address in request.watched:
        try:
            plain = str(ipaddress.IPv4Address(address))
        except ValueError as error:
            raise InputError(f"watched: expected an address such as 10.0.0.10, got {address!r}") from error
        if plain in seen:
            raise InputError(f"watched: {plain} is listed twice; an address that is assumed is watched")
        seen.append(plain)


def _check_replacement(request: MonitorRequest) -> None:
    if request.identity == "replace" and not request.name:
        raise InputError("identity: to replace this machine's identity the source's name has to be assumed")
    if request.given_up and request.identity != "replace":
        raise InputError("given_up: this machine gives addresses up only when its identity is replaced")


def _check_witnesses(request: MonitorRequest) -> None:
    own = [item.address.partition("/")[0] for item in request.addresses]
    if len(request.witnesses) > MAX_WITNESSES:
        raise InputError(f"witnesses: expected {MAX_WITNESSES} at most, got {len(request.witnesses)}")
    for each in request.witnesses:
        witness = witness_of(each, "witnesses")
        if witness.address in own:
            raise InputError(f"witnesses: {witness.address} is an address of the source itself: it has no say")


def _check_scripts(scripts: MonitorScripts) -> None:
    for event, path in msgspec.structs.asdict(scripts).items():
        try:
            if path:
                paths.check(path)
        except PathError as error:
            raise InputError(f"scripts.{event}: {error}") from error


def _check_script_options(request: MonitorRequest) -> None:
    for event, options in request.script_options.items():
        place = f"script_options.{event}"
        if not getattr(request.scripts, event.replace("-", "_")):
            raise InputError(f"{place}: there is no {event} script")
        if options.timeout is not None and not 0 < options.timeout <= MAX_SCRIPT_TIMEOUT:
            limit = f"{MAX_SCRIPT_TIMEOUT:.0f}"
            raise InputError(f"{place}.timeout: expected more than 0, at most {limit} seconds, got {options.timeout}")
        if any("\0" in argument for argument in options.arguments):
            raise InputError(f"{place}.arguments: a NUL character cannot be passed")
        for name, value in options.environment.items():
            if not _VARIABLE.fullmatch(name) or "\0" in value:
                raise InputError(f"{place}.environment: expected a variable's name and value, got {name!r}")
            if name.upper().startswith("BODYDOUBLE_"):
                raise InputError(f"{place}.environment: {name} is the product's own")


def check_fits_host(request: MonitorRequest, identity: HostIdentity) -> None:
    """Check the settings against the machine that is to stand in: a slip here would only show at failover.

    Raises:
        InputError: the source is this machine, an address is this machine's own, or an adapter does not exist.
    """
    names = [identity.primary_name, identity.permanent_name]
    if request.source.casefold() in [name.casefold() for name in names]:
        raise InputError(f"source: {request.source!r} is this machine itself")
    own = [item.address.partition("/")[0] for item in identity.addresses]
    for address in request.watched:
        if address in own:
            raise InputError(f"watched: {address} is this machine's own address")
    held = [(item.interface, item.address) for item in identity.addresses]
    for given in request.given_up:
        if (given.interface, given.address) not in held:
            known = ", ".join(f"{interface}={address}" for interface, address in held)
            raise InputError(f"given_up: {given.interface}={given.address} is not this machine's; it has {known}")
    interfaces = sorted({item.interface for item in identity.addresses})
    for item in request.addresses:
        if item.address.partition("/")[0] in own:
            raise InputError(f"addresses: {item.address} is this machine's own address")
        if item.interface not in interfaces:
            known = ", ".join(repr(name) for name in interfaces)
            raise InputError(f"addresses: this machine has no adapter {item.interface!r}; its adapters: {known}")
