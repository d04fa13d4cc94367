"""Checks that a scenario's network fits together: the simulator's own rules, and what only a scenario can tell.

`bodydouble_sim.network.configuration` says what contradicts what; here its errors get the file's lines, both of them.
"""

from __future__ import annotations

import ipaddress
from itertools import combinations
from typing import TYPE_CHECKING

from bodydouble_labs.scenario.phrases import listed, suggestion
from bodydouble_sim.errors import ConfigurationError
from bodydouble_sim.network.configuration import Plan, check_adapter, check_segment, segment_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodydouble_labs.errors import ScenarioError
    from bodydouble_labs.scenario.document import Document, Path
    from bodydouble_labs.scenario.model import Scenario
    from bodydouble_labs.scenario.network import AdapterSpec, NetworkSpec
    from bodydouble_sim.network.configuration import Spot


def check_network(document: Document, scenario: Scenario) -> None:
    """Refuse a network whose parts contradict each other.

    Raises:
        ScenarioError: the first part that does, with the line of the other one.
    """
    _check_form(document, scenario.network)
    _Places(document, scenario).check()
    _check_gateways(document, scenario)
    _check_routes(document, scenario)
    _check_reach(document, scenario)
    _check_takeover(document, scenario)


def _check_form(document: Document, network: NetworkSpec) -> None:
    short = network.segment is not None or network.subnet is not None
    if short and (network.segments is not None or network.routers):
        problem = "expected either 'segment' and 'subnet', or 'segments' and 'routers', not both"
        raise document.error(("network",), problem)
    if not short and network.segments is None:
        raise document.error(("network",), "the key 'segments' is missing (or 'segment' and 'subnet' of the only one)")
    for key in ("segment", "subnet") if short else ():
        if getattr(network, key) is None:
            raise document.error(("network",), f"the key {key!r} is missing")
    for name, segment in network.all_segments.items():
        if segment.queue is not None and segment.bandwidth is None:
            raise document.error(("network", "segments", name, "queue"), "nothing waits where there is no 'bandwidth'")


class _Places:
    """The network as plans, and where in the file each of them stands."""

    def __init__(self, document: Document, scenario: Scenario) -> None:
        self._document = document
        self._scenario = scenario
        self._network = scenario.network
        self._paths: dict[str, Path] = {}

    def check(self) -> None:
        """Every segment against those before it, then every adapter likewise."""
        subnets: dict[str, str] = {}
        plans: list[Plan] = []
        plan: Plan | None = None
        try:
            for name, segment in self._network.all_segments.items():
                self._paths[segment_place(name)] = self._segment_path(name)
                check_segment(subnets, name, segment.subnet)
                subnets[name] = segment.subnet
            for path, plan in (*self._hosts(), *self._routers()):
                self._paths[plan.place] = path
                check_adapter(subnets, plans, plan)
                plans.append(plan)
        except ConfigurationError as error:
            raise self._located(error, plan) from None

    def _segment_path(self, name: str) -> Path:
        return ("network",) if self._network.segments is None else ("network", "segments", name)

    def _hosts(self) -> Iterator[tuple[Path, Plan]]:
        network = self._network
        for name, index, adapter in _adapters(self._scenario):
            path = _adapter_path(name, index)
            if adapter.segment is None and len(network.all_segments) > 1:
                known = ", ".join(network.all_segments)
                problem = f"the key 'segment' is missing (the network has several: {known})"
                raise self._document.error(path, problem)
            place = f"{name}, adapter {index + 1}" if index else name
            yield path, Plan(place, network.segment_of(adapter), adapter.addresses, adapter.mac, adapter.gateway)

    def _routers(self) -> Iterator[tuple[Path, Plan]]:
        for name, router in self._network.routers.items():
            path: Path = ("network", "routers", name)
            if name in self._scenario.hosts:
                taken = self._document.place(("hosts", name))
                raise self._document.error(path, f"the name {name!r} is already a host's, {taken}")
            for segment, address in router.addresses.items():
                yield (*path, "addresses", segment), Plan(f"router {name} on {segment}", segment, [address])
            if len(router.addresses) == 1:
                without = [other for other in self._network.all_segments if other not in router.addresses]
                problem = "a router has an address in at least two segments; this one has none in"
                raise self._document.error((*path, "addresses"), f"{problem} {listed(without or ['any other'])}")

    def _located(self, error: ConfigurationError, plan: Plan | None) -> ScenarioError:
        """The simulator's error with the file's lines."""
        text = error.problem
        if error.spot is None:
            return self._document.error(("network",), text)
        if error.spot.key == "segment" and plan is not None:
            text += suggestion(plan.segment, self._network.all_segments)
        if error.other is not None:
            text += f", {self._document.place(self._path(error.other))}"
        return self._document.error(self._path(error.spot), text)

    def _path(self, spot: Spot) -> Path:
        path = self._paths[spot.place]
        if path[:2] == ("network", "routers"):
            return path
        if spot.key == "addresses":
            return (*path, "address") if spot.item == 0 else (*path, "more_addresses", spot.item - 1)
        return (*path, spot.key)


