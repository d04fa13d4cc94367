"""Parts of the netns body that need no root: paths, records, configuration, requirements, witnesses."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
from pyroute2.netlink.exceptions import NetlinkError

from bodydouble.adapters.clock import SystemClock
from bodydouble.adapters.fuse import program
from bodydouble.cli.config import load_config
from bodydouble.errors import InputError
from bodydouble_labs.errors import FaultError, LabError
from bodydouble_labs.history import History, WrittenRecord
from bodydouble_labs.providers.netns import NetnsProvider, requirements
from bodydouble_labs.providers.netns.configuration import DISPLAY_NAMES, configuration, draw_token, tokens
from bodydouble_labs.providers.netns.host import NetnsHost
from bodydouble_labs.providers.netns.names import NameQuery
from bodydouble_labs.providers.netns.replica import ReplicaWatch
from bodydouble_labs.providers.netns.stage import NetnsStage
from bodydouble_labs.providers.netns.volume import Drives, IntactRecords
from bodydouble_labs.providers.netns.wire import Wire
from bodydouble_labs.scenario.loader import find, load

if TYPE_CHECKING:
    from bodydouble_labs.providers.netns.capture import Capture
    from bodydouble_labs.providers.netns.machine import PoweredMachine

SCENARIO = load(find("iis5-power-loss"))


@pytest.fixture
def drives(tmp_path: Path) -> Drives:
    (tmp_path / "C" / "InetPub" / "wwwroot").mkdir(parents=True)
    return Drives(tmp_path)


def record(number: int, data: bytes) -> WrittenRecord:
    return WrittenRecord(
        key=f"orders-{number}",
        writer="orders",
        number=number,
        path=f"C:/InetPub/wwwroot/{number}.txt",
        size=len(data),
        digest=hashlib.sha256(data).hexdigest(),
        started=0.0,
        acknowledged=None,
    )


def test_windows_path_finds_names_without_regard_to_case(drives: Drives) -> None:
    assert str(drives.locate("C:\\INETPUB\\WwwRoot\\New.txt")) == "C/InetPub/wwwroot/New.txt"


@pytest.mark.parametrize("path", ["InetPub", "/InetPub", "C:\\..\\etc"])
def test_path_that_is_no_windows_path_is_refused(drives: Drives, path: str) -> None:
    with pytest.raises(InputError):
        drives.locate(path)


def test_tree_shows_bytes_and_security_of_files(drives: Drives, tmp_path: Path) -> None:
    page = tmp_path / "C/InetPub/wwwroot/page.htm"
    page.write_bytes(b"hello")
    page.chmod(0o640)
    tree = drives.tree("C:\\InetPub")
    assert list(tree) == ["wwwroot", "wwwroot/page.htm"]
    assert tree["wwwroot"].directory
    assert tree["wwwroot/page.htm"].digest == hashlib.sha256(b"hello").hexdigest()
    assert tree["wwwroot/page.htm"].security == f"{os.getuid()}:{os.getgid()}:640"


def test_only_records_with_right_bytes_are_intact(drives: Drives, tmp_path: Path) -> None:
    site = tmp_path / "C/InetPub/wwwroot"
    records = [record(1, b"one"), record(2, b"two"), record(3, b"three")]
    (site / "1.txt").write_bytes(b"one")
    (site / "2.txt").write_bytes(b"twO")
    assert IntactRecords(drives).present(records) == ["orders-1"]


def test_changed_record_is_read_again(drives: Drives, tmp_path: Path) -> None:
    page = tmp_path / "C/InetPub/wwwroot/1.txt"
    intact = IntactRecords(drives)
    page.write_bytes(b"one")
    assert intact.present([record(1, b"one")]) == ["orders-1"]
    page.write_bytes(b"onE")
    os.utime(page, ns=(0, 0))
    assert intact.present([record(1, b"one")]) == []


def test_record_that_arrives_during_a_sample_leaves_no_hole(drives: Drives, tmp_path: Path) -> None:
    """Planted: both arrive after the sample's first look. Looked at oldest first, 2 would be there without 1."""
    site = tmp_path / "C/InetPub/wwwroot"
    records = [record(1, b"one"), record(2, b"two")]

    class Growing(IntactRecords):
        looked = 0

        def _intact(self, record: WrittenRecord) -> bool:
            found = super()._intact(record)
            if not self.looked:
                (site / "1.txt").write_bytes(b"one")
                (site / "2.txt").write_bytes(b"two")
            self.looked += 1
            return found

    assert Growing(drives).present(records) == ["orders-1"]


