"""W3C extended logs on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.sim.iis.drive import Clock, Site, run

from bodydouble_sim.iis.metabase_file import LOG_FILES
from bodydouble_sim.iis.w3c_log import LogRecord, W3cLog

if TYPE_CHECKING:
    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour
ALL = 0x1F_FFFF


def lines(system: WindowsSystem, name: str) -> list[str]:
    return system.files.read(f"{LOG_FILES}/{name}").decode().splitlines()


@behaviour("reference/windows-iis.md, Versions (place of logs); IIS SDK, LogExtFileFlags (default fields)")
def test_requests_are_logged_with_the_default_fields(either: WindowsSystem) -> None:
    async def work(site: Site) -> None:
        await site.http.get("/none?q=1")

    run(either, work)
    log = lines(either, "W3SVC1/ex021202.log")
    product = "Internet Information Server 4.0" if either.version.is_nt4 else "Internet Information Services 5.0"
    assert log == [
        f"#Software: Microsoft {product}",
        "#Version: 1.0",
        "#Date: 2002-12-02 09:00:00",
        "#Fields: time c-ip cs-method cs-uri-stem sc-status",
        "09:00:00 127.0.0.1 GET /none 404",
    ]


@behaviour("IIS SDK, LogExtFileFlags: each bit is a field")
def test_a_site_chooses_its_fields(system: WindowsSystem) -> None:
    async def work(site: Site) -> None:
        site.set("W3SVC", LogExtFileFlags=ALL)
        headers = {"User-Agent": "A B", "Host": "shop", "Cookie": "c=d", "Referer": "r"}
        await site.http.get("/none?q=1", headers=headers)

    run(system, work)
    fields, line = lines(system, "W3SVC1/ex021202.log")[-2:]
    logged = dict(zip(fields.split()[1:], line.split(), strict=True))
    assert logged | {"s-port": "0", "sc-bytes": "0", "cs-bytes": "0", "time-taken": "0"} == {
        "date": "2002-12-02",
        "time": "09:00:00",
        "c-ip": "127.0.0.1",
        "cs-username": "-",
        "s-sitename": "W3SVC1",
        "s-computername": "TARGET",
        "s-ip": "127.0.0.1",
        "s-port": "0",
        "cs-method": "GET",
        "cs-uri-stem": "/none",
        "cs-uri-query": "q=1",
        "sc-status": "404",
        "sc-win32-status": "2",
        "sc-bytes": "0",
        "cs-bytes": "0",
        "time-taken": "0",
        "cs-version": "HTTP/1.1",
        "cs-host": "shop",
        "cs(User-Agent)": "A+B",
        "cs(Cookie)": "c=d",
        "cs(Referer)": "r",
    }
    assert int(logged["sc-bytes"]) > int(logged["cs-bytes"]) > 0


@behaviour("KB 194699 and KB 193612: times are GMT and a new file begins at midnight GMT")
def test_a_new_file_begins_at_midnight_gmt(either: WindowsSystem, clock: Clock) -> None:
    async def work(site: Site) -> None:
        await site.http.get("/one")
        clock.now += (15 * 3600 - 1) * 10**9
        await site.http.get("/two")
        clock.now += 10**9
        await site.http.get("/three")

    run(either, work)
    assert [line.split()[3] for line in lines(either, "W3SVC1/ex021202.log")[4:]] == ["/one", "/two"]
    assert lines(either, "W3SVC1/ex021203.log")[2:] == [
        "#Date: 2002-12-03 00:00:00",
        "#Fields: time c-ip cs-method cs-uri-stem sc-status",
        "00:00:00 127.0.0.1 GET /three 404",
    ]


@behaviour("IIS SDK, LogFileDirectory and LogType")
def test_logs_go_where_the_site_says_or_nowhere(system: WindowsSystem) -> None:
    async def work(site: Site) -> None:
        site.set("W3SVC/1", LogFileDirectory="D:\\Logs")
        await site.http.get("/one")
        site.set("W3SVC/1", LogType=0)
        await site.http.get("/two")

    run(system, work)
    assert system.files.read("D:/Logs/W3SVC1/ex021202.log").endswith(b"GET /one 404\r\n")
    assert system.files.stat(f"{LOG_FILES}/W3SVC1") is None


@behaviour("reference/windows-iis.md, Versions (LogFiles); FTP commands are logged with their session's number")
def test_ftp_commands_are_logged(either: WindowsSystem) -> None:
    async def work(site: Site) -> None:
        await site.ftp(lambda ftp: [ftp.login(), ftp.cwd("/records"), ftp.quit()])

    run(either, work)
    logged = [line.split()[2:] for line in lines(either, "MSFTPSVC1/ex021202.log")[4:]]
    assert logged == [
        ["[1]USER", "anonymous", "331"],
        ["[1]PASS", "-", "230"],
        ["[1]CWD", "/records", "250"],
        ["[1]QUIT", "-", "221"],
    ]


def test_a_service_that_starts_again_goes_on_in_the_same_file(system: WindowsSystem) -> None:
    async def work(site: Site) -> None:
        for _ in range(2):
            await site.http.get(f"http://127.0.0.1:{site.port()}/none")
            await site.system.scm.stop("W3SVC")
            await site.system.scm.start("W3SVC")

    run(system, work)
    assert len(lines(system, "W3SVC1/ex021202.log")) == 6


def test_a_log_that_cannot_be_written_stops_nothing(system: WindowsSystem) -> None:
    system.write_file(LOG_FILES, b"a file in the way")
    log = W3cLog(system, "W3SVC1", LOG_FILES, "5.0", 0x586)
    for _ in range(2):
        log.record(LogRecord("1.2.3.4", "GET", "/", 200))
    assert [entry.source for entry in system.event_log.entries] == ["W3SVC"]


def test_nothing_that_a_client_sends_breaks_a_line(system: WindowsSystem) -> None:
    log = W3cLog(system, "W3SVC1", LOG_FILES, "5.0", 0x586)
    log.record(LogRecord("1.2.3.4", "GET", "/a\r\nb c\x00", 200))
    assert lines(system, "W3SVC1/ex021202.log")[-1] == "09:00:00 1.2.3.4 GET /a%0D%0Ab+c%00 200"
