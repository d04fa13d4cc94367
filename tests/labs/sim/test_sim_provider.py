from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from bodydouble.replication.queue import SourceQueue
from bodydouble_labs.errors import FaultError
from bodydouble_labs.providers.sim import TRACE, SimProvider
from bodydouble_labs.runner import conduct
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.scenario.steps import FaultStep, RunForStep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from bodydouble_labs.providers.base import Stage
    from bodydouble_labs.providers.sim_stage import SimStage
    from bodydouble_labs.runner import Run
    from bodydouble_labs.scenario.model import Scenario

SHIPPED = load(find("iis5-power-loss"))


def brief(seconds: float = 20.0) -> Scenario:
    """The shipped scenario with less time in its long stretches."""
    steps = [
        msgspec.structs.replace(step, run_for=seconds) if isinstance(step, RunForStep) else step
        for step in SHIPPED.timeline
    ]
    return msgspec.structs.replace(SHIPPED, timeline=steps)


def judged(directory: Path, seed: int = 1, provider: SimProvider | None = None) -> Run:
    return conduct(brief(), provider or SimProvider(), seed=seed, directory=directory, wall_clock=lambda: 0.0)


def on_stage(directory: Path, main: Callable[[SimStage], Awaitable[None]]) -> None:
    async def body(stage: Stage) -> None:
        await main(cast("SimStage", stage))

    SimProvider().run(SHIPPED, 1, directory, body)


def test_the_whole_scenario_passes(tmp_path: Path) -> None:
    run = judged(tmp_path)
    assert run.result.reason == ""
    assert [(check.name, check.verdict) for check in run.result.checks if check.verdict != "pass"] == []
    assert run.result.verdict == "pass"
    assert run.history.order_checked > 100
    assert run.history.trees["source"].keys() == run.history.trees["target"].keys()
    assert {"source", "target"} == {span.host for span in run.history.power}


def test_one_seed_is_one_run_and_another_seed_is_another(tmp_path: Path) -> None:
    hashes = [judged(tmp_path, seed).result.trace_hash for seed in (5, 5, 6)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_operations_that_change_places_on_their_way_fail_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = SourceQueue.put
    held: list[Any] = []
    count = 0

    def late(self: SourceQueue, body: Any) -> int | None:
        nonlocal count
        count += "/records/" in repr(body)  # what clients write; what IIS itself keeps in InetPub stays in order
        if count > 20 and count % 7 == 0 and not held:
            held.append(body)
            return self.generated
        number = put(self, body)
        return put(self, held.pop()) if held else number

    monkeypatch.setattr(SourceQueue, "put", late)
    run = judged(tmp_path)
    assert run.result.verdict == "fail"
    assert "write-order" in [check.name for check in run.result.checks if check.verdict == "fail"]


def test_pcap_and_trace_are_kept_when_asked_for(tmp_path: Path) -> None:
    async def look(stage: SimStage) -> None:
        assert await stage.ping("10.0.0.10")

    async def body(stage: Stage) -> None:
        await look(cast("SimStage", stage))

    SimProvider(pcap=True, keep_trace=True).run(SHIPPED, 1, tmp_path, body)
    assert "power" in (tmp_path / TRACE).read_text()
    assert (tmp_path / "lan.pcapng").stat().st_size > 500


@pytest.mark.program("tshark")
def test_the_capture_opens_in_tshark_without_a_warning(tmp_path: Path) -> None:
    async def look(stage: Stage) -> None:
        assert await stage.ping("10.0.0.20")

    SimProvider(pcap=True).run(SHIPPED, 1, tmp_path, look)
    seen = subprocess.run(["tshark", "-r", str(tmp_path / "lan.pcapng")], capture_output=True, text=True, check=True)
    assert "Echo (ping) reply" in seen.stdout
    assert "warning" not in seen.stderr.lower()


def test_a_machine_without_power_is_silent_and_comes_back(tmp_path: Path) -> None:
    async def main(stage: SimStage) -> None:
        host = stage.hosts["source"]
        assert await stage.ping("10.0.0.10")
        await host.power_off()
        assert not await stage.ping("10.0.0.10")
        assert await host.service_states() == {}
        await host.power_on()
        assert await stage.ping("10.0.0.10")

    on_stage(tmp_path, main)


def test_a_dead_machine_that_still_sends_is_caught(tmp_path: Path) -> None:
    async def main(stage: SimStage) -> None:
        host = stage.hosts["source"]
        life = host.machine.incarnation
        await host.power_off()
        nic = host.machine.nics[0]
        frame: Any = ("arp", nic.mac, "ff:ff:ff:ff:ff:ff", 1, nic.mac, "10.0.0.10", "", "10.0.0.1")
        nic.segment.transmit(nic, cast("Any", life), frame)
        with pytest.raises(FaultError, match="sent 1 frames while it had no power"):
            await host.power_on()

    on_stage(tmp_path, main)


def test_a_machine_that_keeps_running_is_no_power_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(stage: SimStage) -> None:
        host = stage.hosts["source"]
        monkeypatch.setattr(host.machine, "power_off", lambda: None)
        with pytest.raises(FaultError, match="still running"):
            await host.power_off()

    on_stage(tmp_path, main)


def test_a_pulled_cable_silences_and_names_resolve_as_a_windows_client_resolves_them(tmp_path: Path) -> None:
    async def main(stage: SimStage) -> None:
        host = stage.hosts["target"]
        assert await stage.resolve("TARGET") == "10.0.0.20"
        with pytest.raises(OSError, match="NOBODY"):
            await stage.resolve("NOBODY")
        await host.disconnect()
        assert not await stage.ping("10.0.0.20")
        await host.connect()
        assert await stage.ping("10.0.0.20")

    on_stage(tmp_path, main)


def test_snapshots_show_bytes_attributes_and_security(tmp_path: Path) -> None:
    async def main(stage: SimStage) -> None:
        host = stage.hosts["target"]
        await host.put_file(r"C:\InetPub\wwwroot\a.htm", b"hello")
        tree = await host.snapshot(r"C:\InetPub")
        assert set(tree) == {"wwwroot", "wwwroot/a.htm"}
        assert tree["wwwroot"].directory
        assert tree["wwwroot/a.htm"].digest.startswith("2cf24dba5fb0a30e")
        assert tree["wwwroot/a.htm"].security
        assert await host.snapshot(r"C:\Nothing") == {}
        assert host.product_path(r"C:\InetPub") == "C:/InetPub"

    on_stage(tmp_path, main)


def test_an_error_of_the_run_passes_through_after_the_take_down(tmp_path: Path) -> None:
    async def main(stage: SimStage) -> None:
        del stage
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_stage(tmp_path, main)


def test_ctrl_c_leaves_a_partial_result_that_says_so(tmp_path: Path) -> None:
    def interrupt(progress: Any) -> None:
        if isinstance(SHIPPED.timeline[progress.number - 1], FaultStep):
            raise KeyboardInterrupt

    run = conduct(brief(), SimProvider(), seed=1, directory=tmp_path, wall_clock=lambda: 0.0, progress=interrupt)
    assert run.interrupted
    assert run.result.reason.startswith("interrupted")
    assert run.history.records
    assert run.result.virtual_s > 20
