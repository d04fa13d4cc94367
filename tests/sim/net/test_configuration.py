"""Networks that contradict themselves are refused, and the error names both places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bodydouble_sim.errors import ConfigurationError
from bodydouble_sim.machine import Machine
from bodydouble_sim.network.link import Links

if TYPE_CHECKING:
    from bodydouble_sim.world import World

LAN = "Local Area Connection"


def test_a_segment_is_made_once_and_found_by_name(world: World) -> None:
    made = world.network.segment("lan", "10.0.0.0/24")
    assert world.network.segment("lan") is made
    assert Machine(world, "A").plug("lan", "10.0.0.1/24").segment is made


@pytest.mark.parametrize(
    ("name", "subnet", "message"),
    [
        ("other", "10.0.0.0/16", "segment other: 10.0.0.0/16 overlaps 10.0.0.0/24 of segment lan"),
        ("other", "10.0.0.128/25", "segment other: 10.0.0.128/25 overlaps 10.0.0.0/24 of segment lan"),
        ("lan", "10.1.0.0/24", "segment lan has the subnet 10.0.0.0/24 already; 10.1.0.0/24 differs"),
        ("other", "10.1.0.1/24", "segment other: expected a subnet like"),
        ("other", "nonsense", "segment other: expected a subnet like"),
    ],
)
def test_overlapping_and_contradicting_subnets_are_refused(world: World, name: str, subnet: str, message: str) -> None:
    world.network.segment("lan")
    with pytest.raises(ConfigurationError, match=message):
        world.network.segment(name, subnet)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"segment": "lam"}, f"B/{LAN}: no segment 'lam'; segments: lan"),
        ({"address": "10.0.1.2/24"}, f"B/{LAN}: 10.0.1.2/24 is no host address of 10.0.0.0/24, segment lan's subnet"),
        ({"address": "10.0.0.2/16"}, f"B/{LAN}: 10.0.0.2/16 is no host address of 10.0.0.0/24"),
        ({"address": "10.0.0.255/24"}, f"B/{LAN}: 10.0.0.255/24 is no host address"),
        ({"address": "10.0.0.300/24"}, f"B/{LAN}: expected an address like"),
        ({"address": []}, f"B/{LAN}: an adapter has at least one address"),
        ({"address": ["10.0.0.2/24", "10.0.0.2/24"]}, f"B/{LAN}: 10.0.0.2 is given twice"),
        ({"address": "10.0.0.1/24"}, f"B/{LAN}: the address 10.0.0.1 is A/{LAN}'s already"),
        ({"mac": "02:00:00:00:00:01"}, f"B/{LAN}: the MAC 02:00:00:00:00:01 is A/{LAN}'s on segment lan already"),
        ({"gateway": "10.9.0.1"}, f"B/{LAN}: the gateway 10.9.0.1/24 is no host address of 10.0.0.0/24"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(world: World, plan: dict[str, Any], message: str) -> None:
    world.network.segment("lan")
    Machine(world, "A").plug("lan", "10.0.0.1/24", mac="02:00:00:00:00:01")
    other = Machine(world, "B")
    with pytest.raises(ConfigurationError) as caught:
        other.plug(**{"segment": "lan", "address": "10.0.0.2/24", **plan})
    assert message in str(caught.value)
    assert other.nics == []
    assert len(world.network.segments["lan"].nics) == 1


def test_one_mac_on_two_segments_is_two_adapters(world: World) -> None:
    for number, name in enumerate(("one", "two")):
        segment = world.network.segment(name, f"10.{number}.0.0/24")
        Machine(world, name).plug(segment, f"10.{number}.0.1/24", mac="02:00:00:00:00:01")


@pytest.mark.parametrize("wrong", [{"bandwidth": -1}, {"queue": 0}, {"jitter": -0.1}, {"jitter": 0.1}])
def test_cables_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Links(**wrong)
