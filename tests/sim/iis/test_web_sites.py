"""Web sites: bindings, host headers, states, limits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.sim.iis.drive import OPTIONS, Site, page, run, until, web_service

from bodydouble_sim.iis.metabase import binding
from bodydouble_sim.iis.metabase_schema import STARTED, STOPPED
from bodydouble_sim.iis.web_endpoint import ALL, plan

if TYPE_CHECKING:
    import httpx

    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour


def second_site(site: Site, bindings: list[str], number: int = 2) -> None:
    """Another site whose home says its number."""
    home = f"D:/site{number}"
    site.system.make_directories(home)
    site.system.write_file(f"{home}/default.htm", f"site {number}".encode())
    site.set(f"W3SVC/{number}", ServerBindings=bindings)
    site.set(f"W3SVC/{number}/ROOT", Path=home.replace("/", "\\"), AccessFlags=1)


async def start(site: Site, number: int) -> bool:
    return await web_service(site.system).start_site(number)


async def by_host(site: Site, host: str, port: int = 1) -> httpx.Response:
    return await site.http.get(f"http://127.0.0.1:{site.port(port)}/", headers={"Host": host})


@behaviour("KB 190008: the Host header decides among sites of one address")
def test_sites_of_one_address_are_told_apart_by_host_header(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[bytes]:
        second_site(site, [":0:shop.example", ":0:store.example"])
        assert await start(site, 2)
        hosts = ("shop.example", "SHOP.example:80", "store.example", "other.example")
        return [(await by_host(site, host)).content for host in hosts]

    shop, upper, store, other = run(system, work)
    assert shop == upper == store == b"site 2"
    assert b"IIS 5.0" in other


@behaviour("IIS documentation, Custom Error Messages (404.1); Windows & .NET Magazine, IIS Informant, August 2002")
def test_no_site_for_the_host_is_404_1(system: WindowsSystem) -> None:
    async def work(site: Site) -> httpx.Response:
        site.set("W3SVC/1", ServerBindings=[":0:only.example"])
        await web_service(site.system).rebind()
        return await by_host(site, "other.example")

    answer = run(system, work)
    assert answer.status_code == 404
    assert b"No web site is configured at this address" in answer.content


@behaviour("IIS SDK, ServerBindings: address and port")
def test_sites_listen_at_their_own_address_and_port(system: WindowsSystem) -> None:
    async def work(site: Site) -> tuple[bytes, bool]:
        second_site(site, ["127.0.0.2:0:"])
        assert await start(site, 2)
        port = web_service(site.system).port_of(2)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        answer = await site.http.get(f"http://127.0.0.2:{port}/")
        return answer.content, port == site.port()

    assert run(system, work)[0] == b"site 2"


@behaviour("IIS SDK, ServerBindings: an omitted part is a wildcard, the closest binding counts")
def test_a_site_of_an_address_goes_before_one_of_all_addresses_on_its_port(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[bytes]:
        taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        taken.close()
        await taken.wait_closed()
        second_site(site, [f":{port}:"])
        second_site(site, [f"127.0.0.2:{port}:"], 3)
        assert await start(site, 2)
        assert await start(site, 3)
        answers = [await site.http.get(f"http://{address}:{port}/") for address in ("127.0.0.1", "127.0.0.2")]
        return [answer.content for answer in answers]

    assert run(system, work) == [b"site 2", b"site 3"]


def test_one_socket_serves_all_addresses_of_a_port() -> None:
    bindings = [(binding(text), None) for text in (":80:", "10.0.0.1:80:", "10.0.0.1:81:", ":80:a")]
    needed = plan(bindings)  # type: ignore[arg-type]  # sites do not matter here
    assert {key: len(behind) for key, behind in needed.items()} == {(ALL, 80): 3, ("10.0.0.1", 81): 1}


@behaviour("Event 115: The service could not bind instance; IIS SDK, ServerState")
def test_a_site_whose_port_is_taken_stays_stopped_and_the_service_runs(system: WindowsSystem) -> None:
    async def work(site: Site) -> tuple[bool, int, int, str]:
        taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        second_site(site, [f"127.0.0.1:{taken.sockets[0].getsockname()[1]}:"])
        started = await start(site, 2)
        taken.close()
        states = [site.metabase.integer(f"W3SVC/{number}", "ServerState") for number in (1, 2)]
        event = site.system.event_log.entries[-1]
        return started, states[0], states[1], f"{event.source} {event.number}"

    assert run(system, work) == (False, STARTED, STOPPED, "W3SVC 115")


@behaviour("IIS SDK, ServerBindings: an address that the machine does not have cannot be bound")
def test_a_site_bound_to_an_address_the_machine_lacks_stays_stopped(system: WindowsSystem) -> None:
    async def work(site: Site) -> bool:
        second_site(site, ["203.0.113.7:0:"])
        return await start(site, 2)

    assert run(system, work) is False
    assert system.event_log.entries[-1] is not None


@behaviour("IIS documentation: two sites with the same address, port and host cannot both run")
def test_two_sites_of_the_same_binding_do_not_both_start(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[bool]:
        second_site(site, ["127.0.0.1:49999:a"])
        second_site(site, ["127.0.0.1:49999:a"], 3)
        return [await start(site, 2), await start(site, 3)]

    assert run(system, work) == [True, False]


@behaviour("IIS SDK, ServerCommand and ServerState: 2 started, 4 stopped")
def test_a_stopped_site_answers_nobody_and_can_be_started_again(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        port, service = site.port(), web_service(site.system)
        states = [site.metabase.integer("W3SVC/1", "ServerState")]
        await service.stop_site(1)
        states.append(site.metabase.integer("W3SVC/1", "ServerState"))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await service.start_site(1)
        states.append((await site.http.get(f"http://127.0.0.1:{site.port()}/")).status_code)
        return states

    assert run(either, work) == [STARTED, STOPPED, 200]


@behaviour("IIS SDK, ServerAutoStart")
def test_a_site_without_auto_start_stays_stopped_when_the_service_starts(system: WindowsSystem) -> None:
    async def work(site: Site) -> list[int]:
        second_site(site, ["127.0.0.1:0:"])
        site.set("W3SVC/1", ServerAutoStart=False)
        await site.system.scm.stop("W3SVC")
        await site.system.scm.start("W3SVC")
        return web_service(site.system).running()

    assert run(system, work) == [2]


@behaviour("IIS documentation, Custom Error Messages (403.9); Limiting Connections")
def test_one_client_too_many_is_403_9_until_another_leaves(either: WindowsSystem) -> None:
    async def work(site: Site) -> list[bytes]:
        site.set("W3SVC/1", MaxConnections=1)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port())
        writer.write(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"</html>\r\n")
        request = b"GET / HTTP/1.0\r\n\r\n"
        refused = await site.raw(request)
        writer.close()
        await writer.wait_closed()
        await until(lambda: not (web_service(site.system).connections))
        return [refused, await site.raw(request)]

    refused, accepted = run(either, work)
    assert refused.startswith(b"HTTP/1.1 403 Access Forbidden")
    assert b"403.9" in refused
    assert accepted.startswith(b"HTTP/1.1 200 OK")


@behaviour("reference/windows-iis.md, Services: stopping a service closes what it serves")
def test_stopping_the_web_service_drops_its_connections(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        port = site.port()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"</html>\r\n")
        await site.system.scm.stop("W3SVC")
        try:
            rest = await reader.read()
        except ConnectionError:
            rest = b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return rest

    assert run(system, work) == b""


@behaviour("reference/windows-iis.md, Services: a crash of inetinfo stops all services in it")
def test_a_crash_of_inetinfo_takes_all_services_with_it(either: WindowsSystem) -> None:
    async def work(site: Site) -> tuple[list[str], bool]:
        port = site.port()
        died = site.system.scm.crash("inetinfo.exe")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return died, site.system.scm.find("W3SVC").state == "stopped"

    died, stopped = run(either, work)
    assert set(died) == {"IISADMIN", "MSFTPSVC", "SMTPSVC", "NNTPSVC", "W3SVC"}
    assert stopped


def test_stopping_the_service_ends_an_upload_in_progress(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        site.set("W3SVC/1/ROOT", AccessWrite=True)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port())
        writer.write(b"PUT /new.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        await until(lambda: site.system.files.stat("C:/InetPub/wwwroot/new.txt") is not None)
        await until(lambda: site.system.files.read("C:/InetPub/wwwroot/new.txt") == b"half")
        await site.system.scm.stop("W3SVC")
        writer.close()
        del reader
        return site.system.files.read("C:/InetPub/wwwroot/new.txt")

    assert run(system, work) == b"half"


def test_a_site_can_be_served_from_a_second_drive(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        page(site, "/x.txt", b"unused")
        return (await site.http.get("/")).content

    assert b"IIS 5.0" in run(system, work, drive="D", directory="Web")
    assert OPTIONS.root == "C:/InetPub"
    assert system.files.stat("D:/Web/wwwroot/default.htm") is not None
