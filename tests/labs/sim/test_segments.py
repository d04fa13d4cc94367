"""Scenarios with several segments: what clients behind a router and stale ARP entries go through, and captures."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from bodydouble_labs.providers.netns.requirements import of_scenario
from bodydouble_labs.providers.sim import SimProvider
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.scenario.network import AdapterSpec, SegmentSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bodydouble_labs.providers.sim_stage import SimStage
    from bodydouble_labs.runner import Run
    from bodydouble_labs.scenario.model import Scenario

ROUTED = load(find("iis5-routed-clients"))


def judged(directory: Path, scenario: Scenario = ROUTED, *, pcap: bool = False) -> Run:
    return conduct(scenario, SimProvider(pcap=pcap), seed=1, directory=directory, wall_clock=lambda: 0.0)


def on_stage(directory: Path, main: Callable[[SimStage], Awaitable[None]], scenario: Scenario = ROUTED) -> None:
    adapted: Any = main
    SimProvider().run(scenario, 1, directory, adapted)


def commented(file: Path) -> str:
    """The comments of a capture as tshark tells them; it may not warn of anything."""
    command = [shutil.which("tshark") or "tshark", "-n", "-r", str(file), "-T", "fields", "-e", "frame.comment"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    assert [line for line in found.stderr.splitlines() if not line.startswith("Running as user")] == []
    return found.stdout


@pytest.mark.program("tshark")
def test_clients_behind_a_router_follow_the_address_and_each_segment_has_its_capture(tmp_path: Path) -> None:
    pytest.importorskip("scapy")
    run = judged(tmp_path, pcap=True)
    assert (run.result.verdict, run.result.reason) == ("pass", "")
    assert run.result.artifacts[:2] == ["servers.pcapng", "office.pcapng"]
    for segment in ("servers", "office"):
        comments = commented(tmp_path / f"{segment}.pcapng")
        assert "fault source power-loss" in comments
        assert "event target Failover of SOURCE is complete" in comments


def test_clients_whose_arp_entries_are_stale_wait_until_they_age(tmp_path: Path) -> None:
    run = judged(tmp_path, load(find("iis5-lost-announcements")))
    assert (run.result.verdict, run.result.reason) == ("pass", "")
    assert run.result.rto_s is not None
    # The entries were confirmed at the beginning and go 600 s later; a stand-in that is heard takes half a minute.
    assert 400 < run.result.rto_s < 603
    (heal,) = [mark.text for mark in run.history.marks if mark.kind == "heal" and mark.host == ""]
    assert heal.startswith("lost-announcements, ")


def test_the_client_reaches_the_servers_only_through_the_router(tmp_path: Path) -> None:
    async def main(stage: SimStage) -> None:
        assert await stage.ping("10.0.0.10")
        assert await stage.resolve("SOURCE") == "10.0.0.10"
        with pytest.raises(OSError, match="cannot resolve TARGET"):
            await stage.resolve("TARGET")
        gate = stage.client.world.machines["gate"]
        gate.power_off()
        assert not await stage.ping("10.0.0.10")

    on_stage(tmp_path, main)


def test_limits_of_a_segment_are_felt(tmp_path: Path) -> None:
    async def main(stage: SimStage) -> None:
        await stage.ping("10.0.0.10")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await stage.ping("10.0.0.10")
        measured.append(loop.time() - began)

    measured: list[float] = []
    slow = {**ROUTED.network.all_segments, "office": SegmentSpec(subnet="10.0.1.0/24", latency=0.1, bandwidth=1e7)}
    network = msgspec.structs.replace(ROUTED.network, segments=slow)
    on_stage(tmp_path, main)
    on_stage(tmp_path, main, msgspec.structs.replace(ROUTED, network=network))
    assert measured[1] - measured[0] == pytest.approx(2 * 0.095)


def test_a_host_with_two_adapters_is_silent_when_it_has_no_power_and_loses_both_cables(tmp_path: Path) -> None:
    second = AdapterSpec(segment="office", address="10.0.1.10/24", more_addresses=["10.0.1.11/24"])
    source = msgspec.structs.replace(ROUTED.source, more_adapters=[second])
    scenario = msgspec.structs.replace(ROUTED, hosts={**ROUTED.hosts, "source": source})

    async def main(stage: SimStage) -> None:
        host = stage.hosts["source"]
        assert host.interface_on("servers") == "Local Area Connection"
        assert host.interface_on("office") == "Local Area Connection 2"
        assert host.interface_on("lan") is None
        addresses = ("10.0.0.10", "10.0.1.10", "10.0.1.11")
        assert [await stage.ping(address) for address in addresses] == [True, True, True]
        await host.disconnect()
        assert not host.connected
        assert [await stage.ping(address) for address in addresses] == [False, False, False]
        await host.connect()
        assert await stage.ping("10.0.1.11")
        await host.power_off()
        host.check_silence()

    on_stage(tmp_path, main, scenario)


def test_netns_skips_what_its_one_bridge_cannot_be() -> None:
    reasons = list(of_scenario(ROUTED))
    assert "the netns provider has one segment, the scenario has servers, office: use --on sim" in reasons
    assert "segment office: the netns provider cannot limit or delay its cables: use --on sim" in reasons
    assert "host client: the netns provider has no 'gateway': use --on sim" in reasons
    assert list(of_scenario(load(find("iis5-power-loss")))) == []
