"""What web clients get: pages, directories, errors, ranges, conditions, connections. Real sockets on loopback."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sim.iis.drive import ROOT, ROOT_KEY, Clock, Site, page, run, web_service

from bodydouble_sim.iis.http_message import http_date

if TYPE_CHECKING:
    import httpx

    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour


@behaviour("RFC 2616, 9.3; reference/windows-iis.md, Versions")
def test_a_web_client_gets_pages_errors_and_headers(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        page(site, "/records/a b.txt", b"text")
        paths = ("/", "/records/a%20b.txt", "/none", "/records", "/records/")
        return [await site.http.get(path) for path in paths]

    home, text, missing, bare, listing = run(either, work)
    assert [r.status_code for r in (home, text, missing, bare, listing)] == [200, 200, 404, 302, 403]
    assert f"IIS {either.version.iis}".encode() in home.content
    assert home.headers["server"] == f"Microsoft-IIS/{either.version.iis}"
    assert home.headers["date"] == http_date(either.clock() // 10**9)
    assert (text.content, text.headers["content-type"]) == (b"text", "text/plain")


@behaviour("IIS documentation, Custom Error Messages (403.14, 404)")
def test_errors_carry_iis_numbers_in_their_page(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        return [await site.http.get(path) for path in ("/none", "/records/")]

    missing, listing = run(system, work)
    assert (missing.reason_phrase, b"HTTP Error 404<" in missing.content) == ("Object Not Found", True)
    assert (listing.reason_phrase, b"403.14" in listing.content) == ("Access Forbidden", True)


@behaviour("RFC 2616, 10.3.3; reason phrase of IIS: Object Moved")
def test_a_directory_without_its_slash_is_object_moved(system: WindowsSystem) -> None:
    async def work(site: Site) -> httpx.Response:
        return await site.http.get("/records?a=b")

    answer = run(system, work)
    assert (answer.status_code, answer.reason_phrase) == (302, "Object Moved")
    assert answer.headers["location"] == "/records/?a=b"


@behaviour("RFC 2616, 9.4")
def test_head_says_what_get_would_and_sends_nothing(system: WindowsSystem) -> None:
    async def work(site: Site) -> tuple[httpx.Response, httpx.Response]:
        return await site.http.get("/"), await site.http.head("/")

    got, head = run(system, work)
    assert head.content == b""
    kept = ("content-length", "etag", "last-modified", "content-type")
    assert [head.headers[name] for name in kept] == [got.headers[name] for name in kept]


@behaviour("RFC 2616, 9.2; RFC 2518, 9.1 (DAV header); WebDAV came with IIS 5.0")
def test_options_show_webdav_on_5_0_only(either: WindowsSystem) -> None:
    async def work(site: Site) -> httpx.Response:
        return await site.http.options("/")

    headers = run(either, work).headers
    assert "GET" in headers["allow"]
    assert ("dav" in headers, "PROPFIND" in headers["public"]) == ((False, False) if _is_4(either) else (True, True))


def _is_4(system: WindowsSystem) -> bool:
    return system.version.is_nt4


@behaviour("RFC 2616, 9.8")
def test_trace_returns_the_request(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        return (await site.http.request("TRACE", "/x?y", headers={"X-Test": "1"})).content

    body = run(system, work)
    assert body.startswith(b"TRACE /x?y HTTP/1.1\r\n")
    assert b"x-test: 1\r\n" in body


@behaviour("RFC 2616, 5.1.1: a method that is not implemented is 501, one that is not allowed 405")
def test_post_to_a_page_is_405_and_an_unknown_method_501(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        answers = [await site.http.post("/", content=b"form"), await site.http.request("BREW", "/")]
        return [answer.status_code for answer in answers]

    assert run(system, work) == [405, 501]


@behaviour("IIS SDK, DefaultDoc and DirBrowseFlags (EnableDefaultDoc)")
def test_the_first_default_document_that_is_there_is_served(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[bytes]:
        site.set(ROOT_KEY, DefaultDoc="none.htm,second.htm,default.htm")
        page(site, "/second.htm", b"second")
        seen = [(await site.http.get("/")).content]
        site.set(ROOT_KEY, EnableDefaultDoc=False)
        return [*seen, (await site.http.get("/")).content]

    first, without = run(system, work)
    assert first == b"second"
    assert b"403.14" in without


@behaviour("IIS SDK, DirBrowseFlags: default document, else listing if enabled, else 403.14")
def test_a_directory_that_may_be_browsed_is_listed(system: WindowsSystem) -> None:
    async def work(site: Site) -> str:
        page(site, "/records/b & c.txt", b"12345")
        site.system.make_directories(f"{ROOT}/records/inner")
        site.set(ROOT_KEY, EnableDirBrowsing=True)
        return (await site.http.get("/records/")).text

    text = run(system, work)
    assert 'HREF="/records/inner/"' in text
    assert "&lt;dir&gt;" in text
    assert "[To Parent Directory]" in text
    assert "b &amp; c.txt" in text


@behaviour("RFC 2616, 14.25 and 14.26; 13.3.3")
@pytest.mark.parametrize("header", ["etag", "last-modified"])
def test_a_client_whose_copy_is_good_gets_304(system: WindowsSystem, clock: Clock, header: str) -> None:
    names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}

    async def work(site: Site) -> tuple[int, int]:
        first = await site.http.get("/")
        fresh = await site.http.get("/", headers={names[header]: first.headers[header]})
        site.system.files.write(f"{ROOT}/default.htm", 0, b"changed")
        clock.now += 5 * 10**9
        site.system.files.write(f"{ROOT}/default.htm", 0, b"changed")
        stale = await site.http.get("/", headers={names[header]: first.headers[header]})
        return fresh.status_code, stale.status_code

    assert run(system, work) == (304, 200)


@behaviour("RFC 2616, 14.24 and 14.28")
def test_a_condition_that_does_not_hold_is_412(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        conditions = ({"If-Match": '"other"'}, {"If-Unmodified-Since": http_date(0)}, {"If-Match": "*"})
        return [(await site.http.get("/", headers=headers)).status_code for headers in conditions]

    assert run(system, work) == [412, 412, 200]


@behaviour("RFC 2616, 14.35 and 14.16")
@pytest.mark.parametrize(
    ("asked", "status", "got", "span"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=4-2", 416, None, "bytes */10"),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=x", 200, b"0123456789", None),
    ],
)
def test_a_range_of_a_file_is_sent(
    system: WindowsSystem, asked: str, status: int, got: bytes | None, span: str | None
) -> None:
    async def work(site: Site) -> httpx.Response:
        page(site, "/ten.bin", b"0123456789")
        return await site.http.get("/ten.bin", headers={"Range": asked})

    answer = run(system, work)
    assert (answer.status_code, answer.headers.get("content-range")) == (status, span)
    assert got is None or answer.content == got


@behaviour("RFC 2616, 14.16 and 19.2")
def test_several_ranges_come_as_multipart(system: WindowsSystem) -> None:
    async def work(site: Site) -> httpx.Response:
        page(site, "/ten.bin", b"0123456789")
        return await site.http.get("/ten.bin", headers={"Range": "bytes=0-1,8-9"})

    answer = run(system, work)
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert b"bytes 0-1/10\r\n\r\n01\r\n" in answer.content
    assert b"bytes 8-9/10\r\n\r\n89\r\n" in answer.content


@behaviour("RFC 2616, 14.27")
def test_if_range_gives_the_whole_file_when_it_has_changed(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        tag = (await site.http.get("/")).headers["etag"]
        tags = [tag, '"other"']
        return [(await site.http.get("/", headers={"Range": "bytes=0-0", "If-Range": t})).status_code for t in tags]

    assert run(system, work) == [206, 200]


@behaviour("Form of the ETag header of IIS 5.0: time of the last write in hexadecimal, colon, change number")
def test_an_entity_tag_is_time_and_change_number(system: WindowsSystem) -> None:
    async def work(site: Site) -> str:
        return (await site.http.get("/")).headers["etag"]

    stamp, _, change = run(system, work).strip('"').partition(":")
    assert int(stamp, 16)
    assert int(change, 16) == 0  # the metabase has not changed since it was read


@behaviour("RFC 2616, 8.1.2.2: pipelined requests are answered in order")
def test_pipelined_requests_are_answered_in_order_on_one_connection(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        for name in "ab":
            page(site, f"/{name}.txt", name.encode() * 3)
        lines = [f"GET /{name}.txt HTTP/1.1\r\nHost: x\r\n\r\n".encode() for name in "ab"]
        return await site.raw(*lines, b"GET /c HTTP/1.0\r\n\r\n")

    data = run(system, work)
    assert data.index(b"aaa") < data.index(b"bbb") < data.index(b"404 Object Not Found")
    assert b"Connection: close" in data


def test_many_pipelined_requests_are_answered(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        request = b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
        return await site.raw(request * 3000, b"GET /none HTTP/1.0\r\n\r\n")

    assert run(system, work).count(b"HTTP/1.1 404") == 3001


@behaviour("RFC 2616, 8.1 and 19.6.2: HTTP/1.0 clients ask for keep-alive")
def test_an_http_1_0_client_may_keep_its_connection(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        keep = b"GET /none HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
        return await site.raw(keep, b"GET /none HTTP/1.0\r\n\r\n")

    data = run(system, work)
    assert data.count(b"HTTP/1.1 404") == 2
    assert data.count(b"Connection: Keep-Alive") == 1


@behaviour("IIS SDK, AllowKeepAlive")
def test_a_site_may_refuse_to_keep_connections(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        site.set("W3SVC/1", AllowKeepAlive=False)
        return await site.raw(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n" * 2)

    assert run(system, work).count(b"HTTP/1.1 404") == 1


def test_a_large_file_arrives_whole(system: WindowsSystem) -> None:
    content = bytes(range(256)) * 16_000

    async def work(site: Site) -> bytes:
        page(site, "/large.bin", content)
        return (await site.http.get("/large.bin")).content

    assert run(system, work) == content


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection(system: WindowsSystem) -> None:
    async def work(site: Site) -> int:
        path = page(site, "/large.bin", bytes(8_000_000))
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port())
        writer.write(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readexactly(1000)
        site.system.files.create(path)
        size = 0
        try:
            while data := await reader.read(65536):
                size += len(data)
        except ConnectionError:
            pass
        writer.close()
        return size

    assert run(system, work) < 8_000_000


@behaviour("RFC 2616, 4.4, 5.1 and 14.23; two readings of one message are refused")
@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET /../x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%2e%2e/WINNT HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /..%5cWINNT HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \xb2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_not_a_proper_request_is_refused(system: WindowsSystem, request_: bytes) -> None:
    async def work(site: Site) -> bytes:
        return await site.raw(request_)

    assert run(system, work).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@behaviour("RFC 2616, 10.4.15")
def test_an_endless_head_is_refused(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        return await site.raw(b"GET /" + b"x" * 20_000)

    assert run(system, work).startswith(b"HTTP/1.1 414 ")


@behaviour("IIS SDK, ConnectionTimeout")
def test_a_silent_connection_is_closed_after_the_time_out(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        web_service(site.system).timeout = 0
        return await site.raw(b"GET / HT")

    assert run(system, work) == b""


@behaviour("IIS documentation, Custom Error Messages: a file replaces the page, the status stays")
def test_a_custom_error_may_be_a_file(system: WindowsSystem) -> None:
    async def work(site: Site) -> httpx.Response:
        site.system.write_file("C:/sorry.htm", b"sorry")
        site.set("W3SVC", HttpErrors=[r"404,*,FILE,C:\sorry.htm"])
        return await site.http.get("/none")

    answer = run(system, work)
    assert (answer.status_code, answer.content) == (404, b"sorry")


@behaviour("IIS 4.0 documentation, Custom Error Messages: with a URL the status is that page's own, 200")
def test_a_custom_error_may_be_a_url_and_then_says_200(system: WindowsSystem) -> None:
    async def work(site: Site) -> httpx.Response:
        page(site, "/sorry.htm", b"sorry")
        site.set("W3SVC", HttpErrors=["403,14,URL,/sorry.htm"])
        return await site.http.get("/records/")

    answer = run(system, work)
    assert (answer.status_code, answer.content) == (200, b"sorry")


@behaviour("IIS documentation, Custom Error Messages: the lists of site and directory are not merged")
def test_custom_errors_of_a_directory_replace_the_sites(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[bytes]:
        for name in ("a", "b"):
            site.system.write_file(f"C:/{name}.htm", name.encode())
        site.set("W3SVC/1", HttpErrors=[r"404,*,FILE,C:\a.htm"])
        site.set(f"{ROOT_KEY}/records", HttpErrors=[r"403,*,FILE,C:\b.htm"])
        return [(await site.http.get(path)).content for path in ("/none", "/records/none", "/records/")]

    outside, inside, listing = run(system, work)
    assert (outside, listing) == (b"a", b"b")
    assert b"404" in inside


def test_a_custom_error_that_is_not_there_falls_back_to_the_page(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        site.set("W3SVC", HttpErrors=[r"404,*,FILE,C:\none.htm", "403,14,URL,/none.htm", "nonsense"])
        return [(await site.http.get(path)).status_code for path in ("/none", "/records/")]

    assert run(system, work) == [404, 403]


@behaviour("IIS SDK, HttpCustomHeaders")
def test_a_site_may_add_headers(system: WindowsSystem) -> None:
    async def work(site: Site) -> str:
        site.set("W3SVC/1", HttpCustomHeaders=["X-Powered-By: lab"])
        return (await site.http.get("/")).headers["x-powered-by"]

    assert run(system, work) == "lab"


@behaviour("IIS SDK, Path of a virtual directory; the longest one counts")
def test_the_deepest_virtual_directory_counts(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[bytes]:
        for place in ("outer", "deep"):
            site.system.make_directories(f"D:/{place}/b")
            site.system.write_file(f"D:/{place}/x.txt", place.encode())
            site.system.write_file(f"D:/{place}/b/x.txt", f"{place} b".encode())
        site.set(f"{ROOT_KEY}/a", Path=r"D:\outer")
        site.set(f"{ROOT_KEY}/a/b", Path=r"D:\deep")
        return [(await site.http.get(path)).content for path in ("/A/x.txt", "/a/B/x.txt", "/a/b/b/x.txt", "/ab/x.txt")]

    outer, deep, deeper, other = run(system, work)
    assert (outer, deep, deeper) == (b"outer", b"deep", b"deep b")
    assert b"404" in other


@behaviour("KB 188806: a name with ::$DATA shows no source (corrected in Service Pack 4 of Windows NT 4.0)")
@pytest.mark.parametrize("path", ["/x.txt::$DATA", "/x.txt:stream", "/x.txt%3a%3a$data"])
def test_streams_are_not_reached_by_url(either: WindowsSystem, path: str) -> None:
    async def work(site: Site) -> bytes:
        page(site, "/x.txt", b"text")
        return await site.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())

    assert run(either, work).startswith(b"HTTP/1.1 400 ")
