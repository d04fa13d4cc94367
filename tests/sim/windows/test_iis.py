"""IIS on the real loop with real sockets on loopback, over an in-memory volume."""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from bodydouble.errors import InputError
from bodydouble_sim.iis import metabase
from bodydouble_sim.iis.http_message import http_date, parse_request
from bodydouble_sim.iis.http_server import HttpServer
from bodydouble_sim.iis.metabase import Site
from bodydouble_sim.iis.setup import IisOptions, install
from bodydouble_sim.windows.service import ServiceControlError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bodydouble_sim.windows.system import WindowsSystem

ROOT = "C:/InetPub/wwwroot"


@asynccontextmanager
async def installed(system: WindowsSystem) -> AsyncIterator[dict[str, int]]:
    """IIS on ports that the kernel chose: short service name to port."""
    await system.boot()
    await install(system, IisOptions(http_port=0, ftp_port=0, smtp_port=0, nntp_port=0))
    try:
        yield {name: port_of(system, name) for name in ("W3SVC", "MSFTPSVC", "SMTPSVC", "NNTPSVC")}
    finally:
        await system.shut_down()


def port_of(system: WindowsSystem, name: str) -> int:
    program = system.scm.find(name).program
    listeners = getattr(program, "_servers", None) or getattr(program, "_listeners", None)
    assert listeners
    return int(listeners[0]._server.sockets[0].getsockname()[1])


async def talk(port: int, *lines: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(lines))
    data = await reader.read()
    writer.close()
    await writer.wait_closed()
    return data