def _adapters(scenario: Scenario) -> Iterator[tuple[str, int, AdapterSpec]]:
    for name, host in scenario.hosts.items():
        for index, adapter in enumerate(host.adapters):
            yield name, index, adapter


def _adapter_path(host: str, index: int) -> Path:
    return ("hosts", host, "more_adapters", index - 1) if index else ("hosts", host)


def _check_gateways(document: Document, scenario: Scenario) -> None:
    """A gateway is a router's address on the adapter's segment."""
    for name, index, adapter in _adapters(scenario):
        if adapter.gateway is None:
            continue
        segment = scenario.network.segment_of(adapter)
        known = _routers_on(scenario, segment)
        if adapter.gateway not in known:
            path = (*_adapter_path(name, index), "gateway")
            there = ", ".join(f"{router} at {address}" for address, router in known.items())
            raise document.error(
                path, f"no router has {adapter.gateway} on segment {segment}; routers there: {there or 'none'}"
            )


def _routers_on(scenario: Scenario, segment: str) -> dict[str, str]:
    """The routers on a segment: address to name."""
    return {
        bare(router.addresses[segment]): name
        for name, router in scenario.network.routers.items()
        if segment in router.addresses
    }


def _check_routes(document: Document, scenario: Scenario) -> None:
    """A router's route leads to a network by another router on one of its segments."""
    for name, router in scenario.network.routers.items():
        for network, hop in router.routes.items():
            path = ("network", "routers", name, "routes", network)
            try:
                ipaddress.IPv4Network(network)
            except ValueError as error:
                raise document.error(path, f"expected a network like 10.2.0.0/16: {error}") from None
            hops = [address for segment in router.addresses for address in _routers_on(scenario, segment)]
            others = [address for address in hops if address not in map(bare, router.addresses.values())]
            if hop not in others:
                known = ", ".join(others) or "none"
                raise document.error(path, f"no other router is at {hop} beside {name}; routers there: {known}")


def _check_reach(document: Document, scenario: Scenario) -> None:
    """Two machines share a segment, or both have a gateway: else no answer would come back."""
    network = scenario.network
    on = {name: {network.segment_of(item) for item in host.adapters} for name, host in scenario.hosts.items()}
    routed = {name for name, host in scenario.hosts.items() if any(item.gateway for item in host.adapters)}
    for one, other in combinations(scenario.hosts, 2):
        if on[one] & on[other]:
            continue
        for name, far in ((one, other), (other, one)):
            if name not in routed:
                taken = document.place(("hosts", far, "segment"))
                problem = f"it shares no segment with {far}, {taken}, and has no 'gateway' to reach it by"
                raise document.error(("hosts", name), problem)


def _check_takeover(document: Document, scenario: Scenario) -> None:
    """A target can only stand in for a source whose segment it is on: addresses do not move between subnets."""
    network = scenario.network
    for monitor in (each.monitor for each in scenario.protections.values()):
        if monitor.source not in scenario.hosts or monitor.on not in scenario.hosts:
            continue  # told where the protection is checked
        segment = network.segment_of(scenario.hosts[monitor.source])
        if segment not in [network.segment_of(adapter) for adapter in scenario.hosts[monitor.on].adapters]:
            where = document.place(("hosts", monitor.source, "segment"))
            problem = f"{monitor.on} has no adapter on segment {segment}, where it would have to take the address of "
            raise document.error(("hosts", monitor.on), f"{problem}{monitor.source}, {where}")


def bare(address: str) -> str:
    """An address without its prefix length."""
    return address.partition("/")[0]
