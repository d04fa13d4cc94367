"""One good run, made by hand: what the scenario iis5-power-loss looks like from outside when all goes well."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from bodydouble.vocabulary.events import EventCode
from bodydouble_labs.history import (
    Answered,
    Claim,
    History,
    Identity,
    IdentitySample,
    Mark,
    MonitorSample,
    PowerSpan,
    QueueSample,
    ReplicaSample,
    Request,
    ServiceSample,
    TreeEntry,
    WrittenRecord,
)
from bodydouble_labs.scenario.model import (
    ConnectionSpec,
    Expectations,
    MonitorSpec,
    NamedProtectionSpec,
    ReaderSpec,
    ReplicationSetSpec,
    RuleSpec,
    Scenario,
    SiteSpec,
    WorkloadSpec,
    WriterSpec,
)
from bodydouble_labs.scenario.network import HostSpec, NetworkSpec
from bodydouble_labs.scenario.steps import ACTIONS, AnyStep

WORKLOAD, CUT, FAILED_OVER, REPAIR, FAILBACK, SERVICES, END = 120.0, 300.4, 326.2, 480.0, 500.0, 540.0, 660.0
SERVICE_NAMES = ("IISADMIN", "W3SVC", "MSFTPSVC")
STEPS: list[tuple[float, dict[str, Any]]] = [
    (2.0, {"step": "Install IIS on the source", "on": "source", "command": "install-iis /version:5.0 /drive:C"}),
    (12.0, {"step": "Remove the source from the network", "on": "source", "network": "disconnect"}),
    (30.0, {"step": "Install Bodydouble on the target", "on": "target", "install": "bodydouble"}),
    (80.0, {"step": "Reconnect the source", "on": "source", "network": "connect", "note": "Install, step 9"}),
    (WORKLOAD, {"step": "Clients begin", "workload": "start"}),
    (130.0, {"step": "Connect source and target", "protect": "connection"}),
    (140.0, {"step": "Watch the source", "protect": "monitor"}),
    (CUT, {"step": "The source loses its power", "on": "source", "fault": "power-loss", "phase": "safety"}),
    (301.0, {"step": "The target stands in", "wait_for": "failed-over", "within": 60}),
    (475.0, {"step": "Keep the source off the network", "on": "source", "network": "disconnect"}),
    (REPAIR, {"step": "Repair the source", "on": "source", "power": "on", "phase": "liveness"}),
    (490.0, {"step": "Set the IIS services of the source to manual", "on": "source", "startup": "manual"}),
    (FAILBACK, {"step": "Fail back", "failback": "source"}),
    (506.0, {"step": "Put the source on the network", "on": "source", "network": "connect"}),
    (508.5, {"step": "Continue monitoring", "decide": "continue"}),
    (512.0, {"step": "Restore", "restore": "source"}),
    (SERVICES - 2, {"step": "Start the IIS services on the source", "on": "source", "services": "start"}),
    (545.0, {"step": "Connect again", "protect": "connection"}),
    (END, {"step": "Take the final trees", "verify": "trees"}),
]


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    return make_scenario()


@pytest.fixture
def history() -> History:
    return make_history()


def make_scenario() -> Scenario:
    server = {"role": "server", "operating_system": "windows-2000", "drives": {"C": "ntfs"}}
    hosts: dict[str, dict[str, Any]] = {
        "source": {**server, "computer_name": "SOURCE", "address": "10.0.0.10/24"},
        "target": {**server, "computer_name": "TARGET", "address": "10.0.0.20/24"},
        "client": {"role": "client", "computer_name": "CLIENT", "address": "10.0.0.100/24"},
    }
    return Scenario(
        format=1,
        name="iis5-power-loss",
        title="An IIS 5.0 server loses its power",
        hosts=msgspec.convert(hosts, dict[str, HostSpec]),
        network=NetworkSpec(segment="lan", subnet="10.0.0.0/24"),
        protections={
            "": NamedProtectionSpec(
                replication_set=ReplicationSetSpec(name="IIS data", rules=[RuleSpec(include="C:\\InetPub")]),
                connection=ConnectionSpec(source="source", target="target"),
                monitor=MonitorSpec(on="target", source="source"),
                site=SiteSpec(root="C:\\InetPub\\wwwroot", pages=2, page_bytes=4096),
                workload=WorkloadSpec(
                    readers=[ReaderSpec(name="by-address", via="address"), ReaderSpec(name="by-name", via="name")],
                    writers=[WriterSpec(name="orders")],
                ),
            )
        },
        timeline=[_step(step) for _, step in STEPS],
        expect=Expectations(max_rto=28, max_rpo=5),
    )


def changed(scenario: Scenario, **parts: Any) -> Scenario:
    """The scenario with other parts (``site``, ``workload``) of its only protection."""
    return msgspec.structs.replace(scenario, protections={"": msgspec.structs.replace(scenario.protection, **parts)})


def _step(step: dict[str, Any]) -> AnyStep:
    action = next(key for key in ACTIONS if key in step)
    return msgspec.convert(step, ACTIONS[action])


def make_history() -> History:
    history = History()
    history.records = _records()
    history.requests = _reads() + _stores(history.records)
    history.marks = _marks()
    history.samples = _samples()
    history.services = _services()
    history.power = [
        PowerSpan("source", 0.0, CUT),
        PowerSpan("source", REPAIR, None),
        PowerSpan("target", 0.0, 90.0),
        PowerSpan("target", 105.0, None),
    ]
    history.replica_samples = _replica_samples(history.records)
    history.order_checked = 4212
    history.identities = _identities()
    history.monitors = _monitors()
    history.answers = _answers()
    history.claims = [Claim(FAILED_OVER, "10.0.0.10", "target"), Claim(507.0, "10.0.0.10", "source")]
    history.trees = {host: _tree(history.records) for host in ("source", "target")}
    return history


def up(at: float) -> bool:
    """Whether clients are served at an instant of the good run."""
    return not (CUT <= at < FAILED_OVER or FAILBACK <= at < SERVICES)


def _records() -> list[WrittenRecord]:
    records = []
    for number in range(1, int(END - WORKLOAD - 10)):
        started = WORKLOAD + number
        key = f"orders-{number}"
        records.append(
            WrittenRecord(
                key=key,
                writer="orders",
                number=number,
                path=f"C:/InetPub/wwwroot/records/{key}.txt",
                size=2000,
                digest=hashlib.sha256(key.encode()).hexdigest(),
                started=started,
                acknowledged=started + 0.05 if up(started) else None,
            )
        )
    return records


def lost(record: WrittenRecord) -> bool:
    """The power loss takes the last record that the source acknowledged."""
    return record.started == int(CUT) or record.acknowledged is None


def _reads() -> list[Request]:
    reads = []
    for number in range(int(END - WORKLOAD - 5)):
        for client, via, offset in (("by-address", "address", 0.1), ("by-name", "name", 0.5)):
            at = WORKLOAD + number + offset
            page = Request(client, "http-get", via, at, at + 0.01, "ok", "/default.htm")
            failed = Request(client, "http-get", via, at, at + 0.99, "timeout" if at < FAILBACK else "refused")
            reads.append(page if up(at) and up(at + 0.01) else failed)
    return reads


def _stores(records: list[WrittenRecord]) -> list[Request]:
    return [
        Request("orders", "ftp-store", "address", r.started, r.acknowledged, "ok", record=r.key)
        if r.acknowledged is not None
        else Request("orders", "ftp-store", "address", r.started, r.started + 0.9, "timeout", record=r.key)
        for r in records
    ]


def _marks() -> list[Mark]:
    marks = [
        Mark(at, "step", str(step.get("on", "")), str(step["step"]), code=number, until=at + 1.5)
        for number, (at, step) in enumerate(STEPS, 1)
    ]
    marks += [
        Mark(0.0, "phase", "", "prepare"),
        Mark(CUT, "fault", "source", "power-loss"),
        Mark(REPAIR, "heal", "source", "power on"),
        Mark(CUT - 0.1, "phase", "", "safety"),
        Mark(REPAIR - 0.1, "phase", "", "liveness"),
    ]
    events = [
        (130.2, "source", EventCode.CONNECTED, "connected to target, replication set IIS data"),
        (130.3, "source", EventCode.MIRROR_STARTED, "mirror of IIS data started"),
        (133.0, "source", EventCode.MIRROR_COMPLETE, "mirror of IIS data complete"),
        (140.2, "target", EventCode.MONITOR_STARTED, "monitoring SOURCE"),
        (305.5, "target", EventCode.HEARTBEAT_LOST, "no answer from 10.0.0.10"),
        (325.4, "target", EventCode.FAILOVER_STARTED, "failover of SOURCE started"),
        (325.5, "target", EventCode.ADDRESS_ADDED, "10.0.0.10 added to Local Area Connection"),
        (326.1, "target", EventCode.FAILOVER_COMPLETE, "failover of SOURCE complete"),
        (FAILBACK, "target", EventCode.FAILBACK_STARTED, "failback of SOURCE started"),
        (505.0, "target", EventCode.FAILBACK_COMPLETE, "failback of SOURCE complete"),
        (512.2, "target", EventCode.RESTORE_STARTED, "restoration of IIS data started"),
        (535.0, "target", EventCode.RESTORE_COMPLETE, "restoration of IIS data complete"),
    ]
    marks += [Mark(at, "event", host, text, code=int(code)) for at, host, code, text in events]
    return marks


def _samples() -> list[QueueSample]:
    samples = []
    for number in range(130, int(END)):
        at = float(number)
        if not CUT <= at < REPAIR:
            queued = 40_000 if at < 134 else 2_200 * (number % 2)
            samples.append(QueueSample(at, "source", queued // 1000, queued, None))
        beat = max(0.0, 325.0 - at) if at > 300 else 25.0 - at % 5
        watching = 140 <= at <= FAILED_OVER or at > SERVICES
        samples.append(
            QueueSample(at, "target", 0, 0, (25.0 - at % 5 if at > SERVICES else beat) if watching else None)
        )
    return samples


def _services() -> list[ServiceSample]:
    changes = [
        (5.0, "source", "running"),
        (REPAIR, "source", "stopped"),
        (SERVICES, "source", "running"),
        (60.0, "target", "stopped"),
        (FAILED_OVER - 0.4, "target", "start-pending"),
        (FAILED_OVER - 0.1, "target", "running"),
        (FAILBACK + 0.5, "target", "stopped"),
    ]
    return [ServiceSample(at, host, name, state, step_at(at)) for at, host, state in changes for name in SERVICE_NAMES]


def step_at(at: float) -> int:
    """The number of the step that is being made at an instant."""
    return sum(begins <= at for begins, _ in STEPS)


def _identities() -> list[IdentitySample]:
    source = Identity("SOURCE", ["SOURCE"], ["10.0.0.10"], on_network=True)
    target = Identity("TARGET", ["TARGET"], ["10.0.0.20"], on_network=True)
    both = Identity("TARGET", ["TARGET", "SOURCE"], ["10.0.0.20", "10.0.0.10"], on_network=True)
    unplugged = Identity("SOURCE", ["SOURCE"], ["10.0.0.10"])
    changes = [
        (3.0, source, target),
        (13.0, unplugged, target),
        (81.0, source, target),
        (CUT + 0.1, Identity(), target),
        (FAILED_OVER, Identity(), both),
        (REPAIR + 1, unplugged, both),
        (FAILBACK + 1, unplugged, target),
        (507.0, source, target),
    ]
    return [IdentitySample(at, {"source": s, "target": t}, step_at(at)) for at, s, t in changes]


def _monitors() -> list[MonitorSample]:
    shown: list[tuple[float, str, float | None, str, str]] = [
        (141.0, "monitoring", 25.0, "green", "Monitoring SOURCE"),
        (312.0, "monitoring", 13.0, "yellow", "Monitoring SOURCE"),
        (325.4, "failing-over", 0.0, "red", "Assuming 10.0.0.10 of SOURCE"),
        (FAILED_OVER, "failed-over", None, "red", "Monitoring has continued; standing in for SOURCE"),
        (FAILBACK + 1, "failed-back", None, "red", "SOURCE failed back; continue or stop monitoring"),
        (509.0, "monitoring", 25.0, "green", "Monitoring SOURCE"),
    ]
    return [
        MonitorSample(at, "target", "SOURCE", state, left, bullet, line, step_at(at))
        for at, state, left, bullet, line in shown
    ]


def _answers() -> list[Answered]:
    return [
        Answered("10.0.0.20", "target", 1.0, END),
        Answered("10.0.0.10", "source", 1.0, CUT),
        Answered("10.0.0.10", "target", FAILED_OVER, FAILBACK),
        Answered("10.0.0.10", "source", 507.5, END),
    ]


def _replica_samples(records: list[WrittenRecord]) -> list[ReplicaSample]:
    samples = []
    for number in range(140, int(END), 10):
        at = number - 0.3
        present = [r.key for r in records if r.acknowledged is not None and r.acknowledged <= at and not lost(r)]
        samples.append(ReplicaSample(at, present))
    return samples


def _tree(records: list[WrittenRecord]) -> dict[str, TreeEntry]:
    tree = {name: TreeEntry(True, 0, "", 0, "admins", 1) for name in ("wwwroot", "wwwroot/records")}
    tree["wwwroot/default.htm"] = TreeEntry(False, 4096, "ab" * 32, 32, "admins", 5)
    for record in records:
        if not lost(record):
            path = record.path.removeprefix("C:/InetPub/")
            tree[path] = TreeEntry(False, record.size, record.digest, 32, "everyone", int(record.started * 1e9))
    return tree
