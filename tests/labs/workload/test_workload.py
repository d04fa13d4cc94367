from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import aioftp
import msgspec
import pytest
from tests.labs.conftest import changed

from bodydouble_labs.history import History, Request
from bodydouble_labs.scenario.loader import find, load
from bodydouble_labs.workload import SiteContent, Workload
from bodydouble_labs.workload.http_reader import get
from bodydouble_labs.workload.workload import _next_due

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from bodydouble_labs.providers.base import Stage
    from bodydouble_labs.scenario.model import Scenario

SCENARIO = load(find("iis5-power-loss"))
LOCAL = "127.0.0.1"


def fast(**changes: Any) -> Scenario:
    """The shipped scenario on loopback, with clients that ask every 10 ms and wait 200 ms."""
    workload = SCENARIO.workload
    readers = [_changed(spec, every=0.01, timeout=0.2) for spec in workload.readers]
    writers = [_changed(spec, every=0.01, timeout=0.2) for spec in workload.writers]
    hosts = {**SCENARIO.hosts, "source": _changed(SCENARIO.hosts["source"], address=f"{LOCAL}/8")}
    quick = _changed(workload, readers=readers, writers=writers)
    return changed(_changed(SCENARIO, hosts=hosts, **changes), workload=quick)


def _changed(struct: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(struct, **changes)


class RealStage:
    """The lab's stage on the real loop, with a name service of one entry."""

    def __init__(self, names: dict[str, str]) -> None:
        self.history = History()
        self.names = names
        self.began = asyncio.get_running_loop().time()

    def elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    def wall_clock(self) -> datetime:
        return datetime(2002, 12, 2, tzinfo=UTC)

    async def resolve(self, name: str) -> str:
        if name not in self.names:
            raise OSError(f"nobody answers for {name}")
        return self.names[name]


class WebSite:
    """A small HTTP server over the directory that the FTP server writes, plus the pages."""

    def __init__(self, content: SiteContent, records: Path) -> None:
        self.pages = {page.url_path: page.body for page in content.pages}
        self.records = records
        self.answer: Callable[[str, bytes | None], bytes] = plain_answer
        self.busy = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.busy += 1
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.busy -= 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        file = self.records / Path(path).name
        body = self.pages.get(path) or (file.read_bytes() if file.is_file() else None)
        writer.write(self.answer(path, body))
        writer.close()
        await writer.wait_closed()


def plain_answer(path: str, body: bytes | None) -> bytes:
    del path
    if body is None:
        return b"HTTP/1.1 404 Object Not Found\r\nContent-Length: 0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@asynccontextmanager
async def site(
    directory: Path, names: dict[str, str] | None = None
) -> AsyncIterator[tuple[Workload, WebSite, RealStage, aioftp.Server]]:
    scenario = fast()
    (directory / "records").mkdir()
    content = SiteContent(scenario, 7)
    web = WebSite(content, directory / "records")
    http = await asyncio.start_server(web.serve, LOCAL, 0)
    ftp = aioftp.Server([aioftp.User(base_path=directory)])
    await ftp.start(LOCAL, 0)
    stage = RealStage(names if names is not None else {"SOURCE": LOCAL})
    http_port = http.sockets[0].getsockname()[1]
    workload = Workload(
        scenario, cast("Stage", stage), stage.history, content, 7, http_port=http_port, ftp_port=ftp.server_port
    )
    try:
        yield workload, web, stage, ftp
    finally:
        await workload.stop()
        await until(lambda: not web.busy)
        http.close()
        await ftp.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - conditions are read off a history
            await asyncio.sleep(0.005)


def of(stage: RealStage, client: str) -> list[Request]:
    return [request for request in stage.history.requests if request.client == client]


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main()

    asyncio.run(whole())


def test_all_clients_find_what_was_published_and_uploaded(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path) as (workload, _, stage, _ftp):
            workload.start()
            await until(lambda: all(len(of(stage, name)) > 8 for name in ("by-address", "by-name", "orders")))
            await workload.stop()
            assert {request.outcome for request in stage.history.requests} == {"ok"}
            assert {request.via for request in of(stage, "by-name")} == {"name"}
            assert any(request.record for request in of(stage, "by-address"))
            assert any(not request.record for request in of(stage, "by-address"))
            assert stage.history.lab_errors == []
            for record in stage.history.records:
                assert record.acknowledged is not None
                assert record.acknowledged >= record.started
                assert (tmp_path / "records" / f"{record.key}.txt").stat().st_size == record.size == 2000

    run(main)


def test_lies_and_missing_records_are_told_apart(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path) as (workload, web, stage, _ftp):
            workload.start()
            await until(lambda: any(request.record for request in of(stage, "by-address")))

            def lie(path: str, body: bytes | None) -> bytes:
                return plain_answer(path, None if "records" in path else (body or b"")[:-1] + b"?")

            web.answer = lie
            await until(lambda: {r.outcome for r in of(stage, "by-address")} >= {"wrong-content", "status"})
            await workload.stop()
            details = {request.outcome: request.detail for request in of(stage, "by-address")}
            assert details["status"] == "missing record"
            assert "first difference at byte 4095" in details["wrong-content"]

    run(main)


def test_a_server_that_refuses_is_a_status(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path) as (workload, web, stage, _ftp):
            web.answer = lambda _path, _body: b"HTTP/1.1 503 Too Busy\r\nContent-Length: 0\r\n\r\n"
            workload.start()
            await until(lambda: of(stage, "by-address"))
            assert of(stage, "by-address")[0].outcome == "status"
            assert of(stage, "by-address")[0].detail.startswith("503 Too Busy")

    run(main)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", "reset"),
        (b"not http at all\r\n\r\n", "reset"),
    ],
)
def test_a_broken_answer_is_a_reset(tmp_path: Path, answer: bytes, outcome: str) -> None:
    async def main() -> None:
        async with site(tmp_path) as (workload, web, stage, _ftp):
            web.answer = lambda _path, _body: answer
            workload.start()
            await until(lambda: of(stage, "by-address"))
            assert of(stage, "by-address")[0].outcome == outcome

    run(main)


