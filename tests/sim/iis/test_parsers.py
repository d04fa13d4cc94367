"""What clients may send: random bytes never crash a service, and bounds hold."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sim.iis.drive import FTP_ROOT, ROOT_KEY, Site, page, run, talk, web_service

from bodydouble_sim.iis.ftp_command import LONGEST, parse_command, parse_port, virtual_path
from bodydouble_sim.iis.http_body import HIGH_WATER, BodyDecoder
from bodydouble_sim.iis.http_message import HEAD_LIMIT, decoded_path, encoded_path, http_date, parse_date, parse_request
from bodydouble_sim.iis.http_status import RefusalError
from bodydouble_sim.iis.web_ranges import ranges
from bodydouble_sim.iis.webdav_xml import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.system import WindowsSystem

T = TypeVar("T")
PIECES = st.sampled_from(
    [
        *(b"GET", b"PUT", b"PROPFIND", b" ", b"/", b"/a?b", b"%2e", b"%", b"HTTP/1.1", b"HTTP/1.0", b"\r\n"),
        *(b"\r\n\r\n", b"Host: x", b"Content-Length: ", b"5", b"-5", b"Transfer-Encoding: chunked"),
        *(b"Range: bytes=", b"0-1,", b"\0", b"Authorization: Basic ", b"Depth: 1", b"If: (<opaquelocktoken:x>)"),
        *(b"Destination: /b", b"Expect: 100-continue", b"0\r\n\r\n", b"5\r\nabcde\r\n", b"<a/>"),
        *(b"Connection: close", b":", b"\xff"),
    ]
)
HTTP = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=25).map(b"".join))
VERBS = ("USER", "PASS", "CWD", "LIST", "NLST", "STOR", "RETR", "PORT", "PASV", "REST", "RNFR", "RNTO", "SITE", "STAT")
COMMANDS = st.builds(
    lambda verb, argument: f"{verb} {argument}".encode(),
    st.sampled_from([*VERBS, "DELE", "MKD", "RMD", "SIZE", "MDTM", "TYPE", "HELP", "APPE", "EPSV", "ABOR"]),
    st.one_of(
        st.sampled_from(["", "anonymous", "..", "*", "127,0,0,1,4,1", "/records", "a b", "\\"]), st.text(max_size=12)
    ),
)
FTP = st.lists(st.one_of(st.binary(max_size=60), COMMANDS), max_size=12)


@given(HTTP)
def test_a_request_is_understood_or_refused(data: bytes) -> None:
    request = parse_request(data)
    if request is not None:
        assert request.path.startswith("/")
        assert "/.." not in request.path
        assert request.length is None or request.length >= 0


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\\\0:"), max_size=30))
def test_a_path_survives_being_encoded(text: str) -> None:
    path = "/" + text.replace("..", "").strip("/")
    decoded = decoded_path(encoded_path(path))
    assert decoded is None or decoded == path.replace("//", "/") or "//" in path


@given(st.integers(0, 4_000_000_000))
def test_a_date_is_read_as_it_is_written(second: int) -> None:
    assert parse_date(http_date(second)) == second


@given(st.text(max_size=40))
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_date(text) is None


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.data())
def test_chunks_give_back_the_body_however_they_are_cut(parts: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\nNEXT"
    decoder, got, buffer, at = BodyDecoder(None), b"", b"", 0
    while at < len(wire):
        step = data.draw(st.integers(1, len(wire)))
        part, buffer = decoder.take(buffer + wire[at : at + step])
        got, at = got + part, at + step
    assert (got, buffer, decoder.done) == (b"".join(parts), b"NEXT", True)


@given(HTTP)
def test_any_chunks_end_or_are_refused(data: bytes) -> None:
    taken = refused(lambda: BodyDecoder(None).take(data))
    assert taken == 400 or sum(map(len, taken)) <= len(data)  # type: ignore[arg-type]  # a pair unless it is a status


@given(st.text(alphabet="bytes=0123456789-, x", max_size=30), st.integers(0, 50))
def test_ranges_lie_in_the_file(text: str, size: int) -> None:
    found = refused(lambda: ranges({"range": text}, '"t"', 0, size))
    assert found == 416 or all(0 <= start < end <= size for start, end in found)  # type: ignore[union-attr]


@given(HTTP)
def test_xml_is_understood_or_refused(data: bytes) -> None:
    assert refused(lambda: parse(data).name)


@given(st.binary(max_size=100))
def test_an_ftp_line_is_a_command_or_none(data: bytes) -> None:
    command = parse_command(data)
    if command is not None:
        assert command.verb.isalpha()
        assert command.verb == command.verb.upper()
        assert all(ord(character) >= 0x20 for character in command.argument)


def test_a_line_that_is_too_long_is_no_command() -> None:
    assert parse_command(b"CWD " + b"x" * LONGEST) is None
    assert parse_command(b"\xff\xf4\xff\xf2ABOR\r\n") is not None


@given(st.text(max_size=40))
def test_port_takes_addresses_and_ports_only(text: str) -> None:
    target = parse_port(text)
    assert target is None or 0 <= target[1] <= 65535


@given(st.text(max_size=20), st.text(max_size=40))
def test_no_path_leaves_the_site(directory: str, argument: str) -> None:
    path = virtual_path(virtual_path("/", directory), argument)
    assert path.startswith("/")
    assert ".." not in path.split("/")
    assert "\\" not in path


def refused(call: Callable[[], T]) -> T | int:
    """What ``call`` returns, or the status that it refuses with."""
    try:
        return call()
    except RefusalError as refusal:
        return refusal.status.code


LIMITED = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@LIMITED
@given(requests=st.lists(HTTP, min_size=1, max_size=6))
def test_random_bytes_never_crash_the_web_service(system: WindowsSystem, requests: list[bytes]) -> None:
    async def work(site: Site) -> int:
        site.set(ROOT_KEY, AccessFlags=0x217, AuthFlags=7)
        for data in requests:
            await _throw(site.port(), data)
        page(site, "/still.txt", b"still there")
        return (await site.http.get("/still.txt")).status_code

    assert run(system, work) == 200


@LIMITED
@given(lines=FTP)
def test_random_lines_never_crash_the_ftp_service(system: WindowsSystem, lines: list[bytes]) -> None:
    async def work(site: Site) -> bytes:
        site.set(FTP_ROOT, AccessFlags=3)
        await _throw(site.ftp_port(), b"USER ftp\r\nPASS x\r\n" + b"\r\n".join(lines) + b"\r\n")
        return await talk(site.ftp_port(), b"QUIT\r\n")

    assert run(system, work).startswith(b"220 ")


def test_endless_trailers_are_refused() -> None:
    decoder = BodyDecoder(None)
    decoder.take(b"0\r\n")
    with pytest.raises(RefusalError):
        decoder.take(b"name: value\r\n" * HEAD_LIMIT)


def test_requests_sent_ahead_by_a_client_that_reads_nothing_are_not_kept_without_bound(system: WindowsSystem) -> None:
    async def work(site: Site) -> int:
        page(site, "/page.txt", b"x" * 4000)
        _, writer = await asyncio.open_connection("127.0.0.1", site.port(), limit=1)
        ahead = b"GET /page.txt HTTP/1.1\r\nHost: a\r\n\r\n" * 5000
        with suppress(TimeoutError):
            for _ in range(100):
                writer.write(ahead)
                await asyncio.wait_for(writer.drain(), 0.2)
        held = max(len(client._buffer) for client in web_service(site.system).connections)
        writer.transport.abort()
        return held

    assert run(system, work) <= 2 * HIGH_WATER


async def _throw(port: int, data: bytes) -> None:
    """Send bytes, say that there will be no more, read what comes for a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(0.05):
            await reader.read()
    except (OSError, TimeoutError):
        pass
    finally:
        writer.close()