def test_replica_is_sampled_until_the_watch_stops(drives: Drives, tmp_path: Path) -> None:
    (tmp_path / "C/InetPub/wwwroot/1.txt").write_bytes(b"one")
    history = History(records=[record(1, b"one")])

    async def watch() -> None:
        watching = ReplicaWatch(history, lambda: 7.0)
        watching.start(IntactRecords(drives))
        while not history.replica_samples:  # noqa: ASYNC110 - the history is a plain list
            await asyncio.sleep(0)
        watching.stop()

    asyncio.run(watch())
    assert [(sample.at, sample.present) for sample in history.replica_samples] == [(7.0, ["orders-1"])]


def test_product_accepts_the_configuration_that_the_lab_writes(tmp_path: Path) -> None:
    linux = pytest.importorskip("bodydouble.adapters.linux")
    file = tmp_path / "config.toml"
    file.write_text(configuration("c" * 32, DISPLAY_NAMES["windows-nt-4"]))
    daemon, host = load_config(file, linux.LinuxHostSettings)
    assert daemon.control.token == "c" * 32
    assert [service.name for service in host.services] == list(DISPLAY_NAMES["windows-nt-4"])


def test_interpreter_of_batch_files_is_the_live_body() -> None:
    tree = tomllib.loads(configuration("c" * 32, {}))
    assert tree["host"]["scripts"]["interpreters"][".bat"][1:] == [
        *("-m", "bodydouble_sim.live", "batch", "--socket"),
        "/mnt/host/run/windows.sock",
    ]


def test_tokens_repeat_with_the_seed_and_differ_between_hosts() -> None:
    def drawn(seed: int) -> list[str]:
        stream = tokens(seed)
        return [draw_token(stream), draw_token(stream)]

    assert drawn(1) == drawn(1)
    assert len({*drawn(1), *drawn(2)}) == 4


def test_scenario_runs_where_everything_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _complete_machine(monkeypatch)
    assert NetnsProvider().missing(SCENARIO) is None


@pytest.mark.parametrize(
    ("target", "name", "value", "reason"),
    [
        (sys, "platform", "win32", "needs Linux"),
        (os, "geteuid", lambda: 1000, "sudo"),
        (requirements, "_effective", lambda: 0, "lacks CAP_NET_ADMIN and CAP_NET_RAW and CAP_SYS_ADMIN"),
        (requirements, "FUSE_DEVICE", Path("/nowhere"), "modprobe fuse"),
        (shutil, "which", lambda *_, **__: None, "util-linux"),
        (importlib.util, "find_spec", lambda _: None, "bodydouble[linux]"),
        (program, "EXECUTABLE", Path("/nowhere"), "apt-get install gcc"),
        (sys, "prefix", "/mnt/venv", "beneath /mnt"),
        (requirements, "FAULTS", frozenset(), "power-loss"),
        (requirements, "SYSTEMS", frozenset(), "windows-2000"),
    ],
)
def test_each_missing_thing_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, value: object, reason: str
) -> None:
    _complete_machine(monkeypatch)
    monkeypatch.setattr(target, name, value)
    missing = NetnsProvider().missing(SCENARIO)
    assert missing is not None
    assert reason in missing