def test_a_silent_server_is_a_timeout(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path) as (workload, web, stage, _ftp):

            async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.read()
                writer.close()

            web.serve = silent  # type: ignore[method-assign]
            server = await asyncio.start_server(silent, LOCAL, 0)
            for client in cast("list[Any]", workload._clients):
                object.__setattr__(client._server, "http_port", server.sockets[0].getsockname()[1])
            workload.start()
            await until(lambda: of(stage, "by-address"))
            first = of(stage, "by-address")[0]
            assert first.outcome == "timeout"
            assert 0.2 <= first.ended - first.started < 2
            await workload.stop()
            server.close()

    run(main)


def test_a_name_that_nobody_answers_for_is_unresolved(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path, names={}) as (workload, _web, stage, _ftp):
            workload.start()
            await until(lambda: of(stage, "by-name") and of(stage, "by-address"))
            assert {request.outcome for request in of(stage, "by-name")} == {"unresolved"}
            assert "ok" in {request.outcome for request in of(stage, "by-address")}

    run(main)


def test_a_failed_upload_is_never_tried_under_the_same_number_and_the_writer_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path) as (workload, _web, stage, ftp):
            port = ftp.server_port
            workload.start()
            await until(lambda: len(of(stage, "orders")) > 3)
            await ftp.close()
            await until(lambda: sum(r.outcome in ("refused", "reset") for r in of(stage, "orders")) > 2)
            again = aioftp.Server([aioftp.User(base_path=tmp_path)])
            await again.start(LOCAL, port)
            before = len(of(stage, "orders"))
            await until(lambda: any(r.outcome == "ok" for r in of(stage, "orders")[before:]))
            await workload.stop()
            await again.close()
            numbers = [record.number for record in stage.history.records]
            assert numbers == list(range(1, len(numbers) + 1))
            lost = {record.key for record in stage.history.records if record.acknowledged is None}
            assert lost == {request.record for request in of(stage, "orders") if request.outcome != "ok"}
            assert lost

    run(main)


def test_a_refused_upload_is_a_status_with_the_servers_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path) as (workload, _web, stage, _ftp):
            (tmp_path / "records").rmdir()
            workload.start()
            await until(lambda: of(stage, "orders"))
            request = of(stage, "orders")[0]
            assert request.outcome == "status"
            assert request.detail.startswith("550")

    run(main)


def test_a_defect_of_a_client_is_the_labs_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path) as (workload, _web, stage, _ftp):

            async def broken() -> Request:
                raise KeyError("planted")

            workload._clients[0].work = broken  # type: ignore[method-assign]
            workload.start()
            await until(lambda: stage.history.lab_errors)
            assert stage.history.lab_errors == ["workload-by-address: KeyError: 'planted'"]

    run(main)


def test_content_depends_on_seed_and_name_alone() -> None:
    scenario = fast()
    one, same, other = SiteContent(scenario, 1), SiteContent(scenario, 1), SiteContent(scenario, 2)
    assert [page.body for page in one.pages] == [page.body for page in same.pages]
    assert one.pages[0].body != other.pages[0].body
    assert {len(page.body) for page in one.pages} == {4096}
    assert one.record("orders", 3, 2000) == same.record("orders", 3, 2000)
    assert one.record("orders", 3, 2000).body != one.record("orders", 4, 2000).body
    assert one.record("orders", 3, 2000).windows_path == r"C:\InetPub\wwwroot\records\orders-000003.txt"
    assert one.record("orders", 3, 2000).url_path == "/records/orders-000003.txt"


@pytest.mark.parametrize("now", [0.0, 0.3, 1.0, 2.7, 9.99])
def test_a_late_client_misses_ticks_and_never_bursts(now: float) -> None:
    due = _next_due(0.0, 1.0, now)
    assert now < due <= now + 1.0
    assert due == int(due)


def test_get_needs_no_length_when_the_connection_closes(tmp_path: Path) -> None:
    async def main() -> None:
        async with site(tmp_path) as (workload, web, _stage, _ftp):
            web.answer = lambda _path, _body: b"HTTP/1.0 200 OK\r\n\r\nhello"
            port = cast("Any", workload._clients[0])._server.http_port
            answer = await get(LOCAL, port, "SOURCE", "/")
            assert (answer.status, answer.body) == (200, b"hello")

    run(main)
