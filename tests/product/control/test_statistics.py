"""Samples in the ring, in the log, on the page for Prometheus and in the command."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from tests.product.control.fakes import CERTIFICATE, TOKEN, Served
from tests.product.failover.fakes import FakeClock
from tests.product.replication.memory import MemoryVolume
from tests.product.replication.site import until

from bodydouble.cli import statistics as commands
from bodydouble.cli.main import cli
from bodydouble.control import statistics
from bodydouble.control.client import ControlClient
from bodydouble.control.metrics import exposition
from bodydouble.control.statistics import StatisticsRing
from bodydouble.control.statistics_log import StatisticsLog, StatisticsSettings
from bodydouble.errors import ControlError
from bodydouble.security.certificate import fingerprint_of
from bodydouble.state.events import EventLog
from bodydouble.vocabulary.events import EventCode
from bodydouble.vocabulary.records import ConnectRequest, ReplicationSet, Rule, Sample
from bodydouble.vocabulary.statistics import ConnectionFigures, Figures, Rates, ReplicaFigures, RestorationFigures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


def sample(at: float, **fields: Any) -> Sample:
    return Sample(at, datetime(2002, 12, 2, tzinfo=UTC), 0, 0, 0, 0, 0, None, **fields)


def figures(id_: int = 1, **fields: Any) -> ConnectionFigures:
    return ConnectionFigures(id=id_, replication_set="web", target="t:1", state="replicating", **fields)


# --- the ring -------------------------------------------------------------------------------------------------------


class FakeService:
    """Counts by hand."""

    def __init__(self) -> None:
        self.generated = 0
        self.connections = 1

    def monitors(self) -> list[Any]:
        return []

    def counters(self) -> Any:
        return sample(0.0)

    def figures(self) -> tuple[Figures, list[ConnectionFigures], list[ReplicaFigures]]:
        found = [figures(number, operations_generated=self.generated) for number in range(self.connections)]
        return Figures(operations_generated=self.generated), found, []


def ring_of(service: Any) -> StatisticsRing:
    return StatisticsRing(FakeClock(), service, service)


def test_rates_are_growth_a_second_and_a_new_connection_has_none_yet() -> None:
    async def scenario() -> None:
        service = FakeService()
        ring = ring_of(service)
        ring._keep(ring.current())
        first = ring.after(-1.0)[0]
        assert first.total.rates == Rates()
        service.generated, service.connections = 500, 2
        await asyncio.sleep(0.01)
        now = ring.current()
        assert now.total.rates.generated == pytest.approx(500 / (now.at - first.at), rel=1e-3)
        assert now.connections[0].rates.generated == now.total.rates.generated
        assert now.connections[1].rates == Rates()
        service.generated = 0
        assert ring.current().total.rates.generated == 0.0

    asyncio.run(scenario())


def test_many_connections_shorten_the_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "KEPT_LINES", 100)

    async def scenario() -> None:
        service = FakeService()
        service.connections = 30
        ring = ring_of(service)
        for _ in range(20):
            ring._keep(ring.current())
        assert len(ring.after(-1.0)) == 3
        assert len(ring.after(-1.0, 2)) == 2
        assert ring.after(-1.0, 0) == []

    asyncio.run(scenario())


# --- the log --------------------------------------------------------------------------------------------------------


class Logging:
    """A log that runs on a volume in memory."""

    def __init__(self, volume: MemoryVolume, **settings: Any) -> None:
        self.volume = volume
        clock = FakeClock()
        self.events = EventLog(volume, "/state", clock)
        self.log = StatisticsLog(
            volume, "/state", clock, self.events, StatisticsSettings(**{"log_interval": 1.0, **settings})
        )

    async def write(self, *samples: Sample, failing: bool = False) -> None:
        task = asyncio.create_task(self.log.run(), name="log")
        for each in samples:
            self.log.put(each)
        await until(lambda: self.log._trouble if failing else not self.log._waiting)
        task.cancel()
        await asyncio.wait([task])

    def lines(self, name: str = "statistics.jsonl") -> list[float]:
        content = bytes(self.volume.nodes[f"/state/{name}"].data).splitlines()
        return [json.loads(line)["at"] for line in content if line]


def test_samples_are_lines_at_the_interval_that_is_wanted() -> None:
    async def scenario() -> None:
        logging = Logging(MemoryVolume(), log_interval=2.0)
        await logging.write(*(sample(at / 2) for at in range(10)))
        assert logging.lines() == [0.0, 2.0, 4.0]
        assert msgspec.json.decode(
            bytes(logging.volume.nodes["/state/statistics.jsonl"].data).splitlines()[0], type=Sample
        )

    asyncio.run(scenario())


def test_without_an_interval_nothing_is_written() -> None:
    async def scenario() -> None:
        logging = Logging(MemoryVolume(), log_interval=0.0)
        await logging.write(sample(1.0))
        assert "/state/statistics.jsonl" not in logging.volume.nodes

    asyncio.run(scenario())


def test_files_are_of_bounded_size_and_number() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        for start in range(0, 60, 2):
            await Logging(volume, log_bytes=4096, log_files=3).write(sample(float(start)), sample(float(start + 1)))
        names = sorted(path for path in volume.nodes if "statistics" in path)
        assert names == ["/state/statistics.1.jsonl", "/state/statistics.2.jsonl", "/state/statistics.jsonl"]
        assert all(len(volume.nodes[name].data) <= 4096 for name in names)
        logging = Logging(volume)
        kept = [*logging.lines("statistics.2.jsonl"), *logging.lines("statistics.1.jsonl"), *logging.lines()]
        assert kept == [float(at) for at in range(60 - len(kept), 60)]

    asyncio.run(scenario())


def test_a_torn_line_spoils_no_other() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        await Logging(volume).write(sample(1.0))
        volume.nodes["/state/statistics.jsonl"].data += b'{"at": 2.0, "ti'
        await Logging(volume).write(sample(3.0))
        lines = bytes(volume.nodes["/state/statistics.jsonl"].data).splitlines()
        assert [line[:9] for line in lines if line] == [b'{"at":1.0', b'{"at": 2.', b'{"at":3.0']

    asyncio.run(scenario())


def test_a_volume_that_refuses_is_told_once_and_costs_no_later_sample() -> None:
    async def scenario() -> None:
        volume = MemoryVolume()
        logging = Logging(volume)
        volume.fail = lambda op: "no_space" if "statistics" in op.path else None
        await logging.write(sample(1.0), failing=True)
        await logging.write(sample(2.0), failing=True)
        told = [event for event in logging.events.after(0) if event.code == EventCode.STATISTICS_NOT_WRITTEN]
        assert len(told) == 1
        volume.fail = lambda _operation: None
        await logging.write(sample(3.0))
        assert logging.lines() == [1.0, 2.0, 3.0]

    asyncio.run(scenario())


# --- Prometheus -----------------------------------------------------------------------------------------------------

prometheus = pytest.importorskip("prometheus_client.parser", reason="the judge of the page is in [dev]")


def families(page: str) -> dict[str, Any]:
    return {family.name: family for family in prometheus.text_string_to_metric_families(page)}


def test_the_page_is_what_prometheus_reads() -> None:
    odd = 'a "set"\\with\nall'
    shown = sample(
        1.0,
        connections=(
            ConnectionFigures(id=3, replication_set=odd, target="t:1", state="retrying", sent_bytes=12, lag_s=0.5),
            figures(4, operations_generated=2**53),
        ),
        replicas=(ReplicaFigures(source="WEB\udcff", replication_set="web", state="ok", queue_bytes=9),),
        restorations=(
            RestorationFigures(
                id=5,
                original_source="WEB1",
                replication_set="web",
                target="t:1",
                bytes_done=7,
                bytes_total=9,
                files_done=1,
            ),
        ),
    )
    read = families(exposition(shown, [], 2))
    (lag, other) = read["bodydouble_lag_seconds"].samples
    assert (lag.labels, lag.value) == ({"connection": "3", "replication_set": odd, "target": "t:1"}, 0.5)
    assert other.labels["connection"] == "4"
    assert read["bodydouble_operations_generated"].type == "counter"
    assert [each.value for each in read["bodydouble_operations_generated"].samples] == [0.0, 2.0**53]
    assert read["bodydouble_connection_state"].samples[0].labels["state"] == "retrying"
    assert read["bodydouble_replica_queue_bytes"].samples[0].labels["source"] == "WEB?"
    assert read["bodydouble_uncovered_directories"].samples[0].value == 2.0
    assert "bodydouble_time_to_fail_seconds" not in read
    (done,) = read["bodydouble_restoration_bytes_done"].samples
    assert (done.labels, done.value) == ({"restoration": "5", "source": "WEB1", "replication_set": "web"}, 7.0)
    assert read["bodydouble_restoration_bytes_known"].samples[0].value == 9.0


def test_the_page_is_served_to_whoever_has_the_token(served: Served) -> None:
    async def page(token: str) -> str:
        async with ControlClient("127.0.0.1", served.port, token, CERTIFICATE) as client:
            await client.save_set(ReplicationSet("web", [Rule("/web")]))
            await client.connect(ConnectRequest(replication_set="web", target="t"))
            return await client.metrics()

    read = families(asyncio.run(page(TOKEN)))
    assert read["bodydouble_queue_memory_bytes"].samples[0].value == 2_500_000.0
    assert read["bodydouble_replica_state"].samples[0].labels["state"] == "restore-required"
    with pytest.raises(ControlError) as refused:
        asyncio.run(page("no token at all"))
    assert refused.value.status == 401


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr(commands, "POLL", 0.01)
    (tmp_path / "token").write_text(TOKEN)
    environment = {
        "BODYDOUBLE_PORT": str(served.port),
        "BODYDOUBLE_TOKEN_FILE": str(tmp_path / "token"),
        "BODYDOUBLE_PIN": fingerprint_of(CERTIFICATE),
    }
    return lambda *arguments: CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)


def test_the_command_shows_a_line_a_connection_and_follows(served: Served, run: Callable[..., Result]) -> None:
    run("set", "create", "web", "--include", "/web")
    run("connect", "web", "t")
    served.wait_until(lambda: bool(served.statistics.after(-1.0)[-1].connections))
    shown = run("statistics", "--count", "2")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.count("  1 web: ") == 2
    assert "2.5 MB" in shown.stdout
    assert "1.25" in shown.stdout
    assert "of WEB1: restore-required" in shown.stdout
    only = run("statistics", "--count", "1", "--connection", "1").stdout
    none = run("statistics", "--count", "1", "--connection", "99")
    assert (none.exit_code, none.stderr) == (1, "bodydouble: no connection 99; there are: 1\n")
    assert len(only.splitlines()) == 2
    (line,) = run("statistics", "--count", "1", "--json").stdout.splitlines()
    assert json.loads(line)["connections"][0]["operations_queued"] == 2


def test_a_log_is_shown_and_what_is_none_of_it_counted(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "statistics.jsonl"
    lines = [msgspec.json.encode(sample(float(at), connections=(figures(),))) for at in range(3)]
    file.write_bytes(b"\n".join([lines[0], b'{"at": 1.0, "ti', b"", *lines[1:]]) + b"\n")
    shown = run("statistics", "--file", str(file))
    assert shown.stdout.count("1 web: replicating") == 3
    assert "1 lines are no samples" in shown.stderr
    assert len(run("statistics", "--file", str(file), "--json", "--count", "2").stdout.splitlines()) == 2
    (tmp_path / "empty").write_bytes(b"")
    for name, words in (("none", "cannot be read"), ("empty", "holds no statistics")):
        refused = run("statistics", "--file", str(tmp_path / name))
        assert (refused.exit_code, words in refused.stderr) == (2, True)
