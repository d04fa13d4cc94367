"""Checks the faults of a timeline: each with its own keys, about machines that there are, begun and healed in turn."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bodydouble_labs.scenario.phrases import listed, suggestion
from bodydouble_labs.scenario.steps import FaultStep, HealStep, StepBase
from bodydouble_sim.errors import FilterError
from bodydouble_sim.network.bpf import FrameFilter, missing_library

if TYPE_CHECKING:
    from bodydouble_labs.scenario.document import Document, Path
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.network import NetworkSpec


class Keys(NamedTuple):
    """The keys that a fault needs, and those that it may have."""

    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()


NARROWING = ("one_way", "protocol", "port", "match")
"""What faults between two machines may have."""

FAULT_KEYS = {
    "power-loss": Keys(("on",)),
    "partition": Keys(("between",), NARROWING),
    "loss": Keys(("between", "probability"), NARROWING),
    "latency": Keys(("between", "delay"), ("jitter", *NARROWING)),
    "squeeze": Keys(("between", "bits_per_second"), ("queue", *NARROWING)),
    "duplicate": Keys(("between", "probability"), ("hold", *NARROWING)),
    "reorder": Keys(("between", "probability"), ("hold", *NARROWING)),
    "corrupt": Keys(("between", "probability"), ("checksum_valid", *NARROWING)),
    "black-hole": Keys(("between", "mtu"), NARROWING),
    "reset": Keys(("between",), ("every", "one_way", "port", "match")),
    "lost-announcements": Keys(("on",), ("address",)),
    "link-flap": Keys(("on", "down", "up")),
    "spoofed-arp": Keys(("on", "address"), ("interval",)),
    "duplicate-address": Keys(("address",), ("announced",)),
}

ANY_MACHINE = ("link-flap", "spoofed-arp")
"""Faults that can happen to a client or a router as well as to a server."""

_OWN_KEYS = {field.name: field.default for field in msgspec.structs.fields(FaultStep)}
_ALL_KEYS = [key for key in _OWN_KEYS if key not in (*StepBase.__struct_fields__, "fault")]


def check_faults(document: Document, scenario: Scenario) -> None:
    """Refuse faults with wrong keys, about unknown machines, that begin twice or heal without having begun.

    Raises:
        ScenarioError: the first that is wrong.
    """
    active: list[str] = []
    for index, step in enumerate(scenario.timeline):
        path = ("timeline", index)
        if isinstance(step, HealStep):
            if step.heal not in active:
                raise document.error((*path, "heal"), f"no fault {step.heal!r} lasts at this point")
            active.remove(step.heal)
        elif isinstance(step, FaultStep):
            _check_keys(document, path, step)
            _check_machines(document, scenario, path, step)
            _check_address(document, scenario, path, step)
            _check_match(document, path, step)
            if step.fault in active:
                raise document.error((*path, "fault"), f"the fault {step.fault!r} lasts already; heal it before")
            if step.fault != "power-loss":
                active.append(step.fault)


def _check_keys(document: Document, path: Path, step: FaultStep) -> None:
    keys = FAULT_KEYS[step.fault]
    for key in _ALL_KEYS:
        given = getattr(step, key) != _OWN_KEYS[key]
        if key in keys.needed and not given:
            raise document.error(path, f"the key {key!r} is missing (the fault {step.fault} needs it)")
        if given and key == "one_way" and key not in keys.optional:
            raise document.error((*path, key), f"the fault {step.fault} has no direction")
        if given and key not in keys.needed + keys.optional:
            taken = listed(keys.needed + keys.optional)
            raise document.error((*path, key), f"the fault {step.fault} takes no {key!r}; it takes {taken}")
    if step.port is not None and step.protocol in ("arp", "icmp"):
        raise document.error((*path, "port"), f"{step.protocol} has no ports")


def _check_machines(document: Document, scenario: Scenario, path: Path, step: FaultStep) -> None:
    machines = [*scenario.hosts, *scenario.network.routers]
    named: list[tuple[Path, str]] = [((*path, "between", index), name) for index, name in enumerate(step.between or ())]
    if step.on and step.fault in ANY_MACHINE:
        named.append(((*path, "on"), step.on))
    for place, name in named:
        if name not in machines:
            hint = suggestion(name, machines)
            known = f"hosts: {', '.join(scenario.hosts)}"
            if scenario.network.routers:
                known += f"; routers: {', '.join(scenario.network.routers)}"
            raise document.error(place, f"no host named {name!r}{hint}; {known}")
    if step.between and step.between[0] == step.between[1]:
        raise document.error((*path, "between"), "expected two different hosts")


def _check_address(document: Document, scenario: Scenario, path: Path, step: FaultStep) -> None:
    """An intruder needs an address of one of the segments, and a victim a cable in that one."""
    if step.address is None:
        return
    segment = segment_of_address(scenario.network, step.address)
    if segment is None:
        known = ", ".join(f"{name} {spec.subnet}" for name, spec in scenario.network.all_segments.items())
        raise document.error((*path, "address"), f"{step.address} is no host address of a segment; segments: {known}")
    if step.fault == "spoofed-arp" and segment not in segments_of(scenario, step.on):
        raise document.error((*path, "on"), f"{step.on} is not on segment {segment}, where {step.address} is")


def segment_of_address(network: NetworkSpec, address: str) -> str | None:
    """The segment that an address belongs to, None: to none."""
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError:
        return None
    for name, spec in network.all_segments.items():
        subnet = ipaddress.IPv4Network(spec.subnet)
        if parsed in subnet and parsed not in (subnet.network_address, subnet.broadcast_address):
            return name
    return None


def segments_of(scenario: Scenario, machine: str) -> list[str]:
    """The segments that a host or router is on."""
    if machine in scenario.network.routers:
        return list(scenario.network.routers[machine].addresses)
    return [scenario.network.segment_of(adapter) for adapter in scenario.hosts[machine].adapters]


def _check_match(document: Document, path: Path, step: FaultStep) -> None:
    """A filter expression is compiled where that can be done; elsewhere the provider says what is missing."""
    if step.match is None or missing_library() is not None:
        return
    try:
        FrameFilter(step.match)
    except FilterError as error:
        raise document.error((*path, "match"), str(error)) from None
