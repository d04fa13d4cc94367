"""A scenario's network: what is written, what it means, and mistakes told with the lines of both places."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from bodydouble_labs.errors import ScenarioError
from bodydouble_labs.scenario.loader import find, load

if TYPE_CHECKING:
    from pathlib import Path

ROUTED = find("iis5-routed-clients")
ONE_SEGMENT = find("iis5-power-loss")


def written(tmp_path: Path, old: str, new: str, file: Path = ROUTED) -> Path:
    text = file.read_text()
    assert old in text
    changed = tmp_path / "changed.yaml"
    changed.write_text(text.replace(old, new, 1))
    return changed


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_a_routed_network_is_read() -> None:
    scenario = load(ROUTED)
    segments = scenario.network.all_segments
    assert list(segments) == ["servers", "office"]
    assert (segments["office"].bandwidth, segments["office"].latency) == (10_000_000, 0.005)
    assert scenario.network.routers["gate"].addresses == {"servers": "10.0.0.1/24", "office": "10.0.1.1/24"}
    assert scenario.network.segment_of(scenario.client) == "office"
    assert scenario.client.hosts_file == {"SOURCE": "10.0.0.10"}


def test_one_segment_needs_no_more_than_its_name_and_subnet() -> None:
    scenario = load(ONE_SEGMENT)
    assert {name: item.subnet for name, item in scenario.network.all_segments.items()} == {"lan": "10.0.0.0/24"}
    assert {scenario.network.segment_of(host) for host in scenario.hosts.values()} == {"lan"}


def test_further_adapters_and_addresses_are_read(tmp_path: Path) -> None:
    more = (
        "address: 10.0.0.10/24\n    more_addresses: [10.0.0.11/24]\n    mac: 02:00:00:00:00:10\n"
        "    more_adapters:\n      - {segment: office, address: 10.0.1.10/24}"
    )
    source = load(written(tmp_path, "address: 10.0.0.10/24", more)).source
    assert [adapter.addresses for adapter in source.adapters] == [["10.0.0.10/24", "10.0.0.11/24"], ["10.0.1.10/24"]]
    assert source.mac == "02:00:00:00:00:10"


@pytest.mark.parametrize(
    ("wrong", "key", "said", "other"),
    [
        (
            ("office: {subnet: 10.0.1.0/24", "office: {subnet: 10.0.0.0/16"),
            "network.segments.office.subnet",
            "10.0.0.0/16 overlaps 10.0.0.0/24 of segment servers",
            "servers: {subnet",
        ),
        (
            ("    segment: office", "    segment: ofice"),
            "hosts.client.segment",
            "no segment 'ofice'; segments: servers, office - did you mean 'office'?",
            "",
        ),
        (("    segment: office\n", ""), "hosts.client", "the key 'segment' is missing (the network has several", ""),
        (
            ("address: 10.0.1.100/24", "address: 10.0.2.100/24"),
            "hosts.client.address",
            "10.0.2.100/24 is no host address of 10.0.1.0/24, segment office's subnet",
            "office: {subnet",
        ),
        (
            ("address: 10.0.0.20/24", "address: 10.0.0.20/24\n    more_addresses: [10.0.0.21/24, 10.0.0.10/24]"),
            "hosts.target.more_addresses[1]",
            "the address 10.0.0.10 is source's already",
            "address: 10.0.0.10/24",
        ),
        (
            ("address: 10.0.0.20/24", "address: 10.0.0.20/24\n    more_addresses: [10.0.0.20/24]"),
            "hosts.target.more_addresses[0]",
            "10.0.0.20 is given twice",
            "address: 10.0.0.20/24",
        ),
        (
            ("servers: 10.0.0.1/24", "servers: 10.0.0.20/24"),
            "network.routers.gate.addresses.servers",
            "the address 10.0.0.20 is target's already",
            "address: 10.0.0.20/24",
        ),
        (
            ("servers: 10.0.0.1/24, office: 10.0.1.1/24", "servers: 10.0.0.1/24"),
            "network.routers.gate.addresses",
            "an address in at least two segments; this one has none in office",
            "",
        ),
        (
            ("office: 10.0.1.1/24", "offices: 10.0.1.1/24"),
            "network.routers.gate.addresses.offices",
            "did you mean 'office'?",
            "",
        ),
        (
            ("gateway: 10.0.1.1", "gateway: 10.0.1.2"),
            "hosts.client.gateway",
            "no router has 10.0.1.2 on segment office; routers there: gate at 10.0.1.1",
            "",
        ),
        (
            ("gateway: 10.0.1.1", "gateway: 10.0.0.1"),
            "hosts.client.gateway",
            "the gateway 10.0.0.1/24 is no host address of 10.0.1.0/24",
            "office: {subnet",
        ),
        (("    gateway: 10.0.1.1\n", ""), "hosts.client", "and has no 'gateway' to reach it by", "segment: servers"),
        (
            ("    gate: {", "    source: {"),
            "network.routers.source",
            "the name 'source' is already a host's",
            "  source:",
        ),
        (
            ("office: 10.0.1.1/24}", "office: 10.0.1.1/24}, routes: {10.9.0.0/16: 10.0.1.9}"),
            "network.routers.gate.routes.10.9.0.0/16",
            "no other router is at 10.0.1.9 beside gate",
            "",
        ),
        (
            (
                "segment: servers\n    address: 10.0.0.20/24\n    gateway: 10.0.0.1",
                "segment: office\n    address: 10.0.1.20/24\n    gateway: 10.0.1.1",
            ),
            "hosts.target",
            "target has no adapter on segment servers, where it would have to take the address of source",
            "segment: servers",
        ),
        (
            ("latency: 0.005", "queue: 2000, latency: 0.005, bandwith: 1"),
            "network.segments.office.bandwith",
            "did you",
            "",
        ),
        (
            ("bandwidth: 10000000", "queue: 2000"),
            "network.segments.office.queue",
            "nothing waits where there is no 'bandwidth'",
            "",
        ),
    ],
)
def test_contradictions_are_told_with_both_places(
    tmp_path: Path, wrong: tuple[str, str], key: str, said: str, other: str
) -> None:
    old, new = wrong
    file = written(tmp_path, old, new)
    with pytest.raises(ScenarioError) as caught:
        load(file)
    assert caught.value.key == key
    assert said in str(caught.value)
    assert caught.value.line > 1
    if other:
        assert f"line {line_of(file, other)} (" in str(caught.value)


def test_two_hosts_with_one_mac_are_refused_with_both_lines(tmp_path: Path) -> None:
    mac = "    mac: 02:00:00:00:00:10\n"
    text = ROUTED.read_text()
    for address in ("10.0.0.10", "10.0.0.20"):
        text = text.replace(f"    address: {address}/24\n", f"    address: {address}/24\n{mac}")
    file = tmp_path / "changed.yaml"
    file.write_text(text)
    with pytest.raises(ScenarioError, match=r"the MAC 02:00:00:00:00:10 is source's on segment servers") as caught:
        load(file)
    assert caught.value.key == "hosts.target.mac"
    assert f"line {line_of(file, mac.strip())} (hosts.source.mac)" in str(caught.value)


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("network: {segment: lan}", "the key 'subnet' is missing"),
        ("network: {}", "the key 'segments' is missing (or 'segment' and 'subnet' of the only one)"),
        ("network: {segment: lan, subnet: 10.0.0.0/24, segments: {a: {subnet: 10.1.0.0/24}}}", "not both"),
        ("network: {segments: {}}", "expected at least 1 entries"),
        ("network: {segments: {lan: {subnet: 10.0.0.0/24}}, routers: {gate: {}}}", "the key 'addresses' is missing"),
    ],
)
def test_the_two_ways_to_write_a_network_do_not_mix(tmp_path: Path, new: str, said: str) -> None:
    file = written(tmp_path, "network: {segment: lan, subnet: 10.0.0.0/24}", new, ONE_SEGMENT)
    with pytest.raises(ScenarioError, match=re.escape(said)) as caught:
        load(file)
    assert caught.value.key.startswith("network")


def test_a_mac_of_many_adapters_is_no_mac(tmp_path: Path) -> None:
    file = written(tmp_path, "address: 10.0.0.10/24", "address: 10.0.0.10/24\n    mac: 01:00:00:00:00:10")
    with pytest.raises(ScenarioError, match="expected the MAC of one adapter"):
        load(file)
