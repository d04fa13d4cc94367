"""WebDAV of IIS 5.0."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from tests.sim.iis.drive import ROOT, ROOT_KEY, Site, files, page, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour
D = "{DAV:}"
LOCKINFO = (
    b'<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:%s/></D:lockscope>'
    b"<D:locktype><D:write/></D:locktype><D:owner><D:href>me &amp; you</D:href></D:owner></D:lockinfo>"
)


def dav(system: WindowsSystem, work: Callable[[Site], Awaitable[list[httpx.Response]]]) -> list[httpx.Response]:
    """Work on a site that may be written and browsed."""

    async def writable(site: Site) -> list[httpx.Response]:
        site.set(ROOT_KEY, AccessWrite=True, EnableDirBrowsing=True)
        return await work(site)

    return run(system, writable)


def statuses(answers: list[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


async def ask(site: Site, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await site.http.request(method, path, content=content, headers=named)


@behaviour("WebDAV came with IIS 5.0: IIS 4.0 does not implement its methods")
@pytest.mark.parametrize("method", ["PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK"])
def test_4_0_knows_no_webdav(nt4: WindowsSystem, method: str) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        return [await ask(site, method, "/")]

    assert statuses(dav(nt4, work)) == [501]


@behaviour("RFC 2518, 8.1 (Depth 0 and 1, allprop)")
def test_propfind_lists_properties_of_a_directory_and_its_entries(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        page(site, "/records/a b.txt", b"12345")
        return [await ask(site, "PROPFIND", "/records", Depth=depth) for depth in ("0", "1", "1,noroot")]

    alone, both, inside = dav(system, work)
    assert statuses([alone, both, inside]) == [207, 207, 207]
    assert [len(ET.fromstring(a.content)) for a in (alone, both, inside)] == [1, 2, 1]
    found = ET.fromstring(both.content)
    hrefs = [element.text or "" for element in found.iter(f"{D}href")]
    assert [href.rpartition("/records")[2] for href in hrefs] == ["/", "/a%20b.txt"]
    assert [element.text for element in found.iter(f"{D}getcontentlength")] == ["5"]
    assert len(list(found.iter(f"{D}collection"))) == 1


@behaviour("RFC 2518, 8.1: named properties, those that are not there with 404; propname")
def test_propfind_answers_for_named_properties(system: WindowsSystem) -> None:
    names = (
        b'<p:propfind xmlns:p="DAV:"><p:prop><p:getcontentlength/><p:nothing/><x:y xmlns:x="z"/></p:prop></p:propfind>'
    )
    only = b'<propfind xmlns="DAV:"><propname/></propfind>'

    async def work(site: Site) -> list[httpx.Response]:
        return [await ask(site, "PROPFIND", "/default.htm", body, Depth="0") for body in (names, only)]

    named, bare = (ET.fromstring(answer.content) for answer in dav(system, work))
    assert [element.text for element in named.iter(f"{D}status")] == [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 404 Resource Not Found",
    ]
    assert next(named.iter("{z}y")) is not None
    assert next(bare.iter(f"{D}getetag")).text is None


@behaviour("IIS 5.0 documentation, WebDAV Publishing: Read to see properties, Directory Browsing to see contents")
def test_propfind_needs_read_and_browsing(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        site.set(ROOT_KEY, EnableDirBrowsing=False)
        seen = [await ask(site, "PROPFIND", "/", Depth=depth) for depth in ("1", "0")]
        site.set(ROOT_KEY, AccessRead=False)
        return [*seen, await ask(site, "PROPFIND", "/", Depth="0")]

    assert statuses(dav(system, work)) == [403, 207, 403]


@behaviour("RFC 2518, 8.1: a server may refuse Depth infinity")
def test_propfind_refuses_depth_infinity_and_nonsense(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        seen = [await ask(site, "PROPFIND", "/", Depth=depth) for depth in ("infinity", "2")]
        bodies = (b"<x", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<a/>", b"<a>" * 60 + b"</a>" * 60)
        seen += [await ask(site, "PROPFIND", "/", body, Depth="0") for body in bodies]
        return [*seen, await ask(site, "PROPFIND", "/none", Depth="0")]

    assert statuses(dav(system, work)) == [403, 400, 400, 400, 400, 400, 404]


@behaviour("RFC 2518, 8.2: one status for each property")
def test_proppatch_answers_for_each_property(system: WindowsSystem) -> None:
    body = (
        b'<propertyupdate xmlns="DAV:"><set><prop><displayname>x</displayname></prop></set>'
        b"<remove><prop><getetag/></prop></remove></propertyupdate>"
    )

    async def work(site: Site) -> list[httpx.Response]:
        return [await ask(site, "PROPPATCH", "/default.htm", text) for text in (body, b"", b"<a/>")]

    answer, empty, other = dav(system, work)
    assert statuses([answer, empty, other]) == [207, 400, 400]
    assert [element.text for element in ET.fromstring(answer.content).iter(f"{D}status")] == ["HTTP/1.1 403 Forbidden"]


def test_the_time_of_the_last_write_can_be_set(system: WindowsSystem) -> None:
    text = "Mon, 01 Jan 2001 10:00:00 GMT"
    inside = f'<Z:Win32LastModifiedTime xmlns:Z="urn:schemas-microsoft-com:">{text}</Z:Win32LastModifiedTime>'
    body = f'<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop>{inside}</D:prop></D:set></D:propertyupdate>'

    async def work(site: Site) -> list[httpx.Response]:
        changed = await ask(site, "PROPPATCH", "/default.htm", body.encode())
        nonsense = await ask(site, "PROPPATCH", "/default.htm", body.replace(text, "yesterday").encode())
        return [changed, nonsense, await site.http.get("/default.htm")]

    changed, nonsense, page_ = dav(system, work)
    assert b"200 OK" in changed.content
    assert b"403 Forbidden" in nonsense.content
    assert page_.headers["last-modified"] == text


@behaviour("RFC 2518, 8.3: 201, 405 when it is there, 409 without its parent, 415 with a body")
def test_mkcol_makes_a_directory(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        seen = [await ask(site, "MKCOL", path) for path in ("/new", "/new", "/none/new", "/new/inner/")]
        return [*seen, await ask(site, "MKCOL", "/other", b"body")]

    assert statuses(dav(system, work)) == [201, 405, 409, 201, 415]
    assert system.files.stat(f"{ROOT}/new/inner") is not None


@behaviour("RFC 2518, 8.8 and 9.6 (Overwrite): 201 for a new destination, 204 for an old one, 412 if it may not")
def test_copy_copies_files_and_trees(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        page(site, "/a/b/x.txt", b"x" * 100_000)
        base = str(site.http.base_url).rstrip("/")
        return [
            await ask(site, "COPY", "/a", Destination=f"{base}/c"),
            await ask(site, "COPY", "/a/b/x.txt", Destination="/c/b/x.txt"),
            await ask(site, "COPY", "/a", Destination="/c", Overwrite="F"),
            await ask(site, "COPY", "/a", Destination="/shallow", Depth="0"),
            await ask(site, "COPY", "/a", Destination="http://elsewhere/c"),
            await ask(site, "COPY", "/a", Destination="/a/inside"),
            await ask(site, "COPY", "/a", Destination="/none/c"),
            await ask(site, "COPY", "/none", Destination="/c"),
            await ask(site, "COPY", "/a"),
        ]

    assert statuses(dav(system, work)) == [201, 204, 412, 201, 502, 403, 409, 404, 400]
    assert system.files.read(f"{ROOT}/c/b/x.txt") == b"x" * 100_000
    assert system.files.list(f"{ROOT}/shallow") == []


@behaviour("RFC 2518, 8.9")
def test_move_renames_also_across_drives(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        site.system.make_directories("D:/other")
        site.set(f"{ROOT_KEY}/d", Path="D:\\other")
        page(site, "/a/x.txt", b"x")
        page(site, "/y.txt", b"y")
        return [
            await ask(site, "MOVE", "/a", Destination="/moved"),
            await ask(site, "MOVE", "/moved", Destination="/d/tree"),
            await ask(site, "MOVE", "/y.txt", Destination="/default.htm"),
        ]

    assert statuses(dav(system, work)) == [201, 201, 204]
    assert system.files.read("D:/other/tree/x.txt") == b"x"
    assert system.files.stat(f"{ROOT}/moved") is None
    assert system.files.read(f"{ROOT}/default.htm") == b"y"


@behaviour("NTFS permissions count for WebDAV too (IIS 5.0 documentation)")
def test_copy_and_move_ask_the_access_lists(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        files(system).allow(f"{ROOT}/records", "write", "clerk")
        files(system).allow(f"{ROOT}/default.htm", "delete", "clerk")
        return [
            await ask(site, "COPY", "/default.htm", Destination="/records/x.htm"),
            await ask(site, "MOVE", "/default.htm", Destination="/moved.htm"),
            await ask(site, "MKCOL", "/records/new"),
        ]

    assert statuses(dav(system, work)) == [401, 401, 401]


@behaviour("RFC 2518, 8.10.4 and 7.4: an exclusive lock keeps others out until its token is named")
def test_a_locked_file_changes_only_with_its_token(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        locked = await ask(site, "LOCK", "/default.htm", LOCKINFO % b"exclusive", Timeout="Second-600")
        token = locked.headers["lock-token"]
        return [
            locked,
            await ask(site, "PUT", "/default.htm", b"x"),
            await ask(site, "LOCK", "/default.htm", LOCKINFO % b"shared"),
            await ask(site, "PUT", "/default.htm", b"x", If=f"({token})"),
            await ask(site, "UNLOCK", "/default.htm", Lock_Token="<opaquelocktoken:other>"),
            await ask(site, "UNLOCK", "/default.htm", Lock_Token=token),
            await ask(site, "PUT", "/default.htm", b"x"),
        ]

    answers = dav(system, work)
    assert statuses(answers) == [200, 423, 423, 200, 412, 204, 200]
    found = ET.fromstring(answers[0].content)
    assert next(found.iter(f"{D}timeout")).text == "Second-600"
    assert next(found.iter(f"{D}owner")).text == "me & you"


@behaviour("RFC 2518, 6.2 (shared locks) and 8.10.3 (a lock on a collection)")
def test_shared_locks_stand_together_and_deep_ones_cover_what_is_inside(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        shared = [await ask(site, "LOCK", "/default.htm", LOCKINFO % b"shared") for _ in range(2)]
        deep = await ask(site, "LOCK", "/records", LOCKINFO % b"exclusive")
        inside = await ask(site, "PUT", "/records/x.txt", b"x")
        parent = await ask(site, "LOCK", "/", LOCKINFO % b"exclusive")
        seen = await ask(site, "PROPFIND", "/records", Depth="0")
        return [*shared, deep, inside, parent, seen]

    answers = dav(system, work)
    assert statuses(answers) == [200, 200, 200, 423, 423, 207]
    assert len(list(ET.fromstring(answers[-1].content).iter(f"{D}activelock"))) == 1


@behaviour("RFC 2518, 9.8 (Timeout) and 7.8 (refresh)")
def test_a_lock_ends_by_itself_unless_it_is_refreshed(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        locked = await ask(site, "LOCK", "/default.htm", LOCKINFO % b"exclusive", Timeout="Infinite")
        token = locked.headers["lock-token"]
        refreshed = await ask(site, "LOCK", "/default.htm", If=f"({token})", Timeout="Second-1")
        wrong = await ask(site, "LOCK", "/default.htm", If="(<opaquelocktoken:x>)")
        _age_locks(site)
        return [locked, refreshed, wrong, await ask(site, "PUT", "/default.htm", b"x")]

    assert statuses(dav(system, work)) == [200, 200, 412, 200]


def _age_locks(site: Site) -> None:
    from dataclasses import replace  # noqa: PLC0415 - one use

    from tests.sim.iis.drive import web_service  # noqa: PLC0415 - one use

    locks = web_service(site.system).handler.locks._locks
    for token, lock in list(locks.items()):
        locks[token] = replace(lock, until=0.0)


@behaviour("RFC 2518, 7.4: locking a free name; here it becomes an empty file")
def test_locking_a_free_name_makes_an_empty_file(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        bad = await ask(site, "LOCK", "/new.txt", b"<a/>")
        return [bad, await ask(site, "LOCK", "/new.txt", LOCKINFO % b"exclusive")]

    assert statuses(dav(system, work)) == [400, 201]
    assert system.files.read(f"{ROOT}/new.txt") == b""


def test_without_write_access_nothing_is_locked_or_changed(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        site.set(ROOT_KEY, AccessWrite=False)
        return [
            await ask(site, "LOCK", "/default.htm", LOCKINFO % b"exclusive"),
            await ask(site, "MKCOL", "/new"),
            await ask(site, "MOVE", "/default.htm", Destination="/x.htm"),
            await ask(site, "COPY", "/default.htm", Destination="/x.htm"),
            await ask(site, "PROPPATCH", "/default.htm", b"<a/>"),
            await ask(site, "UNLOCK", "/default.htm"),
        ]

    assert statuses(dav(system, work)) == [403, 403, 403, 403, 403, 400]


@pytest.mark.parametrize("spelled", ["/LONGNA~1/", "/long name./", "/long name/inside/", "//long name/"])
def test_nothing_is_copied_or_moved_onto_itself_under_another_spelling(system: WindowsSystem, spelled: str) -> None:
    async def work(site: Site) -> list[httpx.Response]:
        page(site, "/long name/kept.txt", b"kept")
        await ask(site, "COPY", "/long name", Destination=str(site.http.base_url.join(spelled)), Overwrite="T")
        await ask(site, "MOVE", "/long name", Destination=str(site.http.base_url.join(spelled)), Overwrite="T")
        return [await ask(site, "GET", "/long name/kept.txt")]

    assert dav(system, work)[0].content == b"kept"
