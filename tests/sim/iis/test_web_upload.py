"""Writing over HTTP: PUT, DELETE, the guestbook and the counter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sim.iis.drive import ROOT, ROOT_KEY, Site, accounts, files, page, run, until

from bodydouble_sim.iis.web_application import directive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour


@behaviour("RFC 2616, 9.6: 201 for a new resource, 200 for one that was there; IIS SDK, AccessFlags (Write)")
def test_put_creates_and_replaces_a_file(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        site.set(ROOT_KEY, AccessWrite=True)
        answers = [await site.http.put("/records/new.txt", content=data) for data in (b"first version", b"second")]
        return [answer.status_code for answer in answers]

    assert run(either, work) == [201, 200]
    assert either.files.read(f"{ROOT}/records/new.txt") == b"second"


@behaviour("IIS SDK, AccessFlags (Write); Custom Error Messages (403.3)")
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_without_write_access_nothing_is_changed(either: WindowsSystem, method: str) -> None:
    async def work(site: Site) -> httpx.Response:
        return await site.http.request(method, "/default.htm", content=b"defaced")

    answer = run(either, work)
    assert answer.status_code == 403
    assert b"403.3" in answer.content
    assert b"defaced" not in either.files.read(f"{ROOT}/default.htm")


@behaviour("NTFS permissions count beside the web permissions, the stricter one decides (IIS 5.0 documentation)")
def test_put_and_delete_ask_the_access_list(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        site.set(ROOT_KEY, AccessWrite=True)
        files(either).allow(f"{ROOT}/records", "write", "clerk")
        files(either).allow(f"{ROOT}/default.htm", "delete", "clerk")
        put = await site.http.put("/records/new.txt", content=b"x")
        delete = await site.http.delete("/default.htm")
        return [put.status_code, delete.status_code]

    assert run(either, work) == [401, 401]
    assert either.files.stat(f"{ROOT}/default.htm") is not None


@behaviour("RFC 2616, 3.6.1: every server takes chunks")
def test_put_takes_chunks_of_any_size(either: WindowsSystem) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for size in (1, 70_000, 3):
            yield b"x" * size

    async def work(site: Site) -> int:
        site.set(ROOT_KEY, AccessWrite=True)
        return (await site.http.put("/big.bin", content=chunks())).status_code

    assert run(either, work) == 201
    assert either.files.read(f"{ROOT}/big.bin") == b"x" * 70_004


@behaviour("RFC 2616, 3.6.1: trailers follow the last chunk")
def test_a_chunked_body_may_have_extensions_and_trailers(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        site.set(ROOT_KEY, AccessWrite=True)
        head = b"PUT /x.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        return await site.raw(head, b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")

    assert run(system, work).startswith(b"HTTP/1.1 201")
    assert system.files.read(f"{ROOT}/x.txt") == b"abcde"


@pytest.mark.parametrize("body", [b"x\r\n", b"3\r\nabcde", b"-1\r\n", b"1" * 2000, b"3\r\nabcX\r\n0\r\n\r\n"])
def test_chunks_that_make_no_sense_are_400(system: WindowsSystem, body: bytes) -> None:
    async def work(site: Site) -> bytes:
        site.set(ROOT_KEY, AccessWrite=True)
        return await site.raw(b"PUT /x.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", body)

    assert run(system, work).startswith(b"HTTP/1.1 400 ")


@behaviour("RFC 2616, 10.4.12; 9.6 (Content-* headers that are not understood)")
def test_put_needs_a_length_and_takes_no_ranges(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[bytes]:
        site.set(ROOT_KEY, AccessWrite=True)
        part = b"Content-Length: 1\r\nContent-Range: bytes 0-0/9\r\nConnection: close\r\n\r\nx"
        head = b"PUT /x.txt HTTP/1.1\r\nHost: x\r\n"
        return [await site.raw(head + rest) for rest in (b"Connection: close\r\n\r\n", part)]

    assert [data[:13] for data in run(system, work)] == [b"HTTP/1.1 411 ", b"HTTP/1.1 501 "]


@behaviour("RFC 2616, 8.2.3: 100 Continue only if the body is wanted")
def test_a_client_that_expects_100_continue_is_told_or_refused(system: WindowsSystem) -> None:
    head = b"PUT /x.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"

    async def work(site: Site) -> tuple[bytes, bytes, bytes]:
        refused = await site.raw(head)
        site.set(ROOT_KEY, AccessWrite=True)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port())
        writer.write(head)
        told = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"x")
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return refused, told, answer

    refused, told, answer = run(system, work)
    assert refused.startswith(b"HTTP/1.1 403 ")
    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 201 ")


def test_the_body_of_a_refused_request_is_read_and_the_connection_goes_on(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        put = b"PUT /x.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
        return await site.raw(put, b"GET / HTTP/1.0\r\n\r\n")

    data = run(system, work)
    assert data.startswith(b"HTTP/1.1 403 ")
    assert b"HTTP/1.1 200 OK" in data


@behaviour("the note, Double-Take Support: files are written as they arrive, byte by byte replicated")
def test_an_upload_is_on_the_drive_before_it_is_complete_and_stays_when_the_client_dies(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        site.set(ROOT_KEY, AccessWrite=True)
        _, writer = await asyncio.open_connection("127.0.0.1", site.port())
        writer.write(b"PUT /x.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        path = f"{ROOT}/x.txt"
        await until(lambda: not (site.system.files.stat(path) is None or not site.system.files.read(path)))
        writer.close()
        await writer.wait_closed()
        return site.system.files.read(path)

    assert run(system, work) == b"half"


@behaviour("RFC 2616, 9.6; RFC 2518, 8.7.1: without the directory above, 409 with WebDAV")
def test_put_into_a_missing_directory_is_refused(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        site.set(ROOT_KEY, AccessWrite=True)
        return [(await site.http.put(path, content=b"x")).status_code for path in ("/none/x.txt", "/records")]

    assert run(either, work) == [404 if either.version.is_nt4 else 409, 409]


@behaviour("RFC 2616, 14.26: If-None-Match: * guards against overwriting")
def test_put_obeys_conditions(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        site.set(ROOT_KEY, AccessWrite=True)
        cases = [("/new.txt", {"If-None-Match": "*"}), ("/new.txt", {"If-None-Match": "*"}), ("/x", {"If-Match": "*"})]
        return [(await site.http.put(path, content=b"x", headers=headers)).status_code for path, headers in cases]

    assert run(system, work) == [201, 412, 412]


@behaviour("RFC 2616, 9.7")
def test_delete_removes_a_file(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        site.set(ROOT_KEY, AccessWrite=True)
        return [(await site.http.delete("/default.htm")).status_code for _ in range(2)]

    assert run(either, work) == [200, 404]


@behaviour("RFC 2518, 8.6.2: DELETE of a collection; not part of IIS 4.0")
def test_delete_of_a_directory_needs_webdav(either: WindowsSystem) -> None:
    async def work(site: Site) -> int:
        site.set(ROOT_KEY, AccessWrite=True)
        page(site, "/records/inner/x.txt", b"x")
        return (await site.http.delete("/records")).status_code

    assert run(either, work) == (409 if either.version.is_nt4 else 200)
    assert (either.files.stat(f"{ROOT}/records") is None) == (not either.version.is_nt4)


@behaviour("RFC 2518, 10.6: 507 is WebDAV's; IIS 4.0 knows only 500")
def test_an_upload_to_a_full_disk_fails(either: WindowsSystem) -> None:
    async def work(site: Site) -> int:
        site.set(ROOT_KEY, AccessWrite=True)
        disk = files(either)._on("C:").disk
        disk.capacity = disk.used + 1000
        return (await site.http.put("/big.bin", content=bytes(100_000))).status_code

    assert run(either, work) == (500 if either.version.is_nt4 else 507)


@behaviour("Windows IT Pro, The Truth About Web-Based Permissions: no script is written without script source access")
def test_a_script_is_uploaded_only_with_source_access(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        site.set(ROOT_KEY, AccessWrite=True)
        seen = [(await site.http.put("/x.asp", content=b"x")).status_code]
        site.set(ROOT_KEY, AccessSource=True)
        return [*seen, (await site.http.put("/x.asp", content=b"x")).status_code]

    assert run(either, work) == ([201, 200] if either.version.is_nt4 else [403, 201])


# --- dynamic pages --------------------------------------------------------------------------------------------------


def test_the_guestbook_keeps_entries_in_its_data_file(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[str]:
        page(site, "/guestbook.asp", directive("guestbook", "guests.txt"))
        for name in ("Ada", "<b>Bob</b>"):
            await site.http.post("/guestbook.asp", data={"name": name, "message": "hello\r\nthere"})
        return [(await site.http.get(path)).text for path in ("/guestbook.asp", "/guests.txt")]

    shown, data = run(either, work)
    assert "2 entries" in shown
    assert "&lt;b&gt;Bob&lt;/b&gt;\thello there" in shown
    assert data.count("\r\n") == 2
    assert data.startswith("Mon, 02 Dec 2002 09:00:00 GMT\tAda\thello there")


@behaviour("RFC 2616, 3.6.1: a page of unknown length comes in chunks, to HTTP/1.0 until the connection's end")
def test_a_dynamic_page_is_chunked_for_1_1_and_ends_the_connection_for_1_0(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[bytes]:
        page(site, "/counter.asp", directive("counter", "n.txt"))
        requests = (b"GET /counter.asp HTTP/1.1\r\nHost: x\r\nConnection: close", b"GET /counter.asp HTTP/1.0")
        return [await site.raw(request + b"\r\n\r\n") for request in requests]

    chunked, plain = run(system, work)
    assert b"Transfer-Encoding: chunked" in chunked
    assert chunked.endswith(b"\r\n0\r\n\r\n")
    assert b"Transfer-Encoding" not in plain
    assert plain.endswith(b"<body>2</body></html>\r\n")
    assert system.files.read(f"{ROOT}/n.txt") == b"2"


def test_the_counter_counts_visits_but_not_head_requests(system: WindowsSystem) -> None:
    async def work(site: Site) -> str:
        page(site, "/default.asp", directive("counter", "n.txt"))
        site.set(ROOT_KEY, DefaultDoc="default.asp")
        await site.http.get("/")
        await site.http.head("/")
        return (await site.http.get("/")).text

    assert ">2<" in run(system, work)


@behaviour("IIS documentation, Custom Error Messages (401.5): refused by the application")
def test_an_application_may_refuse_an_account_with_401_5(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        accounts(site.system).add("clerk", "s3cret")
        site.set(ROOT_KEY, AuthFlags=1 | 2)
        page(site, "/guestbook.asp", directive("guestbook", "guests.txt", "Clerk, boss"))
        return [await site.http.get("/guestbook.asp", auth=auth) for auth in (None, ("clerk", "s3cret"))]

    refused, allowed = run(system, work)
    assert b"401.5" in refused.content
    assert allowed.status_code == 200


def test_a_data_file_that_may_not_be_written_fails_the_page(system: WindowsSystem) -> None:
    async def work(site: Site) -> int:
        page(site, "/guestbook.asp", directive("guestbook", "guests.txt"))
        files(site.system).allow(ROOT, "write", "clerk")
        return (await site.http.post("/guestbook.asp", data={"message": "x"})).status_code

    assert run(system, work) == 500


def test_forms_without_a_message_or_too_long_are_refused(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        page(site, "/guestbook.asp", directive("guestbook", "guests.txt"))
        forms = [b"name=x", b"", b"message=" + b"x" * 100_000, b"&" * 500]
        return [(await site.http.post("/guestbook.asp", content=form)).status_code for form in forms]

    assert run(system, work) == [400, 400, 413, 400]


@pytest.mark.parametrize(
    "text",
    [
        b"<% Response.Write 1 %>",
        b'<%@ Application="none" Data="x" %>',
        b'<%@ Application="counter" Data="../x" %>',
        b'<%@ Application="counter" Data="C:/x" %>',
        b'<%@ Application="counter" %>',
    ],
)
def test_a_script_that_the_model_cannot_run_is_500(system: WindowsSystem, text: bytes) -> None:
    async def work(site: Site) -> int:
        page(site, "/x.asp", text)
        return (await site.http.get("/x.asp")).status_code

    assert run(system, work) == 500


def test_a_script_takes_no_other_methods(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        page(site, "/x.asp", b"text")
        return await site.raw(b"PUT /x.asp HTTP/1.0\r\nContent-Length: 0\r\n\r\n")

    assert run(system, work).startswith(b"HTTP/1.1 403 ")