def test_missing_library_is_a_reason_and_no_crash() -> None:
    program = """
import sys
sys.modules["pyroute2"] = None
from bodydouble_labs.providers.netns import NetnsProvider, requirements
from bodydouble_labs.scenario.loader import find, load
requirements.os.geteuid = lambda: 0
requirements._effective = lambda: -1
requirements.FUSE_DEVICE = requirements.Path("/dev/null")
print(NetnsProvider().missing(load(find("iis5-power-loss"))))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "install bodydouble[linux]" in said


def test_results_where_the_drives_hide_them_are_refused() -> None:
    async def main(_stage: object) -> None: ...

    with pytest.raises(LabError, match="beneath /mnt"):
        NetnsProvider().run(SCENARIO, 1, Path("/mnt/results"), main)


def test_power_loss_of_the_target_is_not_claimed_where_nothing_unflushed_is_lost() -> None:
    (reason,) = requirements.of_scenario(load(find("iis5-site-power-loss")))
    assert "host target: a power cut on the netns provider loses no un-flushed data" in reason


def test_second_drive_is_refused() -> None:
    hosts = dict(SCENARIO.hosts)
    hosts["source"] = msgspec.structs.replace(hosts["source"], drives={"C": "ntfs", "D": "ntfs"})
    (reason,) = requirements.of_scenario(msgspec.structs.replace(SCENARIO, hosts=hosts))
    assert "drive C only, not D" in reason


class StubbornMachine:
    """Planted defect: a machine that runs on after the power was cut."""

    def __init__(self, *, survives: bool) -> None:
        self._survives = survives

    async def kill(self) -> None: ...

    def running(self) -> bool:
        return self._survives


class QuietWire:
    async def cut(self, port: str) -> None: ...

    async def unplug(self, port: str) -> None: ...


class Echo:
    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    async def ping(self, address: str, timeout: float) -> float | None:  # noqa: ASYNC109 - the port's signature
        del address, timeout
        return 0.001 if self._answers else None


class Heard:
    """A capture that hears ``frames`` more from everybody each time it is asked."""

    def __init__(self, frames: int = 0) -> None:
        self._frames = frames
        self._asked = 0

    def frames_from(self, mac: str) -> int:
        assert mac == "02:bd:00:00:00:01"
        self._asked += 1
        return self._asked * self._frames


def powered(*, survives: bool = False, answers: bool = False, frames: int = 0) -> NetnsHost:
    host = NetnsHost(
        "source",
        SCENARIO.source,
        number=1,
        wire=cast("Wire", QuietWire()),
        services={},
        token="c",
        pinger=Echo(answers=answers),
        capture=cast("Capture", Heard(frames)),
    )
    host._machine = cast("PoweredMachine", StubbornMachine(survives=survives))
    return host


def test_power_off_is_believed_when_nothing_moves() -> None:
    host = powered()
    asyncio.run(host.power_off())
    host.check_silence()


def test_host_that_survives_its_power_cut_is_reported() -> None:
    with pytest.raises(FaultError, match="init still runs"):
        asyncio.run(powered(survives=True).power_off())


def test_host_that_answers_after_its_power_cut_is_reported() -> None:
    with pytest.raises(FaultError, match="still answers"):
        asyncio.run(powered(answers=True).power_off())


def test_host_that_is_heard_without_power_is_reported_before_it_boots() -> None:
    host = powered(frames=3)
    asyncio.run(host.power_off())
    with pytest.raises(FaultError, match="heard on the wire 3 times"):
        asyncio.run(host.power_on())


def test_host_that_is_heard_without_power_at_the_end_makes_the_run_invalid() -> None:
    async def play() -> list[str]:
        host = powered(frames=3)
        stage = NetnsStage({"source": host}, {}, NameQuery("10.0.0.100/24"), Echo(answers=False), SystemClock())
        await host.power_off()
        stage.leave()
        return stage.history.lab_errors

    (error,) = asyncio.run(play())
    assert "source was heard on the wire" in error


def _complete_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(requirements, "_effective", lambda: -1)
    monkeypatch.setattr(requirements, "FUSE_DEVICE", Path("/dev/null"))
    monkeypatch.setattr(program, "EXECUTABLE", Path("/dev/null"))
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())


class VanishingLinks:
    """Netlink of a kernel that removes a link by itself between the look-up and its deletion."""

    def __init__(self, code: int) -> None:
        self._code = code

    async def link_lookup(self, ifname: str) -> list[int]:
        del ifname
        return [7]

    async def link(self, command: str, index: int) -> None:
        assert (command, index) == ("del", 7)
        raise NetlinkError(self._code)


def unplugged(code: int) -> None:
    async def main() -> None:
        wire = Wire("lan", "10.0.0.100/24")
        wire._netlink = VanishingLinks(code)
        await wire.unplug("host1")

    asyncio.run(main())


def test_a_port_that_the_kernel_removed_first_counts_as_unplugged() -> None:
    unplugged(errno.ENODEV)


def test_a_port_that_cannot_be_removed_is_reported() -> None:
    with pytest.raises(NetlinkError):
        unplugged(errno.EPERM)
