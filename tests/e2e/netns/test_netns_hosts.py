"""Two hosts in namespaces, with the real daemon and the live Windows body: what an operator sees of their life."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.root, pytest.mark.fuse]

IIS = ("IISADMIN", "MSFTPSVC", "SMTPSVC", "NNTPSVC", "W3SVC")


def test_only_hosts_of_the_scenario_answer_on_the_wire(life: dict[str, Any]) -> None:
    assert life["pings"] == [True, True, False]


def test_iis_set_up_at_the_console_runs(life: dict[str, Any]) -> None:
    assert life["install"] == 0, life["output"]
    assert life["states"] == dict.fromkeys(IIS, "running")


def test_installing_the_product_leaves_services_as_they_were(life: dict[str, Any]) -> None:
    assert life["kept"] == {**dict.fromkeys(IIS, "running"), "MSFTPSVC": "stopped"}


def test_installed_product_answers_with_the_hosts_identity(life: dict[str, Any]) -> None:
    identity = life["status"]["identity"]
    assert identity["primary_name"] == "SOURCE"
    assert identity["addresses"] == [{"interface": "eth0", "address": "10.0.0.10/24"}]


def test_product_sees_services_of_the_windows_body(life: dict[str, Any]) -> None:
    assert life["service"] == {**life["service"], "name": "W3SVC", "state": "running"}


def test_file_saved_at_the_console_is_served_and_seen_on_the_volume(life: dict[str, Any]) -> None:
    assert life["page"].startswith("HTTP/1.1 200")
    assert life["page"].endswith("<p>from the console</p>")
    assert life["tree"]["wwwroot/new/page.htm"]["size"] == len("<p>from the console</p>")


def test_name_is_answered_by_its_owner_and_by_nobody_else(life: dict[str, Any]) -> None:
    assert life["name"] == "10.0.0.10"
    assert life["nobody"] == "OSError"


def test_pulled_cable_silences_one_host_only(life: dict[str, Any]) -> None:
    assert life["unplugged"] == [False, True]
    assert life["plugged"]


def test_plugged_host_announces_its_address(life: dict[str, Any]) -> None:
    assert life["announced"] == ["10.0.0.10 is at 02:bd:00:00:00:01"]


def test_host_without_power_answers_neither_wire_nor_console(life: dict[str, Any]) -> None:
    assert not life["dark"]
    assert life["off"] == {}
    assert "LabError: source is switched off" in life["console"]


def test_power_brings_back_automatic_services_and_what_was_written(life: dict[str, Any]) -> None:
    assert life["back"] == dict.fromkeys(IIS, "running")
    assert life["again"].endswith("<p>from the console</p>")
    assert life["events"].count("Bodydouble 0.1.0 started") == 2


@pytest.mark.parametrize("change", ["asked_while_booting", "asked_while_rebooting"])
def test_who_asks_for_services_of_a_host_between_off_and_up_is_answered_none(life: dict[str, Any], change: str) -> None:
    assert life[change]
    assert all(states in ({}, dict.fromkeys(IIS, "running")) for states in life[change])


def test_reboot_is_orderly_and_brings_the_host_back(life: dict[str, Any]) -> None:
    assert life["rebooted"] == dict.fromkeys(IIS, "running")
    assert life["stopped"].count("Bodydouble stopped") == 1
    init = Path(life["directory"], "logs/source/init.log").read_text(encoding="utf-8")
    assert re.findall(r"(\w+) \(\d+\) ended with status (\S+)", init) == [
        ("windows", "0"),  # made way for the product's installation
        ("windows", "0"),
        ("daemon", "0"),
    ]


def test_logs_of_every_host_are_artifacts(life: dict[str, Any]) -> None:
    names = {"/".join(path.split("/")[-2:]) for path in life["artifacts"] if path.endswith(".log")}
    logs = {f"{host}/{log}.log" for host in ("source", "target") for log in ("init", "windows")}
    assert names == {*logs, "source/daemon.log"}


@pytest.mark.program("tshark")
def test_capture_shows_the_whole_wire_without_a_warning(life: dict[str, Any]) -> None:
    (capture,) = [path for path in life["artifacts"] if path.endswith(".pcapng")]
    shown = subprocess.run(
        [
            "tshark",
            "-r",
            Path(life["directory"], capture),
            "-T",
            "fields",
            "-e",
            "_ws.col.Protocol",
            "-e",
            "_ws.expert.message",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"ARP", "ICMP", "HTTP", "NBNS"} <= {line.split()[0] for line in shown.stdout.splitlines()}
    assert "duplicate" not in shown.stdout.lower()
    assert "appears to have been cut short" not in shown.stderr


def test_run_in_real_time_claims_no_trace_hash(life: dict[str, Any]) -> None:
    assert life["hash"] == ""
