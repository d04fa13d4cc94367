"""curl, ftplib, smtplib and a raw NNTP session against IIS 4.0 and 5.0 on real sockets."""

from __future__ import annotations

import ftplib
import io
import os
import smtplib
import socket
from email.message import EmailMessage
from typing import TYPE_CHECKING

import pytest
from tests.e2e.windows.host import curl, status

from bodydouble_sim.windows.version import NT_4

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.windows.host import LiveHost

WWW = r"C:\InetPub\wwwroot"
BYTES = bytes(range(256)) * 4000


# --- curl -------------------------------------------------------------------------------------------------------------


@pytest.mark.program("curl")
@pytest.mark.behaviour("reference/windows-iis.md, Versions: default content at InetPub/wwwroot")
def test_curl_gets_the_default_page_from_the_version_that_is_set_up(web: LiveHost) -> None:
    answer = curl("--include", web.base + "/").decode()
    assert answer.startswith("HTTP/1.1 200 OK")
    assert f"Server: Microsoft-IIS/{web.version.iis}" in answer
    assert f"This site runs on IIS {web.version.iis}." in answer


@pytest.mark.program("curl")
@pytest.mark.behaviour("RFC 2616, 9.6: PUT; 14.35: Range")
def test_curl_puts_a_file_and_reads_ranges_of_it(web: LiveHost, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(BYTES)
    assert status("--upload-file", str(tmp_path / "data.bin"), f"{web.base}/data.bin") == 201
    assert web.file(WWW + r"\data.bin").read_bytes() == BYTES
    assert curl(f"{web.base}/data.bin") == BYTES
    assert curl("--range", "1000-1999", f"{web.base}/data.bin") == BYTES[1000:2000]
    assert curl("--range", "-10", f"{web.base}/data.bin") == BYTES[-10:]
    assert status("--range", f"{len(BYTES)}-", f"{web.base}/data.bin") == 416


@pytest.mark.program("curl")
def test_curl_signs_the_guestbook_and_reads_what_it_wrote(web: LiveHost) -> None:
    page = '<%@ Application="guestbook" Data="guests.txt" %>'
    web.file(WWW + r"\guestbook.asp").write_text(page)
    for name in ("Ada", "Grace & co"):
        form = ["--data-urlencode", f"name={name}", "--data-urlencode", "message=<b>hello</b>"]
        assert status(*form, f"{web.base}/guestbook.asp") == 200
    shown = curl(f"{web.base}/guestbook.asp").decode()
    assert "2 entries" in shown
    assert "Grace &amp; co" in shown
    assert "&lt;b&gt;hello" in shown
    assert len(web.file(WWW + r"\guests.txt").read_text().splitlines()) == 2


@pytest.mark.program("curl")
@pytest.mark.behaviour("IIS SDK, ServerBindings: sites share a port and are told apart by the host header")
def test_curl_reaches_sites_of_one_port_by_their_host_headers(web: LiveHost) -> None:
    web.file(r"C:\Shop").mkdir(exist_ok=True)
    web.file(r"C:\Shop\default.htm").write_text("the shop")
    for line in (
        "create_vserv W3SVC/2",
        f"set W3SVC/2/ServerBindings :{web.ports['http']}:shop.example",
        "create_vdir W3SVC/2/ROOT",
        "set W3SVC/2/ROOT/Path C:\\Shop",
        "set W3SVC/2/ROOT/AccessRead true",
        "start_server W3SVC/2",
    ):
        web.done("adsutil", line)
    assert curl("--header", "Host: shop.example", web.base + "/") == b"the shop"
    assert b"This site runs on IIS" in curl("--header", "Host: other.example", web.base + "/")


@pytest.mark.program("curl")
@pytest.mark.behaviour("IIS SDK, AuthFlags: without anonymous access Basic asks for an account")
def test_curl_needs_an_account_where_only_basic_lets_in(web: LiveHost) -> None:
    web.file(WWW + r"\private").mkdir(exist_ok=True)
    web.file(WWW + r"\private\page.htm").write_text("for clerks")
    web.done("net", "user", "clerk", "s3cret", "/add")
    web.done("adsutil", "create W3SVC/1/ROOT/private IIsWebDirectory")
    web.done("adsutil", "set W3SVC/1/ROOT/private/AuthFlags 2")
    page = f"{web.base}/private/page.htm"
    assert status(page) == 401
    assert status("--user", "clerk:wrong", page) == 401
    assert curl("--basic", "--user", "clerk:s3cret", page) == b"for clerks"


@pytest.mark.program("curl")
@pytest.mark.behaviour("reference/windows-iis.md, Versions: WebDAV (RFC 2518) came with IIS 5.0")
def test_webdav_verbs_are_those_of_iis_5_only(web: LiveHost) -> None:
    old = web.version is NT_4
    url = f"{web.base}/papers"
    assert status("-X", "MKCOL", url) == (501 if old else 201)
    assert web.file(WWW + r"\papers").is_dir() != old
    if old:
        assert status("-X", "PROPFIND", "--header", "Depth: 1", web.base + "/") == 501
        return
    web.done("adsutil", "set W3SVC/1/ROOT/EnableDirBrowsing true")  # or PROPFIND lists no directory
    assert status("--upload-file", __file__, f"{url}/one.py") == 201
    found = curl("-X", "PROPFIND", "--header", "Depth: 1", url + "/").decode()
    assert "one.py" in found
    assert status("-X", "MOVE", "--header", f"Destination: {url}/two.py", f"{url}/one.py") == 201
    assert status("-X", "COPY", "--header", f"Destination: {url}/three.py", f"{url}/two.py") == 201
    assert status("-X", "DELETE", f"{url}/two.py") in (200, 204)
    assert sorted(path.name for path in web.file(WWW + r"\papers").iterdir()) == ["three.py"]


@pytest.mark.program("curl")
@pytest.mark.behaviour("reference/windows-iis.md, Versions: logs at System32/LogFiles/W3SVC<n>, W3C extended")
def test_requests_are_in_the_w3c_log_on_the_drive(web: LiveHost) -> None:
    assert status(f"{web.base}/not-there.htm") == 404
    web.done("net", "stop", "W3SVC")
    web.done("net", "start", "W3SVC")
    logs = web.file(r"C:\WINNT\system32\LogFiles\W3SVC1")
    text = "".join(path.read_text() for path in sorted(logs.iterdir()))
    assert "#Fields:" in text
    assert any("/not-there.htm" in line and " 404" in line for line in text.splitlines())


# --- FTP --------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["passive", "active"])
def ftp(web: LiveHost, request: pytest.FixtureRequest) -> Iterator[ftplib.FTP]:
    with ftplib.FTP() as client:
        client.connect("127.0.0.1", web.ports["ftp"], timeout=20)
        client.login()
        client.set_pasv(request.param)
        yield client


@pytest.mark.behaviour("RFC 959: STOR, LIST, NLST, RETR, RNFR, RNTO, DELE, by PASV and by PORT")
def test_ftplib_uploads_lists_renames_and_deletes(web: LiveHost, ftp: ftplib.FTP) -> None:
    name = f"order-{ftp.passiveserver}.bin"
    ftp.cwd("/records")
    ftp.storbinary(f"STOR {name}", io.BytesIO(BYTES))
    assert web.file(rf"{WWW}\records\{name}").read_bytes() == BYTES
    assert name in ftp.nlst()
    lines: list[str] = []
    ftp.dir(lines.append)
    assert any(line.endswith(name) and str(len(BYTES)) in line for line in lines)
    assert ftp.size(name) == len(BYTES)
    ftp.rename(name, "renamed.bin")
    got = bytearray()
    ftp.retrbinary("RETR renamed.bin", got.extend)
    assert bytes(got) == BYTES
    ftp.delete("renamed.bin")
    with pytest.raises(ftplib.error_perm, match="550"):
        ftp.retrbinary("RETR renamed.bin", got.extend)


@pytest.mark.behaviour("RFC 959, 4.1.3: REST begins a transfer further in")
def test_ftplib_resumes_a_download(web: LiveHost, ftp: ftplib.FTP) -> None:
    web.file(WWW + r"\records\long.bin").write_bytes(BYTES)
    got = bytearray()
    ftp.retrbinary("RETR /records/long.bin", got.extend, rest=500_000)
    assert bytes(got) == BYTES[500_000:]


@pytest.mark.behaviour("RFC 959: REST before STOR writes from there on")
def test_ftplib_resumes_an_upload(web: LiveHost, ftp: ftplib.FTP) -> None:
    ftp.storbinary("STOR /records/part.bin", io.BytesIO(BYTES[:300_000]))
    ftp.storbinary("STOR /records/part.bin", io.BytesIO(BYTES[300_000:]), rest=300_000)
    assert web.file(WWW + r"\records\part.bin").read_bytes() == BYTES


def test_ftplib_makes_and_removes_directories(web: LiveHost, ftp: ftplib.FTP) -> None:
    assert ftp.mkd("/incoming") == "/incoming"
    ftp.cwd("/incoming")
    assert ftp.pwd() == "/incoming"
    ftp.cwd("/")
    ftp.rmd("/incoming")
    assert not web.file(r"C:\InetPub\ftproot\incoming").exists()


# --- mail -------------------------------------------------------------------------------------------------------------


def letter(to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "clerk@shop.example", to, "An order"
    message.set_content("One of each.\n.\nA line that is a dot stays one.\n")
    return message


def text_of(paths: list[Path]) -> str:
    return "".join(path.read_text(errors="replace") for path in paths if path.is_file())


@pytest.mark.behaviour("SMTP service's help: mail for the local domain is put into Drop")
def test_smtplib_mail_for_the_local_domain_lands_in_drop(web: LiveHost) -> None:
    with smtplib.SMTP("127.0.0.1", web.ports["smtp"], local_hostname="client", timeout=20) as client:
        assert client.ehlo()[0] == 250
        assert client.send_message(letter("boss@target")) == {}
    drop = web.file(r"C:\InetPub\mailroot\Drop")
    queue = web.file(r"C:\InetPub\mailroot\Queue")
    found = text_of([*drop.iterdir(), *queue.iterdir()])
    assert "Subject: An order" in found
    assert "A line that is a dot stays one." in found


@pytest.mark.behaviour("KB 310356: nobody relays to other domains unless listed or authenticated")
def test_smtplib_may_not_relay_to_other_domains(web: LiveHost) -> None:
    with (
        smtplib.SMTP("127.0.0.1", web.ports["smtp"], local_hostname="client", timeout=20) as client,
        pytest.raises(smtplib.SMTPRecipientsRefused) as caught,
    ):
        client.send_message(letter("someone@elsewhere.example"))
    assert caught.value.recipients["someone@elsewhere.example"][0] == 550


# --- news -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def news(web: LiveHost) -> Iterator[Callable[[str], str]]:
    """A raw NNTP session: sends one line, gives one line back."""
    with socket.create_connection(("127.0.0.1", web.ports["nntp"]), timeout=20) as wire:
        lines = wire.makefile("rwb")

        def ask(line: str) -> str:
            if line:
                lines.write(line.encode() + b"\r\n")
                lines.flush()
            return lines.readline().decode().rstrip("\r\n")

        yield ask
        lines.close()


@pytest.mark.behaviour("RFC 977, 3.10 and 3.1: an article that is posted can be read back")
def test_a_raw_nntp_session_posts_an_article_and_reads_it_back(news: Callable[[str], str], web: LiveHost) -> None:
    assert news("").startswith("200 ")
    group = "microsoft.public.ins"
    identifier = f"<{os.getpid()}.{web.ports['nntp']}@client.example>"
    assert news("POST").startswith("340 ")
    head = f"From: Ann <ann@client.example>\r\nNewsgroups: {group}\r\nSubject: Orders\r\nMessage-ID: {identifier}"
    assert news(f"{head}\r\n\r\nThe first line.\r\n..a dot\r\n.").startswith("240 ")
    selected = news(f"GROUP {group}")
    assert selected.split()[:2] == ["211", "1"]
    assert news(f"ARTICLE {identifier}").startswith("220 ")
    lines = []
    while (line := news("")) != ".":
        lines.append(line)
    assert "Subject: Orders" in lines
    assert lines[-2:] == ["The first line.", "..a dot"]
    assert news("QUIT").startswith("205 ")
    files = list(web.file(r"C:\InetPub\nntpfile").rglob("*.nws"))
    assert any("The first line." in path.read_text() for path in files)