def test_a_web_client_gets_pages_errors_and_headers(system: WindowsSystem) -> None:
    async def run() -> list[httpx.Response]:
        async with installed(system) as ports, httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports['W3SVC']}") as http:
            system.write_file(f"{ROOT}/records/a b.txt", b"text")
            seen = [await http.get(path) for path in ("/", "/records/a%20b.txt", "/none", "/records", "/records/")]
            seen.append(await http.head("/"))
            seen.append(await http.post("/", content=b"form"))
            seen.append(await http.get("/", headers={"If-Modified-Since": seen[0].headers["last-modified"]}))
            return seen

    home, text, missing, bare, listing, head, post, fresh = asyncio.run(run())
    codes = [r.status_code for r in (home, text, missing, bare, listing, head, post, fresh)]
    assert codes == [200, 200, 404, 302, 403, 200, 405, 304]
    assert b"IIS 5.0" in home.content
    assert home.headers["server"] == "Microsoft-IIS/5.0"
    assert home.headers["date"] == http_date(system.clock() // 10**9)
    assert (text.content, text.headers["content-type"]) == (b"text", "text/plain")
    assert head.headers["content-length"] == str(len(home.content))
    assert bare.headers["location"] == "/records/"


def test_requests_are_logged_in_w3c_format(system: WindowsSystem) -> None:
    async def run() -> int:
        async with installed(system) as ports:
            request = b"GET /x?q=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: A B\r\nConnection: close\r\n\r\n"
            await talk(ports["W3SVC"], request)
            return ports["W3SVC"]

    asyncio.run(run())
    text = system.files.read(f"{metabase.LOG_FILES}/W3SVC1/ex021202.log").decode()
    assert "#Software: Microsoft Internet Information Services 5.0\r\n" in text
    assert text.splitlines()[-1] == "2002-12-02 09:00:00 127.0.0.1 - 127.0.0.1 0 GET /x q=1 404 A+B"


def test_pipelined_requests_are_answered_in_order_on_one_connection(system: WindowsSystem) -> None:
    async def run() -> bytes:
        async with installed(system) as ports:
            for name in "ab":
                system.write_file(f"{ROOT}/{name}.txt", name.encode() * 3)
            lines = [f"GET /{name}.txt HTTP/1.1\r\nHost: x\r\n\r\n".encode() for name in "ab"]
            return await talk(ports["W3SVC"], *lines, b"GET /c HTTP/1.0\r\n\r\n")

    data = asyncio.run(run())
    assert data.index(b"aaa") < data.index(b"bbb") < data.index(b"404 Object Not Found")
    assert b"Connection: close" in data


def test_a_large_file_arrives_whole(system: WindowsSystem) -> None:
    content = bytes(range(256)) * 16_000

    async def run() -> bytes:
        async with installed(system) as ports, httpx.AsyncClient() as http:
            system.write_file(f"{ROOT}/large.bin", content)
            return (await http.get(f"http://127.0.0.1:{ports['W3SVC']}/large.bin")).content

    assert asyncio.run(run()) == content


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /../x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%2e%2e/WINNT HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /..%5cWINNT HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_not_a_proper_request_is_refused(system: WindowsSystem, request_: bytes) -> None:
    async def run() -> bytes:
        async with installed(system) as ports:
            return await talk(ports["W3SVC"], request_)

    assert asyncio.run(run()).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_an_endless_head_is_refused(system: WindowsSystem) -> None:
    async def run() -> bytes:
        async with installed(system) as ports:
            return await talk(ports["W3SVC"], b"GET /" + b"x" * 20_000)

    assert asyncio.run(run()).startswith(b"HTTP/1.1 414 ")


def test_request_parsing() -> None:
    request = parse_request(b"GET /a%20b?c=d HTTP/1.0\r\nConnection: Keep-Alive")
    assert request is not None
    assert (request.path, request.query, request.keep_alive) == ("/a b", "c=d", True)


def test_the_longest_virtual_directory_counts() -> None:
    site = Site(port=1, home="C:/home", virtual_directories={"/a": "C:/a", "/a/b": "C:/deep"})
    assert site.directory_for("/A/b/c") == ("C:/deep", "/c")
    assert site.directory_for("/ab") == ("C:/home", "/ab")


def test_stopping_the_web_service_drops_its_connections(system: WindowsSystem) -> None:
    async def run() -> bytes:
        async with installed(system) as ports:
            reader, writer = await asyncio.open_connection("127.0.0.1", ports["W3SVC"])
            writer.write(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"</html>")
            await system.scm.stop("W3SVC")
            try:
                rest = await reader.read()
            except ConnectionError:
                rest = b""
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", ports["W3SVC"])
            return rest

    assert asyncio.run(run()) == b""


def in_thread(work: Callable[[ftplib.FTP], None], port: int) -> None:
    with ftplib.FTP() as ftp:
        ftp.connect("127.0.0.1", port, timeout=10)
        ftp.login()
        work(ftp)


@pytest.mark.parametrize("passive", [True, False])
def test_an_ftp_client_uploads_reads_lists_and_tidies_up(system: WindowsSystem, *, passive: bool) -> None:
    content = b"x" * 200_000
    seen: dict[str, object] = {}

    def work(ftp: ftplib.FTP) -> None:
        ftp.set_pasv(passive)
        ftp.cwd("/records")
        seen["stored"] = ftp.storbinary("STOR new.txt", io.BytesIO(content))
        seen["size"] = ftp.size("new.txt")
        ftp.mkd("d")
        ftp.rename("new.txt", "d/old.txt")
        got = io.BytesIO()
        ftp.retrbinary("RETR d/old.txt", got.write)
        seen["got"] = got.getvalue()
        ftp.storbinary("APPE d/old.txt", io.BytesIO(b"tail"))
        seen["names"] = ftp.nlst("d")
        listing: list[str] = []
        ftp.dir("/records", listing.append)
        seen["listing"] = listing
        ftp.delete("d/old.txt")
        ftp.rmd("d")
        seen["empty"] = ftp.nlst()
        with pytest.raises(ftplib.error_perm, match="550 none: The system cannot find the file specified"):
            ftp.delete("none")
        with pytest.raises(ftplib.error_perm, match="500 'FEAT': command not understood"):
            ftp.sendcmd("FEAT")

    async def run() -> None:
        async with installed(system) as ports:
            await asyncio.to_thread(in_thread, work, ports["MSFTPSVC"])

    asyncio.run(run())
    assert seen["stored"] == "226 Transfer complete."
    assert seen["size"] == len(content)
    assert seen["got"] == content
    assert seen["names"] == ["old.txt"]
    assert seen["listing"] == ["drwxrwxrwx   1 owner    group               0 Dec  2  2002 d"]
    assert seen["empty"] == []


def test_only_anonymous_users_log_in_and_nothing_works_before(system: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> None:
        with pytest.raises(ftplib.error_perm, match="530 User administrator cannot log in"):
            ftp.login("Administrator", "secret")
        with pytest.raises(ftplib.error_perm, match="530 Please login"):
            ftp.mkd("x")
        ftp.login()

    async def run() -> None:
        async with installed(system) as ports:
            await asyncio.to_thread(in_thread, work, ports["MSFTPSVC"])

    asyncio.run(run())


def test_an_upload_to_a_full_disk_is_552(system: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> None:
        data = ftp.transfercmd("STOR big")
        with data, contextlib.suppress(ConnectionError):
            data.sendall(bytes(3_000_000))
        with pytest.raises(ftplib.error_perm, match="552 big: There is not enough space"):
            ftp.voidresp()

    async def run() -> None:
        async with installed(system) as ports:
            volume = system.files._on("C:")  # type: ignore[attr-defined]
            volume.disk.capacity = volume.disk.used + 1_000_000
            await asyncio.to_thread(in_thread, work, ports["MSFTPSVC"])

    asyncio.run(run())


async def start_fails(system: WindowsSystem) -> str:
    with pytest.raises(ServiceControlError) as caught:
        await system.scm.start("IISADMIN")
    assert caught.value.number == 1066
    return next(entry.text for entry in reversed(system.event_log.entries) if entry.source == "IISADMIN")


def test_iis_needs_the_name_of_its_set_up_at_start_and_keeps_running_without(system: WindowsSystem) -> None:
    async def run() -> str:
        await system.boot()
        system.names.set_active("SOURCE")
        async with installed_as_is(system):
            system.names.restore()
            assert system.scm.find("W3SVC").state == "running"
            await system.scm.stop("IISADMIN", dependents=True)
            said = await start_fails(system)
            system.names.set_active("source")
            await system.scm.start("W3SVC")
            return said

    assert asyncio.run(run()) == "IIS was set up under the name SOURCE; the active name is TARGET."


@asynccontextmanager
async def installed_as_is(system: WindowsSystem) -> AsyncIterator[None]:
    await install(system, IisOptions(http_port=0, ftp_port=0, smtp_port=0, nntp_port=0))
    try:
        yield
    finally:
        await system.shut_down()


def test_a_metabase_from_another_machine_or_a_damaged_one_is_refused(system: WindowsSystem) -> None:
    async def run() -> list[str]:
        async with installed(system):
            await system.scm.stop("IISADMIN", dependents=True)
            own = system.files.read(metabase.METABASE)
            said = []
            for data in (own.replace(b"S-1-5-21", b"S-1-5-22"), b"\0" * 100):
                system.write_file(metabase.METABASE, data)
                said.append(await start_fails(system))
            system.write_file(metabase.METABASE, own)
            await system.scm.start("IISADMIN")
            return said

    foreign, damaged = asyncio.run(run())
    assert foreign == "The metabase belongs to another machine."
    assert damaged.startswith("The metabase cannot be read")


def test_a_port_that_is_taken_stops_the_service_not_the_others(system: WindowsSystem) -> None:
    async def run() -> int:
        await system.boot()
        taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        await install(system, IisOptions(http_port=port, ftp_port=0, smtp_port=0, nntp_port=0, start=False))
        with pytest.raises(ServiceControlError) as caught:
            await system.scm.start("W3SVC")
        taken.close()
        await system.shut_down()
        return caught.value.specific

    assert asyncio.run(run()) == 10048


def test_set_up_refuses_what_does_not_fit(system: WindowsSystem) -> None:
    async def refused(options: IisOptions, text: str) -> None:
        with pytest.raises(InputError, match=text):
            await install(system, options)

    asyncio.run(refused(IisOptions(version="4.0"), "does not run on Windows 2000"))
    asyncio.run(refused(IisOptions(drive="X"), "no drive X"))
    result = asyncio.run(system.command("install-iis /nonsense"))
    assert result.exit_code == 1
    assert "usage: install-iis" in result.output


def test_a_log_that_cannot_be_written_stops_nothing(system: WindowsSystem) -> None:
    system.write_file("C:/WINNT/system32/LogFiles", b"a file in the way")
    server = HttpServer(system, Site(port=0, home=ROOT))
    for _ in range(2):
        server.log.record("1.2.3.4", ("1.2.3.5", 80), ("GET", "/", ""), 200)
    assert [entry.source for entry in system.event_log.entries] == ["W3SVC"]
