"""The FTP service, spoken to by Python's ftplib and by raw lines. Real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import io
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pytest
from tests.sim.iis.drive import FTP_ROOT, Clock, Site, accounts, files, ftp_service, run, talk

if TYPE_CHECKING:
    from collections.abc import Callable

    from bodydouble_sim.windows.system import WindowsSystem

behaviour = pytest.mark.behaviour
T = TypeVar("T")
HOME = "C:/InetPub/ftproot"


def session(
    system: WindowsSystem,
    work: Callable[[ftplib.FTP], T],
    prepare: Callable[[Site], object] = lambda _site: None,
    *,
    login: bool = True,
) -> T:
    """Do ``work`` in an FTP session on a site that ``prepare`` has configured."""

    def client(ftp: ftplib.FTP) -> T:
        if login:
            ftp.login()
        return work(ftp)

    async def main(site: Site) -> T:
        prepare(site)
        return await site.ftp(client)

    return run(system, main)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ftplib.Error) as caught:
        call()
    return str(caught.value)


@behaviour("RFC 959, 4.1.2 and 4.1.3; the note, Introduction (FTP is one of the services)")
@pytest.mark.parametrize("passive", [True, False])
def test_an_ftp_client_uploads_reads_lists_and_tidies_up(either: WindowsSystem, *, passive: bool) -> None:
    content = b"x" * 200_000

    def work(ftp: ftplib.FTP) -> None:
        ftp.set_pasv(passive)
        ftp.cwd("/records")
        assert ftp.storbinary("STOR new.txt", io.BytesIO(content)) == "226 Transfer complete."
        assert ftp.size("new.txt") == len(content)
        ftp.mkd("d")
        ftp.rename("new.txt", "d/old.txt")
        got = io.BytesIO()
        ftp.retrbinary("RETR d/old.txt", got.write)
        assert got.getvalue() == content
        ftp.storbinary("APPE d/old.txt", io.BytesIO(b"tail"))
        assert ftp.size("d/old.txt") == len(content) + 4
        assert ftp.nlst("d") == ["old.txt"]
        ftp.delete("d/old.txt")
        ftp.rmd("d")
        assert ftp.nlst() == []

    session(either, work)
    assert either.files.list("C:/InetPub/wwwroot/records") == []


@behaviour("IIS documentation, FTP: the greeting names the service's version")
def test_the_greeting_names_the_version(either: WindowsSystem) -> None:
    welcome = session(either, lambda ftp: ftp.getwelcome(), login=False)
    assert welcome == f"220 target Microsoft FTP Service (Version {either.version.iis})."


@behaviour("IIS documentation, FTP messages (anonymous log-in)")
def test_anonymous_users_are_asked_for_their_address(either: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> list[str]:
        return [ftp.sendcmd("USER anonymous"), ftp.sendcmd("PASS me@here"), ftp.sendcmd("USER clerk")]

    asked, done, account = session(either, work, login=False)
    assert asked == "331 Anonymous access allowed, send identity (e-mail name) as password."
    assert done == "230 Anonymous user logged in."
    assert account == "331 Password required for clerk."


@behaviour("IIS SDK, AllowAnonymous and AnonymousOnly")
def test_accounts_log_in_with_their_password_unless_only_anonymous_users_may(either: WindowsSystem) -> None:
    said: list[str] = []

    def work(ftp: ftplib.FTP) -> None:
        said.append(ftp.login("clerk", "s3cret"))
        said.append(refusal(lambda: ftp.login("clerk", "wrong")))
        said.append(refusal(lambda: ftp.login("anonymous", "x")))

    def prepare(site: Site) -> None:
        accounts(site.system).add("clerk", "s3cret")
        site.set("MSFTPSVC/1", AllowAnonymous=False)

    session(either, work, prepare, login=False)
    assert said == ["230 User clerk logged in.", "530 User clerk cannot log in.", "530 User anonymous cannot log in."]


@behaviour("IIS SDK, AnonymousOnly")
def test_only_anonymous_users_log_in_where_the_site_says_so(system: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        accounts(site.system).add("clerk", "s3cret")
        site.set("MSFTPSVC/1", AnonymousOnly=True)

    said = session(system, lambda ftp: refusal(lambda: ftp.login("clerk", "s3cret")), prepare, login=False)
    assert said == "530 User clerk cannot log in."


@behaviour("RFC 959, 5.4: 530 before the log-in")
def test_nothing_works_before_the_log_in(either: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> list[str]:
        lines = ("MKD x", "LIST", "PASS x", "DELE x")
        return [refusal(partial(ftp.sendcmd, line)) for line in lines]

    said = session(either, work, login=False)
    please = "530 Please login with USER and PASS."
    assert said == [please, please, "503 Login with USER first.", please]


@behaviour("IIS documentation, FTP: a directory of the user's name is where the user begins")
def test_a_user_begins_in_the_directory_of_that_name(system: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        accounts(site.system).add("clerk", "s3cret")
        site.system.make_directories(f"{HOME}/clerk")

    def work(ftp: ftplib.FTP) -> list[str]:
        ftp.login("clerk", "s3cret")
        first = ftp.pwd()
        ftp.login()
        return [first, ftp.pwd()]

    assert session(system, work, prepare, login=False) == ["/clerk", "/"]


@behaviour("530 User cannot log in, home directory inaccessible: FTP service of IIS")
def test_a_home_that_is_not_there_keeps_users_out(either: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        site.set(FTP_ROOT, Path="C:\\none")

    said = session(either, lambda ftp: refusal(ftp.login), prepare, login=False)
    assert said == "530 User anonymous cannot log in, home directory inaccessible."


@behaviour("IIS documentation, Setting FTP Messages (welcome, exit)")
def test_the_sites_messages_greet_and_say_goodbye(system: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        site.set("MSFTPSVC/1", GreetingMessage=["Hello.", "Be nice."], ExitMessage="Bye.")

    def work(ftp: ftplib.FTP) -> list[str]:
        return [ftp.login(), ftp.quit()]

    assert session(system, work, prepare, login=False) == [
        "230-Hello.\n230-Be nice.\n230 Anonymous user logged in.",
        "221 Bye.",
    ]


@behaviour("IIS documentation, Setting FTP Messages (maximum connections)")
def test_one_client_too_many_is_sent_away(either: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        site.set("MSFTPSVC/1", MaxConnections=1, MaxClientsMessage="Come back later.")
        reader, writer = await asyncio.open_connection("127.0.0.1", site.ftp_port())
        await reader.readline()
        refused = await talk(site.ftp_port())
        writer.close()
        await writer.wait_closed()
        return refused

    assert run(either, work) == b"421 Come back later.\r\n"


@behaviour("KB 248043 has its like for FTP sites: addresses are granted or denied")
def test_a_denied_address_is_sent_away(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        site.set("MSFTPSVC/1", IPDeny=["127.0.0.1"])
        return await talk(site.ftp_port())

    assert run(system, work) == b"421 Terminating connection.\r\n"


@behaviour("IIS SDK, ConnectionTimeout; RFC 959, 5.4 (421)")
def test_a_silent_client_is_sent_away(either: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        site.set("MSFTPSVC/1", ConnectionTimeout=0)
        return await talk(site.ftp_port())

    assert run(either, work).endswith(b"421 Timeout (0 seconds): closing control connection.\r\n")


@behaviour("IIS documentation, Directory Output Style: MS-DOS is the default, two digits of the year")
def test_listings_are_in_ms_dos_style_by_default(either: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        site.system.make_directories(f"{HOME}/inner")
        site.system.write_file(f"{HOME}/readme.txt", b"12345")

    def work(ftp: ftplib.FTP) -> list[str]:
        lines: list[str] = []
        ftp.dir(lines.append)
        return lines

    assert session(either, work, prepare) == [
        "12-02-02  09:00AM       <DIR>          inner",
        "12-02-02  09:00AM                    5 readme.txt",
    ]


@behaviour("IIS documentation, Directory Output Style: FtpDirBrowseShowLongDate shows four digits of the year")
def test_ms_dos_listings_may_show_the_whole_year(system: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        site.system.make_directories(f"{HOME}/inner")
        site.set("MSFTPSVC/1", FtpDirBrowseShowLongDate=True)

    def work(ftp: ftplib.FTP) -> list[str]:
        lines: list[str] = []
        ftp.dir(lines.append)
        return lines

    assert session(system, work, prepare) == ["12-02-2002  09:00AM       <DIR>          inner"]


@behaviour("IIS documentation, Directory Output Style: UNIX shows the year only when it is another one; SITE DIRSTYLE")
def test_site_dirstyle_changes_to_unix_listings(either: WindowsSystem, clock: Clock) -> None:
    said: list[str] = []

    def prepare(site: Site) -> None:
        site.system.write_file(f"{HOME}/new.txt", b"12345")

    def work(ftp: ftplib.FTP) -> list[str]:
        said.append(ftp.sendcmd("SITE DIRSTYLE"))
        lines: list[str] = []
        ftp.dir(lines.append)
        clock.now += 365 * 86_400 * 10**9
        ftp.dir(lines.append)
        said.append(ftp.sendcmd("SITE DIRSTYLE"))
        return lines

    assert session(either, work, prepare) == [
        "-rwxrwxrwx   1 owner    group               5 Dec  2  9:00 new.txt",
        "-rwxrwxrwx   1 owner    group               5 Dec  2  2002 new.txt",
    ]
    assert said == ["200 MSDOS-like directory output is off", "200 MSDOS-like directory output is on"]


@behaviour("IIS SDK, MSDOSDirOutput")
def test_a_site_may_begin_in_unix_style(system: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        site.system.make_directories(f"{HOME}/inner")
        site.set("MSFTPSVC/1", MSDOSDirOutput=False)

    def work(ftp: ftplib.FTP) -> str:
        lines: list[str] = []
        ftp.dir(lines.append)
        return lines[0]

    assert str(session(system, work, prepare)).startswith("drwxrwxrwx   1 owner")


@behaviour("orcsweb, Mastering IIS FTP 2: a virtual directory is not listed unless a real one has its name")
def test_virtual_directories_are_entered_but_not_listed(either: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> tuple[list[str], str, str]:
        names = ftp.nlst()
        ftp.cwd("records")
        return names, ftp.pwd(), refusal(lambda: ftp.rmd("/records"))

    names, where, said = session(either, work)
    assert (names, where) == ([], "/records")
    assert said == "550 /records: Access is denied."


def test_listings_take_patterns_flags_and_single_files(system: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        for name in ("a.txt", "B.TXT", "c.log"):
            site.system.write_file(f"{HOME}/{name}", b"")

    def work(ftp: ftplib.FTP) -> list[object]:
        patterns = ("*.txt", "-la", "c.log", "/?.log")
        seen: list[object] = [sorted(ftp.nlst(pattern)) for pattern in patterns]
        return [*seen, refusal(lambda: ftp.nlst("*.none")), refusal(lambda: ftp.nlst("none"))]

    missing = "The system cannot find the file specified."
    assert session(system, work, prepare) == [
        ["B.TXT", "a.txt"],
        ["B.TXT", "a.txt", "c.log"],
        ["c.log"],
        ["/c.log"],
        f"550 *.none: {missing}",
        f"550 none: {missing}",
    ]


@behaviour("IIS SDK, AccessFlags: FTP knows Read and Write")
def test_access_flags_forbid_reading_or_writing(either: WindowsSystem) -> None:
    said: list[str] = []

    def prepare(site: Site) -> None:
        site.system.write_file(f"{HOME}/a.txt", b"a")
        site.set(FTP_ROOT, AccessWrite=False)
        site.system.make_directories("D:/drop")
        site.set(f"{FTP_ROOT}/drop", Path="D:\\drop", AccessFlags=2)

    def work(ftp: ftplib.FTP) -> None:
        lines = ("DELE a.txt", "MKD d", "RNFR none", "STOR x", "APPE a.txt", "RETR drop/x", "LIST drop", "CWD drop")
        said.extend(refusal(partial(ftp.sendcmd, line)).partition(": ")[2] for line in lines)
        ftp.storbinary("STOR drop/new.txt", io.BytesIO(b"new"))

    session(either, work, prepare)
    denied, missing = "Access is denied.", "The system cannot find the file specified."
    assert said == [denied, denied, missing, denied, denied, denied, denied, denied]
    assert either.files.read("D:/drop/new.txt") == b"new"


@behaviour("NTFS permissions count beside the site's, the stricter decides (IIS 5.0 documentation)")
def test_access_lists_count_for_the_account_that_logged_in(either: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        accounts(site.system).add("clerk", "s3cret")
        site.system.write_file(f"{HOME}/a.txt", b"a")
        files(site.system).allow(f"{HOME}/a.txt", "delete", "clerk")

    def work(ftp: ftplib.FTP) -> tuple[str, str]:
        denied = refusal(lambda: ftp.delete("a.txt"))
        ftp.login("clerk", "s3cret")
        return denied, ftp.delete("a.txt")

    assert session(either, work, prepare) == ("550 a.txt: Access is denied.", "250 DELE command successful.")


@behaviour("RFC 959, 4.1.3 (REST) and 5.3; RFC 3659, 5")
def test_transfers_begin_where_rest_says(either: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> tuple[bytes, str]:
        ftp.storbinary("STOR a.txt", io.BytesIO(b"0123456789"))
        ftp.storbinary("STOR a.txt", io.BytesIO(b"xy"), rest=4)
        got = io.BytesIO()
        ftp.retrbinary("RETR a.txt", got.write, rest=3)
        return got.getvalue(), refusal(lambda: ftp.sendcmd("REST x"))

    got, said = session(either, work)
    assert got == b"3xy6789"
    assert said.startswith("501 ")


@behaviour("RFC 3659, 3 and 4 (MDTM, SIZE)")
def test_size_and_time_of_a_file_are_told(system: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> list[str]:
        ftp.storbinary("STOR a.txt", io.BytesIO(b"12345"))
        return [ftp.sendcmd("SIZE a.txt"), ftp.sendcmd("MDTM a.txt"), refusal(lambda: ftp.sendcmd("SIZE /"))]

    missing = "550 /: The system cannot find the file specified."
    assert session(system, work) == ["213 5", "213 20021202090000", missing]


@behaviour("RFC 959, 4.1.1 and 4.1.2 (TYPE, MODE, STRU) and 4.1.3 (SYST, STAT, HELP, NOOP, ALLO)")
def test_the_small_commands_are_answered(either: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> list[str]:
        lines = ("TYPE I", "TYPE L 8", "MODE S", "STRU F", "NOOP", "ALLO 5", "ABOR", "SYST", "ACCT x", "SITE HELP")
        seen = [ftp.sendcmd(line) for line in lines]
        wrong = ("TYPE E", "MODE B", "STRU R", "FEAT", "SITE CHMOD", "HELP FEAT", "XYZZY")
        return seen + [refusal(partial(ftp.sendcmd, line)) for line in wrong]

    said = session(either, work)
    assert [line[:3] for line in said] == [
        *("200", "200", "200", "200", "200", "200", "225", "215", "202", "214"),
        *("504", "504", "504", "500", "500", "502", "500"),
    ]
    assert said[7] == f"215 Windows_NT version {either.version.iis}"
    assert said[-4] == "500 'FEAT': command not understood"


@behaviour("RFC 959, 4.1.3: STAT tells of the session, or lists over the control connection")
def test_stat_tells_of_the_session_or_lists(system: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        site.system.write_file(f"{HOME}/a.txt", b"a")

    def work(ftp: ftplib.FTP) -> list[str]:
        return [ftp.sendcmd("STAT"), ftp.sendcmd("STAT /"), ftp.sendcmd("HELP"), ftp.sendcmd("HELP STOR")]

    status, listing, commands, one = session(system, work, prepare)
    assert "Logged in as anonymous." in status
    assert "TYPE: ASCII" in status
    assert listing.splitlines()[1].endswith("a.txt")
    assert "STOR" in commands
    assert one == "214 Syntax: STOR"


@behaviour("RFC 959, 4.1.3: RNTO follows RNFR at once")
def test_rnto_must_follow_rnfr(system: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> list[str]:
        ftp.storbinary("STOR a.txt", io.BytesIO(b"a"))
        first = refusal(lambda: ftp.sendcmd("RNTO b.txt"))
        ftp.sendcmd("RNFR a.txt")
        ftp.sendcmd("NOOP")
        return [first, refusal(lambda: ftp.sendcmd("RNTO b.txt")), refusal(lambda: ftp.sendcmd("RNFR none"))]

    bad = "503 Bad sequence of commands."
    assert session(system, work) == [bad, bad, "550 none: The system cannot find the file specified."]


@behaviour("RFC 2577, 3: no data connections to other hosts or to ports of services")
def test_port_to_another_host_or_a_low_port_is_refused(either: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> list[str]:
        lines = ("PORT 10,0,0,1,200,1", "PORT 127,0,0,1,0,25", "PORT 1,2", "PORT 300,0,0,1,4,1")
        return [refusal(partial(ftp.sendcmd, line))[:3] for line in lines]

    assert session(either, work) == ["500", "500", "501", "501"]


@behaviour("RFC 959, 5.4: 425 without a data connection")
def test_a_transfer_without_a_data_connection_is_425(system: WindowsSystem) -> None:
    said = session(system, lambda ftp: [refusal(lambda: ftp.sendcmd("LIST")), ftp.sendcmd("NOOP")[:3]])
    assert said == ["425 Can't open data connection.", "200"]


@behaviour("RFC 959, 5.4: 552 when the storage is exhausted")
def test_an_upload_to_a_full_disk_is_552(either: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        disk = files(site.system)._on("C:").disk
        disk.capacity = disk.used + 1_000_000

    def work(ftp: ftplib.FTP) -> str:
        data = ftp.transfercmd("STOR big")
        with data, contextlib.suppress(ConnectionError):
            data.sendall(bytes(3_000_000))
        return refusal(ftp.voidresp)

    assert session(either, work, prepare) == "552 big: There is not enough space on the disk."


@behaviour("RFC 959, 5.4: 426 when the data connection breaks")
def test_an_upload_whose_connection_breaks_is_426_and_keeps_what_arrived(system: WindowsSystem) -> None:
    import socket  # noqa: PLC0415 - one use
    import struct  # noqa: PLC0415 - one use

    def work(ftp: ftplib.FTP) -> str:
        data = ftp.transfercmd("STOR part")
        data.sendall(b"half")
        while not system.files.read(f"{HOME}/part"):
            pass
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        data.close()
        return refusal(ftp.voidresp)

    assert session(system, work) == "426 Connection closed; transfer aborted."
    assert system.files.read(f"{HOME}/part") == b"half"


@behaviour("Event 115: The service could not bind instance")
def test_an_ftp_site_whose_port_is_taken_stays_stopped(either: WindowsSystem) -> None:
    async def work(site: Site) -> tuple[bool, int]:
        site.set("MSFTPSVC/2", ServerBindings=["127.0.0.1:0:", f"127.0.0.1:{site.ftp_port()}:"])
        site.set("MSFTPSVC/2/ROOT", Path="D:\\")
        started = await ftp_service(site.system).start_site(2)
        return started, site.system.event_log.entries[-1].number

    assert run(either, work) == (False, 115)


@behaviour("IIS SDK, ServerCommand for FTP sites")
def test_a_stopped_ftp_site_drops_its_clients(system: WindowsSystem) -> None:
    async def work(site: Site) -> bytes:
        port = site.ftp_port()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        await ftp_service(site.system).stop_site(1)
        try:
            rest = await reader.read()
        except ConnectionError:
            rest = b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return rest

    assert run(system, work) == b""


def test_an_anonymous_account_that_cannot_log_on_keeps_ftp_users_out(system: WindowsSystem) -> None:
    def prepare(site: Site) -> None:
        accounts(site.system).set_password("IUSR_TARGET", "another one")

    assert session(system, lambda ftp: refusal(ftp.login), prepare, login=False) == "530 User anonymous cannot log in."


@behaviour("RFC 959, 4.1.1: USER flushes what was given before and begins the log-in again")
def test_another_user_begins_the_log_in_again(system: WindowsSystem) -> None:
    def work(ftp: ftplib.FTP) -> str:
        ftp.sendcmd("USER clerk")
        return refusal(ftp.pwd)

    assert session(system, work) == "530 Please login with USER and PASS."
