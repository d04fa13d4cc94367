"""A scenario's network in the simulator: its segments, its routers, and the machines' adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodydouble_sim.network.link import Links
from bodydouble_sim.network.router import Router

if TYPE_CHECKING:
    from bodydouble_labs.scenario.network import HostSpec, NetworkSpec, SegmentSpec
    from bodydouble_sim.machine import Machine
    from bodydouble_sim.network.segment import Segment
    from bodydouble_sim.world import World


def build_segments(world: World, network: NetworkSpec) -> dict[str, Segment]:
    """Make the segments, with cables that have limits where the scenario sets some."""
    return {
        name: world.network.segment(name, spec.subnet, spec.latency, _links(world, name, spec))
        for name, spec in network.all_segments.items()
    }


def _links(world: World, name: str, spec: SegmentSpec) -> Links | None:
    if spec.bandwidth is None and not spec.jitter:
        return None
    dice = world.random(f"links:{name}")
    links = Links(bandwidth=spec.bandwidth or 0, jitter=spec.jitter, dice=dice)
    if spec.queue is not None:
        links.queue = spec.queue
    return links


def plug_in(machine: Machine, host: HostSpec, network: NetworkSpec) -> None:
    """Give a machine its adapters and its hosts file."""
    for adapter in host.adapters:
        machine.plug(network.segment_of(adapter), adapter.addresses, adapter.mac, gateway=adapter.gateway)
    machine.hosts.update(host.hosts_file)


def build_routers(world: World, network: NetworkSpec) -> dict[str, Router]:
    """Make the routers, by name."""
    routers = {}
    for name, spec in network.routers.items():
        routers[name] = router = Router(world, name)
        for segment, address in spec.addresses.items():
            router.plug(segment, address)
        router.routes.update(spec.routes)
    return routers
